"""What every route works with: the hub, the bounds, the threads for long reads, and what the layers above know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Protocol

from fastapi import Depends, Request
from starlette.responses import Response

from tapehub.gateway.encoding import dumps

if TYPE_CHECKING:
    from tapehub.gateway.metrics import Metrics
    from tapehub.gateway.pool import Pool
    from tapehub.gateway.settings import GatewaySettings, Limits
    from tapehub.gateway.streaming.broadcast import Broadcast
    from tapehub.hub import DataHub

__all__ = ["Agents", "Context", "Here", "Outside", "answer", "answer_text"]


class Agents(Protocol):
    """Know what trading agents do on a hub. Any number of threads."""

    def runs(self, hub: DataHub) -> list[dict[str, Any]]:
        """Describe the newest run of each agent."""

    def signals(self, hub: DataHub, limit: int, symbol: str) -> dict[str, Any]:
        """List setups with what came of each, and rejections; newest first."""

    def positions(self, hub: DataHub) -> list[dict[str, Any]]:
        """List what is open."""

    def explain(self, hub: DataHub, identity: str) -> dict[str, Any] | None:
        """Tell the debate behind a record; None when the log has no such."""

    def halted(self, hub: DataHub) -> dict[str, Any] | None:
        """Tell of the kill switch; None when it is off."""

    def halt(self, hub: DataHub, reason: str, by: str, flatten: bool) -> int:
        """Throw the kill switch; give the record's sequence."""

    def resume(self, hub: DataHub, reason: str, by: str) -> int:
        """Let agents order again; give the record's sequence."""


@dataclass(frozen=True, slots=True)
class Outside:
    """Hold what lies above the gateway, and is passed in by whoever starts it.

    Attributes:
        why: says why a hub has no data of some symbols: ``sentence``, ``ok``, ``outcome``, ``link``, ``chain``.
        simulator: gives the address of the simulator's control, empty when nothing is simulated.
        version: of tapehub.
        agents: knows what trading agents do.
    """

    why: Callable[[DataHub, Sequence[str]], dict[str, Any]] | None = None
    simulator: Callable[[], str] = field(default=lambda: "")
    version: str = "0"
    agents: Agents | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """Hold what a request needs.

    Attributes:
        pool: threads for long reads, over the log or of many rows.
        quick: threads for what takes a moment, but waits for a file, a lock or another process.
    """

    hub: DataHub
    settings: GatewaySettings
    pool: Pool
    quick: Pool
    broadcast: Broadcast
    metrics: Metrics
    outside: Outside

    @property
    def limits(self) -> Limits:
        """Give the bounds."""
        return self.settings.limits


def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


Here = Annotated[Context, Depends(_context)]
"""The parameter by which a route gets its context."""

_NO_STORE = {"Cache-Control": "no-store"}


def answer(value: Any) -> Response:
    """Answer with a value of plain types."""
    return answer_text(dumps(value))


def answer_text(text: str) -> Response:
    """Answer with JSON that is written already."""
    return Response(text, headers=_NO_STORE, media_type="application/json")
