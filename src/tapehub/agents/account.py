"""A paper account: its balance, what is open, and what that is worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from tapehub.agents.money import Rates, booked, exact
from tapehub.agents.records import BUY, SELL, Position
from tapehub.errors import ConfigError

if TYPE_CHECKING:
    from tapehub.agents.market import Market
    from tapehub.agents.records import AccountState
    from tapehub.agents.settings import PaperSettings

__all__ = ["Account", "AccountView", "Open"]


@dataclass(slots=True)
class Open:
    """Hold an open position; see `records.Position`.

    Attributes:
        sign: 1 for bought, -1 for sold.
        earned: booked of it so far: profit of parts that were closed, swaps, commissions.
        closing: something closes it already.
        stopped: its stop does.
        owed_ns: each 17:00 New York that it was carried over, and whose swap nobody could work out yet.
    """

    id: str
    symbol: str
    sign: int
    units: Decimal
    price: Decimal
    opened_ns: int
    order: str
    agent: str
    stop: float | None = None
    target: float | None = None
    swap: Decimal = Decimal(0)
    earned: Decimal = Decimal(0)
    closing: bool = False
    stopped: bool = False
    owed_ns: list[int] = field(default_factory=list)

    def record(self) -> Position:
        """Give it as the log holds it."""
        return Position(
            self.id,
            self.symbol,
            BUY if self.sign > 0 else SELL,
            float(self.units),
            float(self.price),
            self.opened_ns,
            self.stop,
            self.target,
            str(self.swap) if self.swap else "",
            self.order,
            self.agent,
            str(self.earned) if self.earned else "",
            self.stopped,
            self.owed_ns[0] if self.owed_ns else None,
        )

    @classmethod
    def read(cls, told: Position) -> Open:
        """Take it up again."""
        return cls(
            told.id,
            told.symbol,
            1 if told.side == BUY else -1,
            exact(told.units),
            exact(told.price),
            told.opened_ns,
            told.order,
            told.agent,
            told.stop,
            told.target,
            Decimal(told.swap or 0),
            Decimal(told.earned or 0),
            closing=told.stopped,
            stopped=told.stopped,
            owed_ns=[] if told.owed_ns is None else [told.owed_ns],
        )


@dataclass(frozen=True, slots=True)
class AccountView:
    """Show an account at a moment; money in its currency.

    Attributes:
        equity: balance and what the open positions would bring now.
        margin: what they bind.
        free: equity less margin.
    """

    name: str
    currency: str
    balance: Decimal
    equity: float
    margin: float
    positions: tuple[Position, ...]

    @property
    def free(self) -> float:
        """Give what may be bound by further positions."""
        return self.equity - self.margin


class Account:
    """Keep an account. One thread.

    Args:
        markets: by symbol, for prices and rates.
    """

    def __init__(self, name: str, settings: PaperSettings, markets: Mapping[str, Market]) -> None:
        self.name = name
        self.currency = settings.currency
        self.balance = booked(Decimal(settings.balance), settings.currency)
        self.positions: dict[str, Open] = {}
        self.rates = Rates(markets)
        self._markets = markets
        self._settings = settings

    def book(self, amount: Decimal) -> Decimal:
        """Add an amount, rounded as it is booked, and give it."""
        rounded = booked(amount, self.currency)
        self.balance += rounded
        return rounded

    def profit(self, position: Open, price: float, units: Decimal) -> Decimal:
        """Work out what closing part of a position brings, in its quote currency, exactly."""
        return (exact(price) - position.price) * units * position.sign

    def in_account(self, amount: Decimal, currency: str) -> Decimal:
        """Convert into the account's currency.

        Nothing is opened, filled or booked without a rate that this run has heard, and once it has, it stays known.
        """
        converted = self.rates.convert(amount, currency, self.currency)
        assert converted is not None, f"no rate from {currency} to {self.currency}"
        return converted

    def value(self, symbol: str, units: float) -> float | None:
        """Judge what some units of an instrument are worth, in the account's currency; None when it is not known."""
        market = self._markets[symbol].sync()
        rate = self.rates.mid(market.instrument.quote, self.currency)
        return None if rate is None or market.bid <= 0 else units * (market.bid + market.ask) * 0.5 * rate

    def pip_value(self, symbol: str, units: float) -> float | None:
        """Judge what a pip of some units is worth, in the account's currency; None without a rate."""
        market = self._markets[symbol]
        rate = self.rates.mid(market.instrument.quote, self.currency)
        return None if rate is None else units * market.pip * rate

    def margin_of(self, symbol: str, units: float) -> float | None:
        """Judge what a position binds."""
        value = self.value(symbol, units)
        share = self._settings.margin_pct.get(symbol, self._settings.margin_default_pct)
        return None if value is None else value * share / 100.0

    def unconverted(self, symbol: str) -> str:
        """Say which rate is missing to book what an instrument brings; empty when quotes of this run tell it."""
        quote = self._markets[symbol].instrument.quote
        return "" if self.rates.tells(quote, self.currency) else f"no quote converts {quote} to {self.currency}"

    def unknown(self, symbol: str) -> str:
        """Say what is missing to value an instrument: its own quote, or a rate; empty when nothing is.

        Those that an earlier run has left will do for that: limits are kept by them, but nothing is booked.
        """
        market = self._markets[symbol].sync()
        if market.bid <= 0:
            return f"{symbol} has had no quote"
        if self.rates.markets(market.instrument.quote, self.currency) is None:
            return f"no quote converts {market.instrument.quote} to {self.currency}"
        return ""

    @property
    def unvalued(self) -> str:
        """Say why nobody can tell what the account is worth; empty when all that is open has a price and a rate."""
        return next(filter(None, map(self.unknown, {one.symbol: 0 for one in self.positions.values()})), "")

    @property
    def unbooked(self) -> str:
        """Say why nothing can be booked of something that is open; empty when this run knows all rates."""
        return next(filter(None, map(self.unconverted, {one.symbol: 0 for one in self.positions.values()})), "")

    @property
    def owed_ns(self) -> int | None:
        """Give the first 17:00 New York of which a swap is owed; None when none is."""
        return min((one.owed_ns[0] for one in self.positions.values() if one.owed_ns), default=None)

    def marks(self) -> dict[str, tuple[float, float]]:
        """Give the last bid and ask of all that it takes to value what is open: instruments, and their rates."""
        found: dict[str, tuple[float, float]] = {}
        for symbol in {one.symbol: 0 for one in self.positions.values()}:
            market = self._markets[symbol].sync()
            for one in (market, *(self.rates.markets(market.instrument.quote, self.currency) or ())):
                if one.bid > 0:
                    found[one.symbol] = (one.bid, one.ask)
        return found

    def open_profit(self, position: Open) -> float:
        """Judge what closing a position now would bring, in the account's currency; nothing while that is not known.

        A price of 0 would take it for all lost, or twice won: two healthy positions were closed for that.
        """
        market = self._markets[position.symbol].sync()
        price = market.bid if position.sign > 0 else market.ask
        rate = self.rates.mid(market.instrument.quote, self.currency)
        if rate is None or price <= 0:
            return 0.0
        return (price - float(position.price)) * float(position.units) * position.sign * rate

    @property
    def equity(self) -> float:
        """Judge the account's worth if all were closed now."""
        return float(self.balance) + sum(self.open_profit(one) for one in self.positions.values())

    @property
    def margin(self) -> float:
        """Judge what the open positions bind."""
        return sum(self.margin_of(one.symbol, float(one.units)) or 0.0 for one in self.positions.values())

    @property
    def exposure(self) -> float:
        """Judge the worth of all that is open, bought or sold."""
        return sum(self.value(one.symbol, float(one.units)) or 0.0 for one in self.positions.values())

    def view(self) -> AccountView:
        """Show it as it stands."""
        rows = tuple(one.record() for one in self.positions.values())
        return AccountView(self.name, self.currency, self.balance, self.equity, self.margin, rows)

    def restore(self, told: AccountState) -> None:
        """Take up an account as an earlier run left it, and the quotes that it was last valued by."""
        if told.currency != self.currency:
            raise ConfigError(
                f"account {self.name} is in {told.currency}, the settings say {self.currency}: give the agent "
                "another name for a new account, or the settings the old currency"
            )
        self.balance = Decimal(told.balance)
        self.positions = {one.id: Open.read(one) for one in told.positions}
        if told.owed_ns is not None and self.owed_ns is None:  # it was told of all at once
            for one in self.positions.values():
                one.owed_ns = [told.owed_ns]
        for symbol, (bid, ask) in told.marks.items():
            if symbol in self._markets:
                self._markets[symbol].recall(bid, ask)
