"""Keep a hub's wall clock with the venue's, where this machine's is behind; move it seldom, and only on proof.

A quote cannot be of the future, so a run of quotes ahead of the clock proves that the clock is behind, or that the feed
is wrong; late ones prove nothing, since a journey takes time. A hub may have many feeds and has one clock: what one
shows moves it only where no other feed shows less, and whoever moved it is the one who takes it back.

What this compares are differences to the *unshifted* clock, this machine's own, which no correction changes.

Source: docs/adr/0007-the-hub-clock.md: `wall` is corrected by the venue's skew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tapehub.hub.clock import set_clock, set_skew
from tapehub.hub.latest import latest
from tapehub.model.policies import ClockMode
from tapehub.quality import Skew
from tapehub.quality.skew import AGREE_NS

if TYPE_CHECKING:
    from tapehub.hub import DataHub

__all__ = ["Timing", "others"]

_SECOND = 1_000_000_000
LOOK_NS = _SECOND
SIGNIFICANT_NS = _SECOND // 2
"""Less than this is a matter of journeys, and of no consequence."""
LATE_NS = 2 * _SECOND
"""Quotes that are later by the unshifted clock say nothing of it; others that are not ahead say that it is right."""
FURTHEST_NS = 300 * _SECOND
"""A machine that is further behind has another trouble, such as its time zone: its quotes stay in quarantine."""
SAME_LINE_NS = 2 * _SECOND
"""A step back of so little only stalls the watermark; a longer one begins a new time line."""
SURE_LOOKS = 30
"""Looks in a row that agree before the clock is moved: twice as long as it takes the other feeds to say otherwise."""
EVERY_LOOKS = 60
"""Between two moves of one collector."""
HOLD_LOOKS = 3600
"""After a correction was taken back no collector that saw it corrects for so long, doubled each time."""
_TOLD_WITHIN_NS = 60 * _SECOND


class Timing:
    """Correct a hub's clock by a feed's quotes. One thread.

    Time is counted in looks, one a second: the clocks are what is in doubt.
    """

    def __init__(self, hub: DataHub, feed: str, skew: Skew, now_ns: int) -> None:
        self._hub = hub
        self._feed = feed
        self._skew = skew
        self._looked_ns = now_ns
        self._seen_ns = self._shift() or 0
        self._unshifted_ns: int | None = None
        self._mine_ns = 0
        if self._seen_ns:  # what this feed's collector did before it was restarted is its own still
            before = latest(hub).links(hub).get(feed, {}).get("clock", {}).get("mine_ns", 0)
            self._mine_ns = before if before == self._seen_ns else 0
        self._direction = self._agreed = 0
        self._rested = 0 if self._mine_ns else EVERY_LOOKS
        self._held, self._hold = 0, HOLD_LOOKS

    def tell(self) -> dict[str, int | None]:
        """Give what other collectors go by: the quotes' difference to the unshifted clock, and what was corrected."""
        return {"unshifted_ns": self._unshifted_ns, "mine_ns": self._mine_ns}

    def on_time(self, now_ns: int) -> int:
        """Look once a second; return by how much the clock was moved, ns."""
        if 0 <= now_ns - self._looked_ns < LOOK_NS:
            return 0
        self._looked_ns = now_ns
        self._rested += 1
        self._held = max(0, self._held - 1)
        known = self._shift()
        if known is None:
            return 0
        if known != self._seen_ns:  # somebody else moved it
            if known < self._seen_ns:
                self._hold_off()
            self._skew.corrected(known - self._seen_ns)
            self._seen_ns, self._mine_ns, self._agreed = known, 0, 0
            return 0
        ahead = self._skew.agreed_ns(now_ns)
        self._unshifted_ns = None if ahead is None else ahead - known
        wanted = self._wanted(known, self._unshifted_ns, now_ns)
        direction = (wanted > known) - (wanted < known)
        self._agreed = self._agreed + 1 if direction == self._direction else 1
        self._direction = direction
        if not direction or self._agreed < SURE_LOOKS or self._rested < EVERY_LOOKS:
            return 0
        self._move(known, wanted)
        return wanted - known

    def _shift(self) -> int | None:
        """Give how far the clock is corrected; None where it is not the wall's."""
        state = self._hub._hub_state()
        return int(state["skew_ns"]) if int(state["clock_mode"]) == ClockMode.WALL else None

    def _wanted(self, known: int, unshifted: int | None, now_ns: int) -> int:
        """Give the correction that there should be by what is seen now; a foreign one stays as it is."""
        if known != self._mine_ns:
            return known
        due = 0 if unshifted is None or self._held else -unshifted
        forward = due - known >= SIGNIFICANT_NS and due <= FURTHEST_NS
        if not known and not forward:
            return known
        told = others(self._hub, self._feed, now_ns)
        if known and any(_is_right(one) for one in (unshifted, *told)):
            return 0
        vetoed = any(AGREE_NS - due < one <= LATE_NS for one in told)
        return due if forward and not vetoed else known

    def _move(self, known: int, wanted: int) -> None:
        if wanted > known or known <= SAME_LINE_NS:
            set_skew(self._hub, wanted)
        else:
            set_clock(self._hub, ClockMode.WALL, anchor_ns=None, rate=1.0, skew_ns=wanted)
        if wanted < known:
            self._hold_off()
        self._skew.corrected(wanted - known)
        self._seen_ns = self._mine_ns = wanted
        self._agreed = self._rested = 0
        self._looked_ns += wanted - known

    def _hold_off(self) -> None:
        self._held, self._hold = self._hold, 2 * self._hold


def _is_right(unshifted: int | None) -> bool:
    """Tell whether quotes say that the unshifted clock is right."""
    return unshifted is not None and -SIGNIFICANT_NS < unshifted <= LATE_NS


def others(hub: DataHub, feed: str, now_ns: int) -> list[int]:
    """Give what the quotes of the other feeds that run differ by from the unshifted clock, where they agree on it."""
    return [
        told["clock"]["unshifted_ns"]
        for name, told in latest(hub).links(hub).items()
        if name != feed
        and told["alive"]
        and abs(now_ns - told["ts"]) <= _TOLD_WITHIN_NS
        and told.get("clock", {}).get("unshifted_ns") is not None
    ]
