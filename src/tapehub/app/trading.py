"""What agents left in a hub's log, in the words of the MCP server; and an opinion from outside, put beside theirs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Literal

from tapehub.agents import halts
from tapehub.agents.records import AccountState, Opinion, Signal
from tapehub.agents.scripts import opine
from tapehub.agents.search import Found, newest
from tapehub.app.agent import running
from tapehub.errors import InvalidRecord
from tapehub.gateway.instants import iso
from tapehub.gateway.mcp import shapes
from tapehub.gateway.mcp.trading import Opinion as Given
from tapehub.model.records import Kind

if TYPE_CHECKING:
    from tapehub.hub import DataHub

__all__ = ["AgentsInLog"]

_LOOK_BACK: Final = 1 << 26
"""Log lines that are searched, newest first: a day or more of the busiest feed."""


class AgentsInLog:
    """Read what agents left in the log, and add opinions to it. Any thread."""

    def accounts(self, hub: DataHub, agent: str | None, limit: int) -> list[shapes.Account]:
        """Give the newest state of each paper account."""
        now_ns = hub.now()
        return [_account(hub, found, told, now_ns) for found, told in self._states(hub, agent, limit)]

    def positions(self, hub: DataHub, agent: str | None) -> list[shapes.Position]:
        """Give what is open, without what the quotes of now say of it."""
        return [
            shapes.Position(
                account=told.account,
                id=one.id,
                symbol=one.symbol,
                side=one.side,
                units=one.units,
                price=one.price,
                opened=iso(one.opened_ns),
                stop=one.stop,
                target=one.target,
            )
            for _, told in self._states(hub, agent, None)
            for one in told.positions
        ]

    def said(
        self, hub: DataHub, kind: Literal["opinion", "signal"], symbol: str | None, agent: str | None, limit: int
    ) -> list[shapes.Said]:
        """Give opinions or signals, newest first."""
        rows: list[shapes.Said] = []
        now_ns = hub.now()
        for found in _newest(hub, Kind.OPINION if kind == "opinion" else Kind.SIGNAL):
            told = _read(found)
            if not isinstance(told, Opinion | Signal) or symbol not in (None, told.symbol):
                continue
            if agent in (None, told.agent):
                rows.append(_said(told, found.ts_event, now_ns))
            if len(rows) >= limit:
                break
        return rows

    def halted(self, hub: DataHub) -> str | None:
        """Give why the kill switch is on; None when it is off."""
        told = halts.halted(hub)
        return None if told is None else told.reason or "no reason was given"

    def opine(self, hub: DataHub, opinion: Given) -> tuple[int, shapes.Said]:
        """Put an opinion into the log, as a script does: its sequence, and how it reads there."""
        sequence, made = opine(
            hub, opinion.agent, opinion.symbol, opinion.side, opinion.confidence, opinion.reason, opinion.ttl_s,
            of=opinion.of,
        )  # fmt: skip
        now_ns = hub.now()
        return sequence, _said(made, now_ns, now_ns)

    def _states(self, hub: DataHub, agent: str | None, limit: int | None) -> Iterator[tuple[Found, AccountState]]:
        seen: set[str] = set()
        for found in _newest(hub, Kind.ACCOUNT):
            told = _read(found)
            if not isinstance(told, AccountState) or told.account in seen or agent not in (None, told.account):
                continue
            seen.add(told.account)
            yield found, told
            if told.account == agent or len(seen) == limit:
                return


def _newest(hub: DataHub, kind: Kind) -> Iterator[Found]:
    """Go through records of a kind, newest first; as far back as there are any."""
    left = int(hub._hub_state()["by_kind"][kind])
    if not left:
        return
    for found in newest(hub, [kind], max(0, hub.head - _LOOK_BACK)):
        yield found
        left -= 1
        if not left:
            return


def _read(found: Found) -> object:
    """Read a record; one of another version that cannot be read is passed over."""
    try:
        return found.message
    except InvalidRecord:
        return None


def _account(hub: DataHub, found: Found, told: AccountState, now_ns: int) -> shapes.Account:
    return shapes.Account(
        account=told.account,
        running=running(hub, told.account) is not None,
        currency=told.currency,
        balance=told.balance,
        equity=told.equity,
        margin=told.margin,
        open_positions=len(told.positions),
        trades_today=told.trades,
        losing_in_a_row=told.losing,
        why=told.why,
        time=iso(found.ts_event),
        age_s=round((now_ns - found.ts_event) / 1e9, 3),
    )


def _said(told: Opinion | Signal, ts_ns: int, now_ns: int) -> shapes.Said:
    age_s = round((now_ns - ts_ns) / 1e9, 3)
    return shapes.Said(
        kind="signal" if isinstance(told, Signal) else "opinion",
        id=told.id,
        agent=told.agent,
        symbol=told.symbol,
        side=told.side,
        confidence=told.confidence,
        reason=told.reason,
        time=iso(ts_ns),
        age_s=age_s,
        expired=age_s > told.ttl_s,
        ttl_s=told.ttl_s,
        data=told.data,
        stop_pips=told.stop_pips if isinstance(told, Signal) else None,
        target_pips=told.target_pips if isinstance(told, Signal) else None,
        refused=told.refused if isinstance(told, Signal) else "",
    )
