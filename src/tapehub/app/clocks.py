"""The hub clock on the command line: which one is in force, and when it must not be changed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tapehub.app.console import instant_text
from tapehub.errors import HubHeld
from tapehub.model.policies import ClockMode

if TYPE_CHECKING:
    from tapehub.hub import DataHub

__all__ = ["Clock", "change_clock", "clock_of", "live_publishers"]

_RECENT_S = 10.0
_DEFINITIONS = 16
_SHOWN_NS = 50_000_000


@dataclass(frozen=True, slots=True)
class Clock:
    """Describe a hub clock.

    Attributes:
        rate: hub seconds in a second; 1.0 for a wall clock, 0.0 for one that only events move.
        now_ns: its reading when it was looked at.
        skew_ns: how far a wall clock is ahead of this machine's, to be with the venue's.
    """

    mode: ClockMode
    rate: float
    now_ns: int
    skew_ns: int = 0

    @property
    def simulated(self) -> bool:
        """Tell whether it shows another time than the wall."""
        return self.mode is not ClockMode.WALL

    @property
    def label(self) -> str:
        """Name it in two words at most; empty for the wall clock."""
        return {ClockMode.VIRTUAL: "SIMULATED", ClockMode.EVENT: "EVENT TIME", ClockMode.WALL: ""}[self.mode]

    def __str__(self) -> str:
        if self.mode is ClockMode.WALL:
            ahead = f", {self.skew_ns / 1e9:.1f} s ahead of this machine's" if abs(self.skew_ns) >= _SHOWN_NS else ""
            return f"wall clock{ahead}, {instant_text(self.now_ns)}"
        if self.mode is ClockMode.EVENT:
            at = instant_text(self.now_ns) if self.now_ns > 0 else "no tick yet"
            return f"event clock (time of the latest tick), {at}"
        return f"virtual clock at {self.rate:g}× (SIMULATED), {instant_text(self.now_ns)}"


def clock_of(hub: DataHub) -> Clock:
    """Read which clock is in force."""
    state = hub._hub_state()
    mode = ClockMode(int(state["clock_mode"]))
    rate = {ClockMode.WALL: 1.0, ClockMode.EVENT: 0.0, ClockMode.VIRTUAL: float(state["rate"])}[mode]
    return Clock(mode, rate, hub.now(), int(state["skew_ns"]) if mode is ClockMode.WALL else 0)


def live_publishers(hub: DataHub, watch_s: float = 0.25) -> list[str]:
    """Name the other processes whose ticks flow: those that publish while we look, or did in the last ten seconds.

    The server is none of them: what it publishes are watermarks.
    """
    server = hub.server()
    others = [
        row
        for row in hub.processes()
        if row["alive"] and row["slot"] != hub._slot() and row["pid"] != (server or [0])[0]
    ]
    # Attaching publishes a few definitions; whoever published no more than that is a reader.
    suspects = {row["slot"]: row for row in others if row["received"] or row["published"] > _DEFINITIONS}
    if not suspects:
        return []
    if not _ticked_recently(hub):
        time.sleep(watch_s)
        rows = {row["slot"]: row["published"] for row in hub.processes()}
        suspects = {slot: row for slot, row in suspects.items() if rows.get(slot, 0) > row["published"]}
    return [f"{row['name']} (pid {row['pid']})" for row in suspects.values()]


def change_clock(
    hub: DataHub,
    mode: ClockMode,
    *,
    anchor_ns: int | None = None,
    rate: float = 1.0,
    afresh: bool = False,
    force: bool = False,
) -> bool:
    """Set the hub clock unless it is that one already; tell whether it was changed.

    Args:
        afresh: set it also when it is, so that lateness starts anew; a virtual clock always is.

    Raises:
        HubHeld: another process publishes under the present clock, and `force` is false.
    """
    clock = clock_of(hub)
    if clock.mode is mode and mode is not ClockMode.VIRTUAL and not afresh:
        return False
    if not force and (names := live_publishers(hub)):
        raise HubHeld(
            f"{', '.join(names)} publishes under the hub's {clock}: {hub.path}; use another hub (--name replay), or "
            "--force-clock if those ticks may become late or early"
        )
    hub.set_clock(mode, anchor_ns=anchor_ns, rate=rate)
    return True


def _ticked_recently(hub: DataHub) -> bool:
    """Tell whether some tick was published in the last ten seconds."""
    clock = clock_of(hub)
    if clock.mode is ClockMode.EVENT:  # it says nothing about how long ago
        return False
    cut = clock.now_ns - int(_RECENT_S * 1e9 * max(clock.rate, 1.0))
    since = int(hub._hub_state()["clock_seq"])  # what was published under another clock says nothing about this one
    newest = (hub.ticks(symbol, limit=1).numpy() for symbol in hub.instruments)
    return any(len(ticks) and int(ticks["seq"][0]) > since and int(ticks["ts_publish"][0]) >= cut for ticks in newest)
