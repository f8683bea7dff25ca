"""Recognise quotes that were sent twice: same event time and same prices, within 1,024 ticks of one channel."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["DUPLICATE_WINDOW", "Duplicates"]

DUPLICATE_WINDOW = 1024
"""Ticks of one instrument and source within which a re-sent one is recognised."""

_KEYS_MAX = 4 * DUPLICATE_WINDOW
_NEVER = -(1 << 63)

_Times = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]


class Duplicates:
    """Remember the last ticks of one channel. One thread.

    A quote newer than all before it cannot repeat one, and most are: so runs of them are only kept aside, and become
    keys when an old or equal time turns up.
    """

    __slots__ = ("_count", "_runs", "_seen", "_ts_max")

    def __init__(self) -> None:
        self._count = 0  # quotes so far, repeated ones too
        self._seen: dict[tuple[int, float, float], int] = {}  # key -> which quote was the last to have it
        self._runs: list[tuple[int, _Times, _Floats, _Floats]] = []  # not in _seen yet: number of the first, columns
        self._ts_max = _NEVER

    def repeats(self, ts_event: int, bid: float, ask: float) -> bool:
        """Tell whether one quote was sent before, and remember it."""
        self._count += 1
        key = (ts_event, bid, ask)
        if ts_event > self._ts_max:
            self._ts_max = ts_event
            self._seen[key] = self._count
            if len(self._seen) > _KEYS_MAX:
                self._forget()
            return False
        if self._runs:
            self._unroll()
        before = self._seen.get(key)
        self._seen[key] = self._count
        return before is not None and self._count - before <= DUPLICATE_WINDOW

    def marks(self, ts_event: _Times, bid: _Floats, ask: _Floats) -> npt.NDArray[np.bool_] | None:
        """Mark those of many quotes that were sent before, and remember all; None when there are none."""
        count = len(ts_event)
        first, newest = int(ts_event[0]), int(ts_event[-1])
        step = ts_event[1:] - ts_event[:-1]
        least = int(step.min()) if count > 1 else 1
        marks: npt.NDArray[np.bool_] | None = None
        if least > 0 and first > self._ts_max:
            self._keep(ts_event, bid, ask)
        elif least >= 0 and first >= self._ts_max:  # in order: only those that share their time with another can repeat
            suspects = ts_event == self._ts_max
            suspects[1:] |= step == 0
            suspects[:-1] |= step == 0
            marks = self._compare(np.flatnonzero(suspects), ts_event, bid, ask)
            self._keep(ts_event, bid, ask)
        else:
            marks = self._compare(np.arange(count), ts_event, bid, ask)
            self._count += count
            newest = int(ts_event.max())
            if len(self._seen) > _KEYS_MAX:
                self._forget()
        self._ts_max = max(self._ts_max, newest)
        return marks

    def _compare(
        self, rows: npt.NDArray[Any], ts_event: _Times, bid: _Floats, ask: _Floats
    ) -> npt.NDArray[np.bool_] | None:
        self._unroll()
        seen, number = self._seen, self._count + 1
        repeated: list[int] = []
        keys = zip(ts_event[rows].tolist(), bid[rows].tolist(), ask[rows].tolist(), strict=True)
        for row, key in zip(rows.tolist(), keys, strict=True):
            before = seen.get(key)
            seen[key] = number + row
            if before is not None and number + row - before <= DUPLICATE_WINDOW:
                repeated.append(row)
        if not repeated:
            return None
        marks = np.zeros(len(ts_event), dtype=np.bool_)
        marks[repeated] = True
        return marks

    def _keep(self, ts_event: _Times, bid: _Floats, ask: _Floats) -> None:
        count = len(ts_event)
        tail = slice(max(0, count - DUPLICATE_WINDOW), count)
        # Copies: the columns are views of a batch that may be large, or used again by whoever made it.
        run = (self._count + 1 + tail.start, ts_event[tail].copy(), bid[tail].copy(), ask[tail].copy())
        self._count += count
        oldest = self._count - DUPLICATE_WINDOW
        self._runs = [one for one in self._runs if one[0] + len(one[1]) > oldest]
        self._runs.append(run)

    def _unroll(self) -> None:
        for number, *columns in self._runs:
            for key in zip(*(column.tolist() for column in columns), strict=True):
                self._seen[key] = number
                number += 1
        self._runs.clear()
        if len(self._seen) > _KEYS_MAX:
            self._forget()

    def _forget(self) -> None:
        oldest = self._count - DUPLICATE_WINDOW
        self._seen = {key: number for key, number in self._seen.items() if number >= oldest}
