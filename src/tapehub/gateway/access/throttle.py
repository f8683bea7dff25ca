"""How often one caller may do something: a token bucket for each, in a table of bounded size."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable

__all__ = ["Buckets", "place_of"]


class Buckets:
    """Allow each key ``burst`` at once and ``per_second`` in the long run.

    Keys beyond ``keys_max`` push out the one that was used longest ago, which then begins afresh: memory is bounded,
    whoever knocks.

    Args:
        clock: seconds that only ever grow.
    """

    def __init__(
        self, per_second: float, burst: float, *, keys_max: int = 4096, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_second = per_second
        self._burst = burst
        self._keys_max = keys_max
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # key -> (left, when that was)

    def __len__(self) -> int:
        return len(self._left)

    def wait_s(self, key: str) -> float:
        """Tell in how many seconds one more is allowed; 0 is now."""
        return max(0.0, (1.0 - self._now(key)) / self._per_second)

    def take(self, key: str) -> float:
        """Take one if it is allowed; the seconds to wait for it if not, 0 when it was taken."""
        left = self._now(key)
        if left < 1.0:
            return (1.0 - left) / self._per_second
        self._left[key] = (left - 1.0, self._clock())
        self._left.move_to_end(key)
        while len(self._left) > self._keys_max:
            self._left.popitem(last=False)
        return 0.0

    def _now(self, key: str) -> float:
        known = self._left.get(key)
        if known is None:
            return self._burst
        left, then = known
        return min(self._burst, left + (self._clock() - then) * self._per_second)


def place_of(address: str) -> str:
    """Give the key of a client's address: an IPv6 client has a whole /64 to choose from, so that counts as one."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        if not found.is_loopback:
            return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
