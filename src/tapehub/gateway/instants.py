"""Instants as the API writes and reads them: ISO 8601 in UTC, nine digits after the point."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

from tapehub.errors import InvalidRecord
from tapehub.feeds.instants import rfc3339_ns

__all__ = ["EXAMPLE", "NS_MAX", "instant", "iso", "stamp"]

NS_MAX: Final = (1 << 63) - 1
EXAMPLE: Final = "2026-06-02T12:00:00.123456789Z"
_EPOCH = datetime(1970, 1, 1)


def iso(ts_ns: int) -> str:
    """Write an instant: ``2026-06-02T12:00:00.123456789Z``."""
    if ts_ns >= 1_000_000_000:  # by its digits: less than the arithmetic takes
        digits = str(ts_ns)
        return f"{_second_of(digits[:-9])}{digits[-9:]}Z"
    second, rest = divmod(ts_ns, 1_000_000_000)
    return f"{_second(second)}{rest:09d}Z"


def stamp(ts_ns: int) -> str | None:
    """Write an instant; None for 0, which stands for one that is not known."""
    return iso(ts_ns) if ts_ns else None


@lru_cache(maxsize=8192)
def _second_of(digits: str) -> str:
    # Nearly all ticks of a frame are of the same second: its text is made once.
    return _second(int(digits))


def _second(second: int) -> str:
    return f"{(_EPOCH + timedelta(seconds=second)).isoformat()}."


def instant(value: int | str, where: str) -> int:
    """Read an instant, ns UTC: ISO 8601 text (without an offset it is UTC), or an integer of ns.

    Raises:
        InvalidRecord: it is neither, or beyond the years that int64 nanoseconds reach.
    """
    if isinstance(value, int):
        if not -NS_MAX <= value <= NS_MAX:
            raise InvalidRecord(f"{where} is {value}: expected ns since 1970 that fit an int64")
        return value
    text = value.strip().replace(" ", "T", 1)
    try:
        if "T" not in text:
            text += "T00:00:00"
        return rfc3339_ns(text if _has_zone(text) else f"{text}Z")
    except (ValueError, OverflowError):
        raise InvalidRecord(
            f"{where} is {value[:64]!r}: expected ISO 8601 such as {EXAMPLE}, of a year from 1678 to 2261"
        ) from None


def _has_zone(text: str) -> bool:
    clock = text.partition("T")[2]
    return clock.endswith(("Z", "z")) or "+" in clock or "-" in clock
