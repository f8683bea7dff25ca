"""Estimate how far the venue's clock is from ours."""

from __future__ import annotations

from collections import deque
from statistics import median

__all__ = ["Skew"]

_SECOND = 1_000_000_000
BUCKET_NS = 60 * _SECOND
BUCKETS = 10
RUN = 8
RUN_NS = 2 * _SECOND
SLOT_NS = -(-RUN_NS // (RUN - 1))
AGREE_NS = _SECOND // 2
"""So many samples in a row, over so long, so near to each other are the clock; fewer may be wrong about themselves."""
RECENT_NS = 60 * _SECOND


class Skew:
    """Keep the least of receive time minus event time over the last ten minutes. One thread.

    Transport only ever adds to that difference, so its minimum is the skew of the two clocks plus the quickest journey:
    a few milliseconds to tens of them. Below zero, the venue's clock is ahead of ours.

    A quote that is too far ahead for the gate is no proof by itself; a run of them that agree is, and is what a machine
    whose clock is behind the venue's gives: nothing else ever comes. The run is sampled by slots of time, so that a
    busy feed's spans as long as a quiet one's.
    """

    def __init__(self) -> None:
        self._least: deque[tuple[int, int]] = deque(maxlen=BUCKETS)  # (minute, least difference in it)
        # of the last slots: (the first received in it, least difference, greatest)
        self._run: deque[tuple[int, int, int]] = deque(maxlen=RUN)
        self.samples = 0

    def observe(self, ts_event: int, ts_recv: int) -> None:
        """Take an accepted quote's two times, ns UTC."""
        self.samples += 1
        self._sample(ts_recv - ts_event, ts_recv)
        self._take(ts_recv - ts_event, ts_recv)

    def observe_ahead(self, ts_event: int, ts_recv: int) -> None:
        """Take the times of a quote that was refused for being ahead of our clock."""
        self._sample(ts_recv - ts_event, ts_recv)
        agreed = self.stable_ns()
        if agreed is not None:
            self.samples += 1
            self._take(agreed, ts_recv)

    def estimate_ns(self, now_ns: int) -> int | None:
        """Give the least difference of the last ten minutes, or of the last that had a quote; None before the first."""
        if not self._least:
            return None
        oldest = now_ns // BUCKET_NS - BUCKETS
        recent = [difference for minute, difference in self._least if minute > oldest]
        return min(recent) if recent else self._least[-1][1]

    def stable_ns(self) -> int | None:
        """Give the least difference of the last slots where they agree; None where they are few, or do not."""
        run = self._run
        if len(run) < RUN or run[-1][0] - run[0][0] < RUN_NS:
            return None
        middle = median(least for _, least, _ in run)
        for _, least, greatest in run:
            # A slot with quotes of the future and others: some of them are wrong, not the clock.
            if abs(least - middle) > AGREE_NS or least <= -AGREE_NS < greatest:
                return None
        return min(least for _, least, _ in run)

    def agreed_ns(self, now_ns: int) -> int | None:
        """Give what the last slots agree on while quotes come."""
        return self.stable_ns() if self._run and now_ns - self._run[-1][0] <= RECENT_NS else None

    def corrected(self, by_ns: int) -> None:
        """Take in that our clock was moved by so much: what was measured by it is measured anew.

        What came between a move back and this would look like a clock ahead for ten minutes: all is forgotten then.
        """
        kept = self._least if by_ns > 0 else ()
        self._least = deque(((minute, difference + by_ns) for minute, difference in kept), maxlen=BUCKETS)
        self._run.clear()

    def _sample(self, difference: int, ts_recv: int) -> None:
        run = self._run
        if run:
            began, least, greatest = run[-1]
            if began - _SECOND <= ts_recv < began + SLOT_NS:
                run[-1] = (began, min(least, difference), max(greatest, difference))
                return
            if ts_recv < began:  # our clock was set back
                run.clear()
        run.append((ts_recv, difference, difference))

    def _take(self, difference: int, ts_recv: int) -> None:
        minute = ts_recv // BUCKET_NS
        least = self._least
        if least and least[-1][0] >= minute:
            if difference < least[-1][1]:
                least[-1] = (least[-1][0], difference)
        else:
            least.append((minute, difference))
