"""The simulator's clocks: one that runs at any rate from any instant, one that stands until it is moved.

Anything callable that returns UTC nanoseconds is a clock; `DataHub.now` is one, so a simulator can follow the hub.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from tapehub.errors import ConfigError

__all__ = ["Clock", "ManualClock", "VirtualClock"]

Clock = Callable[[], int]


class VirtualClock:
    """Run from `anchor_ns` at `rate` seconds a second of `steady`. Any thread may read it.

    Raises:
        ConfigError: the rate is not above 0.
    """

    def __init__(self, anchor_ns: int, rate: float = 1.0, steady: Clock = time.monotonic_ns) -> None:
        if not 0 < rate < 1e7:
            raise ConfigError(f"clock rate is {rate}: expected seconds per second, above 0 (1 is market pace)")
        self._anchor_ns = anchor_ns
        self._rate = rate
        self._steady = steady
        self._began_ns = steady()

    def __call__(self) -> int:
        """Read it: ns UTC."""
        return self._anchor_ns + int((self._steady() - self._began_ns) * self._rate)


class ManualClock:
    """Stand still until it is moved."""

    def __init__(self, now_ns: int) -> None:
        self.now_ns = now_ns

    def __call__(self) -> int:
        """Read it: ns UTC."""
        return self.now_ns

    def advance(self, seconds: float) -> int:
        """Move it on, and give the new reading."""
        self.now_ns += round(seconds * 1e9)
        return self.now_ns
