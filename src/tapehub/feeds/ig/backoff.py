"""How long to wait before trying again: longer each time, spread by chance, never beyond a ceiling."""

from __future__ import annotations

import random

__all__ = ["Backoff"]


class Backoff:
    """Give growing waits. One owner.

    Half of each wait is fixed and half is drawn, so that clients cut at one moment do not come back at one moment,
    and none comes back at once.

    Args:
        first_s, ceiling_s: seconds of the first wait, and of the longest.
    """

    def __init__(self, rng: random.Random, first_s: float = 1.0, ceiling_s: float = 60.0) -> None:
        self._rng = rng
        self._first_s = first_s
        self._ceiling_s = ceiling_s
        self.failures = 0

    def next_s(self, at_least_s: float = 0.0) -> float:
        """Count a failure and give the wait after it; a venue's own minimum comes before the ceiling."""
        whole_s = min(self._ceiling_s, self._first_s * 2.0 ** min(self.failures, 30))
        self.failures += 1
        return max(at_least_s, whole_s * (0.5 + 0.5 * self._rng.random()))

    def reset(self) -> None:
        """Begin anew, after something lasted."""
        self.failures = 0
