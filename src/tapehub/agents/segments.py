"""The candles of a batch of ticks, cut out at once; handed to a series as their ends are reached."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tapehub.model.calendars import intervals_of

if TYPE_CHECKING:
    from tapehub.agents.series import Series

__all__ = ["Segments"]

_Times = npt.NDArray[np.int64]


class Segments:
    """Hold what a series has not taken in of a batch. One thread.

    Args:
        times: event times, ascending.
        passed: tells how many of the rows lie behind.
    """

    def __init__(
        self,
        series: Series,
        times: _Times,
        price: npt.NDArray[np.float64],
        seqs: npt.NDArray[np.uint64],
        passed: Callable[[], int],
    ) -> None:
        self._series = series
        self._times, self._price, self._seqs, self._passed = times, price, seqs, passed
        starts, ends = intervals_of(series.frame, times, series.week_days)
        begin = np.concatenate([[0], np.flatnonzero(starts[1:] != starts[:-1]) + 1])
        stop = np.append(begin[1:], len(times))
        last = stop - 1
        self._begin, self._stop = begin.tolist(), stop.tolist()
        self._end = ends[begin].tolist()
        self._rows = list(
            zip(
                starts[begin].tolist(),
                self._end,
                price[begin].tolist(),
                np.maximum.reduceat(price, begin).tolist(),
                np.minimum.reduceat(price, begin).tolist(),
                price[last].tolist(),
                (stop - begin).tolist(),
                times[begin].tolist(),
                times[last].tolist(),
                seqs[last].tolist(),
                strict=True,
            )
        )
        self._next = 0  # segment that is taken in next
        self._taken = 0  # rows that were taken in
        # Known ahead: an end is reached only when all rows before it have been passed.
        for start, end in zip(starts[begin].tolist(), self._end, strict=True):
            series.await_end(start, end)

    def take_ended(self, mark: int) -> None:
        """Take in what ended by a mark."""
        while self._next < len(self._end) and self._end[self._next] <= mark:
            self._take(self._stop[self._next])

    def take_passed(self) -> None:
        """Take in every row that has been passed, also of a segment that goes on."""
        passed = self._passed()
        while self._taken < passed:
            self._take(min(self._stop[self._next], passed))

    def take_all(self) -> None:
        """Take in the whole batch."""
        while self._next < len(self._stop):
            self._take(self._stop[self._next])

    def _take(self, stop: int) -> None:
        number, begin = self._next, self._taken
        if begin == self._begin[number] and stop == self._stop[number]:
            self._series.take_segment(*self._rows[number])
        elif stop > begin:
            price, times, row = self._price[begin:stop], self._times, self._rows[number]
            self._series.take_segment(
                row[0], row[1], float(price[0]), float(price.max()), float(price.min()), float(price[-1]), stop - begin,
                int(times[begin]), int(times[stop - 1]), int(self._seqs[stop - 1]),
            )  # fmt: skip
        self._taken = stop
        if stop == self._stop[number]:
            self._next = number + 1
