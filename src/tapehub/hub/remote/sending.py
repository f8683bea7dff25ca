"""From what callers hold to requests that publish it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from tapehub._native import Candle, as_candle
from tapehub.errors import InvalidRecord, TapehubError
from tapehub.hub import publishing
from tapehub.hub.arguments import check_source
from tapehub.hub.remote import tables, values
from tapehub.model.instruments import InstrumentBook

if TYPE_CHECKING:
    from tapehub.hub.remote.hub import RemoteHub

__all__ = ["ticks", "warm_start", "warm_start_all"]

_book: Final = InstrumentBook()
_ROWS: Final = 65_536
_CANDLES: Final = 5_000
_ROW = re.compile(r"row (\d+) of (\d+): (.*); (\d+) rows before it are published", re.DOTALL)


def ticks(
    hub: RemoteHub,
    array: npt.NDArray[Any],
    symbol: str | None,
    symbols: Sequence[str] | None,
    source: str | None,
    *,
    verified: bool,
) -> int:
    """Publish the rows of a structured array, in parts that a request can hold."""
    rows = publishing.checked(array, symbol, symbols)
    check_source(source or None)
    if not len(rows):  # no request is made that would refuse a name
        for one in [symbol] if symbol is not None else symbols or ():
            _book.name(one)
    beyond = _beyond(rows, symbols)
    done = 0
    for first in range(0, len(rows) if beyond is None else beyond, _ROWS):
        part = rows[first : min(first + _ROWS, len(rows) if beyond is None else beyond)]
        try:
            answer = hub._wire.post_arrow(
                "/ticks", tables.stream_of(part, symbols), symbol=symbol, source=source,
                verified="true" if verified else None,
            )  # fmt: skip
        except TapehubError as error:
            raise _in_all(error, done, len(rows)) from None
        done += int(answer["published"])
    if beyond is not None and symbols is not None:
        number = int(rows["instrument"][beyond])
        refused = InvalidRecord(
            f"row {beyond} of {len(rows)}: symbol index is {number}, expected below {len(symbols)}; {beyond} rows "
            "before it are published"
        )
        refused.published = beyond
        raise refused
    return done


def _beyond(rows: npt.NDArray[Any], symbols: Sequence[str] | None) -> int | None:
    """Find the first row that indexes a symbol there is none of."""
    if symbols is None or not len(rows):
        return None
    found = np.flatnonzero(rows["instrument"] >= len(symbols))
    return int(found[0]) if len(found) else None


def _in_all(error: TapehubError, done: int, count: int) -> TapehubError:
    """Tell which row of all it was, not of the part that was sent."""
    published = done + error.published
    found = _ROW.fullmatch(str(error))
    if found is not None:
        fresh = type(error)(
            f"row {done + int(found[1])} of {count}: {found[3]}; {done + int(found[4])} rows before it are published"
        )
        published, error = done + int(found[4]), fresh
    error.published = published
    return error


def warm_start(hub: RemoteHub, symbol: str, candles: Iterable[Candle]) -> int:
    """Publish candles of one symbol from elsewhere, oldest first."""
    rows = sorted((as_candle(one) for one in candles), key=lambda one: one.ts_event)
    loaded = 0
    for first in range(0, len(rows), _CANDLES):
        part = [values.candle_text(one) for one in rows[first : first + _CANDLES]]
        try:
            answer = hub._wire.post(f"/candles/{hub._quoted(symbol)}/warm", {"candles": part})
        except TapehubError as error:
            error.published += loaded
            raise
        loaded += int(answer["loaded"])
    if not rows:
        _book.name(symbol)
    return loaded


def warm_start_all(
    hub: RemoteHub, symbols: Iterable[str], fetch: Callable[[str, int], Iterable[Candle] | None], limit: int
) -> int:
    """Publish candles of several symbols, fetched here; one's failure stops no other."""
    publishing.check_fetch(fetch)
    hub.warm_start_errors = {}
    loaded = 0
    for symbol in symbols:
        try:
            loaded += warm_start(hub, symbol, fetch(symbol, limit) or ())
        except Exception as error:  # whatever a caller's database raises
            hub.warm_start_errors[symbol] = f"{type(error).__name__}: {error}"
    return loaded
