"""A debate: why an agent did what it did, read back from the log as a tree in time order.

Opinions, what the validator made of them, what the gate saw, what the risk manager said, the order, its fills, and
what came of it. Every link stands in the records: ``of``, ``order``, ``position``, and ``opinions`` in a setup's data.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tapehub.agents.outcomes import outcome_of
from tapehub.agents.records import AccountState, AgentRecord, Fill, Message, Opinion, Order, Signal
from tapehub.agents.search import Found, between
from tapehub.agents.steps import Step, said, tried
from tapehub.errors import ConfigError, InvalidRecord
from tapehub.model.records import Kind

if TYPE_CHECKING:
    from tapehub.hub import DataHub

__all__ = ["Debate", "explain", "instant_of"]

_ID: Final = re.compile(r"([0-9a-f]{12})\.(\d{1,15})\.(\d{1,5})")
_KINDS: Final = (Kind.OPINION, Kind.SIGNAL, Kind.ORDER, Kind.FILL, Kind.ACCOUNT, Kind.AGENT)


@dataclass(frozen=True, slots=True)
class Debate:
    """Hold what led to a record, and what it led to.

    Attributes:
        asked: the identity that was asked for.
        id: of the record the tree stands on: the setup where there is one.
        title: one line.
        result: ``state`` (see `outcomes`), and of what was traded ``pips``, ``profit``, ``currency``.
        steps: oldest first.
    """

    asked: str
    id: str
    symbol: str
    title: str
    result: dict[str, Any]
    steps: tuple[Step, ...]

    def plain(self) -> dict[str, Any]:
        """Give it as JSON takes it; times are ISO 8601, UTC."""
        return {
            "asked": self.asked, "id": self.id, "symbol": self.symbol, "title": self.title, "result": self.result,
            "steps": [_plain(one) for one in self.steps],
        }  # fmt: skip


def explain(hub: DataHub, identity: str) -> Debate | None:
    """Tell what led to an opinion, a signal, an order or a fill, and what it led to; None when the log has no such.

    Raises:
        ConfigError: it is no identity.
    """
    chain = _Chain(hub)
    found = chain.find(identity)
    if found is None:
        return None
    trunk = chain.trunk(found)
    for one in chain.after(trunk):
        chain.keep(one)
    return _told(chain, identity, trunk)


def instant_of(ts_ns: int) -> str:
    """Write an instant, ISO 8601 in UTC with nine digits."""
    return f"{np.datetime64(ts_ns, 'ns')}Z"


@dataclass(slots=True)
class _Chain:
    """Find records of one debate in the log, and keep them."""

    hub: DataHub
    kept: dict[int, tuple[Found, Any]] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)
    causes: set[tuple[int, int]] = field(default_factory=set)

    def find(self, identity: str) -> tuple[Found, Message] | None:
        """Find a record by its identity, from the record on that caused it; what is found is kept."""
        made = _ID.fullmatch(identity)
        if made is None:
            raise ConfigError(
                f"{identity!r} is no identity: expected RUN.CAUSE.ORDINAL, as 3fa9c2d1b7e0.123456.1; "
                '"tapehub agent list" and the page show them'
            )
        run, key = int(made[1], 16), (int(made[2]), int(made[3]))
        for row in self.kept.values():
            if _place(row[0]) == (run, *key):
                return row
        for found in between(self.hub, _KINDS, max(key[0], self._oldest()), self.hub.head):
            if _place(found) == (run, *key) and (message := _read(found)) is not None:
                return self.keep((found, message))
        return None

    def _oldest(self) -> int:
        return int(self.hub._hub_state()["oldest"])

    def keep(self, row: tuple[Found, Message]) -> tuple[Found, Message]:
        """Keep a record of the debate."""
        self.kept[row[0].seq] = row
        return row

    def trunk(self, row: tuple[Found, Message]) -> tuple[Found, Message]:
        """Climb from a fill to its order, from an order to its signal; keep the opinions those stand on."""
        message = row[1]
        parent = message.order if isinstance(message, Fill) else message.of if isinstance(message, Order) else ""
        above = self.find(parent) if _ID.fullmatch(parent) else None
        if above is not None and above[0].seq < row[0].seq:
            return self.trunk(above)
        if isinstance(message, Signal | Opinion):
            for name in dict.fromkeys([*message.data.get("opinions", ()), message.of]):
                if isinstance(name, str) and _ID.fullmatch(name):
                    self.find(name)
        return row

    def after(self, trunk: tuple[Found, Message]) -> Iterator[tuple[Found, Message]]:
        """Go through what followed from a record, up to now."""
        ids = {trunk[1].id.encode()} if not isinstance(trunk[1], AccountState) and hasattr(trunk[1], "id") else set()
        fills: set[tuple[int, int]] = set()
        for found in between(self.hub, _KINDS, trunk[0].seq, self.hub.head):
            if found.seq == trunk[0].seq:
                continue  # begun with, as the line behind it may be in its midst
            if found.kind == Kind.ACCOUNT:
                if (found.run, found.cause) in fills and (message := _read(found)) is not None:
                    yield found, message
                continue
            if not any(one in found.payload for one in ids) or (message := _read(found)) is None:
                continue
            if not any(one.encode() in ids for one in _names(message)):
                continue  # an identity in a sentence is no link
            ids.add(str(getattr(message, "id", "")).encode())
            if isinstance(message, Fill):
                fills.add((found.run, found.cause))
            yield found, message


def _place(found: Found) -> tuple[int, int, int]:
    return found.run, found.cause, found.ordinal


def _names(message: Message) -> Iterable[str]:
    """Give the identities a record refers to."""
    if isinstance(message, Fill):
        return message.order, message.position
    if isinstance(message, Order):
        return message.of, message.position, message.id
    if isinstance(message, Signal | Opinion):
        return message.of, *(one for one in message.data.get("opinions", ()) if isinstance(one, str))
    if isinstance(message, AgentRecord):
        return (str(message.data.get("of", "")),)
    return ()


def _read(found: Found) -> Message | None:
    try:
        return found.message
    except InvalidRecord:
        return None


def _told(chain: _Chain, asked: str, trunk: tuple[Found, Message]) -> Debate:
    """Put a debate into words."""
    rows = [chain.kept[seq] for seq in sorted(chain.kept)]
    top = trunk[1]
    assert isinstance(top, Signal | Opinion | Order | Fill | AgentRecord)
    opened = {one.position: one.order for _, one in rows if isinstance(one, Fill) and one.what == "open"}

    def order_of(message: Order | Fill) -> str:
        """Name the order that opened what a record is of."""
        own = message.order if isinstance(message, Fill) else message.id
        return opened.get(message.position, own)

    trades = [(found, one, order_of(one)) for found, one in rows if isinstance(one, Order | Fill)]
    told = [one for _, one in rows if not isinstance(one, Opinion | Signal)]
    ends = {name: outcome_of(told, name) for name in dict.fromkeys(name for _, _, name in trades)}
    orders = list(ends)
    steps: list[Step] = []
    drawn: set[str] = set()
    for found, message in rows:
        if isinstance(message, Opinion | Signal | AgentRecord):
            steps.append(said(found, message))
        elif isinstance(message, Order | Fill) and (name := order_of(message)) not in drawn:
            drawn.add(name)
            steps.append(tried([(at, one) for at, one, of in trades if of == name], ends[name]))
    result = ends[orders[-1]] if orders else _untaken(chain.hub, trunk[0], top)
    when = instant_of(trunk[0].ts_event)
    symbol, side = str(getattr(top, "symbol", "")), str(getattr(top, "side", ""))
    title = f"{symbol} {side}: {said(*trunk).what} of {top.agent}, {when}".strip()
    return Debate(asked, top.id, symbol, title, result, tuple(steps))


def _untaken(hub: DataHub, found: Found, top: Message) -> dict[str, Any]:
    if isinstance(top, Signal):
        stands = hub.now() <= found.ts_event + round(top.ttl_s * 1e9)
        return {"state": "waiting" if stands else "untaken"}
    return {"state": "rejected" if isinstance(top, Opinion) and top.data.get("rule") else "said"}


def _plain(step: Step) -> dict[str, Any]:
    told: dict[str, Any] = {
        "what": step.what, "at": instant_of(step.at), "seq": step.seq, "id": step.id, "agent": step.agent,
        "text": step.text, "values": step.values,
    }  # fmt: skip
    if step.steps:
        told["steps"] = [_plain(one) for one in step.steps]
    return told
