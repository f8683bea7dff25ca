"""From IG's raw quotes to market units: which divisor, and when not to trust any.

IG quotes some markets naturally (1.15402), others in points (11540.2); REST and the stream need not agree, and
`scalingFactor` is the same 10000 in either case. So the factor of the metadata is only a candidate beside 1: the raw
magnitude has to choose between them, against the plausible range of the instrument, and the chosen price has to agree
with the REST snapshot read the same way. Where they disagree, nothing is published.

Source: captured replies (EUR/USD CFD: 1.15402 with scalingFactor 10000); trading-ig issue 194 (silver, by 100).
"""

from __future__ import annotations

import math

from tapehub.feeds.ig.markets import Market
from tapehub.model.instruments import Instrument

__all__ = ["Scaler", "WrongScale"]

_APART = 1.6
"""How far a stream's price may be from the snapshot's: markets do not move by that, and factors are 10 and more."""


class WrongScale(Exception):
    """Say why a raw price cannot be read. Internal to this folder: the feed turns it into a Status."""


class Scaler:
    """Find the divisor of one market's stream. One owner.

    Attributes:
        divisor: of the stream, 0.0 until a price has decided.
        low, high: prices in market units beyond which the magnitude has changed.
        suffix: what to append to a price's text so that reading it divides ("e-4"); None when no power of ten.
    """

    def __init__(self, market: Market, instrument: Instrument) -> None:
        self._market = market
        self._instrument = instrument
        self.divisor = 0.0
        self.low = self.high = 0.0
        self.suffix: str | None = None
        self.reference = 0.0  # a price in market units that is known to be right; 0.0 when there is none
        if market.mid is not None:
            self.reference = market.mid / self._choose(market.mid, "REST snapshot")

    def forget(self) -> None:
        """Decide anew at the next price: another session may quote in another way."""
        self.divisor, self.suffix = 0.0, None

    def settle(self, raw: float) -> float:
        """Give the divisor, deciding it by the stream's first price.

        Args:
            raw: a middle as the stream gives it.

        Raises:
            WrongScale: no divisor makes this a price that fits the instrument and the snapshot.
        """
        if self.divisor:
            return self.divisor
        if not (math.isfinite(raw) and raw > 0):
            raise WrongScale(f"raw price {raw} cannot be scaled")
        divisor = self._choose(raw, "stream")
        price = raw / divisor
        if self.reference and not 1 / _APART < price / self.reference < _APART:
            raise WrongScale(
                f"{self._market.epic}: the stream's {raw:g} reads as {price:g}, the REST snapshot as "
                f"{self.reference:g}: expected the same magnitude; not published until they agree"
            )
        self.divisor, self.suffix = divisor, _suffix_of(divisor)
        self.reference = price
        self.low, self.high = price / _APART, price * _APART
        return divisor

    def price(self, text: str) -> float:
        """Read a price; exact to the last digit where the divisor is a power of ten.

        Raises:
            ValueError: it is no number.
        """
        return float(text + self.suffix) if self.suffix is not None else float(text) / self.divisor

    def _choose(self, raw: float, where: str) -> float:
        candidates = sorted({1.0, self._market.scaling_factor})
        if self.reference:
            fitting = [one for one in candidates if 1 / _APART < raw / one / self.reference < _APART]
            if fitting:
                return fitting[0]
        low, high = self._instrument.price_low, self._instrument.price_high
        if high > 0:
            fitting = [one for one in candidates if low <= raw / one <= high]
            if len(fitting) == 1:
                return fitting[0]
            if not fitting:
                read = " or ".join(f"{raw / one:g}" for one in candidates)
                raise WrongScale(
                    f"{self._market.epic}: the {where} says {raw:g}, which reads as {read} (scalingFactor "
                    f"{self._market.scaling_factor:g}): expected a price of {self._instrument.symbol} between {low:g} "
                    f"and {high:g}; check the epic, or set price_low and price_high in [instruments]"
                )
        return self._by_decimals(candidates, where)

    def _by_decimals(self, candidates: list[float], where: str) -> float:
        """Decide by the finest step that is quoted: coarser than a pip means points."""
        if len(candidates) == 1:
            return 1.0
        pip = self._market.pip or self._instrument.pip_size
        if self._market.decimals is None or not pip:
            raise WrongScale(
                f"{self._market.epic}: nothing says whether the {where} quotes in points (scalingFactor "
                f"{self._market.scaling_factor:g}, no onePipMeans, no plausible range): set pip_size, price_low and "
                f"price_high of {self._instrument.symbol} in [instruments]"
            )
        return self._market.scaling_factor if 10.0**-self._market.decimals > pip * 1.001 else 1.0


def _suffix_of(divisor: float) -> str | None:
    """Write a division by a power of ten as an exponent.

    11514.9e-4 is the double nearest to 1.15149; a quotient may be its neighbour.
    """
    power = round(math.log10(divisor))
    if divisor != 10.0**power:
        return None
    return f"e-{power}" if power else ""
