"""Recognise quotes that were sent twice: same event time and same prices, within 1,024 ticks of one channel."""

from __future__ import annotations

from itertools import count
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["DUPLICATE_WINDOW", "Duplicates"]

DUPLICATE_WINDOW = 1024
"""Ticks of one instrument and source within which a re-sent one is recognised."""

_KEYS_MAX = 4 * DUPLICATE_WINDOW
_NEVER = -(1 << 63)

_Times = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float64]
_Key: TypeAlias = tuple[int, float, float]


class Duplicates:
    """Remember the last ticks of one channel. One thread.

    A quote newer than all before it cannot repeat one, and most are: so they are only kept aside, and become keys when
    an old or equal time turns up.

    Args:
        newest_ns: all that is remembered comes after it.

    Attributes:
        newest_ns: the latest event time so far. Who finds a quote newer may set it, and append the quote to `aside`,
            instead of asking `repeats`.
        aside: the last newer ones, in order; `trim` them now and then.
    """

    __slots__ = ("_before", "_runs", "_seen", "aside", "newest_ns")

    def __init__(self, newest_ns: int = _NEVER) -> None:
        self.newest_ns = newest_ns
        self.aside: list[_Key] = []
        self._before = 0  # quotes so far without those aside, repeated ones too
        self._seen: dict[_Key, int] = {}  # which quote was the last to have it
        self._runs: list[tuple[int, _Times, _Floats, _Floats]] = []  # not in _seen yet: number of the first, columns

    def repeats(self, ts_event: int, bid: float, ask: float) -> bool:
        """Tell whether one quote was sent before, and remember it."""
        key = (ts_event, bid, ask)
        if ts_event > self.newest_ns:
            self.newest_ns = ts_event
            self.aside.append(key)
            if len(self.aside) > _KEYS_MAX:
                self.trim()
            return False
        self._unroll()
        self._before += 1
        before = self._seen.get(key)
        self._seen[key] = self._before
        return before is not None and self._before - before <= DUPLICATE_WINDOW

    def marks(self, ts_event: _Times, bid: _Floats, ask: _Floats) -> npt.NDArray[np.bool_] | None:
        """Mark those of many quotes that were sent before, and remember all; None when there are none."""
        many = len(ts_event)
        first, newest = int(ts_event[0]), int(ts_event[-1])
        step = ts_event[1:] - ts_event[:-1]
        least = int(step.min()) if many > 1 else 1
        marks: npt.NDArray[np.bool_] | None = None
        if least > 0 and first > self.newest_ns:
            self._keep(ts_event, bid, ask)
        elif least >= 0 and first >= self.newest_ns:  # in order: only those sharing their time with another can repeat
            suspects = ts_event == self.newest_ns
            suspects[1:] |= step == 0
            suspects[:-1] |= step == 0
            marks = self._compare(np.flatnonzero(suspects), ts_event, bid, ask)
            self._keep(ts_event, bid, ask)
        else:
            marks = self._compare(np.arange(many), ts_event, bid, ask)
            self._before += many
            newest = int(ts_event.max())
            if len(self._seen) > _KEYS_MAX:
                self._forget()
        self.newest_ns = max(self.newest_ns, newest)
        return marks

    def trim(self) -> None:
        """Let go of those aside that nothing can repeat any more."""
        extra = len(self.aside) - DUPLICATE_WINDOW
        if extra > 0:
            self._before += extra
            del self.aside[:extra]

    def _compare(
        self, rows: npt.NDArray[Any], ts_event: _Times, bid: _Floats, ask: _Floats
    ) -> npt.NDArray[np.bool_] | None:
        self._unroll()
        seen, number = self._seen, self._before + 1
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
        if self.aside:
            self._unroll()  # they are older
        many = len(ts_event)
        tail = slice(max(0, many - DUPLICATE_WINDOW), many)
        # Copies: the columns are views of a batch that may be large, or used again by whoever made it.
        run = (self._before + 1 + tail.start, ts_event[tail].copy(), bid[tail].copy(), ask[tail].copy())
        self._before += many
        oldest = self._before - DUPLICATE_WINDOW
        self._runs = [one for one in self._runs if one[0] + len(one[1]) > oldest]
        self._runs.append(run)

    def _unroll(self) -> None:
        """Make keys of all that was kept aside."""
        for number, *columns in self._runs:
            self._seen.update(zip(zip(*(column.tolist() for column in columns), strict=True), count(number)))
        self._runs.clear()
        if self.aside:
            self._seen.update(zip(self.aside, count(self._before + 1)))
            self._before += len(self.aside)
            self.aside.clear()
        if len(self._seen) > _KEYS_MAX:
            self._forget()

    def _forget(self) -> None:
        oldest = self._before - DUPLICATE_WINDOW
        self._seen = {key: number for key, number in self._seen.items() if number >= oldest}
