"""Estimate how far the venue's clock is from ours."""

from __future__ import annotations

from collections import deque

__all__ = ["Skew"]

_SECOND = 1_000_000_000
BUCKET_NS = 60 * _SECOND
BUCKETS = 10


class Skew:
    """Keep the least of receive time minus event time over the last ten minutes. One thread.

    Transport only ever adds to that difference, so its minimum is the skew of the two clocks plus the quickest journey:
    a few milliseconds to tens of them. Below zero, the venue's clock is ahead of ours.
    """

    def __init__(self) -> None:
        self._least: deque[tuple[int, int]] = deque(maxlen=BUCKETS)  # (minute, least difference in it)
        self.samples = 0

    def observe(self, ts_event: int, ts_recv: int) -> None:
        """Take a quote's two times, ns UTC."""
        self.samples += 1
        minute, difference = ts_recv // BUCKET_NS, ts_recv - ts_event
        least = self._least
        if least and least[-1][0] >= minute:
            if difference < least[-1][1]:
                least[-1] = (least[-1][0], difference)
        else:
            least.append((minute, difference))

    def estimate_ns(self, now_ns: int) -> int | None:
        """Give the least difference of the last ten minutes, or of the last that had a quote; None before the first."""
        if not self._least:
            return None
        oldest = now_ns // BUCKET_NS - BUCKETS
        recent = [difference for minute, difference in self._least if minute > oldest]
        return min(recent) if recent else self._least[-1][1]
