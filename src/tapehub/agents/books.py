"""The books: what an execution does to the account, and the records that say so. Exact, see `money`."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from tapehub.agents.account import Account, Open
from tapehub.agents.money import booked, exact
from tapehub.agents.records import BUY, SELL, AccountState, Fill, Order
from tapehub.agents.swaps import nights_at, swap_of

if TYPE_CHECKING:
    from tapehub.agents.broker import Execution
    from tapehub.agents.market import Market
    from tapehub.agents.risk import RiskManager
    from tapehub.agents.settings import PaperSettings

__all__ = ["Books"]

_PLACES = 10  # decimals that an average price, a stop and a target are rounded to


class Writer(Protocol):
    """Write records: the engine."""

    now: int
    markets: dict[str, Market]

    def next_id(self) -> tuple[str, int]: ...
    def emit(self, made: Any) -> None: ...
    def tell(self, agent: str, made: Any) -> None: ...


class _Costs(NamedTuple):
    """Hold what a fill costs, in the account's currency."""

    commission: Decimal
    spread: Decimal
    slippage: Decimal


class Books:
    """Book executions and swaps. One thread."""

    def __init__(self, account: Account, risk: RiskManager, settings: PaperSettings, writer: Writer) -> None:
        self._account = account
        self._risk = risk
        self._settings = settings
        self._writer = writer

    def open(self, market: Market, execution: Execution, order: Order) -> tuple[Open, bool]:
        """Book what an order has opened, or added to its position; tell whether the position is new."""
        account, price = self._account, exact(execution.price)
        held = next((one for one in account.positions.values() if one.order == execution.order), None)
        is_new = held is None
        if held is None:
            identity, _ = self._writer.next_id()
            held = Open(
                identity,
                execution.symbol,
                execution.sign,
                execution.units,
                price,
                self._writer.now,
                order.id,
                order.agent,
            )
            account.positions[identity] = held
            self._risk.opened()
        else:
            whole = held.units + execution.units
            held.price = round((held.price * held.units + price * execution.units) / whole, _PLACES)
            held.units = whole
        pip = exact(market.pip) * held.sign
        if order.stop_pips:
            held.stop = float(round(held.price - exact(order.stop_pips) * pip, _PLACES))
        if order.target_pips:
            held.target = float(round(held.price + exact(order.target_pips) * pip, _PLACES))
        costs = self._costs(market, execution)
        held.earned += account.book(-costs.commission)
        self._write(market, execution, held, order.agent, "open", costs)
        return held, is_new

    def close(self, market: Market, execution: Execution) -> Open:
        """Book what closes a position, or part of it."""
        account, quote = self._account, market.instrument.quote
        held = account.positions[execution.position]
        costs = self._costs(market, execution)
        quoted = account.profit(held, execution.price, execution.units)
        profit = account.book(account.in_account(quoted, quote))
        held.earned += profit + account.book(-costs.commission)
        held.units -= execution.units
        rate = account.in_account(Decimal(1 if quoted >= 0 else -1), quote).copy_abs()
        if not held.units:
            del account.positions[held.id]
            self._risk.closed(held, self._writer.now)
        self._write(
            market, execution, held, held.agent, "close", costs,
            pips=float((exact(execution.price) - held.price) * held.sign / exact(market.pip)),
            profit=str(profit),
            rate=f"{rate:.10f}".rstrip("0").rstrip("."),
        )  # fmt: skip
        return held

    def swap(self, held: Open) -> bool:
        """Book what the nights that a position owes cost or bring; tell whether there was anything.

        There is a quote of it then, and a rate; the caller writes the account.
        """
        account, market, charged = self._account, self._writer.markets[held.symbol], False
        owed, held.owed_ns = held.owed_ns, []
        for roll_ns in owed:
            nights = nights_at(roll_ns, market.instrument.calendar)
            if nights:
                amount = account.book(swap_of(account, market, held, nights, self._settings))
                held.swap += amount
                held.earned += amount
                charged = charged or bool(amount)
        return charged

    def state(self, why: str) -> None:
        """Write the account as it stands."""
        account, risk = self._account, self._risk
        self._writer.emit(
            AccountState(
                id=self._writer.next_id()[0],
                account=account.name,
                currency=account.currency,
                balance=str(account.balance),
                why=why,
                positions=tuple(one.record() for one in account.positions.values()),
                day_ns=risk.day_ns,
                day_equity=0.0 if risk.equity_due else risk.day_equity,
                trades=risk.trades,
                losing=risk.losing,
                paused_ns=risk.paused_ns,
                stopped_ns=risk.stopped_ns,
                equity=None if account.unvalued else round(account.equity, 2),
                margin=round(account.margin, 2),
                marks=account.marks(),
                owed_ns=account.owed_ns,
            )
        )

    def _costs(self, market: Market, execution: Execution) -> _Costs:
        """Work out what a fill costs: commission, half the spread (the way to the middle), and slippage."""
        account, quote = self._account, market.instrument.quote

        def cost(quoted: Decimal) -> Decimal:
            return booked(account.in_account(-quoted, quote).copy_abs(), account.currency)

        traded = account.in_account(exact(execution.price) * execution.units, quote).copy_abs()
        commission = booked(traded * exact(self._settings.commission_per_million) / 1_000_000, account.currency)
        half = (exact(market.ask) - exact(market.bid)) / 2 * execution.units
        slipped = exact(execution.slip_pips) * exact(market.pip) * execution.units
        return _Costs(commission, cost(half), cost(slipped))

    def _write(
        self,
        market: Market,
        execution: Execution,
        held: Open,
        agent: str,
        what: str,
        costs: _Costs,
        **closing: Any,
    ) -> None:
        made = Fill(
            id=self._writer.next_id()[0],
            agent=agent,
            symbol=execution.symbol,
            side=BUY if execution.sign > 0 else SELL,
            what=what,
            why=execution.why,
            units=float(execution.units),
            price=execution.price,
            bid=market.bid,
            ask=market.ask,
            quote_seq=market.seq,
            order=execution.order,
            position=held.id,
            slip_pips=execution.slip_pips,
            left=float(execution.left),
            commission=str(costs.commission) if costs.commission else "",
            spread_cost=str(costs.spread),
            slip_cost=str(costs.slippage) if costs.slippage else "",
            balance=str(self._account.balance),
            **closing,
        )
        self._writer.emit(made)
        self._writer.tell(agent, made)
        self.state(f"{what}: {execution.why}")
