"""Candle intervals worked out from the IANA zone alone, with none of the package's tables."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

NEW_YORK = ZoneInfo("America/New_York")
SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
SPANS = {
    "1s": SECOND, "5s": 5 * SECOND, "15s": 15 * SECOND, "1m": MINUTE, "5m": 5 * MINUTE, "15m": 15 * MINUTE,
    "30m": 30 * MINUTE, "1h": HOUR,
}  # fmt: skip
ANCHORED = ("4h", "1d", "1w")
TIMEFRAMES = (*SPANS, *ANCHORED)

Ns = npt.NDArray[np.int64]


def ns(moment: datetime | str) -> int:
    """Give ns UTC of an instant; a naive one, or a text without an offset, is UTC."""
    when = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return int(when.replace(microsecond=0).timestamp()) * SECOND + when.microsecond * 1000


def at(ts_ns: int) -> datetime:
    """Give the aware datetime of an instant on a whole microsecond."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ts_ns // 1000)


def session_start(day: date) -> int:
    """Give 17:00 New York of a date, in ns UTC."""
    return ns(datetime.combine(day, time(17), NEW_YORK).astimezone(UTC))


def session_starts(first_ns: int, last_ns: int) -> Ns:
    """List every 17:00 New York around a span, ascending."""
    day = at(first_ns).date() - timedelta(days=9)
    starts = []
    while not starts or starts[-1] <= last_ns + 9 * DAY:
        starts.append(session_start(day))
        day += timedelta(days=1)
    return np.array(starts, dtype=np.int64)


def starts_of(timeframe: str, ts_ns: Ns) -> Ns:
    """Give the open time of the interval of each instant."""
    if timeframe in SPANS:
        return ts_ns - ts_ns % SPANS[timeframe]
    sessions = session_starts(int(ts_ns.min()), int(ts_ns.max()))
    if timeframe == "1w":
        sessions = np.array([one for one in sessions.tolist() if at(one).astimezone(NEW_YORK).weekday() == 6])
    start = sessions[np.searchsorted(sessions, ts_ns, side="right") - 1]
    return start if timeframe != "4h" else start + (ts_ns - start) // (4 * HOUR) * (4 * HOUR)


def interval_of(timeframe: str, ts_ns: int) -> tuple[int, int]:
    """Give start and end of the interval of an instant; a five-day week ends on Friday."""
    start = int(starts_of(timeframe, np.array([ts_ns], dtype=np.int64))[0])
    if timeframe in SPANS:
        return start, start + SPANS[timeframe]
    day = at(start).astimezone(NEW_YORK).date()
    if timeframe == "1w":
        return start, session_start(day + timedelta(days=5))
    if timeframe == "1d":
        return start, session_start(day + timedelta(days=1))
    session = int(starts_of("1d", np.array([ts_ns], dtype=np.int64))[0])
    end = session_start(at(session).astimezone(NEW_YORK).date() + timedelta(days=1))
    return start, min(start + 4 * HOUR, end)
