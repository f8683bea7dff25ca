"""What to subscribe to with the subscriptions that an account has: ticks before everything else.

One subscription for each item, so that IG's refusal of one takes no other down (it refuses a whole subscription for
one bad item), and never a second connection, which IG's terms forbid as a way round the limit.

Source: IG Labs, streaming API guide ("40 subscriptions per connection", items and fields); trading-ig, commit d7f444f
(PRICE in place of MARKET, data adapter "Pricing").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

__all__ = ["HEARTBEAT_ITEM", "Item", "Plan", "Role", "plan_of", "shown", "tick_item"]

HEARTBEAT_ITEM = "TRADE:HB.U.HEARTBEAT.IP"
_TICK = ("BID", "OFR", "UTM")
_PRICE = ("BIDPRICE1", "ASKPRICE1", "TIMESTAMP", "DLG_FLAG")
_CANDLE = (
    "UTM", "CONS_END", "CONS_TICK_COUNT", "BID_OPEN", "BID_HIGH", "BID_LOW", "BID_CLOSE",
    "OFR_OPEN", "OFR_HIGH", "OFR_LOW", "OFR_CLOSE",
)  # fmt: skip


class Role(Enum):
    """Say what an item is for; in this order the budget is spent."""

    TICK = "ticks"
    HEARTBEAT = "heartbeat"
    PRICE = "market state"
    CANDLE = "1-minute candles"


@dataclass(frozen=True, slots=True)
class Item:
    """Describe one subscription.

    Attributes:
        symbol: whose; empty for the heartbeat.
        adapter: IG's data adapter; empty for the default one.
    """

    name: str
    role: Role
    symbol: str
    mode: str
    fields: tuple[str, ...]
    adapter: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """List what is subscribed, and what is not.

    Attributes:
        refused: why, by symbol: these get no quotes at all.
        left_out: why, by item name as `shown`: their symbols do get quotes.
    """

    items: tuple[Item, ...]
    refused: Mapping[str, str]
    left_out: Mapping[str, str]

    def with_ticks(self, item: Item, limit: int) -> Plan | None:
        """Give a plan that has a symbol's ticks too, in the place of the least of what is no tick item.

        None when there are as many tick items as subscriptions: none of them gives way to another.
        """
        kept, left_out = list(self.items), dict(self.left_out)
        if len(kept) >= limit:
            least = next((one for one in reversed(kept) if one.role is not Role.TICK), None)
            if least is None:
                return None
            kept.remove(least)
            left_out[shown(least.name)] = (
                f"{shown(least.name)} ({least.role.value}): gave way to ticks of {item.symbol}"
            )
        refused = {symbol: why for symbol, why in self.refused.items() if symbol != item.symbol}
        return Plan((*kept, item), refused, left_out)

    def has(self, role: Role, symbol: str = "") -> bool:
        """Tell whether such an item is subscribed."""
        return any(item.role is role and item.symbol == symbol for item in self.items)


def shown(name: str) -> str:
    """Write an item's name for people and logs: without the account number, which is nobody else's business."""
    kind, _, rest = name.partition(":")
    return f"{kind}:***:{rest.rpartition(':')[2]}" if kind == "PRICE" else name


def tick_item(symbol: str, epic: str) -> Item:
    """Describe the subscription of every tick of one market.

    DISTINCT, since MERGE conflates: only this item keeps every event.
    """
    return Item(f"CHART:{epic}:TICK", Role.TICK, symbol, "DISTINCT", _TICK)


def plan_of(
    limit: int,
    epics: Mapping[str, str],
    account: str,
    *,
    heartbeat: bool = True,
    states: bool = True,
    candles: bool = True,
) -> Plan:
    """Spend `limit` subscriptions on the symbols, in their order.

    Args:
        epics: of each symbol.
        account: the active one, a part of the PRICE items' names.
        heartbeat, states, candles: what is wanted beside ticks.
    """
    wanted = [tick_item(symbol, epic) for symbol, epic in epics.items()]
    if heartbeat:
        wanted.append(Item(HEARTBEAT_ITEM, Role.HEARTBEAT, "", "MERGE", ("HEARTBEAT",)))
    if states:
        wanted += [
            Item(f"PRICE:{account}:{epic}", Role.PRICE, symbol, "MERGE", _PRICE, "Pricing")
            for symbol, epic in epics.items()
        ]
    if candles:
        wanted += [
            Item(f"CHART:{epic}:1MINUTE", Role.CANDLE, symbol, "MERGE", _CANDLE) for symbol, epic in epics.items()
        ]
    refused: dict[str, str] = {}
    left_out: dict[str, str] = {}
    for item in wanted[max(limit, 0) :]:
        why = f"{shown(item.name)} ({item.role.value}): subscription beyond the {limit} that IG allows this account"
        if item.role is Role.TICK:
            refused[item.symbol] = f"{why}; name fewer symbols, or ask IG for more"
        else:
            left_out[shown(item.name)] = why
    return Plan(tuple(wanted[: max(limit, 0)]), refused, left_out)
