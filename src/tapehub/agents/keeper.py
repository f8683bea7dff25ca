"""The keeper: what a desk closes and books by itself, and which quotes it has to see for that.

A position held too long, a day's loss, a margin call, 17:00 New York. While something open has no quote, or no rate,
nobody can tell what the account is worth: then no limit is kept, and no day's loss is measured. A swap waits for what
its own position lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, Protocol

from tapehub.model.calendars import interval_of

if TYPE_CHECKING:
    from tapehub.agents.account import Account, Open
    from tapehub.agents.books import Books
    from tapehub.agents.broker import Broker
    from tapehub.agents.market import Market
    from tapehub.agents.risk import RiskManager
    from tapehub.agents.settings import PaperSettings

__all__ = ["Keeper"]

_MINUTE: Final = 60_000_000_000


class Times(Protocol):
    """Tell the log's time, and call back at one: the engine."""

    now: int
    markets: dict[str, Market]

    def schedule(self, due: int, call: Callable[[], None]) -> None: ...


class Keeper:
    """Keep an account to its limits between orders. One thread.

    Args:
        force: closes a position at the next quote: reason for people, and why in a word.
    """

    def __init__(
        self,
        times: Times,
        paper: PaperSettings,
        account: Account,
        risk: RiskManager,
        books: Books,
        broker: Broker,
        force: Callable[[Open, str, str], None],
    ) -> None:
        self._times = times
        self._paper = paper
        self._account = account
        self._risk = risk
        self._books = books
        self._broker = broker
        self._force = force
        self._next_roll = 0  # the next 17:00 New York that something open is carried over; 0 for none
        self._moved = False
        self._shown: dict[str, tuple[float, float]] = {}
        self._showing = False

    # ------------------------------------------------------------ positions

    def begin(self) -> None:
        """Take up what an earlier run left open."""
        positions = self._account.positions.values()
        for one in positions:
            self._broker.guard(one)
            self._hold(one)
        if positions:
            # Stops were watched by nobody meanwhile, but nights were passed all the same.
            told = self._risk.day_ns or min(one.opened_ns for one in positions)
            roll = interval_of("1d", told)[1]
            for one in positions:
                one.owed_ns = list(_ends(one.owed_ns[0], roll - 1)) if one.owed_ns else []
            self._carry(roll, self._times.now)
            self._expect_show()
        self.begin_day()
        self.watch()

    def opened(self, held: Open) -> None:
        """Keep a position that is new."""
        self._hold(held)
        if not self._next_roll:
            self._carry(interval_of("1d", held.opened_ns)[1], 0)
        if not self._showing:
            self._expect_show()

    def _hold(self, held: Open) -> None:
        minutes = self._risk.limits.hold_max_min
        if minutes:

            def close() -> None:
                if held.units:
                    self._force(held, f"held for {minutes:g} min", "held")

            self._times.schedule(held.opened_ns + round(minutes * _MINUTE), close)

    def flatten(self, reason: str, why: str) -> None:
        """Close all that is open."""
        for one in list(self._account.positions.values()):
            self._force(one, reason, why)

    # ------------------------------------------------------------ limits

    def keep(self) -> None:
        """Close what the account's limits do not allow any longer."""
        risk, account = self._risk, self._account
        if account.unvalued:
            return
        if not account.positions:
            if not any(True for _ in self._broker.working()):
                return
            self.begin_day()  # what is under way would open a position after the day's loss
        self._settle()
        if risk.is_margin_called():
            reason = f"equity is below {self._paper.close_out_pct:g} % of the margin"
            self._broker.cancel(None, reason)  # it would open what is being closed
            self.flatten(reason, "margin")
        elif risk.stopped_ns != risk.day_ns and risk.is_day_lost():
            risk.stopped_ns = risk.day_ns
            self._broker.cancel(None, "the day's loss has reached its limit")
            self.flatten(f"the day has lost {risk.limits.daily_loss_pct:g} %", "daily-loss")

    def watch(self) -> None:
        """Say which quotes concern the broker, or the account's limits; after anything that may have moved them.

        No limit can be reached before a price, or a rate that converts it, has moved by `RiskManager.share`. One share
        is taken from the prices of one moment for all that is open: levels that were set one at a time, each when its
        own instrument was last looked at, let several small losses add up to more than the limit before anybody looked.
        """
        account, unvalued = self._account, self._account.unvalued
        missing = unvalued or account.unbooked
        marks = {} if unvalued else account.marks()
        share = self._risk.share() if marks else 0.0
        for market in self._times.markets.values():
            low_bid, high_bid, low_ask, high_ask, due = self._broker.levels(market)
            if missing and not market.seq:
                due = 0  # its first quote may be what is missing
            if market.symbol in marks:
                bid, ask = marks[market.symbol]
                low_bid, high_bid = max(low_bid, bid * (1.0 - share)), min(high_bid, bid * (1.0 + share))
                low_ask, high_ask = max(low_ask, ask * (1.0 - share)), min(high_ask, ask * (1.0 + share))
            market.levels = low_bid, high_bid, low_ask, high_ask, due

    # ------------------------------------------------------------ days

    def begin_day(self) -> None:
        """Begin the trading day, unless it has begun; with nothing open, when one looks makes no difference."""
        now = self._times.now
        if (
            now and not self._risk.day_ns <= now < self._risk.day_end_ns
        ):  # a clock of events has no time before the first
            self._risk.begin_day(now)

    def _carry(self, roll: int, until: int) -> None:
        """Carry what is open over each end of a day up to a time, and be back at the next."""
        day = 0
        for end in _ends(roll, until):
            for one in self._account.positions.values():
                if one.opened_ns < end:
                    one.owed_ns.append(end)
            day, roll = end, interval_of("1d", end)[1]
        self._settle(day)
        self._next_roll = roll
        self._times.schedule(roll, self._roll)

    def _roll(self) -> None:
        """End a trading day; after a jump of the clock, several."""
        roll, now = self._next_roll, self._times.now
        if not self._account.positions:
            self._next_roll = 0
        elif self._moved:  # what this was scheduled for is no end of a day any longer
            self._carry(interval_of("1d", now)[1], now)
        else:
            self._carry(roll, max(roll, now))
        self._moved = False
        self.watch()

    def renew(self) -> None:
        """Hear that the clock goes by another time line from here on."""
        self._moved = self._next_roll > 0

    def _settle(self, day: int = 0) -> None:
        """Book the swaps that are due, each once there is a rate, and take down what the day began with, once known.

        Args:
            day: an instant of the day that begins with it; 0 begins none.
        """
        account, charged = self._account, False
        booked = [
            one
            for one in account.positions.values()
            if one.owed_ns and not account.unknown(one.symbol) and not account.unconverted(one.symbol)
        ]
        for one in booked:
            charged |= self._books.swap(one)
        if day:
            self._risk.begin_day(day)
        self._risk.take_equity()
        if booked or (day and not account.owed_ns):
            # After the day has begun: a new run carries on from the day that the record holds.
            self._books.state("swap" if charged else "day")

    def settle(self) -> None:
        """Book what is owed and can be, before a quote closes what owes it."""
        if self._account.owed_ns is not None:
            self._settle()

    # ------------------------------------------------------------ for those who come after

    def _expect_show(self) -> None:
        self._showing = True
        now = max(self._times.now, self._risk.day_ns)  # not each minute since 1970, where there is no time yet
        self._times.schedule((now // _MINUTE + 1) * _MINUTE, self._show)

    def _show(self) -> None:
        """Write the account once a minute while something is open and moves.

        Reports draw the equity by it, and a new run values by its marks.
        """
        self._showing = False
        if self._account.positions:
            marks = self._account.marks()
            if marks != self._shown:
                self._shown = marks
                self._books.state("minute")
            self._expect_show()

    def end(self) -> None:
        """Write the account as it is left, when something is open."""
        if self._account.positions:
            self._books.state("end")


def _ends(roll: int, until: int) -> Iterator[int]:
    """Go through the ends of days from one on, up to a time."""
    while roll <= until:
        yield roll
        roll = interval_of("1d", roll)[1]
