"""The ladder of repairs: a mute item is subscribed anew, then the stream reconnected, then the login renewed.

Sans-I/O: what is out of order and a clock reading in, requests out. Each step gets time to work before the next; the
waits grow, are jittered so that many collectors do not knock in step, and a ceiling for each hour keeps a venue that is
down from being hammered. Whatever is quiet, closed or fine needs no repair.

An item that is mute while others flow has a ladder of its own, which begins at its foot again when that item ticks: a
reconnection costs the others a gap, so it comes only when the item's own subscription was made anew twice. (Silence of
more than four times the 99th percentile happens some ten times a day in real quotes; it must not add up to a login.)
Where nothing flows there is nothing to lose, and no subscription to blame.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TypeVar

from tapehub.feeds.feed import Repair

__all__ = ["Ladder", "Request"]

_SECOND = 1_000_000_000
_HOUR = 3600 * _SECOND
FIRST_WITHIN_S = 1.0
"""The first step comes within this time, not at once: what is out of order is often about to come back."""
ITEM_STEPS = (Repair.RESUBSCRIBE, Repair.RESUBSCRIBE, Repair.RECONNECT, Repair.RELOGIN)
ITEM_WAITS_S = (15.0, 60.0, 120.0, 300.0, 900.0)
WHOLE_STEPS = (Repair.RECONNECT, Repair.RELOGIN)
WHOLE_WAITS_S = (30.0, 60.0, 120.0, 300.0, 900.0)
"""How long each step has to work; of steps and waits, the last holds for all further ones."""
JITTER = 0.25
PER_HOUR = {Repair.RESUBSCRIBE: 30, Repair.RECONNECT: 8, Repair.RELOGIN: 3}
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


class _Place:
    """Say how far up something is, and when its next step is due."""

    __slots__ = ("next_ns", "rung")

    def __init__(self, next_ns: int) -> None:
        self.rung = 0
        self.next_ns = next_ns


class Ladder:
    """Decide what to ask a feed for. One thread.

    Args:
        random: jitter is drawn from it, so that a replay asks for the same at the same times.
    """

    def __init__(self, random: random.Random) -> None:
        self._random = random
        self._items: dict[str, _Place] = {}
        self._whole: _Place | None = None
        self._asked: dict[Repair, deque[int]] = {step: deque() for step in PER_HOUR}
        self.withheld = 0
        """Requests that the ceiling held back."""

    def look(
        self,
        now_ns: int,
        mute: Iterable[str],
        *,
        whole: bool,
        dead: bool = False,
        out: Collection[str] | None = None,
    ) -> Request | None:
        """Say what to ask for now, if anything.

        Args:
            mute: symbols that are silent though they should not be.
            whole: nothing at all flows, so that it is not the subscriptions.
            dead: the transport is gone.
            out: symbols that have not ticked since they fell out, `mute` ones included, which is the default. One that
                waits for its first tick after a repair is no longer mute; until it ticks, its next step is still the
                next one.
        """
        symbols = tuple(dict.fromkeys(mute))
        waiting = symbols if out is None else out
        for symbol in [symbol for symbol in self._items if symbol not in waiting]:
            del self._items[symbol]
        if dead or (whole and symbols):
            return self._all(now_ns, symbols, dead=dead)
        if not waiting:
            self._whole = None
        return self._some(now_ns, symbols)

    def _all(self, now_ns: int, symbols: tuple[str, ...], *, dead: bool) -> Request | None:
        if self._whole is None:
            within_s = DEAD_PATIENCE_S if dead else FIRST_WITHIN_S * self._random.random()
            self._whole = _Place(now_ns + round(within_s * _SECOND))
        place = self._whole
        if now_ns < place.next_ns:
            return None
        step = self._allowed(_at(WHOLE_STEPS, place.rung), now_ns)
        self._climb((place,), now_ns, WHOLE_WAITS_S, asked=step is not None)
        what = "the transport is gone" if dead else "nothing flows"
        return None if step is None else self._request(step, (), what, place.rung, now_ns)

    def _some(self, now_ns: int, symbols: tuple[str, ...]) -> Request | None:
        for symbol in symbols:
            if symbol not in self._items:
                self._items[symbol] = _Place(now_ns + round(FIRST_WITHIN_S * self._random.random() * _SECOND))
        due = [symbol for symbol in symbols if self._items[symbol].next_ns <= now_ns]
        if not due:
            return None
        # The mildest of what is due: a subscription made anew may spare the others a reconnection.
        wanted = min((_at(ITEM_STEPS, self._items[symbol].rung) for symbol in due), key=list(PER_HOUR).index)
        chosen = tuple(symbol for symbol in due if _at(ITEM_STEPS, self._items[symbol].rung) is wanted)
        step = self._allowed(wanted, now_ns)
        places = tuple(self._items[symbol] for symbol in chosen)
        self._climb(places, now_ns, ITEM_WAITS_S, asked=step is not None)
        if step is None:
            return None
        which = chosen if step is Repair.RESUBSCRIBE else ()
        return self._request(step, which, f"{', '.join(chosen)} mute", max(place.rung for place in places), now_ns)

    def _climb(self, places: Iterable[_Place], now_ns: int, waits_s: tuple[float, ...], *, asked: bool) -> None:
        for place in places:
            wait_s = _at(waits_s, place.rung) * (1 + JITTER * (2 * self._random.random() - 1))
            place.next_ns = now_ns + round(wait_s * _SECOND)
            place.rung += asked
        self.withheld += not asked

    def _request(self, step: Repair, symbols: tuple[str, ...], what: str, rung: int, now_ns: int) -> Request:
        self._asked[step].append(now_ns)
        return Request(step, symbols, f"{what}, step {rung}")

    def _allowed(self, step: Repair, now_ns: int) -> Repair | None:
        """Give the step, or the milder one that the ceiling still allows."""
        for one in (step, Repair.RECONNECT) if step is Repair.RELOGIN else (step,):
            asked = self._asked[one]
            while asked and asked[0] <= now_ns - _HOUR:
                asked.popleft()
            if len(asked) < PER_HOUR[one]:
                return one
        return None


Rung = TypeVar("Rung")


def _at(rungs: tuple[Rung, ...], number: int) -> Rung:
    return rungs[min(number, len(rungs) - 1)]
