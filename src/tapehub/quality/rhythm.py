"""Learn how long each instrument is used to be silent, hour by hour of its week, and so when silence means something.

Gaps between event times are counted in bins, each a quarter longer than the one before, for each of the 168 hours of
the New York week, so that the change of its clocks does not move a market's habits. What spans an outage or a closed
market is not a gap between ticks: `forget_last` leaves it out.
"""

from __future__ import annotations

from bisect import bisect_left
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


class Rhythm:
    """Keep the gaps between the ticks of any number of instruments. One thread."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[int, list[int]]] = {}  # by symbol and hour of the week
        self._last: dict[str, int] = {}
        self._thresholds: dict[tuple[str, int], int] = {}

    def tick(self, symbol: str, ts_event: int) -> None:
        """Count the gap before one tick."""
        last = self._last.get(symbol)
        if last is None:
            self._last[symbol] = ts_event
        elif ts_event > last:
            self._last[symbol] = ts_event
            hour, place = _hour_of_week(last // _HOUR), bisect_left(_ENDS, ts_event - last)
            row = self._row(symbol, hour)
            row[place] += 1
            if row[place] % 64 == 0:
                self._settle(symbol, hour)

    def ticks(self, symbol: str, ts_event: npt.NDArray[np.int64]) -> None:
        """Count the gaps before many ticks, oldest first; those that come late are no gaps."""
        last = self._last.get(symbol)
        times = ts_event if last is None else np.concatenate([[last], ts_event])
        newest = np.maximum.accumulate(times)
        gaps = np.diff(newest)
        late = gaps <= 0
        self._last[symbol] = int(newest[-1])
        bins = np.searchsorted(_NS_ENDS, gaps)
        hours = newest[:-1] // _HOUR
        if not len(hours):
            return
        first, final = int(hours[0]), int(hours[-1])
        for hour_utc in (first,) if first == final else np.unique(hours).tolist():
            found = np.bincount(bins[~late] if first == final else bins[(hours == hour_utc) & ~late], minlength=BINS)
            hour = _hour_of_week(hour_utc)
            row = self._row(symbol, hour)
            row[:] = [known + new for known, new in zip(row, found.tolist(), strict=True)]
            self._settle(symbol, hour)

    def forget_last(self, symbol: str) -> None:
        """Do not count what lies between the last tick and the next one."""
        self._last.pop(symbol, None)

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
        row = self._counts.get(symbol, {}).get(hour)
        if row is None or sum(row) < _LEARNT_AFTER:
            return None
        total, below = 0.99 * sum(row), 0
        for end, count in zip(_ENDS, row, strict=False):
            below += count
            if below >= total:
                return end
        return _ENDS[-1]

    def _row(self, symbol: str, hour: int) -> list[int]:
        counts = self._counts.get(symbol)
        if counts is None:
            counts = self._counts[symbol] = {}
        row = counts.get(hour)
        if row is None:
            row = counts[hour] = [0] * BINS
        return row

    def _settle(self, symbol: str, hour: int) -> None:
        row = self._counts[symbol][hour]
        if sum(row) > _COUNT_MAX:
            row[:] = [count // 2 for count in row]
        self._thresholds.pop((symbol, hour), None)

    # ------------------------------------------------------------ kept between runs

    def to_json(self) -> dict[str, dict[str, list[list[int]]]]:
        """Give what was learnt as plain values: by symbol and hour of the week, pairs of bin and count."""
        return {
            symbol: {
                str(hour): [[place, count] for place, count in enumerate(row) if count]
                for hour, row in sorted(rows.items())
                if any(row)
            }
            for symbol, rows in sorted(self._counts.items())
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Mapping[str, Iterable[Iterable[int]]]]) -> Rhythm:
        """Take up what `to_json` gave; what does not fit is left out, since habits can be learnt again."""
        self = cls()
        for symbol, rows in kept.items():
            self._counts[symbol] = {}
            for hour, pairs in rows.items():
                for place, count in pairs:
                    if 0 <= int(hour) < HOURS and 0 <= place < BINS and 0 <= count <= 2 * _COUNT_MAX:
                        self._row(symbol, int(hour))[place] = count
        return self


@lru_cache(maxsize=1024)
def _hour_of_week(hours_utc: int) -> int:
    return int(local_ns(hours_utc * _HOUR)) // _HOUR % HOURS
