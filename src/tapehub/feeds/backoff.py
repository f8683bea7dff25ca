"""How long to wait before the next attempt: doubled each time, jittered, up to a ceiling."""

from __future__ import annotations

from random import Random

__all__ = ["Backoff"]


class Backoff:
    """Space out attempts, so that a venue that is down is not hammered by everyone in step. One task.

    Args:
        random: draws the jitter; the same seed gives the same waits.
        first_s: the wait before the second attempt, at most.
        ceiling_s: no wait is longer.
    """

    def __init__(self, random: Random, first_s: float = 0.5, ceiling_s: float = 30.0) -> None:
        self._random = random
        self._first_s = first_s
        self._ceiling_s = ceiling_s
        self.failures = 0

    def next_s(self, at_least_s: float = 0.0) -> float:
        """Count a failure and give the wait after it: between half and all of what is due.

        Args:
            at_least_s: a venue's own minimum, which comes before the ceiling.
        """
        due_s = min(self._ceiling_s, self._first_s * 2.0 ** min(self.failures, 32))
        self.failures += 1
        return max(at_least_s, due_s * self._random.uniform(0.5, 1.0))

    def reset(self) -> None:
        """Begin anew after a success."""
        self.failures = 0
