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
        self.attempts = 0
        """Waits since the last success."""

    def next_s(self) -> float:
        """Give the next wait: between half and all of what is due."""
        due_s = min(self._ceiling_s, self._first_s * 2.0 ** min(self.attempts, 32))
        self.attempts += 1
        return due_s * self._random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Begin anew after a success."""
        self.attempts = 0
