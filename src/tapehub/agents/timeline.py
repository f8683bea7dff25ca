"""The time of a run: that of the log, and what is due in it.

Nothing happens between records. What is due at an instant happens at the first *mark* that reaches it: a watermark
record, or, where no server writes any, each whole second as soon as a record is a grace past it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Any, Final

from tapehub.agents.series import Series

__all__ = ["Timeline"]

_SECOND: Final = 1_000_000_000
_EVER: Final = (1 << 63) - 1


class Timeline(ABC):
    """Keep what is due. One thread.

    Attributes:
        now: the log's time, ns.
        by_ticks: no server writes marks.
        wake: no mark is due before this log time; with a server's marks, never by time.
    """

    def __init__(self, *, by_ticks: bool, grace_ns: int) -> None:
        self.now = 0
        self.by_ticks = by_ticks
        self.wake = _EVER
        self._grace = grace_ns
        self._watermark = self._serial = 0
        self._left_at: int | None = None  # where the time line before this one was left
        self._due: list[tuple[int, int, int, Any]] = []
        self._untimed: list[Callable[[int], None]] = []

    @abstractmethod
    def _finish(self, series: Series, end: int) -> None:
        """Make final what ended in a series."""

    @abstractmethod
    def _deliver(self) -> None:
        """Do what follows from what was just done."""

    @abstractmethod
    def _renew(self) -> None:
        """Forget what is not final."""

    @abstractmethod
    def _move(self, by_ns: int) -> None:
        """Move what is due in a while, and what was a while ago, to the new time line."""

    def mark(self) -> int:
        """Give the latest instant before which no interval is open."""
        if self.by_ticks:
            return (self.now - self._grace) // _SECOND * _SECOND
        return self._watermark

    def expect(self, series: Series, end: int) -> None:
        """Finish a series when a mark reaches the end of an interval."""
        heappush(self._due, (end, -1, series.rank, series))
        self._set_wake(end)

    def schedule(self, due: int, call: Callable[[], None]) -> None:
        """Call at the first mark that reaches an instant; after the candles that end at it."""
        self._serial += 1
        heappush(self._due, (due, 0, self._serial, call))
        self._set_wake(due)

    def when_timed(self, call: Callable[[int], None]) -> None:
        """Call with the first time there is: a clock of events has none before its first.

        What is set by no time is set by 1970: a timer each second of 56 years would be due with the first record.
        """
        self._untimed.append(call)
        self.wake = 0

    def _set_out(self, now: int) -> None:
        """Take up the first time of a time line."""
        if self._left_at is not None:
            self._move_timers(now)
        if self._untimed:
            calls, self._untimed = self._untimed, []
            self.wake = _EVER
            if self._due:
                self._set_wake(self._due[0][0])
            self.now = now
            for call in calls:
                call(now)

    def _set_wake(self, due: int) -> None:
        if self.by_ticks:
            self.wake = min(self.wake, -(-due // _SECOND) * _SECOND + self._grace)

    def _pass_time(self, now: int) -> None:
        """Go through the marks that no server writes, up to a log time."""
        self._set_out(now)
        if not self.by_ticks:
            return
        while self._due:
            mark = -(-self._due[0][0] // _SECOND) * _SECOND
            at = mark + self._grace
            if at > now:
                self.wake = at
                return
            self.now = max(self.now, at)
            self._mark(mark)
        self.wake = _EVER

    def _mark(self, mark: int) -> None:
        """Do what is due by a mark, in the order it fell due."""
        self._watermark = max(self._watermark, mark)
        due = self._due
        while due and due[0][0] <= mark:
            end, _, _, what = heappop(due)
            if isinstance(what, Series):
                self._finish(what, end)
            else:
                what()
            self._deliver()

    def new_time_line(self, *, by_ticks: bool, same: bool) -> None:
        """Take up a change of the hub clock. What time it is then, the next record tells."""
        self.by_ticks = by_ticks
        if same:
            self.wake = _EVER
            if self._due:
                self._set_wake(self._due[0][0])
            return
        self._left_at = self.now if self._left_at is None else self._left_at
        self.now = self._watermark = 0
        self.wake = 0
        self._renew()

    def _move_timers(self, now: int) -> None:
        """Let what is due in a while be due in the same while of the new time line."""
        assert self._left_at is not None
        by = now - self._left_at
        self._left_at = None
        self._move(by)
        self._due = [
            (due + by, order, rank, what) for due, order, rank, what in self._due if not isinstance(what, Series)
        ]
        self.wake = _EVER
        if self._due:
            heapify(self._due)
            self._set_wake(self._due[0][0])
