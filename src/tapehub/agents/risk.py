"""The risk manager: limits on what an account may do, checked at every order, and what it closes by itself.

========== ==========================================================================================
code       refused because
========== ==========================================================================================
halted     the kill switch is on
session    it is outside the hours of `session_start` to `session_end`, wall time of `session_zone`
paused     `pause_after_losses` positions in a row lost, less than `pause_min` ago
unvalued   something is open that no quote, or no rate, values: what the account is worth is not known
daily-loss the day's loss has reached `daily_loss_pct` of the equity it began with
spread     the spread is wider than `spread_max_pips`
symbol     the instrument has `positions_per_symbol` positions, orders under way included
positions  the account has `positions_max` of them
trades     the day has seen `trades_per_day`
no-stop    the order has no stop
size       it is no multiple of `units_step`, or above `units_max`
no-rate    no quote of this run converts its profit, or its margin, into the account's currency
margin     the account cannot carry it
========== ==========================================================================================
"""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from typing import TYPE_CHECKING

from tapehub.agents.money import exact
from tapehub.model.calendars import interval_of, local_ns

if TYPE_CHECKING:
    from tapehub.agents.account import Account, Open
    from tapehub.agents.market import Market
    from tapehub.agents.records import AccountState
    from tapehub.agents.settings import PaperSettings, RiskLimits

__all__ = ["RiskManager"]

_SECOND = 1_000_000_000
_MINUTE = 60 * _SECOND
_DAY = 86_400 * _SECOND
_SHARE_MAX = 0.1


