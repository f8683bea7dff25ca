"""How fast a client of the stream may speak: each message is work in the one event loop that serves everybody."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from tapehub.gateway.access.throttle import Buckets

if TYPE_CHECKING:
    from tapehub.gateway.settings import Limits

__all__ = ["RATES_HZ", "Pace", "Paces", "shared_rate"]

_BURST_S: Final = 10.0
_CONNECTIONS_WORTH: Final = 10.0
_MOMENT_S: Final = 0.001
RATES_HZ: Final = (50.0, 40.0, 30.0, 25.0, 20.0, 15.0, 10.0, 8.0, 5.0, 4.0, 2.0, 1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
"""What clients that conflate are served at: few rates, so that many clients share what is made for one."""


def shared_rate(rate_hz: float) -> float:
    """Give the rate that is shared, at most the one that was asked for."""
    return next((one for one in RATES_HZ if one <= rate_hz), RATES_HZ[-1])


class Paces:
    """Count for all connections of each token. One event loop."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._messages = _buckets(limits.messages_per_second * _CONNECTIONS_WORTH)
        self._subscribes = _buckets(limits.subscribes_per_second * _CONNECTIONS_WORTH)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def of(self, token: str) -> Pace:
        """Begin to count for a connection."""
        turn = self._turns.get(token)
        if turn is None:
            turn = self._turns[token] = asyncio.Lock()
        return Pace(self.limits, token, turn, self._messages, self._subscribes)


class Pace:
    """Count for one connection: in the long run so many a second, ten seconds' worth of them at once."""

    def __init__(self, limits: Limits, token: str, turn: asyncio.Lock, messages: Buckets, subscribes: Buckets) -> None:
        self._token = token
        self._turn = turn
        rates = (limits.messages_per_second, limits.subscribes_per_second)
        self._messages = (_buckets(rates[0]), messages, f"messages: expected at most {rates[0]:g} a second")
        self._subscribes = (_buckets(rates[1]), subscribes, f"subscriptions: expected at most {rates[1]:g} a second")

    def message(self) -> str:
        """Count a message. Says why it is one too many, or nothing."""
        return self._count(*self._messages)

    def subscribe(self) -> str:
        """Count a subscription, which makes the gateway read all present values."""
        return self._count(*self._subscribes)

    async def work(self, handle: Callable[[], None]) -> None:
        """Handle a message, and leave the loop to others for as long as that took: a token has half of it at most."""
        async with self._turn:
            began_s = time.perf_counter()
            handle()
            took_s = time.perf_counter() - began_s
            if took_s > _MOMENT_S:
                await asyncio.sleep(took_s)

    def _count(self, mine: Buckets, ours: Buckets, what: str) -> str:
        if mine.take(""):
            return f"too many {what}"
        return f"too many {what} of a connection, and ten times that of a token" if ours.take(self._token) else ""


def _buckets(per_second: float) -> Buckets:
    return Buckets(per_second, per_second * _BURST_S)
