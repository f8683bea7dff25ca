"""The data-age gate: may an order be given on what is known of an instrument now? It fails closed.

`judge` looks at what the log has told by a place in it and gives the first reason against:

========= ==============================================================================
code      when
========= ==============================================================================
no-data   there has been no tick, or the quote makes no sense
closed    the feed says so, or the calendar
dead      the transport of the feed is gone
ahead     the last tick was stamped more than ``ahead_s`` later than it came
stale     the feed says so, or the last tick is older than ``max_age_s`` by the log's time
gap       a gap has not ended, or ended less than ``gap_settle_s`` ago
frozen    the same bid and ask for longer than ``frozen_s``
blown     the spread is beyond ``blown_pips``, or the newest quote was refused for its spread
late      (live runs alone) the run is more than ``late_s`` behind the hub clock
========= ==============================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from tapehub.model.states import State

if TYPE_CHECKING:
    from tapehub.agents.market import Market
    from tapehub.agents.settings import GateLimits

__all__ = ["Look", "Verdict", "judge"]

_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """Say whether an order may be given, and what was seen.

    Attributes:
        code: empty when it may; else the first word of the reason.
        reason: for people.
        clock: the reading it was judged by, ns UTC.
        by: ``log``, or ``hub`` when a look at the hub itself refused.
        age_s: of the last tick; None without one.
    """

    code: str
    reason: str
    clock: int
    by: str = "log"
    age_s: float | None = None
    state: str = ""
    bid: float = 0.0
    ask: float = 0.0
    spread_pips: float | None = None

    def refused(self, code: str, reason: str, clock: int) -> Verdict:
        """Give what a look at the hub makes of it."""
        return replace(self, code=code, reason=reason, clock=clock, by="hub")

    @property
    def ok(self) -> bool:
        """Tell whether an order may be given."""
        return not self.code

    def plain(self) -> dict[str, Any]:
        """Give it as JSON takes it."""
        told: dict[str, Any] = {"clock": self.clock, "by": self.by, "state": self.state}
        if self.age_s is not None:
            told |= {"age_s": self.age_s, "bid": self.bid, "ask": self.ask, "spread_pips": self.spread_pips}
        return told


Look: TypeAlias = Callable[[str, int, int, int], "tuple[str, str, int] | None"]
"""Look at the hub itself: symbol, log time, cause and ordinal in; code, reason and clock reading out, or None when
all is well.
"""


def judge(market: Market, now: int, limits: GateLimits) -> Verdict:
    """Judge an instrument at a moment of the log's time."""
    market.sync()
    state = market.state
    label = state.label if state is not None else "unverified" if market.seq else "empty"
    code, reason = _against(market, state, now, limits)
    if not market.seq:
        return Verdict(code, reason, now, state=label)
    age_s = round(_age_ns(market, now) / 1e9, 3)
    return Verdict(code, reason, now, "log", age_s, label, market.bid, market.ask, market.spread_pips)


def _against(market: Market, state: State | None, now: int, limits: GateLimits) -> tuple[str, str]:
    name, cause = market.symbol, f": {market.state_cause}" if market.state_cause else ""
    if state is State.CLOSED:
        return "closed", f"{name} is closed{cause}"
    if not bool(market.calendar.is_open(now)):
        return "closed", f"{name} is closed by its calendar"
    if state is State.DEAD:
        return "dead", f"the feed of {name} is dead{cause}"
    if state is State.STALE:
        return "stale", f"{name} is stale{cause}"
    if not market.seq:
        return "no-data", f"{name} has had no tick"
    if not 0 < market.bid <= market.ask:
        return "no-data", f"{name} is quoted {market.bid} / {market.ask}: expected 0 < bid <= ask"
    ahead_s = (market.ts_event - market.seen_ns) / 1e9
    if ahead_s > limits.ahead_s:
        return (
            "ahead",
            f"the last tick of {name} is stamped {ahead_s:.3f} s ahead, expected at most {limits.ahead_s:g} s",
        )
    age_s = _age_ns(market, now) / 1e9
    if age_s > limits.max_age_s:
        return "stale", f"the last tick of {name} is {age_s:.3f} s old, expected at most {limits.max_age_s:g} s"
    if market.gap_since_ns is not None:
        if market.gap_until_ns is None:
            return "gap", f"{name} has a gap that has not ended: {market.gap_cause}"
        since_s = (now - market.gap_until_ns) / 1e9
        if since_s < limits.gap_settle_s:
            return "gap", (
                f"{name} had a gap until {since_s:.1f} s ago, expected {limits.gap_settle_s:g} s of data since: "
                f"{market.gap_cause}"
            )
    same_s = (now - market.changed_ns) / 1e9
    if same_s > limits.frozen_s:
        return (
            "frozen",
            f"{name} has been {market.bid} / {market.ask} for {same_s:.1f} s, expected {limits.frozen_s:g} s at most",
        )
    if market.spread_pips > (blown := limits.blown(name)):
        return "blown", f"the spread of {name} is {market.spread_pips:g} pips, expected at most {blown:g}"
    if market.blown_ns > market.seen_ns:
        return "blown", f"the newest quote of {name} was refused for its spread"
    return "", ""


def _age_ns(market: Market, now: int) -> int:
    """Give how old the last tick is: since its time, or since it came where that is longer.

    A direct tick may be stamped up to a minute ahead, and would be young for that much longer.
    """
    return now - min(market.ts_event, market.seen_ns)
