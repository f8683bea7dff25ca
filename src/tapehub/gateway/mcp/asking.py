"""What is asked, held against what there is: symbols, timeframes, bounds, and how much at a time."""

from __future__ import annotations

import difflib
import functools
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, ParamSpec, TypeVar

from pydantic import Field

from tapehub.errors import InvalidRecord, TapehubError
from tapehub.gateway.instants import instant
from tapehub.model.timeframes import NAMES

if TYPE_CHECKING:
    from tapehub.hub import DataHub

__all__ = [
    "BARS_MAX", "HISTORY_MAX", "PLACES", "ROWS_MAX", "SAID_MAX", "AgentName", "Busy", "LongReads", "SomeSymbol",
    "Symbol", "Timeframe", "moment", "named", "number", "raising", "rounded",
]  # fmt: skip

_P = ParamSpec("_P")
_R = TypeVar("_R")

BARS_MAX: Final = 300
HISTORY_MAX: Final = 500
ROWS_MAX: Final = 200
PLACES: Final = 10
"""Decimals of prices: beyond those of every instrument, short of the noise of float64."""
SAID_MAX: Final = 100
_SHOWN: Final = 40

Symbol = Annotated[str, Field(min_length=1, max_length=64, description="Any of its names: EUR_USD, EURUSD, EUR/USD")]
SomeSymbol = Annotated[
    str | None, Field(min_length=1, max_length=64, description="Any of its names: EUR_USD, EURUSD; null: all")
]
AgentName = Annotated[str | None, Field(min_length=1, max_length=64, description="Of that agent alone; null: all")]
Timeframe = Annotated[str, Field(min_length=1, max_length=16, description="One of " + " ".join(NAMES))]


class Busy(TapehubError):
    """Report that too many long reads are under way."""


class LongReads:
    """Let a few long reads run at a time, and refuse more, so that nobody can hold up the others."""

    def __init__(self, at_once: int = 2, wait_s: float = 1.0) -> None:
        self._places = threading.BoundedSemaphore(at_once)
        self._at_once = at_once
        self._wait_s = wait_s

    @contextmanager
    def one(self) -> Iterator[None]:
        """Hold a place.

        Raises:
            Busy: none has become free in ``wait_s``.
        """
        if not self._places.acquire(timeout=self._wait_s):
            raise Busy(f"{self._at_once} long reads are under way, expected fewer; ask again in a second")
        try:
            yield
        finally:
            self._places.release()


def named(hub: DataHub, symbol: str) -> str:
    """Give the hub's own name of an instrument.

    Raises:
        InvalidRecord: the hub has none of that name; the message says which it has.
    """
    known = list(hub.instruments)
    try:
        name = hub._names.canonical(symbol)
    except TapehubError:
        name = ""
    if name in known:
        return name
    if not known:
        raise InvalidRecord(f"symbol {symbol!r}: the hub has no instrument at all yet; why_no_data says why")
    near = difflib.get_close_matches(symbol.upper(), known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    shown = ", ".join(sorted(known)[:_SHOWN])
    rest = f" and {len(known) - _SHOWN} more, see the tool instruments" if len(known) > _SHOWN else ""
    raise InvalidRecord(f"symbol {symbol!r} is not in this hub: {hint}It has {shown}{rest}")


def moment(text: str | None, where: str) -> datetime | None:
    """Read an event time.

    Raises:
        InvalidRecord: it is none.
    """
    if text is None:
        return None
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=instant(text, where) // 1000)


def number(value: float) -> float | None:
    """Give a number as JSON can write it, without the noise of float64; what is not finite is null."""
    return round(float(value), PLACES) if math.isfinite(value) else None


def rounded(seconds: float | None) -> float | None:
    """Give an age to the millisecond, or a share to a thousandth."""
    return None if seconds is None else round(float(seconds), 3)


def raising(made: type[Exception], call: Callable[_P, _R]) -> Callable[_P, _R]:
    """Turn what tapehub raises on purpose into an error whose message reaches the model; all else stays a crash."""

    @functools.wraps(call)
    def asked(*args: _P.args, **kwargs: _P.kwargs) -> Any:
        try:
            return call(*args, **kwargs)
        except TapehubError as error:
            raise made(str(error)) from error

    return asked