class RiskManager:
    """Hold an account to its limits. One thread.

    Attributes:
        halted: why the kill switch is on; empty when it is not.
        day_ns, day_end_ns: the trading day, 17:00 to 17:00 New York.
        day_equity: what the account was worth when it began.
        equity_due: that is not known yet, as something open has no quote.
        trades: positions opened in it.
        losing: positions in a row that lost.
        paused_ns: no positions are opened before this.
        stopped_ns: the day's loss was reached in the trading day that begins at this; 0 for none.
    """

    def __init__(self, limits: RiskLimits, paper: PaperSettings, account: Account) -> None:
        self.limits = limits
        self._paper = paper
        self._account = account
        self.halted = ""
        self.day_ns = self.day_end_ns = 0
        self.day_equity = float(account.balance)
        self.equity_due = False
        self.trades = self.losing = self.paused_ns = self.stopped_ns = 0
        self._from_ns, self._to_ns = (_wall(text) for text in (limits.session_start, limits.session_end))

    # ------------------------------------------------------------ days

    def begin_day(self, now: int) -> None:
        """Begin the trading day that an instant belongs to; the same one again changes nothing."""
        start, end = interval_of("1d", now)
        if start != self.day_ns:
            self.day_ns = start
            self.equity_due = True
            self.trades = 0
        self.day_end_ns = end
        self.take_equity()

    def take_equity(self) -> None:
        """Take down what the day began with, as soon as all that is open can be valued."""
        if self.equity_due and not self._account.unvalued:
            self.day_equity = self._account.equity
            self.equity_due = False

    def restore(self, told: AccountState) -> None:
        """Take up the counters of an earlier run."""
        self.day_ns, self.day_equity, self.equity_due = told.day_ns, told.day_equity, not told.day_equity
        self.trades, self.losing = told.trades, told.losing
        self.paused_ns, self.stopped_ns = told.paused_ns, told.stopped_ns

    def move(self, by_ns: int) -> None:
        """Go on with a pause by another time line."""
        if self.paused_ns:
            self.paused_ns += by_ns

    # ------------------------------------------------------------ an order

    def against(self, market: Market, now: int, under_way: list[str], *, has_stop: bool) -> tuple[str, str]:
        """Give the first reason against opening a position: code and text, both empty when there is none.

        Args:
            under_way: symbol of each order that would open a position and is not filled.
        """
        limits, account = self.limits, self._account
        if self.halted:
            return "halted", f"trading is halted: {self.halted}"
        if (reason := self._out_of_session(now)) is not None:
            return "session", reason
        if now < self.paused_ns:
            left_min = (self.paused_ns - now) / _MINUTE
            return (
                "paused",
                f"{self.losing} losses in a row, expected a pause of {limits.pause_min:g} min: {left_min:.1f} left",
            )
        if unvalued := account.unvalued:
            return "unvalued", f"what the account is worth is not known: {unvalued}"
        if self.stopped_ns == self.day_ns or self.is_day_lost():
            return (
                "daily-loss",
                f"the day has lost {limits.daily_loss_pct:g} % of {self.day_equity:.2f} {account.currency}",
            )
        if market.spread_pips > (widest := limits.spread_max(market.symbol)):
            return "spread", f"the spread is {market.spread_pips:g} pips, expected at most {widest:g}"
        symbols = [*under_way, *(one.symbol for one in account.positions.values())]
        if (count := symbols.count(market.symbol)) >= limits.positions_per_symbol:
            return "symbol", f"{market.symbol} has {count} open, expected at most {limits.positions_per_symbol}"
        if len(symbols) >= limits.positions_max:
            return "positions", f"{len(symbols)} positions are open, expected at most {limits.positions_max}"
        if self.trades + len(under_way) >= limits.trades_per_day:
            return "trades", f"{self.trades} trades today, expected at most {limits.trades_per_day}"
        if limits.stop_required and not has_stop:
            return "no-stop", "the order has no stop, expected stop_pips above 0"
        return "", ""

    def size(
        self, market: Market, units: float | None, stop_pips: float | None, bound: float = 0.0
    ) -> tuple[Decimal, str, str]:
        """Size an order, or check the size it has: units, and a reason against as `against` gives it.

        Args:
            bound: what orders under way will bind, beside what is open.
        """
        limits, account = self.limits, self._account
        pip_value, one = account.pip_value(market.symbol, 1.0), account.margin_of(market.symbol, 1.0)
        if pip_value is None or one is None or account.unconverted(market.symbol):
            pair = f"{market.instrument.quote} to {account.currency}"
            return Decimal(0), "no-rate", f"no quote converts {pair}: let the agent watch a pair of them"
        equity, step = account.equity, exact(limits.step(market.symbol))
        free = equity - account.margin - bound
        if units is None:
            if not stop_pips:
                return Decimal(0), "no-stop", "an order without units is sized by its stop, expected stop_pips above 0"
            risked = equity * limits.risk_pct / 100.0 / (stop_pips * pip_value)
            carried = max(0.0, free) / one
            units = min(risked, carried, limits.units_max)
            whole = (exact(units) / step).to_integral_value(ROUND_DOWN) * step
            if not whole:
                return (
                    whole,
                    "size",
                    f"the risk of {limits.risk_pct:g} % allows {units:.6g} units, expected {step} or more",
                )
            return whole, "", ""
        sized = exact(units)
        if not 0 < units <= limits.units_max:
            return sized, "size", f"{units:g} units, expected above 0 and at most {limits.units_max:g}"
        if sized % step:
            return sized, "size", f"{units:g} units, expected a multiple of {step}"
        if one * units > free:
            return sized, "margin", f"{units:g} units bind {one * units:.2f} {account.currency}, free are {free:.2f}"
        return sized, "", ""

    # ------------------------------------------------------------ what happens

    def opened(self) -> None:
        """Count a position."""
        self.trades += 1

    def closed(self, position: Open, now: int) -> None:
        """Count a win or a loss, by all that was booked of the position."""
        if position.earned >= 0:
            self.losing = 0
            return
        self.losing += 1
        if self.limits.pause_after_losses and self.losing % self.limits.pause_after_losses == 0:
            self.paused_ns = now + round(self.limits.pause_min * _MINUTE)

    def is_day_lost(self) -> bool:
        """Tell whether the day's loss has reached its limit."""
        return self._account.equity <= self.day_equity * (1.0 - self.limits.daily_loss_pct / 100.0)

    def is_margin_called(self) -> bool:
        """Tell whether equity is below the share of the margin at which all is closed."""
        margin = self._account.margin
        return margin > 0 and self._account.equity < margin * self._paper.close_out_pct / 100.0

    def share(self) -> float:
        """Give a share by which every price and rate may move, at once and against us, before a limit is reached.

        When all move by a share f, at most a tenth, a position loses f of its value at a rate that is worse by no more
        than 2.4 f (two pairs); what is won already loses 2.4 f; and the margin, which is a floor too, grows by no more
        than 3.6 f. The weights below round that up.
        """
        account = self._account
        bound = account.margin * self._paper.close_out_pct / 100.0
        floors = [bound]
        if self.stopped_ns != self.day_ns:
            floors.append(self.day_equity * (1.0 - self.limits.daily_loss_pct / 100.0))
        won = sum(abs(account.open_profit(one)) for one in account.positions.values())
        at_risk = 2.0 * account.exposure + 3.0 * won + 4.0 * bound
        slack = max(0.0, account.equity - max(floors))
        return min(_SHARE_MAX, slack / at_risk) if at_risk else _SHARE_MAX

    def _out_of_session(self, now: int) -> str | None:
        begin, end = self._from_ns, self._to_ns
        if begin is None or end is None:
            return None
        zone = self.limits.session_zone
        wall = int(local_ns(now, zone)) % _DAY
        inside = begin <= wall < end if begin <= end else (wall >= begin or wall < end)
        if inside:
            return None
        minutes = wall // _MINUTE
        hours = f"{self.limits.session_start} to {self.limits.session_end}"
        return f"it is {minutes // 60:02d}:{minutes % 60:02d} {zone}, expected {hours}"


def _wall(text: str) -> int | None:
    if not text:
        return None
    hours, minutes = text.split(":")
    return (int(hours) * 60 + int(minutes)) * _MINUTE
