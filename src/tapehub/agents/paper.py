"""The paper broker: fills on the quotes of the log, never better than the quote.

- An order may be filled on the first tick of its instrument at or after its latency, in log time: bought at the ask,
  sold at the bid, worse by the slippage. Where the tick has a size, no more than that is filled, and the rest on
  later ticks. What is not filled in `good_for_s` is cancelled.
- A stop is a market order at the first tick whose bid (of a sold position: ask) is at or beyond it, so a gap fills at
  the worse price. Once reached it works on until the position is closed, wherever the price goes; orders of the same
  position give way to it. A target is a limit order: filled at its own price, also when the market has jumped over
  it, on each tick that is there. Both are looked at from the tick after the fill on.
- What a quote has of size is shared by all that is filled on it: stops and targets first, then orders, oldest first.
  Of less than what is wanted, whole steps of the instrument are filled; what is left of a position may be less than a
  step, and is closed as a whole. What has to be closed (a stop that was reached, an order that closes) starves on no
  quote: where one gives less than a step, a step is filled all the same.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

from tapehub.agents.broker import Cleared, Execution, Reports
from tapehub.agents.money import exact
from tapehub.agents.settings import RiskLimits

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapehub.agents.account import Open
    from tapehub.agents.market import Market
    from tapehub.agents.settings import PaperSettings

__all__ = ["PaperBroker"]

_EVER = (1 << 63) - 1


class Times(Protocol):
    """Tell the log's time, and call back at one."""

    now: int

    def schedule(self, due: int, call: Callable[[], None]) -> None: ...


class _Working:
    """Hold an order that is not filled."""

    __slots__ = ("cleared", "due", "expires", "left")

    def __init__(self, cleared: Cleared, due: int, expires: int) -> None:
        self.cleared, self.due, self.expires = cleared, due, expires
        self.left = cleared.units


class _Sizes:
    """Hold what a quote has left to give: a number for each side, or None where it says nothing.

    Args:
        step: of sizes of the instrument.
    """

    __slots__ = ("_left", "_step", "_whole")

    def __init__(self, market: Market, settings: PaperSettings, step: float) -> None:
        bid, ask = market.sizes() if settings.depth else (0.0, 0.0)
        self._left = {-1: _depth(bid, settings.depth_unit), 1: _depth(ask, settings.depth_unit)}
        self._whole = dict(self._left)
        self._step = exact(step)

    def take(self, sign: int, units: Decimal, *, must: bool = False) -> Decimal:
        """Take up to so many units to buy (1) or to sell (-1).

        Args:
            must: take a step at least, unless others have had of the same quote already.
        """
        left = self._left[sign]
        if left is None:
            return units
        taken = units if units <= left else left // self._step * self._step
        if must and not taken and left == self._whole[sign]:
            taken = min(units, self._step)
        self._left[sign] = max(left - taken, Decimal(0))
        return taken


