"""The ladder of repairs: a mute item is subscribed anew, then the stream reconnected, then the login renewed.

Sans-I/O: what is out of order and a clock reading in, requests out. Each step gets time to work before the next; the
waits grow, are jittered so that many collectors do not knock in step, and a ceiling for each hour keeps a venue that is
down from being hammered. Whatever is quiet, closed or fine needs no repair: the ladder starts at its foot again when
all of it ticks.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from tapehub.feeds.feed import Repair

__all__ = ["Ladder", "Request"]

_SECOND = 1_000_000_000
_HOUR = 3600 * _SECOND
FIRST_WITHIN_S = 1.0
"""The first step comes within this time, not at once: what is out of order is often about to come back."""
WAITS_S = (15.0, 30.0, 60.0, 120.0, 300.0, 900.0)
"""How long each step has to work; the last holds for all further ones."""
JITTER = 0.25
PER_HOUR = {Repair.RESUBSCRIBE: 30, Repair.RECONNECT: 8, Repair.RELOGIN: 3}
STEPS = (Repair.RESUBSCRIBE, Repair.RECONNECT, Repair.RELOGIN)
DEAD_PATIENCE_S = 45.0
"""A feed whose transport is gone reconnects by itself; it is reminded after this long."""


@dataclass(frozen=True, slots=True)
class Request:
    """Ask a feed for a repair.

    Attributes:
        symbols: those to resubscribe; empty for a step that concerns all.
    """

    step: Repair
    symbols: tuple[str, ...]
    why: str


class Ladder:
    """Decide what to ask a feed for. One thread.

    Args:
        random: jitter is drawn from it, so that a replay asks for the same at the same times.
    """

    def __init__(self, random: random.Random) -> None:
        self._random = random
        self._rung = 0
        self._next_ns: int | None = None
        self._asked: dict[Repair, deque[int]] = {step: deque() for step in STEPS}
        self.withheld = 0
        """Requests that the ceiling held back."""

    def look(
        self, now_ns: int, mute: Iterable[str], *, whole: bool, dead: bool = False, settled: bool = True
    ) -> Request | None:
        """Say what to ask for now, if anything.

        Args:
            mute: symbols that are silent though they should not be.
            whole: nothing at all flows, so that it is not the subscriptions.
            dead: the transport is gone.
            settled: nothing waits for its first tick after a repair; until then the next step is still the next one.
        """
        symbols = tuple(dict.fromkeys(mute))
        if not symbols and not dead:
            if settled:
                self._rung, self._next_ns = 0, None
            return None
        if self._next_ns is None:
            # Where all are mute, subscribing them anew over the same transport would change nothing.
            self._rung = 1 if whole or dead else 0
            within_s = DEAD_PATIENCE_S if dead else FIRST_WITHIN_S * self._random.random()
            self._next_ns = now_ns + round(within_s * _SECOND)
        if now_ns < self._next_ns:
            return None
        step = self._allowed(STEPS[min(self._rung, len(STEPS) - 1)], now_ns)
        wait_s = WAITS_S[min(self._rung, len(WAITS_S) - 1)]
        self._next_ns = now_ns + round(wait_s * (1 + JITTER * (2 * self._random.random() - 1)) * _SECOND)
        if step is None:
            self.withheld += 1
            return None
        self._rung += 1
        self._asked[step].append(now_ns)
        what = "the transport is gone" if dead else "nothing flows" if whole else f"{', '.join(symbols)} mute"
        return Request(step, symbols if step is Repair.RESUBSCRIBE else (), f"{what}, step {self._rung}")

    def _allowed(self, step: Repair, now_ns: int) -> Repair | None:
        """Give the step, or the milder one that the ceiling still allows."""
        for one in (step, Repair.RECONNECT) if step is Repair.RELOGIN else (step,):
            asked = self._asked[one]
            while asked and asked[0] <= now_ns - _HOUR:
                asked.popleft()
            if len(asked) < PER_HOUR[one]:
                return one
        return None
