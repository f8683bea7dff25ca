"""Learn how long each instrument is used to be silent, hour by hour of its week, and so when silence means something.

Gaps between event times are counted in bins, each a quarter longer than the one before, for each of the 168 hours of
the New York week, so that the change of its clocks does not move a market's habits. What spans an outage or a closed
market is not a gap between ticks: `forget_last` leaves it out.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from tapehub.model.calendars import local_ns

__all__ = ["Rhythm"]

_SECOND = 1_000_000_000
_HOUR = 3600 * _SECOND
HOURS = 168
BINS = 80
_ENDS = [round(_SECOND / 100 * 1.25**place) for place in range(BINS - 1)]  # of the bins, each in it; to past four days
_NS_ENDS = np.array(_ENDS, dtype=np.int64)
_LEARNT_AFTER = 200  # gaps in that hour of the week: its p99 then rests on two of them
_COUNT_MAX = 100_000  # then all counts of the hour are halved, so that old habits fade

UNLEARNT_NS = 30 * _SECOND
LEAST_NS = 5 * _SECOND
MOST_NS = _HOUR
RATIO = 4


class _Item:
    """What is known of one instrument: counts by hour of the week, its last tick, and the row that tick's hour has."""

    __slots__ = ("counts", "from_ns", "last", "row", "until_ns")

    def __init__(self) -> None:
        self.counts: dict[int, list[int]] = {}
        self.last: int | None = None
        self.row: list[int] = []
        self.from_ns = self.until_ns = 0  # the hour of `row`, UTC

    def row_of(self, hour: int) -> list[int]:
        row = self.counts.get(hour)
        if row is None:
            row = self.counts[hour] = [0] * BINS
        return row

    def turn(self, last: int) -> None:
        """Take up the hour that a tick lies in."""
        hour_utc = last // _HOUR
        self.from_ns, self.until_ns = hour_utc * _HOUR, (hour_utc + 1) * _HOUR
        self.row = self.row_of(_hour_of_week(hour_utc))


class Rhythm:
    """Keep the gaps between the ticks of any number of instruments. One thread."""

    def __init__(self) -> None:
        self._items: defaultdict[str, _Item] = defaultdict(_Item)
        self._thresholds: dict[tuple[str, int], int] = {}

    def tick(self, symbol: str, ts_event: int) -> None:
        """Count the gap before one tick."""
        item = self._items[symbol]
        last = item.last
        if last is None:
            item.last = ts_event
        elif ts_event > last:
            item.last = ts_event
            if not item.from_ns <= last < item.until_ns:
                item.turn(last)
            place = bisect_left(_ENDS, ts_event - last)
            count = item.row[place] = item.row[place] + 1
            if count % 64 == 0:
                self._settle(symbol, _hour_of_week(last // _HOUR))

    def ticks(self, symbol: str, ts_event: npt.NDArray[np.int64]) -> None:
        """Count the gaps before many ticks, oldest first; those that come late are no gaps."""
        item = self._items[symbol]
        last = item.last
        times = ts_event if last is None else np.concatenate([[last], ts_event])
        newest = np.maximum.accumulate(times)
        gaps = np.diff(newest)
        late = gaps <= 0
        item.last = int(newest[-1])
        bins = np.searchsorted(_NS_ENDS, gaps)
        hours = newest[:-1] // _HOUR
        if not len(hours):
            return
        first, final = int(hours[0]), int(hours[-1])
        for hour_utc in (first,) if first == final else np.unique(hours).tolist():
            found = np.bincount(bins[~late] if first == final else bins[(hours == hour_utc) & ~late], minlength=BINS)
            hour = _hour_of_week(hour_utc)
            row = item.row_of(hour)
            row[:] = [known + new for known, new in zip(row, found.tolist(), strict=True)]
            self._settle(symbol, hour)

    def forget_last(self, symbol: str) -> None:
        """Do not count what lies between the last tick and the next one."""
        if symbol in self._items:
            self._items[symbol].last = None

    def threshold_ns(self, symbol: str, now_ns: int) -> int:
        """Give the silence that is out of the ordinary now: max(5 s, 4 times the p99 gap), 30 s until learnt."""
        hour = _hour_of_week(now_ns // _HOUR)
        known = self._thresholds.get((symbol, hour))
        if known is None:
            p99 = self.p99_ns(symbol, hour)
            known = UNLEARNT_NS if p99 is None else min(max(LEAST_NS, RATIO * p99), MOST_NS)
            self._thresholds[symbol, hour] = known
        return known

    def p99_ns(self, symbol: str, hour: int) -> int | None:
        """Give the upper end of the bin that holds the p99 gap at an hour of the week (0 is Thursday 00:00)."""
        item = self._items.get(symbol)
        row = item.counts.get(hour) if item is not None else None
        if row is None or sum(row) < _LEARNT_AFTER:
            return None
        total, below = 0.99 * sum(row), 0
        for end, count in zip(_ENDS, row, strict=False):
            below += count
            if below >= total:
                return end
        return _ENDS[-1]

    def _settle(self, symbol: str, hour: int) -> None:
        row = self._items[symbol].counts[hour]
        if sum(row) > _COUNT_MAX:
            row[:] = [count // 2 for count in row]
        self._thresholds.pop((symbol, hour), None)

    # ------------------------------------------------------------ kept between runs

    def to_json(self) -> dict[str, dict[str, list[list[int]]]]:
        """Give what was learnt as plain values: by symbol and hour of the week, pairs of bin and count."""
        return {
            symbol: {
                str(hour): [[place, count] for place, count in enumerate(row) if count]
                for hour, row in sorted(item.counts.items())
                if any(row)
            }
            for symbol, item in sorted(self._items.items())
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Mapping[str, Iterable[Iterable[int]]]]) -> Rhythm:
        """Take up what `to_json` gave; what does not fit is left out, since habits can be learnt again."""
        self = cls()
        for symbol, rows in kept.items():
            item = self._items[symbol]
            for hour, pairs in rows.items():
                for place, count in pairs:
                    if 0 <= int(hour) < HOURS and 0 <= place < BINS and 0 <= count <= 2 * _COUNT_MAX:
                        item.row_of(int(hour))[place] = count
        return self


@lru_cache(maxsize=1024)
def _hour_of_week(hours_utc: int) -> int:
    return int(local_ns(hours_utc * _HOUR)) // _HOUR % HOURS
