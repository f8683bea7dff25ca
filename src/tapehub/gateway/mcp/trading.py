"""Tools about agents: accounts, open positions, signals, opinions; and the one that writes, `submit_opinion`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, Protocol

from mcp.server.mcpserver import Context
from pydantic import Field

from tapehub.errors import TapehubError
from tapehub.gateway.access.throttle import Buckets
from tapehub.gateway.mcp.asking import ROWS_MAX, SAID_MAX, AgentName, LongReads, SomeSymbol, Symbol, named, rounded
from tapehub.gateway.mcp.shapes import (
    Account,
    AccountsAnswer,
    OpinionAnswer,
    Position,
    PositionsAnswer,
    Said,
    SaidAnswer,
)
from tapehub.gateway.mcp.standing import standing_of, standing_of_all, state_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapehub.hub import DataHub

__all__ = ["Agents", "Opinion", "Refused", "TradingTools"]

_PER_MINUTE = 30.0


class Refused(TapehubError):
    """Report a caller who may not do what it asked for, or does it too often."""


class Opinion(NamedTuple):
    """Hold what somebody thinks of an instrument.

    Attributes:
        agent: who; decided by the server, a model cannot speak for another.
    """

    agent: str
    symbol: str
    side: str
    confidence: float
    reason: str
    ttl_s: float
    of: str


class Agents(Protocol):
    """Read what agents left in the log, and add an opinion. Wired by `tapehub.app`."""

    def accounts(self, hub: DataHub, agent: str | None, limit: int) -> list[Account]:
        """Give the newest state of each paper account."""

    def positions(self, hub: DataHub, agent: str | None) -> list[Position]:
        """Give what is open, without what the quotes of now say of it."""

    def said(
        self, hub: DataHub, kind: Literal["opinion", "signal"], symbol: str | None, agent: str | None, limit: int
    ) -> list[Said]:
        """Give opinions or signals, newest first."""

    def halted(self, hub: DataHub) -> str | None:
        """Give why the kill switch is on; None when it is off."""

    def opine(self, hub: DataHub, opinion: Opinion) -> tuple[int, Said]:
        """Put an opinion into the log: its sequence, and how it reads there."""


class TradingTools:
    """Tell of agents. Any thread.

    Args:
        hub: gives the hub.
        long: bounds what searches the log.
        author: gives the name that an opinion is published under; raises `Refused` for who may not publish one.
    """

    def __init__(
        self,
        hub: Callable[[], DataHub],
        long: LongReads,
        agents: Agents,
        author: Callable[[Context], str],
        throttle: Buckets | None = None,
    ) -> None:
        self._hub = hub
        self._long = long
        self._agents = agents
        self._author = author
        self._throttle = throttle or Buckets(_PER_MINUTE / 60.0, _PER_MINUTE)

    def account(self, agent: AgentName = None) -> AccountsAnswer:
        """Tell the paper accounts of agents, as the log last has them, and whether the kill switch is on."""
        hub = self._hub()
        with self._long.one():
            rows = self._agents.accounts(hub, agent, ROWS_MAX + 1)
            halted = self._agents.halted(hub)
        return AccountsAnswer(
            standing=standing_of_all(hub), accounts=rows[:ROWS_MAX], halted=halted, more=len(rows) > ROWS_MAX
        )

    def positions(self, symbol: SomeSymbol = None, agent: AgentName = None) -> PositionsAnswer:
        """List open positions of agents (paper), with the pips won so far at the latest quote and that quote's age."""
        hub = self._hub()
        name = None if symbol is None else named(hub, symbol)
        with self._long.one():
            found = [row for row in self._agents.positions(hub, agent) if name in (None, row.symbol)]
            halted = self._agents.halted(hub)
        return PositionsAnswer(
            standing=standing_of_all(hub) if name is None else standing_of(hub, name),
            positions=[_valued(hub, row) for row in found[:ROWS_MAX]],
            halted=halted,
            more=len(found) > ROWS_MAX,
        )

    def signals(
        self,
        symbol: SomeSymbol = None,
        agent: AgentName = None,
        limit: Annotated[int, Field(ge=1, le=SAID_MAX, description="The newest so many")] = 20,
    ) -> SaidAnswer:
        """List trades that agents proposed, newest first; `refused` says why the data-age gate would not allow one."""
        return self._said("signal", symbol, agent, limit)

    def opinions(
        self,
        symbol: SomeSymbol = None,
        agent: AgentName = None,
        limit: Annotated[int, Field(ge=1, le=SAID_MAX, description="The newest so many")] = 20,
    ) -> SaidAnswer:
        """List what agents think of instruments, newest first."""
        return self._said("opinion", symbol, agent, limit)

    def _said(
        self, kind: Literal["opinion", "signal"], symbol: str | None, agent: str | None, limit: int
    ) -> SaidAnswer:
        hub = self._hub()
        name = None if symbol is None else named(hub, symbol)
        with self._long.one():
            rows = self._agents.said(hub, kind, name, agent, limit + 1)
        standing = standing_of_all(hub) if name is None else standing_of(hub, name)
        return SaidAnswer(standing=standing, said=rows[:limit], more=len(rows) > limit)

    def submit_opinion(
        self,
        ctx: Context,
        symbol: Symbol,
        side: Literal["buy", "sell", "flat"],
        confidence: Annotated[float, Field(ge=0, le=1)],
        reason: Annotated[str, Field(min_length=1, max_length=1000, description="Why, with the numbers it rests on")],
        ttl_s: Annotated[float, Field(gt=0, le=86_400, description="Seconds for which it holds")] = 60.0,
        of: Annotated[str, Field(max_length=64, description="Id of the opinion or signal it answers")] = "",
    ) -> OpinionAnswer:
        """Publish an opinion into the hub's log, where agents hear it. It orders nothing, and can order nothing.

        Read `snapshot` first: an opinion on data that are not current is of no use. The answer shows how they stood.
        """
        hub = self._hub()
        author = self._author(ctx)
        wait_s = self._throttle.take(author)
        if wait_s:
            raise Refused(f"{author} publishes more than {_PER_MINUTE:g} opinions a minute; wait {wait_s:.0f} s")
        name = named(hub, symbol)
        standing = standing_of(hub, name)
        sequence, made = self._agents.opine(
            hub, Opinion(author, name, side, float(confidence), reason, float(ttl_s), of)
        )
        return OpinionAnswer(standing=standing, opinion=made, sequence=sequence)


def _valued(hub: DataHub, row: Position) -> Position:
    """Add what the latest quote makes of a position."""
    seen = hub.snapshot(row.symbol, "1m", 0)
    pip = (hub.instruments.get(row.symbol) or {}).get("pip_size")
    told: dict[str, object] = {"quote_state": state_name(seen.state), "quote_age_s": rounded(seen.age_s)}
    if seen.tick is not None and pip:
        won = seen.tick.bid - row.price if row.side == "buy" else row.price - seen.tick.ask
        told["pips"] = round(won / pip, 2)
    return row.model_copy(update=told)
