"""`GET /prices/{epic}`: candles of what the venue quoted, in pages, and the weekly allowance they cost.

Source: labs.ig.com REST reference (prices v3), and captures of its replies.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from tapehub.feeds.sim.bars import Bars, Minutes, bars_of, longer
from tapehub.feeds.sim.contracts import Contract
from tapehub.feeds.sim.settings import Settings
from tapehub.feeds.sim.source import Source
from tapehub.model.calendars import intervals_of

__all__ = ["RESOLUTIONS", "Allowance", "BadQuery", "Candles", "History"]

_SECOND = 1_000_000_000
_MINUTE = 60 * _SECOND
_DAY = 24 * 60 * _MINUTE
_POINTS_MAX = 10_000
_LONGER = _DAY + 60 * _MINUTE  # by which a month or the day that clocks change may exceed its span
RESOLUTIONS: Mapping[str, int] = {
    "SECOND": _SECOND,
    "MINUTE": _MINUTE,
    **{f"MINUTE_{count}": count * _MINUTE for count in (2, 3, 5, 10, 15, 30)},
    "HOUR": 60 * _MINUTE,
    **{f"HOUR_{count}": count * 60 * _MINUTE for count in (2, 3, 4)},
    "DAY": _DAY,
    "WEEK": 7 * _DAY,
    "MONTH": 30 * _DAY,
}
"""Spans in ns; days and weeks are cut at 17:00 New York, a month at the first of it, UTC."""


class BadQuery(Exception):
    """Report a query that IG answers with 400; its text is the error code."""


class Allowance:
    """Hold the weekly allowance of historical points."""

    def __init__(self, settings: Settings, start_ns: int) -> None:
        self.total = self.remaining = settings.history_points
        self._life_ns = round(settings.history_expiry_s * _SECOND)
        self._ends_ns = start_ns + self._life_ns

    def take(self, points: int, now_ns: int) -> bool:
        """Take points out, or none when there are not enough."""
        self._renew(now_ns)
        if points > self.remaining:
            return False
        self.remaining -= points
        return True

    def body(self, now_ns: int) -> dict[str, int]:
        """Describe it as IG does."""
        self._renew(now_ns)
        return {
            "remainingAllowance": self.remaining,
            "totalAllowance": self.total,
            "allowanceExpiry": (self._ends_ns - now_ns) // _SECOND,
        }

    def _renew(self, now_ns: int) -> None:
        while now_ns >= self._ends_ns:
            self._ends_ns += self._life_ns
            self.remaining = self.total


class Candles:
    """Hold the candles that a query found; what IG says of each is written when it is asked for."""

    def __init__(self, bars: Bars, contract: Contract, offset: timedelta) -> None:
        self._bars, self._contract, self._offset = bars, contract, offset

    def __len__(self) -> int:
        return len(self._bars.starts)

    def rows(self, begin: int, end: int) -> list[dict[str, Any]]:
        """Write some of them, oldest first."""
        bars = self._bars.part(slice(begin, end))
        found = []
        for start_ns, prices, count in zip(*(column.tolist() for column in bars), strict=True):
            opened = datetime.fromtimestamp(start_ns // _SECOND, UTC)
            row: dict[str, Any] = {
                "snapshotTime": (opened + self._offset).strftime("%Y/%m/%d %H:%M:%S"),
                "snapshotTimeUTC": opened.strftime("%Y-%m-%dT%H:%M:%S"),
            }
            for name, part in (("openPrice", 0), ("closePrice", 3), ("highPrice", 1), ("lowPrice", 2)):
                bid, ask = (self._contract.quoted(side[part]) for side in prices)
                row[name] = {"bid": bid, "ask": ask, "lastTraded": None}
            row["lastTradedVolume"] = count
            found.append(row)
        return found


class History:
    """Make candles of what the source quoted up to now. Any thread may call."""

    def __init__(self, source: Source, settings: Settings) -> None:
        self._source = source
        self._minutes = Minutes(source)
        self._offset = timedelta(hours=settings.timezone_offset_h)

    def candles(self, contract: Contract, query: Mapping[str, str], now_ns: int) -> Candles:
        """Make what a query asks for, the forming candle included, oldest first.

        Raises:
            BadQuery: it cannot be read.
        """
        resolution = query.get("resolution", "MINUTE").upper()
        if resolution not in RESOLUTIONS:
            raise BadQuery("error.invalid.resolution")
        span = RESOLUTIONS[resolution]
        last_ns = self._instant(query["to"]) if "to" in query else now_ns
        if not query.get("max", "10").isdigit():
            raise BadQuery("error.request.invalid.max")
        if "from" in query:
            start_ns = self._instant(query["from"])
            if start_ns > last_ns and "to" in query:
                raise BadQuery("error.request.invalid.date-range")
            found = self._between(contract, resolution, start_ns, last_ns, now_ns)
            return Candles(found.part(slice(int(query.get("max", _POINTS_MAX)))), contract, self._offset)
        wanted = int(query.get("max", "10"))
        back = span * (wanted + 1)
        # Far enough to cross a weekend, and twice as far each time; a source that holds nothing ends it.
        while True:
            found = self._between(contract, resolution, last_ns - back, last_ns, now_ns)
            count = len(found.starts)
            if count > wanted or back > max(16 * _DAY, 4 * span * wanted):
                return Candles(found.part(slice(max(count - wanted, 0), count)), contract, self._offset)
            back = max(2 * back, 3600 * _SECOND)

    def _between(self, contract: Contract, resolution: str, start_ns: int, last_ns: int, now_ns: int) -> Bars:
        """Make the candles that begin from `start_ns` up to `last_ns`, both inclusive; the last of them is whole."""
        first, last = _starts(resolution, np.array([start_ns, last_ns])).tolist()
        end_ns = max(min(last + RESOLUTIONS[resolution] + _LONGER, now_ns + 1), first)
        if RESOLUTIONS[resolution] < _MINUTE:
            quotes = self._source.window(contract.symbol, first, end_ns)
            bars = bars_of(quotes, _starts(resolution, quotes["ts_event"]))
        else:
            minutes = self._minutes.between(contract.symbol, first, end_ns)
            bars = longer(minutes, _starts(resolution, minutes.starts))
        return bars.part((bars.starts >= start_ns) & (bars.starts <= last_ns))

    def _instant(self, text: str) -> int:
        for form in ("%Y-%m-%dT%H:%M:%S", "%Y/%m/%d %H:%M:%S", "%Y-%m-%d %H:%M:%S"):
            try:
                moment = datetime.strptime(text, form).replace(tzinfo=UTC) - self._offset
            except ValueError:
                continue
            return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1) * _SECOND
        raise BadQuery("error.request.invalid.date-range")


def _starts(resolution: str, ts_event: np.ndarray[Any, np.dtype[np.int64]]) -> np.ndarray[Any, np.dtype[np.int64]]:
    if resolution in ("DAY", "WEEK"):
        return intervals_of("1d" if resolution == "DAY" else "1w", ts_event)[0]
    if resolution == "MONTH":
        months = ts_event.astype("datetime64[ns]").astype("datetime64[M]")
        return months.astype("datetime64[ns]").astype(np.int64)
    span = RESOLUTIONS[resolution]
    return ts_event - ts_event % span
