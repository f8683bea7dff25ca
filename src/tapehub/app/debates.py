"""What the gateway is told of agents: gateway and agents are of one layer, and meet here."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tapehub.agents.digest import Digest
    from tapehub.hub import DataHub

__all__ = ["Debates"]


class Debates:
    """Answer questions about the agents of a hub, and throw their kill switch. Any number of threads.

    It is a `tapehub.gateway.context.Agents`. What agents are made of is imported at the first question.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._digest: Digest | None = None
        self._hub: DataHub | None = None

    def _of(self, hub: DataHub) -> Digest:
        from tapehub.agents.digest import Digest

        with self._lock:
            if self._digest is None or self._hub is not hub:
                self._digest, self._hub = Digest(hub), hub
            return self._digest

    def runs(self, hub: DataHub) -> list[dict[str, Any]]:
        """Describe the newest run of each agent."""
        return self._of(hub).runs()

    def signals(self, hub: DataHub, limit: int, symbol: str) -> dict[str, Any]:
        """List setups and rejections, newest first."""
        return self._of(hub).signals(limit, symbol)

    def positions(self, hub: DataHub) -> list[dict[str, Any]]:
        """List what is open."""
        return self._of(hub).positions()

    def explain(self, hub: DataHub, identity: str) -> dict[str, Any] | None:
        """Tell the debate behind a record; None when there is no such."""
        from tapehub.agents.debate import explain

        found = explain(hub, identity)
        return None if found is None else found.plain()

    def halted(self, hub: DataHub) -> dict[str, Any] | None:
        """Tell of the kill switch; None when it is off."""
        return self._of(hub).halt()

    def halt(self, hub: DataHub, reason: str, by: str, flatten: bool) -> int:
        """Throw the kill switch; give the record's sequence."""
        from tapehub.agents import halts

        return halts.halt(hub, reason, by=by, flatten=flatten)

    def resume(self, hub: DataHub, reason: str, by: str) -> int:
        """Let agents order again; give the record's sequence."""
        from tapehub.agents import halts

        return halts.resume(hub, reason, by=by)
