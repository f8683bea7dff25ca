"""When markets trade and where candles are cut: New York's clock, sessions, holidays, intervals.

Day and week begin at 17:00 in New York, so at 21:00 or 22:00 UTC. Everything here is computed into tables of UTC
nanoseconds once (`sessions.Sessions`), so that whoever asks only compares.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt

from tapehub.errors import ConfigError
from tapehub.model.sessions import CalendarId, Ns, Sessions
from tapehub.model.timeframes import Timeframe, parse

__all__ = [
    "NEW_YORK",
    "Calendar",
    "CalendarId",
    "Closure",
    "calendar_of",
    "closure_of",
    "interval_of",
    "intervals_of",
    "is_holiday",
    "local_ns",
    "utc_ns",
    "zone_transitions",
]

NEW_YORK = "America/New_York"
FIRST_YEAR = 1990
LAST_YEAR = 2061

_HOUR = 3_600_000_000_000
_DAY = 24 * _HOUR
_WEEK = 7 * _DAY
_CUT = 17 * _HOUR  # the trading day begins at 17:00 New York
_SUNDAY = 3 * _DAY  # 1970-01-04, the first Sunday after the epoch (a Thursday)
_FOUR_HOURS = 4 * _HOUR


@dataclass(frozen=True, slots=True)
class Closure:
    """Close a market from `start_ns` up to `end_ns` (UTC, exclusive)."""

    start_ns: int
    end_ns: int


# ---------------------------------------------------------------- zones


@lru_cache(maxsize=16)
def zone_transitions(first_year: int = FIRST_YEAR, last_year: int = LAST_YEAR, zone: str = NEW_YORK) -> tuple[Ns, Ns]:
    """Tabulate the UTC offsets of a time zone.

    Returns:
        ``(from_ns, offset_ns)``, read-only: from ``from_ns[i]`` on, local time is UTC plus ``offset_ns[i]``. The
        first row begins at the smallest int64. New York has 145 rows for the default years (the native table holds
        192).

    Raises:
        ConfigError: the zone is unknown, or the machine has no time-zone database.
    """
    try:
        info = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ConfigError(
            f"time zone {zone!r} not found: expected an IANA name; on a bare machine: pip install tzdata"
        ) from error

    def offset_s(ts_s: int) -> int:
        offset = datetime.fromtimestamp(ts_s, info).utcoffset()
        return int(offset.total_seconds()) if offset is not None else 0

    begin = int(datetime(first_year, 1, 1, tzinfo=UTC).timestamp())
    end = int(datetime(last_year + 1, 1, 1, tzinfo=UTC).timestamp())
    step = 7 * 86_400  # no zone changes its offset and back within a week
    rows = [(int(np.iinfo(np.int64).min), offset_s(begin) * 1_000_000_000)]
    here, offset = begin, offset_s(begin)
    while here < end:
        there = min(here + step, end)
        after = offset_s(there)
        if after != offset:
            low, high = here, there
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset_s(middle) == offset else (low, middle)
            rows.append((high * 1_000_000_000, after * 1_000_000_000))
        here, offset = there, after
    table = np.array(rows, dtype=np.int64)
    table.setflags(write=False)
    return table[:, 0], table[:, 1]


def local_ns(ts_ns: npt.ArrayLike, zone: str = NEW_YORK) -> Ns:
    """Turn UTC into local wall time, both in nanoseconds."""
    from_ns, offset_ns = zone_transitions(zone=zone)
    utc = np.asarray(ts_ns, dtype=np.int64)
    return utc + offset_ns[np.searchsorted(from_ns, utc, side="right") - 1]


def utc_ns(wall_ns: npt.ArrayLike, zone: str = NEW_YORK) -> Ns:
    """Turn local wall time into UTC; of an hour that happens twice the second is meant."""
    from_ns, offset_ns = zone_transitions(zone=zone)
    wall = np.asarray(wall_ns, dtype=np.int64)
    return wall - offset_ns[np.searchsorted(from_ns[1:] + offset_ns[1:], wall, side="right")]


# ---------------------------------------------------------------- intervals


def intervals_of(timeframe: str | Timeframe, ts_ns: npt.ArrayLike, week_days: int = 5) -> tuple[Ns, Ns]:
    """Find the candle interval that each instant belongs to.

    A 4h interval is counted from the day's beginning and cut at the next one; a day runs from 17:00 to 17:00 New
    York; a week from Sunday 17:00 to Friday 17:00, or to the next Sunday when the market trades all `week_days` of
    7. An instant of a five-day week's weekend gets the week that has just ended.

    Args:
        ts_ns: any shape, UTC.

    Returns:
        ``(start_ns, end_ns)`` of that shape, start inclusive, end exclusive.
    """
    frame = parse(timeframe)
    ts = np.asarray(ts_ns, dtype=np.int64)
    if not frame.is_anchored:
        start = ts - ts % frame.span_ns
        return start, start + frame.span_ns
    wall = local_ns(ts) - _CUT
    if frame.span_ns == 7 * _DAY:
        week = wall - (wall - _SUNDAY) % _WEEK
        return utc_ns(week + _CUT), utc_ns(week + _CUT + (5 if week_days == 5 else 7) * _DAY)
    day = wall - wall % _DAY
    start, end = utc_ns(day + _CUT), utc_ns(day + _CUT + _DAY)
    if frame.span_ns == _DAY:
        return start, end
    # Counted in elapsed time: the day the clocks change has a last interval of three hours, or a seventh of one.
    start = ts - (ts - start) % _FOUR_HOURS
    return start, np.minimum(start + _FOUR_HOURS, end)


def interval_of(timeframe: str | Timeframe, ts_ns: int, week_days: int = 5) -> tuple[int, int]:
    """Find the candle interval ``(start_ns, end_ns)`` of one instant: `intervals_of` for a single value."""
    start, end = intervals_of(timeframe, ts_ns, week_days)
    return int(start), int(end)


# ---------------------------------------------------------------- sessions


class Calendar(Sessions):
    """Work out a market's sessions from its weekly hours and its holidays, for the years 1990 to 2061.

    Args:
        calendar: FX (Sunday 17:00 to Friday 17:00 New York), METALS (the same with a break from 17:00 to 18:00 every
            day) or ALWAYS.
        closures: holidays of the configuration, see `closure_of`.
    """

    __slots__ = ("closures",)

    def __init__(self, calendar: CalendarId, closures: tuple[Closure, ...] = ()) -> None:
        super().__init__(calendar, *_sessions(calendar, closures))
        self.closures = closures


def calendar_of(calendar: CalendarId | str, holidays: Iterable[str | date] = ()) -> Calendar:
    """Build a calendar with the holidays of a configuration.

    Raises:
        ConfigError: no such calendar, or a holiday that cannot be read.
    """
    if isinstance(calendar, str):
        if calendar.upper() not in CalendarId.__members__:
            raise ConfigError(f"calendar {calendar!r}: expected fx, metals or always")
        calendar = CalendarId[calendar.upper()]
    return Calendar(calendar, tuple(sorted((closure_of(day) for day in holidays), key=lambda row: row.start_ns)))


def is_holiday(market: Sessions, ts_ns: int) -> bool:
    """Tell whether a market is closed at an instant at which its weekly hours would have it open."""
    return not market.is_open(ts_ns) and bool(Calendar(market.id).is_open(ts_ns))


def closure_of(holiday: str | date) -> Closure:
    """Read a holiday: a trading day, or a span of New York wall time.

    ``2024-12-25`` is the trading day of that date, so from 17:00 the evening before to 17:00;
    ``2024-12-24T13:00/2024-12-25T18:00`` is that span.

    Raises:
        ConfigError: it is neither, or the span is empty.
    """
    try:
        if isinstance(holiday, str) and "/" in holiday:
            first, last = (_wall(datetime.fromisoformat(part)) for part in holiday.split("/"))
        else:
            day = date.fromisoformat(holiday) if isinstance(holiday, str) else holiday
            last = _wall(datetime(day.year, day.month, day.day)) + _CUT
            first = last - _DAY
        closure = Closure(int(utc_ns(first)), int(utc_ns(last)))
    except ValueError:
        closure = Closure(0, 0)
    if closure.end_ns <= closure.start_ns:
        raise ConfigError(
            f"holiday {holiday!r}: expected 2024-12-25 or 2024-12-24T13:00/2024-12-25T18:00 (New York wall time)"
        )
    return closure


def _wall(moment: datetime) -> int:
    if moment.tzinfo is not None:
        raise ValueError("wall time carries no zone")
    return (moment - datetime(1970, 1, 1)) // timedelta(microseconds=1) * 1000


@lru_cache(maxsize=64)
def _sessions(calendar: CalendarId, closures: tuple[Closure, ...]) -> tuple[Ns, Ns]:
    bounds = np.iinfo(np.int64)
    if calendar is CalendarId.ALWAYS:
        opens, closes = np.array([bounds.min], dtype=np.int64), np.array([bounds.max], dtype=np.int64)
    else:
        first = _wall(datetime(FIRST_YEAR, 1, 1))
        last = _wall(datetime(LAST_YEAR + 1, 1, 1))
        sundays = np.arange(first - (first - _SUNDAY) % _WEEK, last, _WEEK, dtype=np.int64)
        if calendar is CalendarId.FX:
            opens, closes = utc_ns(sundays + _CUT), utc_ns(sundays + 5 * _DAY + _CUT)
        else:
            days = (sundays[:, None] + np.arange(5, dtype=np.int64) * _DAY).ravel()
            opens, closes = utc_ns(days + _CUT + _HOUR), utc_ns(days + _DAY + _CUT)
    for closure in closures:
        opens, closes = _cut_out(opens, closes, closure)
    return opens, closes


def _cut_out(opens: Ns, closes: Ns, closure: Closure) -> tuple[Ns, Ns]:
    before = np.stack([opens, np.minimum(closes, closure.start_ns)])
    after = np.stack([np.maximum(opens, closure.end_ns), closes])
    # A session that the closure does not touch is in exactly one of the two.
    kept = np.concatenate([before[:, before[0] < before[1]], after[:, after[0] < after[1]]], axis=1)
    kept = kept[:, np.argsort(kept[0])]
    return kept[0], kept[1]
