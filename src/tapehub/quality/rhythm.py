"""Learn how long each instrument is used to be silent, hour by hour of its week, and so when silence means something.

Gaps between event times are counted in bins a quarter apart, for each of the 168 hours of the New York week, so that
the change of its clocks does not move a market's habits. What spans an outage or a closed market is not a gap between
ticks: `forget_last` leaves it out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from tapehub.model.calendars import local_ns

__all__ = ["Rhythm"]

_SECOND = 1_000_000_000
_HOUR = 3600 * _SECOND
HOURS = 168
BINS = 80
_FIRST_NS = _SECOND / 100  # the first bin ends here
_STEP = math.log(1.25)  # 80 bins reach past five days
_LEARNT_AFTER = 200  # gaps in that hour of the week: its p99 then rests on two of them
_COUNT_MAX = 100_000  # then all counts of the hour are halved, so that old habits fade

UNLEARNT_NS = 30 * _SECOND
LEAST_NS = 5 * _SECOND
MOST_NS = _HOUR
RATIO = 4


class Rhythm:
    """Keep the gaps between the ticks of any number of instruments. One thread."""

    def __init__(self) -> None:
        self._counts: dict[str, npt.NDArray[np.uint32]] = {}
        self._last: dict[str, int] = {}
        self._thresholds: dict[tuple[str, int], int] = {}

    def tick(self, symbol: str, ts_event: int) -> None:
        """Count the gap before one tick."""
        last = self._last.get(symbol)
        if last is None or ts_event > last:
            self._last[symbol] = ts_event
            if last is not None:
                self._count(symbol, _hour_of_week(last // _HOUR), _bin(ts_event - last))

    def ticks(self, symbol: str, ts_event: npt.NDArray[np.int64]) -> None:
        """Count the gaps before many ticks, oldest first; those that come late are no gaps."""
        last = self._last.get(symbol)
        times = ts_event if last is None else np.concatenate([[last], ts_event])
        newest = np.maximum.accumulate(times)
        gaps = np.diff(newest)
        late = gaps <= 0
        self._last[symbol] = int(newest[-1])
        # The bins of `_bin`, where a gap of no more than the first bin's end is in it.
        bins = np.ceil(np.log(np.maximum(gaps, 1) / _FIRST_NS) / _STEP).astype(np.int64).clip(0, BINS - 1)
        hours = newest[:-1] // _HOUR
        for hour in np.unique(hours).tolist():
            found = np.bincount(bins[(hours == hour) & ~late], minlength=BINS)
            self._add(symbol, _hour_of_week(hour), found)

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
        counts = self._counts.get(symbol)
        if counts is None or int(counts[hour].sum()) < _LEARNT_AFTER:
            return None
        total = np.cumsum(counts[hour])
        return round(_FIRST_NS * math.exp(_STEP * int(np.searchsorted(total, 0.99 * total[-1]))))

    def _count(self, symbol: str, hour: int, place: int) -> None:
        counts = self._counts.get(symbol)
        if counts is None:
            counts = self._counts[symbol] = np.zeros((HOURS, BINS), dtype=np.uint32)
        row = counts[hour]
        row[place] += 1
        if row[place] % 64 == 0:
            self._settle(symbol, hour)

    def _add(self, symbol: str, hour: int, found: npt.NDArray[Any]) -> None:
        counts = self._counts.setdefault(symbol, np.zeros((HOURS, BINS), dtype=np.uint32))
        counts[hour] += found.astype(np.uint32)
        self._settle(symbol, hour)

    def _settle(self, symbol: str, hour: int) -> None:
        counts = self._counts[symbol][hour]
        if int(counts.sum()) > _COUNT_MAX:
            counts //= 2
        self._thresholds.pop((symbol, hour), None)

    # ------------------------------------------------------------ kept between runs

    def to_json(self) -> dict[str, dict[str, list[list[int]]]]:
        """Give what was learnt as plain values: by symbol and hour of the week, pairs of bin and count."""
        out: dict[str, dict[str, list[list[int]]]] = {}
        for symbol, counts in sorted(self._counts.items()):
            rows = {
                str(hour): [[place, int(counts[hour, place])] for place in np.flatnonzero(counts[hour]).tolist()]
                for hour in np.flatnonzero(counts.any(axis=1)).tolist()
            }
            out[symbol] = rows
        return out

    @classmethod
    def from_json(cls, kept: Mapping[str, Mapping[str, Iterable[Iterable[int]]]]) -> Rhythm:
        """Take up what `to_json` gave; what does not fit is left out, since habits can be learnt again."""
        self = cls()
        for symbol, rows in kept.items():
            counts = self._counts[symbol] = np.zeros((HOURS, BINS), dtype=np.uint32)
            for hour, pairs in rows.items():
                for place, count in pairs:
                    if 0 <= int(hour) < HOURS and 0 <= place < BINS and 0 <= count < 1 << 32:
                        counts[int(hour), place] = count
        return self


def _bin(gap_ns: int) -> int:
    return max(0, min(math.ceil(math.log(gap_ns / _FIRST_NS) / _STEP), BINS - 1))


@lru_cache(maxsize=1024)
def _hour_of_week(hours_utc: int) -> int:
    return int(local_ns(hours_utc * _HOUR)) // _HOUR % HOURS
