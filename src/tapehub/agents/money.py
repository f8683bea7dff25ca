"""Money: exact where it is booked, and converted at rates that are quoted.

What is booked is worked out in decimal arithmetic from the shortest text of prices, so 1.1002 - 1.1 is 0.0002, and
rounded half-even to the currency's smallest unit. What a position is worth meanwhile is judged in float64.

An amount is converted at the side of the quote that a customer gets: what was won in a currency is sold at its bid,
    what was lost is
bought at its ask. Where no pair quotes the two currencies, two pairs that share a third do. What is booked is converted
by quotes that this run has heard; what is judged, by those an earlier run has left (`Market.recall`), until there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from tapehub.agents.market import Market

__all__ = ["Rates", "booked", "exact"]

_DIGITS: Mapping[str, int] = {"JPY": 0, "KRW": 0, "CLP": 0, "ISK": 0, "HUF": 0, "IDR": 0, "BTC": 8, "ETH": 8}
_ONE = Decimal(1)
_Way: TypeAlias = "tuple[tuple[Market, bool], ...]"
"""Whose quotes convert, one after the other, and whether from quote to base."""


def exact(value: float) -> Decimal:
    """Give a price or a size as the decimal number that it is written as."""
    return Decimal(repr(float(value)))


def booked(amount: Decimal, currency: str) -> Decimal:
    """Round to the smallest unit of a currency, half-even."""
    return amount.quantize(_ONE.scaleb(-_DIGITS.get(currency, 2)), ROUND_HALF_EVEN) + 0  # no minus zero


class Rates:
    """Convert between currencies by the last quotes of the markets that are watched."""

    def __init__(self, markets: Mapping[str, Market]) -> None:
        self._pairs = {
            (one.instrument.base, one.instrument.quote): one
            for one in markets.values()
            if one.instrument.base and one.instrument.quote
        }
        self._known: dict[tuple[str, str, bool], _Way] = {}

    def convert(self, amount: Decimal, source: str, target: str) -> Decimal | None:
        """Give an amount in another currency, at the customer's side of each quote; None when this run has no rate."""
        way = self._way(source, target, heard=True)
        if way is None:
            return None
        for market, inverse in way:
            bid, ask = exact(market.bid), exact(market.ask)
            if inverse:  # sold for the base: paid at the ask
                amount /= ask if amount >= 0 else bid
                continue
            amount *= bid if amount >= 0 else ask
        return amount

    def tells(self, source: str, target: str) -> bool:
        """Tell whether quotes of this run convert."""
        return self._way(source, target, heard=True) is not None

    def mid(self, source: str, target: str) -> float | None:
        """Give the rate in the middle, for what is judged; None when no quote tells."""
        way = self._best(source, target)
        if way is None:
            return None
        rate = 1.0
        for market, inverse in way:
            middle = (market.bid + market.ask) * 0.5
            rate = rate / middle if inverse else rate * middle
        return rate

    def _best(self, source: str, target: str) -> _Way | None:
        """Find a way by quotes of this run, else by any."""
        way = self._way(source, target, heard=True)
        return self._way(source, target, heard=False) if way is None else way

    def _way(self, source: str, target: str, *, heard: bool) -> _Way | None:
        way = self._known.get((source, target, heard))
        if way is None:
            way = self._find(source, target, heard)
            if way is None:
                return None
            if len(way) < 2 or not self._is_paired(source, target):  # else the direct pair may be quoted yet
                self._known[source, target, heard] = way
        for market, _ in way:
            market.sync()
        return way

    def _find(self, source: str, target: str, heard: bool) -> _Way | None:
        if source == target:
            return ()
        direct = self._step(source, target, heard)
        if direct is not None:
            return (direct,)
        for middle in self._currencies(source):
            first, second = self._step(source, middle, heard), self._step(middle, target, heard)
            if first is not None and second is not None:
                return (first, second)
        return None

    def _step(self, source: str, target: str, heard: bool) -> tuple[Market, bool] | None:
        for pair, inverse in (((source, target), False), ((target, source), True)):
            market = self._pairs.get(pair)
            if market is not None and market.sync().bid > 0 and (market.seq or not heard):
                return market, inverse
        return None

    def _is_paired(self, source: str, target: str) -> bool:
        return (source, target) in self._pairs or (target, source) in self._pairs

    def _currencies(self, source: str) -> Iterator[str]:
        """List the currencies that share a pair with one, the dollar first."""
        found = {base if quote == source else quote for base, quote in self._pairs if source in (base, quote)}
        yield from sorted(found, key=lambda name: (name != "USD", name != "EUR", name))

    def markets(self, source: str, target: str) -> list[Market] | None:
        """List whose quotes a conversion takes, none of them between equal currencies; None when no quote tells."""
        way = self._best(source, target)
        return None if way is None else [market for market, _ in way]
