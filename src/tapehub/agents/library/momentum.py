"""A momentum analyst: EMA ribbon, session VWAP and Donchian channel over final 1-minute candles.

Three numbers from -1 (down) to 1 (up), and their weighted sum, the score:

- ribbon: of the neighbours in the ribbon, the share whose faster average is above, less the share where it is below;
- vwap: the close's distance from the session's VWAP, `vwap_pips` counting as 1;
- channel: where the close is between low (-1) and high (1) of the candles *before* it: a break-out is 1.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tapehub.agents.agent import Agent
from tapehub.agents.feeding import fed_by
from tapehub.agents.gauges import Gauges
from tapehub.errors import MissingExtra
from tapehub.model.calendars import interval_of

try:
    from pydantic import Field
    from talipp.indicators import EMA, DonchianChannels
except ImportError as error:
    raise MissingExtra(error.name or "talipp", "agents", "the momentum analyst") from error

if TYPE_CHECKING:
    from tapehub._native import Candle
    from tapehub.agents.context import Context

__all__ = ["Momentum", "SessionVwap"]


class SessionVwap:
    """Average the typical price by volume since the session began, at 17:00 New York; one candle at a time.

    Attributes:
        value: None before anything was traded in the session.
    """

    __slots__ = ("_amount", "_end", "_origin", "_weighted", "value")

    def __init__(self) -> None:
        self.value: float | None = None
        self._end = 0
        self._origin = self._amount = self._weighted = 0.0

    def add(self, candle: Candle) -> None:
        """Take in a candle."""
        typical = (candle.high + candle.low + candle.close) / 3
        if candle.ts_event >= self._end:
            self._end = interval_of("1d", candle.ts_event)[1]
            self._origin, self._amount, self._weighted, self.value = typical, 0.0, 0.0, None
        # Deviations from the first price are summed: sums of whole prices would lose digits of a long session.
        self._amount += candle.volume
        self._weighted += (typical - self._origin) * candle.volume
        if self._amount > 0:
            self.value = self._origin + self._weighted / self._amount


class _Measures:
    """Keep the indicators of one instrument."""

    def __init__(self, ribbon: tuple[int, ...], channel: int) -> None:
        self.averages = [EMA(period) for period in ribbon]
        self.channel = DonchianChannels(channel)
        self.vwap = SessionVwap()
        self.before: Any = None
        self._feeds = [fed_by(one, None) for one in (*self.averages, self.channel)]

    def add(self, candle: Candle) -> None:
        self.before = self.channel[-1] if len(self.channel) else None
        for feed in self._feeds:
            feed(candle)
        self.vwap.add(candle)


class Momentum(Agent):
    """Say each minute where prices are going, where the score is beyond the threshold; once, when it no longer is."""

    name = "momentum"
    symbols = ("EUR_USD", "GBP_USD", "USD_JPY")
    timeframes = ("1m",)
    warmup = 300

    class Parameters(Agent.Parameters):
        """Take periods in candles; the weights are of ribbon, vwap and channel.

        Attributes:
            threshold: a score below it, either way, is no opinion.
        """

        ribbon: tuple[int, ...] = Field(default=(8, 13, 21, 34, 55), min_length=2)
        channel: int = Field(default=20, ge=2)
        vwap_pips: float = Field(default=5.0, gt=0)
        weights: tuple[float, float, float] = (0.5, 0.2, 0.3)
        threshold: float = Field(default=0.5, gt=0, le=1)
        ttl_s: float = Field(default=90.0, gt=0)

    def on_start(self, ctx: Context) -> None:
        """Take in the candles there are."""
        values = self.parameters
        self._gauges: dict[str, Gauges[_Measures]] = {}
        self._said: dict[str, str] = {}
        for symbol in ctx.symbols(self.symbols):
            self._gauges[symbol] = Gauges(lambda: _Measures(values.ribbon, values.channel), self.warmup)
            self._gauges[symbol].begin(ctx, symbol)

    def on_candle(self, ctx: Context, candle: Candle) -> None:
        """Measure, and say what follows."""
        gauges, values = self._gauges[candle.symbol].take(ctx, candle), self.parameters
        measured = _measured(gauges, candle, ctx.pip(candle.symbol) * values.vwap_pips)
        if measured is None:
            return
        score = sum(weight * value for weight, value in zip(values.weights, measured, strict=True)) / sum(
            values.weights
        )
        score = round(score, 4)
        side = "buy" if score >= values.threshold else "sell" if score <= -values.threshold else "flat"
        if side == "flat" and self._said.get(candle.symbol, "flat") == "flat":
            return
        self._said[candle.symbol] = side
        ribbon, vwap, channel = (round(value, 4) for value in measured)
        way = {"buy": "up", "sell": "down", "flat": "no way"}[side]
        ctx.opinion(
            candle.symbol, side, min(1.0, abs(score)) if side != "flat" else 0.0,
            f"momentum points {way}: ribbon {ribbon:+.2f}, vwap {vwap:+.2f}, channel {channel:+.2f}",
            values.ttl_s,
            score=score, ribbon=ribbon, vwap=vwap, channel=channel, close=candle.close,
            emas=[round(one[-1], 6) for one in gauges.averages], vwap_price=round(gauges.vwap.value or 0.0, 6),
            channel_low=gauges.before.lb, channel_high=gauges.before.ub,
        )  # fmt: skip


def _measured(gauges: _Measures, candle: Candle, full: float) -> tuple[float, float, float] | None:
    """Give ribbon, vwap and channel; None while there are too few candles.

    Args:
        full: distance from the VWAP that counts as 1, in price units.
    """
    averages: list[Any] = [one[-1] if len(one) else None for one in gauges.averages]
    if gauges.before is None or None in averages or gauges.vwap.value is None:
        return None
    steps = [(fast > slow) - (fast < slow) for fast, slow in pairwise(averages)]
    low, high = gauges.before.lb, gauges.before.ub
    place = 2 * (candle.close - low) / (high - low) - 1 if high > low else 0.0
    return sum(steps) / len(steps), _clipped((candle.close - gauges.vwap.value) / full), _clipped(place)


def _clipped(value: float) -> float:
    return max(-1.0, min(1.0, value))
