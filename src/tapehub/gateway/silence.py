"""How long the server of a hub has been silent."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tapehub.hub import DataHub

__all__ = ["silent_s"]


def silent_s(hub: DataHub) -> float:
    """Give the seconds of real time since the server's last beat; 0 where the machine cannot tell."""
    beat = int(hub._hub_state()["server_heartbeat_ns"])
    if not beat or not hasattr(time, "CLOCK_BOOTTIME"):
        return 0.0
    return max(0.0, (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - beat) / 1e9)
