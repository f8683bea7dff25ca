"""Subscriptions of a streaming session: what is asked of the venue, what is refused, what is said first.

Source: TLCP 2.5.0, "Subscription Request" and appendix B; a subscription is refused whole when one of its items is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tapehub.feeds.sim.settings import Settings
from tapehub.feeds.sim.streams import Session, Slot, StreamItem, Subscription
from tapehub.feeds.sim.wire import Params, number_of

__all__ = ["Adapter", "Refusal", "add", "remove", "subscription_of"]


class Refusal(Exception):
    """Refuse a session or a subscription, by a code of the protocol's or (up to 0) of the venue's own."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


class Adapter(Protocol):
    """What the server asks the venue behind it."""

    def admit(self, user: str, password: str, protocol: str) -> None:
        """Let a user in.

        Raises:
            Refusal: the user stays outside.
        """

    def items_of(self, user: str, group: str, schema: tuple[str, ...], mode: str, adapter: str) -> Sequence[StreamItem]:
        """Find the items of a subscription, all of them.

        Raises:
            Refusal: of one item, so of the subscription.
        """

    def said(self, event: str, detail: str = "") -> None:
        """Write down what happened."""


def subscription_of(session: Session, params: Params, adapter: Adapter, settings: Settings) -> Subscription:
    """Make the subscription that a request asks for; nothing is said yet.

    Raises:
        Refusal: it cannot be.
    """
    number = number_of(params, "LS_subId")
    if number <= 0 or number in session.subscriptions:
        raise Refusal(65, f"LS_subId {params.get('LS_subId', '')}: expected a new number above 0")
    fields = tuple(params.get("LS_schema", "").split())
    if not fields:
        raise Refusal(23, "Bad Field schema name")
    subscription = Subscription(number, params.get("LS_mode", ""), fields)
    if subscription.mode == "COMMAND" and not {"key", "command"} <= set(fields):
        raise Refusal(15 if "key" not in fields else 16, "Subscription in COMMAND mode without key or command field")
    group, data_adapter = params.get("LS_group", ""), params.get("LS_data_adapter", "")
    items = adapter.items_of(session.user, group, fields, subscription.mode, data_adapter)
    subscription.slots = [Slot(session, subscription, i, item) for i, item in enumerate(items, 1)]
    rows = [*session.subscriptions.values(), subscription]
    used = sum(len(row.slots) for row in rows) if settings.limit_counts_items else len(rows)
    if used > settings.subscription_limit:
        limit = settings.subscription_limit
        raise Refusal(settings.subscription_limit_code, f"Concurrent subscriptions limit of {limit} exceeded")
    return subscription


def add(session: Session, subscription: Subscription, params: Params, adapter: Adapter, settings: Settings) -> None:
    """Begin a subscription: its confirmation, its snapshots, and from here on its updates."""
    session.subscriptions[subscription.id] = subscription
    number, slots, fields = subscription.id, subscription.slots, subscription.fields
    if subscription.mode == "COMMAND":
        key, command = fields.index("key") + 1, fields.index("command") + 1
        session.notify(f"SUBCMD,{number},{len(slots)},{len(fields)},{key},{command}")
    else:
        session.notify(f"SUBOK,{number},{len(slots)},{len(fields)}")
    unfiltered = params.get("LS_requested_max_frequency") == "unfiltered"
    session.notify(f"CONF,{number},unlimited,{'unfiltered' if unfiltered else 'filtered'}")
    adapter.said("subscribed", " ".join(slot.item.name for slot in slots))
    wanted = params.get("LS_snapshot", "false") not in ("false", "0")
    for slot in slots:
        slot.item.watchers.append(slot)
        listed = subscription.mode in ("DISTINCT", "COMMAND")
        values = slot.item.snapshot() if wanted and (not listed or settings.distinct_snapshot) else None
        if values is not None:
            session.update(slot, values)
        # Without it the official clients take every update for a part of the snapshot.
        if wanted and listed:
            session.notify(f"EOS,{number},{slot.number}")


def remove(session: Session, number: int) -> None:
    """End a subscription."""
    for slot in session.subscriptions.pop(number).slots:
        slot.item.watchers.remove(slot)
