"""The hub clock on the command line: which one is in force, and when it must not be changed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tapehub.errors import HubHeld
from tapehub.hub.clock import clock_of
from tapehub.model.policies import ClockMode

if TYPE_CHECKING:
    from tapehub.hub import DataHub

__all__ = ["change_clock", "clock_of", "live_publishers"]

_RECENT_S = 10.0
_DEFINITIONS = 16


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
