"""The steps of a debate, in words: one for each record, and for an order those it went through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from tapehub.agents.records import AgentRecord, Fill, Message, Opinion, Order, Signal
from tapehub.agents.search import Found

__all__ = ["GATE_CODES", "Step", "said", "tried"]

GATE_CODES: Final = frozenset({"no-data", "closed", "dead", "ahead", "stale", "gap", "frozen", "blown", "late"})
"""First words of the gate's refusals; those of the risk manager are others."""


@dataclass(frozen=True, slots=True)
class Step:
    """Hold one step.

    Attributes:
        what: ``opinion``, ``rejection``, ``setup``, ``remark``, ``order``, ``gate``, ``risk``, ``fill``, ``result``.
        at: log time of the decision, ns.
        seq: of the record.
        values: numbers behind it.
        steps: what followed from it, oldest first.
    """

    what: str
    at: int
    seq: int
    id: str
    agent: str
    text: str
    values: dict[str, Any] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()


def said(found: Found, message: Message) -> Step:
    """Tell of a record by itself."""
    assert isinstance(message, Opinion | Signal | AgentRecord | Order | Fill)
    what, values = "remark", dict[str, Any]()
    steps: tuple[Step, ...] = ()
    if isinstance(message, Opinion):
        what = "rejection" if message.data.get("rule") else "opinion"
        text = (
            message.reason
            if what == "rejection" or message.data.get("abstains")
            else (f"{message.side} {message.confidence:g}: {message.reason}")
        )
        values = {"side": message.side, "confidence": message.confidence, "ttl_s": message.ttl_s, **message.data}
    elif isinstance(message, Signal):
        what = "setup"
        both = (("stop", message.stop_pips), ("target", message.target_pips))
        ends = [f"{name} {pips:g} pips" for name, pips in both if pips]
        text = f"{message.side} {message.confidence:g}, {', '.join(ends) or 'no stop'}: {message.reason}"
        values = {
            "side": message.side, "confidence": message.confidence, "stop_pips": message.stop_pips,
            "target_pips": message.target_pips, "ttl_s": message.ttl_s, **message.data,
        }  # fmt: skip
        seen = f"refuses: {message.refused}" if message.refused else f"would pass an order: {_seen(message.judged)}"
        steps = (Step("gate", found.ts_event, found.seq, message.id, message.agent, seen, message.judged),)
    elif isinstance(message, AgentRecord):
        text, values = message.text, dict(message.data)
    elif isinstance(message, Order):
        return _ordered(found, message)
    else:
        return _filled(found, message)
    return Step(what, found.ts_event, found.seq, message.id, message.agent, text, values, steps)


def tried(rows: Sequence[tuple[Found, Any]], result: dict[str, Any]) -> Step:
    """Tell of an order, of all that its records say, and of what came of it."""
    found, order = rows[0]
    steps: list[Step] = []
    if isinstance(order, Order):
        steps += _judged(found, order)
        rest = rows[1:]
    else:
        rest = rows
    steps += [said(*row) for row in rest]
    last = rows[-1][0]
    steps.append(Step("result", last.ts_event, last.seq, order.id, order.agent, _result(result), result))
    top = said(found, order)
    return Step("order", top.at, top.seq, top.id, top.agent, top.text, top.values, tuple(steps))


def _ordered(found: Found, order: Order) -> Step:
    units = f"{order.units:,.10g} " if order.units else ""
    verb = "closes, " if order.what == "close" else ""
    text = f"{verb}{order.side} {units}{order.symbol}: {order.status}"
    if order.status != "accepted" or order.what == "close":
        text += f": {order.code + ': ' if order.code else ''}{order.reason}"
    values = {
        "status": order.status,
        "side": order.side,
        "units": order.units,
        "stop_pips": order.stop_pips,
        "target_pips": order.target_pips,
        "code": order.code,
    }
    known = {name: value for name, value in values.items() if value not in (None, "")}
    return Step("order", found.ts_event, found.seq, order.id, order.agent, text, known)


def _judged(found: Found, order: Order) -> list[Step]:
    """Tell what gate and risk manager said, in the order they were asked."""
    if order.status not in ("accepted", "refused"):
        return []
    by_gate = order.code in GATE_CODES or order.judged.get("by") == "hub"
    text = f"refuses: {order.code}: {order.reason}" if by_gate else f"passes: {_seen(order.judged)}"
    steps = [Step("gate", found.ts_event, found.seq, order.id, order.agent, text, order.judged)]
    if not by_gate:
        text = f"refuses: {order.code}: {order.reason}" if order.code else f"allows it: {order.units:,.10g} units"
        values = {"code": order.code} if order.code else {"units": order.units}
        steps.append(Step("risk", found.ts_event, found.seq, order.id, order.agent, text, values))
    return steps


def _filled(found: Found, fill: Fill) -> Step:
    verb = "opens" if fill.what == "open" else "closes"
    text = f"{verb} by {fill.why}: {fill.side} {fill.units:,.10g} at {fill.price}"
    text += f" (quote {fill.bid} / {fill.ask})"
    if fill.pips is not None:
        text += f", {fill.pips:+.1f} pips, profit {fill.profit}"
    values = {
        "side": fill.side, "units": fill.units, "price": fill.price, "bid": fill.bid, "ask": fill.ask,
        "quote_seq": fill.quote_seq, "why": fill.why, "slip_pips": fill.slip_pips, "left": fill.left,
        "pips": fill.pips, "profit": fill.profit, "commission": fill.commission, "spread_cost": fill.spread_cost,
        "balance": fill.balance,
    }  # fmt: skip
    known = {name: value for name, value in values.items() if value not in (None, "")}
    return Step("fill", found.ts_event, found.seq, fill.id, fill.agent, text, known)


def _seen(judged: dict[str, Any]) -> str:
    if "age_s" not in judged:
        return str(judged.get("state", "nothing known"))
    return f"{judged['state']}, tick {judged['age_s']:g} s old, spread {judged['spread_pips']:g} pips"


def _result(told: dict[str, Any]) -> str:
    state = told["state"]
    if "pips" in told:
        money = f"{Decimal(told['profit']):+}"
        return f"{state} by {told['why']}: {told['pips']:+.1f} pips, {money} {told.get('currency', '')}".rstrip()
    if "reason" in told:
        return f"{state}: {told.get('code') or told['reason']}"
    return str(state)
