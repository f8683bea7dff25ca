"""What an order came to, from its records alone.

========== =====================================================================
state      when
========== =====================================================================
waiting    it is on its way, or a setup still stands and nobody has ordered
untaken    a setup that nobody ordered on while it stood
refused    gate or risk manager said no
expired    nothing of it was filled in time; ``cancelled``: it was given up
open       what it opened is not closed yet
closed     it is
========== =====================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from tapehub.agents.records import AccountState, Fill, Message, Order

__all__ = ["outcome_of"]


def outcome_of(records: Sequence[Message], order: str) -> dict[str, Any]:
    """Say what came of an order that opens a position.

    Args:
        records: of that order and perhaps of others, in log order.

    Returns:
        ``state``; of a refusal ``code`` and ``reason``; of what was filled ``units``, and of what is closed ``why``,
        ``pips`` (mean by units), ``profit`` (after commissions, without swaps) and, where an account record stands
        there, ``currency``.
    """
    steps = [one for one in records if isinstance(one, Order) and one.id == order]
    fills = [one for one in records if isinstance(one, Fill) and one.order == order]
    positions = {one.position for one in fills}
    orders = [one for one in records if isinstance(one, Order)]
    closing = {one.id for one in orders if one.what == "close" and one.position in positions}
    fills += [one for one in records if isinstance(one, Fill) and one.order in closing]
    opened = [one for one in fills if one.what == "open"]
    closed = [one for one in fills if one.what == "close"]
    last = steps[-1] if steps else None
    if not opened:
        if last is None or last.status in ("accepted", "requested"):
            return {"state": "waiting"}
        told = {"state": last.status, "reason": last.reason}
        return {**told, "code": last.code} if last.code else told
    units = sum(one.units for one in opened)
    out = sum(one.units for one in closed)
    result: dict[str, Any] = {"state": "closed" if out >= units else "open", "units": units}
    if closed:
        money = sum((Decimal(one.profit or 0) for one in closed), Decimal(0))
        money -= sum((Decimal(one.commission or 0) for one in fills), Decimal(0))
        result["why"] = closed[-1].why
        result["pips"] = round(sum((one.pips or 0.0) * one.units for one in closed) / out, 4)
        result["profit"] = str(money)
    currency = next((one.currency for one in records if isinstance(one, AccountState)), "")
    return {**result, "currency": currency} if currency else result
