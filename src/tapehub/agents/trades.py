"""The trades of a run, put together from its fills: entries and exits in parts, swaps, costs, and what it inherited."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from tapehub.agents.money import exact
from tapehub.agents.records import Fill, Order, Position

__all__ = ["Trade", "TradeBook"]


@dataclass(slots=True)
class Trade:
    """Hold a position from its first fill to its last.

    Attributes:
        units: that were opened.
        closed_ns: log time of the fill that closed the last unit; 0 while one is open.
        price, price_out, pips: means, by units, of what was paid, what was taken, and what that won.
        profit: booked, swaps and commissions included, in the account's currency; of a trade that an earlier run
            opened, what was booked in this one.
        why: what closed it; empty while it is open.
        order: identity of the order that opened it.
        out: units that were closed.
    """

    position: str
    symbol: str
    side: str
    units: float
    opened_ns: int
    price: float
    order: str
    closed_ns: int = 0
    price_out: float = 0.0
    pips: float = 0.0
    profit: Decimal = Decimal(0)
    swap: Decimal = Decimal(0)
    why: str = ""
    reason: str = ""
    out: float = 0.0


class TradeBook:
    """Put trades together from the records of a run, which come in their order.

    Args:
        inherited: what the account had open when the run began.

    Attributes:
        trades: by identity of their position.
        costs: spread, slippage, commission and swap; below zero was paid.
    """

    def __init__(self, inherited: Iterable[Position]) -> None:
        self._reasons: dict[str, str] = {}
        self.trades: dict[str, Trade] = {}
        self.costs = dict.fromkeys(("spread", "slippage", "commission", "swap"), Decimal(0))
        for one in inherited:
            self.trades[one.id] = Trade(
                one.id,
                one.symbol,
                one.side,
                one.units,
                one.opened_ns,
                one.price,
                one.order,
                swap=Decimal(one.swap or 0),
            )

    def ordered(self, told: Order) -> None:
        """Remember why something was ordered."""
        self._reasons[told.id] = told.reason

    def fill(self, told: Fill, ts: int) -> None:
        """Take up a fill."""
        commission = Decimal(told.commission or 0)
        self.costs["spread"] -= Decimal(told.spread_cost or 0)
        self.costs["commission"] -= commission
        self.costs["slippage"] -= Decimal(told.slip_cost or 0)
        trade = self.trades.get(told.position)
        if told.what == "open":
            if trade is None:
                trade = self.trades[told.position] = Trade(
                    told.position, told.symbol, told.side, told.units, ts, told.price, told.order,
                    reason=self._reasons.get(told.order, ""),
                )  # fmt: skip
            else:
                trade.price = _mean(trade.price, trade.units, told.price, told.units)
                trade.units = _sum(trade.units, told.units)
            trade.profit -= commission
            return
        if trade is None:  # of a run whose first record does not hold it
            side = "buy" if told.side == "sell" else "sell"
            trade = self.trades[told.position] = Trade(
                told.position, told.symbol, side, told.units, ts, told.price, told.order
            )
        trade.profit += Decimal(told.profit) - commission
        trade.price_out = _mean(trade.price_out, trade.out, told.price, told.units)
        trade.pips = _mean(trade.pips, trade.out, told.pips or 0.0, told.units)
        trade.out = _sum(trade.out, told.units)
        trade.why = told.why
        if trade.out >= trade.units:
            trade.closed_ns = ts

    def carried(self, positions: Iterable[Position]) -> None:
        """Take up the swaps that an account record tells of."""
        for held in positions:
            trade = self.trades.get(held.id)
            if trade is not None and held.swap:
                more = Decimal(held.swap) - trade.swap
                self.costs["swap"] += more
                trade.profit += more
                trade.swap += more


def _sum(one: float, other: float) -> float:
    """Add sizes as they are written: 0.7 and 0.1 are 0.8, and close a position of 0.8."""
    return float(exact(one) + exact(other))


def _mean(one: float, weight: float, other: float, weight_other: float) -> float:
    """Weigh two numbers; rounded, as the last digits of a float64 mean nothing."""
    return round((one * weight + other * weight_other) / (weight + weight_other), 10)
