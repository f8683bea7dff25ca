"""The desk: the one door to the broker. Gate, limits, broker, in that order; then the books.

Every order of a run comes through `Desk.order` or `Desk.close`, and becomes a record whatever is decided. What the
desk closes by itself (a position held too long, a day's loss, a margin call, the kill switch) needs no permission of
the gate: it waits for the next quote, however long that takes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Protocol

from tapehub.agents import broker as brokers
from tapehub.agents.account import Account, Open
from tapehub.agents.books import Books
from tapehub.agents.broker import Cleared, Execution
from tapehub.agents.gate import Look, Verdict, judge
from tapehub.agents.keeper import Keeper
from tapehub.agents.paper import PaperBroker
from tapehub.agents.records import BUY, SELL, Order
from tapehub.agents.risk import RiskManager
from tapehub.errors import ConfigError

if TYPE_CHECKING:
    from tapehub.agents.market import Market
    from tapehub.agents.records import HaltRecord
    from tapehub.agents.run import Run

__all__ = ["Desk", "checked"]

_KEY: Final = brokers._KEY


class Host(Protocol):
    """What the desk needs of the engine."""

    now: int
    cause: int
    markets: dict[str, Market]

    def schedule(self, due: int, call: Callable[[], None]) -> None: ...
    def next_id(self) -> tuple[str, int]: ...
    def emit(self, made: Any) -> None: ...
    def tell(self, agent: str, made: Any) -> None: ...


class Desk:
    """Decide on orders, and keep the account. One thread.

    Args:
        look: takes a look at the hub itself where there is one; it can only refuse.
    """

    def __init__(self, run: Run, host: Host, look: Look | None) -> None:
        settings = run.settings
        self._run = run
        self._host = host
        self._look = look
        self._gate = settings.gate
        self.account = Account(run.agent, settings.paper, host.markets)
        self.risk = RiskManager(settings.risk, settings.paper, self.account)
        self.broker: brokers.Broker = PaperBroker(
            settings.paper, host, self, random.Random(f"{run.seed}/broker"), settings.risk.step
        )
        self._books = Books(self.account, self.risk, settings.paper, host)
        self.keeper = Keeper(host, settings.paper, self.account, self.risk, self._books, self.broker, self.force)
        self._orders: dict[str, Order] = {}
        if (told := run.account) is not None:
            self.account.restore(told)
            self.risk.restore(told)
        self.risk.halted = run.halted
        self._flatten = run.flatten
        self._begun = False

    # ------------------------------------------------------------ the door

    def verdict(self, symbol: str) -> Verdict:
        """Ask the gate."""
        return judge(self._market(symbol), self._host.now, self._gate)

    def order(self, agent: str, told: Mapping[str, Any]) -> Order:
        """Decide on an order that opens a position.

        Raises:
            ConfigError: it makes no sense, whatever the market.
        """
        self.keeper.begin_day()
        market = self._market(told["symbol"])
        side, units, stop_pips, target_pips = checked(told)
        verdict = self._asked(market)
        code, reason = verdict.code, verdict.reason
        sized = Decimal(0)
        if not code:
            under_way = [one.symbol for one in self.broker.working() if not one.position]
            code, reason = self.risk.against(market, self._host.now, under_way, has_stop=bool(stop_pips))
        if not code:
            sized, code, reason = self.risk.size(market, units, stop_pips, self._bound())
        identity, _ = self._host.next_id()
        made = Order(
            identity,
            agent,
            market.symbol,
            side,
            "refused" if code else "accepted",
            units=float(sized) if sized else units,
            stop_pips=stop_pips,
            target_pips=target_pips,
            reason=reason or told.get("reason", ""),
            code=code,
            of=told.get("of", ""),
            judged=verdict.plain(),
        )
        self._host.emit(made)
        if not code:
            self._orders[identity] = made
            self._submit(identity, market, 1 if side == BUY else -1, sized, "", "market")
        return made

    def _bound(self) -> float:
        """Judge what orders under way will bind; what of one is filled already is its position's."""
        filled = {one.order: one.units for one in self.account.positions.values()}
        left = [
            (one.symbol, one.units - filled.get(one.order, Decimal(0)))
            for one in self.broker.working()
            if not one.position
        ]
        return sum(self.account.margin_of(symbol, float(units)) or 0.0 for symbol, units in left if units > 0)

    def close(self, agent: str, position: str, reason: str, of: str = "") -> Order:
        """Decide on an order that closes a position.

        Raises:
            ConfigError: there is no such position.
        """
        held = self.account.positions.get(position)
        if held is None:
            raise ConfigError(f"no position {position!r} is open: expected one of {sorted(self.account.positions)}")
        market = self._market(held.symbol)
        verdict = self._asked(market)
        code, why = verdict.code, verdict.reason
        if not code and held.closing:
            code, why = "closing", "an order to close it is under way"
        return self._close(held, agent, verdict, code, why or reason, "agent", of)

    def force(self, held: Open, reason: str, why: str) -> None:
        """Close a position that may not stay open, at the next quote."""
        if not held.closing:
            self._close(held, held.agent, judge(self._market(held.symbol), self._host.now, self._gate), "", reason, why)

    def _close(self, held: Open, agent: str, verdict: Verdict, code: str, reason: str, why: str, of: str = "") -> Order:
        identity, _ = self._host.next_id()
        made = Order(
            identity,
            agent,
            held.symbol,
            SELL if held.sign > 0 else BUY,
            "refused" if code else "accepted",
            units=float(held.units),
            what="close",
            reason=reason,
            code=code,
            of=of or held.order,
            position=held.id,
            judged=verdict.plain(),
        )
        self._host.emit(made)
        if not code:
            held.closing = True
            self._orders[identity] = made
            self._submit(identity, self._market(held.symbol), -held.sign, held.units, held.id, why)
        return made

    def _asked(self, market: Market) -> Verdict:
        """Ask the gate; what the log permits, a look at the hub may still refuse."""
        verdict = judge(market, self._host.now, self._gate)
        if verdict.ok and self._look is not None:
            _, ordinal = self._host.next_id()
            found = self._look(market.symbol, self._host.now, self._host.cause, ordinal)
            if found is not None:
                return verdict.refused(*found)
        return verdict

    def _submit(self, order: str, market: Market, sign: int, units: Decimal, position: str, why: str) -> None:
        self.broker.submit(Cleared(_KEY, order, market.symbol, sign, units, position, why, expires=not position))
        self.keeper.watch()

    def _market(self, symbol: str) -> Market:
        return self._host.markets[symbol]

    # ------------------------------------------------------------ what happens

    def on_quote(self, market: Market) -> None:
        """Take up a quote that is beyond one of the instrument's levels.

        What nobody can convert cannot be booked, so it is not filled either: stops and orders of an instrument wait
        for a rate; one that an earlier run has heard may be days old. That is after a take-over alone, as nothing is
        opened without one.
        """
        if not self.account.unknown(market.symbol) and not self.account.unconverted(market.symbol):
            self.keeper.settle()
            self.broker.on_quote(market)
        self.keeper.keep()
        self.keeper.watch()

    def on_halt(self, told: HaltRecord) -> None:
        """Stop, or go on. What the log tells before the run begins is over: only where the switch stands counts."""
        self.risk.halted = (told.reason or "no reason given") if told.halted else ""
        self._flatten = told.halted and (told.flatten or self._flatten)
        if self._begun and told.halted:
            self.broker.cancel(None, f"trading is halted: {told.reason}")
            if told.flatten:
                self._flatten_halted()
            self.keeper.watch()

    def begin(self) -> None:
        """Take up what an earlier run left open; close it, when the kill switch was thrown for that meanwhile."""
        self._begun = True
        self.keeper.begin()
        if self.risk.halted and self._flatten:
            self._flatten_halted()

    def end(self) -> None:
        """Give up what is under way, in order; what is open stays with the account."""
        self.broker.end("the run has ended")
        self.keeper.end()

    def move(self, by_ns: int) -> None:
        """Go on by another time line: what is left of a latency, of a pause, and the time something was held for."""
        self.risk.move(by_ns)
        self.broker.move(by_ns)
        for held in self.account.positions.values():
            held.opened_ns += by_ns
        self.keeper.watch()

    def _flatten_halted(self) -> None:
        self.keeper.flatten(f"trading is halted: {self.risk.halted}", "halt")

    def filled(self, execution: Execution) -> None:
        """Book what the broker reports."""
        market = self._market(execution.symbol)
        if execution.position:
            held = self._books.close(market, execution)
        else:
            held, is_new = self._books.open(market, execution, self._orders[execution.order])
            if is_new:
                self.keeper.opened(held)
        known = self._orders.get(execution.order)
        # A stop names the order that opened its position, of which a part may still be under way.
        if known is not None and not execution.left and bool(execution.position) is (known.what == "close"):
            del self._orders[execution.order]
        self.broker.guard(held)

    def stopping(self, position: Open) -> None:
        """Note that a position is being closed by its stop: no other order may do so meanwhile."""
        position.closing = position.stopped = True

    def ended(self, order: str, status: str, reason: str) -> None:
        """Note that an order will not be filled, or not wholly."""
        known = self._orders.pop(order, None)
        if known is None:
            return
        held = self.account.positions.get(known.position)
        if held is not None:
            held.closing = False
        made = Order(
            order,
            known.agent,
            known.symbol,
            known.side,
            status,
            known.units,
            known.what,
            reason=reason,
            of=known.of,
            position=known.position,
        )
        self._host.emit(made)
        self._host.tell(known.agent, made)
        self.keeper.watch()


def checked(told: Mapping[str, Any]) -> tuple[str, float | None, float | None, float | None]:
    """Give side, units, stop and target of an order.

    Raises:
        ConfigError: one of them makes no sense, whatever the market.
    """
    side, units = told["side"], told.get("units")
    if side not in (BUY, SELL):
        raise ConfigError(f"order side is {side!r}, expected {BUY!r} or {SELL!r}")
    for name in ("units", "stop_pips", "target_pips"):
        value = told.get(name)
        if value is not None and not 0 < value < 1e12:
            raise ConfigError(f"order {name} is {value!r}, expected a number above 0")
    return side, units, told.get("stop_pips"), told.get("target_pips")