class PaperBroker:
    """Execute on paper. One thread.

    Args:
        rng: of the random part of slippage.
        step: gives what sizes of an instrument are whole multiples of; default is what is usual.
    """

    def __init__(
        self,
        settings: PaperSettings,
        times: Times,
        reports: Reports,
        rng: random.Random,
        step: Callable[[str], float] | None = None,
    ) -> None:
        self._settings = settings
        self._step = step or RiskLimits().step
        self._times = times
        self._reports = reports
        self._rng = rng
        self._working: dict[str, list[_Working]] = {}
        self._guarded: dict[str, dict[str, Open]] = {}
        self._stopped: set[str] = set()  # positions whose stop was reached, and that are not closed yet

    def submit(self, cleared: Cleared) -> None:
        """Take an order."""
        if not isinstance(cleared, Cleared):
            raise TypeError(f"a broker takes cleared orders, not {type(cleared).__name__}")
        if cleared.position:  # nothing is added any longer to what is being closed
            held = self._guarded[cleared.symbol][cleared.position]
            self._drop(
                cleared.symbol, lambda one: one.cleared.order == held.order, "cancelled", "its position is closed"
            )
        due = self._times.now + round(self._settings.latency_ms * 1e6)
        expires = due + round(self._settings.good_for_s * 1e9) if cleared.expires else _EVER
        self._working.setdefault(cleared.symbol, []).append(_Working(cleared, due, expires))
        if cleared.expires:
            self._times.schedule(expires, lambda: self._expire(cleared.symbol))

    def cancel(self, symbol: str | None, reason: str) -> None:
        """Give up orders that would open positions."""
        for name in list(self._working) if symbol is None else [symbol]:
            self._drop(name, lambda one: not one.cleared.position, "cancelled", reason)

    def end(self, reason: str) -> None:
        """Give up all that is under way."""
        for name in list(self._working):
            self._drop(name, lambda one: True, "cancelled", reason)

    def guard(self, position: Open) -> None:
        """Keep stop and target of a position, or forget one that is closed."""
        held = self._guarded.setdefault(position.symbol, {})
        if position.units:
            held[position.id] = position
            if position.stopped:  # in an earlier run, maybe
                self._stopped.add(position.id)
        else:
            held.pop(position.id, None)
            self._stopped.discard(position.id)
            self._drop_of(position, "the position is closed already")

    def working(self) -> Iterable[Cleared]:
        """List what is under way."""
        return [one.cleared for rows in self._working.values() for one in rows]

    def move(self, by_ns: int) -> None:
        """Let what is under way be due in the same while of another time line."""
        for row in (one for rows in self._working.values() for one in rows):
            row.due += by_ns
            row.expires += by_ns if row.cleared.expires else 0

    def levels(self, market: Market) -> tuple[float, float, float, float, int]:
        """Say which quote is the next to be shown."""
        low_bid, high_bid, low_ask, high_ask = -math.inf, math.inf, -math.inf, math.inf
        for one in self._guarded.get(market.symbol, {}).values():
            if one.id in self._stopped:
                return low_bid, high_bid, low_ask, high_ask, 0  # each quote until it is closed
            if one.sign > 0:
                low_bid = max(low_bid, -math.inf if one.stop is None else one.stop)
                high_bid = min(high_bid, math.inf if one.target is None else one.target)
            else:
                high_ask = min(high_ask, math.inf if one.stop is None else one.stop)
                low_ask = max(low_ask, -math.inf if one.target is None else one.target)
        due = min((one.due for one in self._working.get(market.symbol, ())), default=_EVER)
        return low_bid, high_bid, low_ask, high_ask, due

    def on_quote(self, market: Market) -> None:
        """Fill what this quote fills: stops and targets first, then orders."""
        if not self._guarded.get(market.symbol) and not self._working.get(market.symbol):
            return
        sizes = _Sizes(market, self._settings, self._step(market.symbol))
        for one in list(self._guarded.get(market.symbol, {}).values()):
            self._look(one, market, sizes)
        self._expire(market.symbol)
        for row in list(self._working.get(market.symbol, ())):
            if self._times.now >= row.due and row in self._working[market.symbol]:
                self._fill(row, market, sizes)

    # ------------------------------------------------------------ one of them

    def _look(self, one: Open, market: Market, sizes: _Sizes) -> None:
        """Fill a stop or a target that the quote has reached, as far as there is size."""
        out = market.bid if one.sign > 0 else market.ask
        if one.stop is not None and (out - one.stop) * one.sign <= 0 and one.id not in self._stopped:
            self._stopped.add(one.id)
            self._drop_of(one, "the stop of its position was reached")
            self._reports.stopping(one)
        if one.id in self._stopped:
            units, why = sizes.take(-one.sign, one.units, must=True), "stop"
            price, slip = self._slipped(out, -one.sign, market) if units else (out, 0.0)
        elif one.target is not None and (out - one.target) * one.sign >= 0:
            units, why = sizes.take(-one.sign, one.units), "target"
            price, slip = one.target, 0.0
        else:
            return
        if units:
            left = one.units - units
            self._reports.filled(Execution(one.order, one.id, one.symbol, -one.sign, units, price, slip, left, why))

    def _fill(self, row: _Working, market: Market, sizes: _Sizes) -> None:
        cleared = row.cleared
        if cleared.position:  # its target may have taken a part meanwhile
            row.left = min(row.left, self._guarded[cleared.symbol][cleared.position].units)
        units = sizes.take(cleared.sign, row.left, must=bool(cleared.position))
        if not units:
            return
        row.left -= units
        if not row.left:
            self._working[cleared.symbol].remove(row)
        price, slip = self._slipped(market.ask if cleared.sign > 0 else market.bid, cleared.sign, market)
        self._reports.filled(
            Execution(
                cleared.order, cleared.position, cleared.symbol, cleared.sign, units, price, slip, row.left, cleared.why
            )
        )

    def _slipped(self, price: float, sign: int, market: Market) -> tuple[float, float]:
        """Worsen a price; the slippage is rounded to a hundredth of a pip."""
        slip = self._settings.slippage_pips
        if self._settings.slippage_random_pips:
            slip += self._rng.random() * self._settings.slippage_random_pips
        slip = round(slip, 2)
        if not slip:
            return price, 0.0
        return float(exact(price) + exact(slip) * exact(market.pip) * sign), slip

    def _expire(self, symbol: str) -> None:
        now = self._times.now
        seconds = self._settings.good_for_s
        for row in [one for one in self._working.get(symbol, ()) if now >= one.expires]:
            self._working[symbol].remove(row)
            part = "" if row.left == row.cleared.units else f"{row.left} of {row.cleared.units} units: "
            self._reports.ended(row.cleared.order, "expired", f"{part}not filled in {seconds:g} s: no tick, or no size")

    def _drop_of(self, position: Open, reason: str) -> None:
        """Give up what would close a position, and what is left of the order that opened it."""
        identity, order = position.id, position.order
        self._drop(
            position.symbol,
            lambda one: identity == one.cleared.position or order == one.cleared.order,
            "cancelled",
            reason,
        )

    def _drop(self, symbol: str, which: Callable[[_Working], bool], status: str, reason: str) -> None:
        rows = self._working.get(symbol, [])
        dropped = [one for one in rows if which(one)]
        self._working[symbol] = [one for one in rows if one not in dropped]
        for one in dropped:
            self._reports.ended(one.cleared.order, status, reason)


def _depth(size: float, unit: float) -> Decimal | None:
    """Give the units a quoted size stands for; None where none is quoted."""
    return None if size <= 0 else exact(size) * exact(unit)
