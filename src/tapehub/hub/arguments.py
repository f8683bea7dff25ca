"""What callers may ask with: one check for a hub in memory and for one behind a gateway, so that both refuse alike."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from operator import index
from typing import Final

from tapehub.errors import ConfigError, InvalidRecord
from tapehub.model.timeframes import Timeframe, parse

__all__ = [
    "AGES_MAX_S", "check_age", "check_ages", "check_bound", "check_limit", "check_note", "check_source", "frames_of",
]  # fmt: skip

AGES_MAX_S: Final = {"tick": 2.0, "candle": 120.0, "order_flow": 5.0}
"""How old each kind of data may be, where a caller does not say."""
_EVER: Final = (1 << 63) - 1
_SOURCE_BYTES: Final = 31


def check_limit(limit: int | None) -> int | None:
    """Give a limit that can be, or none.

    Raises:
        InvalidRecord: it is no whole number, or below 0.
    """
    if limit is None:
        return None
    try:
        whole = index(limit)
    except TypeError:
        raise InvalidRecord(
            f"limit is {limit!r}, expected a whole number; start and end come after it, or go by name"
        ) from None
    if whole < 0:
        raise InvalidRecord(f"limit is {limit}, expected 0 or more")
    return min(whole, _EVER)


def check_bound(name: str, bound: object) -> int | datetime | None:
    """Give a bound that can be, or none; a sequence below 0 is 0.

    Raises:
        InvalidRecord: it is neither a sequence number nor a datetime. A float would be cut to a sequence in silence.
    """
    if bound is None or isinstance(bound, datetime):
        return bound
    try:
        return min(max(0, index(bound)), _EVER)  # type: ignore[arg-type]
    except TypeError:
        how = f"datetime.fromisoformat({bound!r})" if isinstance(bound, str) else "datetime(2026, 6, 2, tzinfo=UTC)"
        raise InvalidRecord(
            f"{name} is {bound!r}, expected a sequence number or a datetime (UTC where it names no zone), as {how}"
        ) from None


def check_source(source: str | None) -> None:
    """Refuse what no source is called.

    Raises:
        TypeError: it is no text.
        InvalidRecord: it is empty, or too long.
    """
    if source is None:
        return
    if not isinstance(source, str):
        raise TypeError(f"source is {source!r} ({type(source).__name__}), expected a str such as 'ig'")
    if not 0 < len(source.encode(errors="replace")) <= _SOURCE_BYTES:
        raise InvalidRecord(f"source is {source!r}, expected 1 to {_SOURCE_BYTES} bytes of text; `sources` lists them")


def check_note(text: str) -> bytes:
    """Give a remark as it is stored.

    Raises:
        InvalidRecord: it is no text, or none that UTF-8 can write.
    """
    try:
        if isinstance(text, str):
            return text.encode()
    except UnicodeEncodeError:
        pass
    raise InvalidRecord(f"note is {text!r:.80}, expected text that UTF-8 can write; decode or escape it first")


def check_age(name: str, max_age_s: float) -> float:
    """Give an age that something may have.

    Raises:
        ConfigError: it is no number from 0 on. Nothing is older than nan, so that all would be fresh.
    """
    is_number = hasattr(max_age_s, "__float__")  # a text that shows one has none
    if not is_number or math.isnan(age_s := float(max_age_s)) or age_s < 0:
        raise ConfigError(f"{name} is {max_age_s!r}, expected seconds, 0 or more")
    return age_s


def check_ages(max_age_seconds: Mapping[str, float] | None) -> dict[str, float]:
    """Give how old each kind of data may be.

    Raises:
        ConfigError: it is no mapping of kinds to seconds.
    """
    if max_age_seconds is None:
        return dict(AGES_MAX_S)
    if not isinstance(max_age_seconds, Mapping):
        raise ConfigError(f"max_age_seconds is {max_age_seconds!r}, expected a dict such as {{'tick': 2.0}}")
    return {kind: check_age(f"max_age_seconds[{kind!r}]", age_s) for kind, age_s in max_age_seconds.items()}


def frames_of(timeframes: str | Iterable[str]) -> list[Timeframe]:
    """Read one timeframe or several.

    Raises:
        UnknownTimeframe: one is none.
        ConfigError: there is none: a stream of its intervals would never end one.
    """
    found = [parse(one) for one in ([timeframes] if isinstance(timeframes, str) else timeframes)]
    if not found:
        raise ConfigError(f"timeframes is {timeframes!r}, expected one at least, such as '1m'")
    return found
