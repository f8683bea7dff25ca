"""The timeframes a hub builds candles for, one row each, and the names people call them by.

A new timeframe is one row here and the same row in ``native/include/tapehub/layout.hpp``; a test compares the two.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from tapehub.errors import UnknownTimeframe

__all__ = ["NAMES", "TIMEFRAMES", "Timeframe", "parse"]

_SECOND = 1_000_000_000
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR


@dataclass(frozen=True, slots=True)
class Timeframe:
    """Describe one candle length.

    Attributes:
        name: the canonical name, such as ``"1m"``.
        index: position in the table, and the number stored in a candle.
        span_ns: nominal length. A 4h, 1d or 1w candle may be an hour off when New York changes its clocks.
        capacity: candles kept in memory for each instrument.
    """

    name: str
    index: int
    span_ns: int
    capacity: int

    def __str__(self) -> str:
        return self.name

    @property
    def is_anchored(self) -> bool:
        """Tell whether intervals are cut at 17:00 New York, not at multiples of the span since 1970."""
        return self.span_ns >= 4 * _HOUR


# name, span, candles kept: whole chunks of the native ring.
_ROWS: tuple[tuple[str, int, int], ...] = (
    ("1s", _SECOND, 2048),
    ("5s", 5 * _SECOND, 1024),
    ("15s", 15 * _SECOND, 1024),
    ("1m", _MINUTE, 4096),
    ("5m", 5 * _MINUTE, 2048),
    ("15m", 15 * _MINUTE, 1024),
    ("30m", 30 * _MINUTE, 1024),
    ("1h", _HOUR, 1024),
    ("4h", 4 * _HOUR, 512),
    ("1d", _DAY, 512),
    ("1w", 7 * _DAY, 128),
)

TIMEFRAMES: tuple[Timeframe, ...] = tuple(Timeframe(name, i, span, cap) for i, (name, span, cap) in enumerate(_ROWS))
NAMES: tuple[str, ...] = tuple(row.name for row in TIMEFRAMES)

_BY_NAME = {row.name: row for row in TIMEFRAMES}
# A day is not 24 hours when the clocks change, nor a week 7 days of trading: only shorter ones convert (60s is 1m).
_BY_SPAN = {row.span_ns: row for row in TIMEFRAMES if row.span_ns < _DAY}
_UNITS: dict[str, tuple[str, int]] = {
    word: (unit, span)
    for unit, span, words in (
        ("s", _SECOND, "s sec secs second seconds"),
        ("m", _MINUTE, "m t min mins minute minutes"),
        ("h", _HOUR, "h hr hrs hour hours"),
        ("d", _DAY, "d day days daily"),
        ("w", 7 * _DAY, "w week weeks weekly"),
    )
    for word in words.split()
}
_COUNT_FIRST = re.compile(r"(\d{1,5})[ _-]?([a-z]+)\Z", re.ASCII)  # 1m, 5min, 60s, 4 hours
_UNIT_FIRST = re.compile(r"([a-z]+)[ _-]?(\d{1,5})?\Z", re.ASCII)  # M1, H4, MINUTE, MINUTE_5, D


@lru_cache(maxsize=512)
def parse(name: str | Timeframe) -> Timeframe:
    """Find the timeframe that a name means.

    ``1m``, ``1min``, ``1T``, ``M1``, ``MINUTE``, ``60s`` are one minute; ``H4``, ``HOUR_4``, ``240min`` four hours;
    ``D``, ``1D``, ``DAY`` a day. ``M`` and ``1M`` are refused: OANDA and pandas mean a month by them, MetaTrader's
    minute is ``M1``.

    Raises:
        UnknownTimeframe: the name means no row of the table.
    """
    if isinstance(name, Timeframe):
        return name
    if row := _BY_NAME.get(name):
        return row
    if not isinstance(name, str):
        raise _unknown(name)
    text = name.strip()
    lower = text.lower()
    if match := _COUNT_FIRST.match(lower):
        count, word = int(match[1]), match[2]
        is_month = word == "m" and text[-1] == "M"
    elif match := _UNIT_FIRST.match(lower):
        count, word = int(match[2] or 1), match[1]
        is_month = word == "m" and match[2] is None
    else:
        raise _unknown(name)
    if is_month or word not in _UNITS:
        raise _unknown(name)
    unit, span = _UNITS[word]
    row = _BY_NAME.get(f"{count}{unit}") or _BY_SPAN.get(count * span if span < _DAY else 0)
    if row is None:
        raise _unknown(name)
    return row


def _unknown(name: str) -> UnknownTimeframe:
    return UnknownTimeframe(f"timeframe {name!r} is not one of {', '.join(NAMES)}, nor an alias like 1min, M1, MINUTE")
