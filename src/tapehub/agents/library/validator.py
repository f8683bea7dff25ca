"""The validator: merges the analysts' opinions into a setup, or rejects it with the first rule that it breaks.

========== =====================================================================================
rule       broken when
========== =====================================================================================
data       the data-age gate would refuse an order now: its word and reason
age        an analyst's last opinion is older than its ``ttl_s``, or there has been none
conflict   an analyst says the opposite with at least ``conflict_min``
agreement  fewer than ``agree_min`` analysts say it; one that abstains is not asked for
confidence the mean confidence of those who say it is below ``confidence_min``; of one alone, below
           ``confidence_alone``
spread     it is above ``spread_max_pips`` of its instrument, or above ``spread_max_atr`` of the ATR
volatility the ATR of 14 minutes is outside ``atr_min_pips`` to ``atr_max_pips`` of its instrument, or not known yet
standing   a setup of the same instrument still stands
========== =====================================================================================

A setup is a signal; a rejection is an opinion ``flat`` that answers (``of``) the one that was heard, with the rule in
its data. Both list the opinions they were made of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from tapehub.agents.agent import Agent
from tapehub.agents.feeding import fed_by
from tapehub.agents.gauges import Gauges
from tapehub.agents.scales import SPREAD_MAX_PIPS, pips_of
from tapehub.agents.settings import BySymbol, over
from tapehub.errors import MissingExtra

try:
    from pydantic import Field
    from talipp.indicators import ATR
except ImportError as error:
    raise MissingExtra(error.name or "talipp", "agents", "the validator") from error

if TYPE_CHECKING:
    from tapehub._native import Candle
    from tapehub.agents.context import Context
    from tapehub.agents.records import Opinion

__all__ = ["Validator"]

_SECOND = 1_000_000_000
_ATR_PERIOD = 14
_TABLE: Any = Field(default_factory=dict, validate_default=True)


class _Heard(NamedTuple):
    """An opinion, and the log time at which it was heard."""

    opinion: Opinion
    at: int

    @property
    def abstains(self) -> bool:
        return bool(self.opinion.data.get("abstains"))


class _Range:
    """Keep the average true range."""

    def __init__(self) -> None:
        self.atr = ATR(_ATR_PERIOD)
        self._feed = fed_by(self.atr, None)

    def add(self, candle: Candle) -> None:
        self._feed(candle)


class Validator(Agent):
    """Listen to analysts, propose what they agree on."""

    name = "validator"
    symbols = ("EUR_USD", "GBP_USD", "USD_JPY")
    timeframes = ("1m",)
    warmup = 60

    class Parameters(Agent.Parameters):
        """Take the limits of the rules, and how stop and target follow from the ATR.

        Attributes:
            analysts: whose opinions count, by the names they run under.
            spread_max_pips, atr_min_pips, atr_max_pips, stop_min_pips: of currency pairs. Each has a table for single
                symbols, such as ``spread_max_pips_of``, which knows metals, indices, commodities and coins by what is
                usual of their spreads (`scales`); what is told there goes before that.
            stop_atr: the stop's distance in ATR, at least ``stop_min_pips``.
            reward: the target's distance in stops.
            ttl_s: how long a setup stands.
        """

        analysts: tuple[str, ...] = Field(default=("momentum", "order_flow"), min_length=1)
        agree_min: int = Field(default=2, ge=1)
        conflict_min: float = Field(default=0.3, ge=0, le=1)
        confidence_min: float = Field(default=0.5, ge=0, le=1)
        confidence_alone: float = Field(default=0.75, ge=0, le=1)
        spread_max_pips: float = Field(default=1.2, gt=0)
        spread_max_atr: float = Field(default=0.75, gt=0)
        atr_min_pips: float = Field(default=0.8, ge=0)
        atr_max_pips: float = Field(default=12.0, gt=0)
        stop_atr: float = Field(default=2.0, gt=0)
        stop_min_pips: float = Field(default=4.0, gt=0)
        spread_max_pips_of: Annotated[BySymbol, over(SPREAD_MAX_PIPS)] = _TABLE
        atr_min_pips_of: Annotated[BySymbol, over(pips_of(0.8))] = _TABLE
        atr_max_pips_of: Annotated[BySymbol, over(pips_of(12.0))] = _TABLE
        stop_min_pips_of: Annotated[BySymbol, over(pips_of(4.0))] = _TABLE
        reward: float = Field(default=1.5, gt=0)
        ttl_s: float = Field(default=30.0, gt=0)

        def pips(self, name: str, symbol: str) -> float:
            """Give a limit in pips for an instrument."""
            told: float = getattr(self, f"{name}_of").get(symbol, getattr(self, name))
            return told

    def on_start(self, ctx: Context) -> None:
        """Take in the candles there are."""
        self._heard: dict[tuple[str, str], _Heard] = {}
        self._standing: dict[str, tuple[str, int]] = {}
        self._ranges: dict[str, Gauges[_Range]] = {}
        for symbol in ctx.symbols(self.symbols):
            self._ranges[symbol] = Gauges(_Range, self.warmup)
            self._ranges[symbol].begin(ctx, symbol)

    def on_candle(self, ctx: Context, candle: Candle) -> None:
        """Keep the ATR."""
        self._ranges[candle.symbol].take(ctx, candle)

    def on_opinion(self, ctx: Context, opinion: Opinion) -> None:
        """Take in an opinion; one that points somewhere is answered."""
        if opinion.agent not in self.parameters.analysts or opinion.symbol not in self._ranges:
            return
        self._heard[opinion.symbol, opinion.agent] = _Heard(opinion, ctx.now)
        if opinion.side == "flat":
            return
        told = self._told(ctx, opinion)
        broken = self._broken(ctx, opinion, told)
        if broken is None:
            self._propose(ctx, opinion, told)
            return
        rule, why = broken
        ctx.opinion(
            opinion.symbol, "flat", 0.0, f"rejects {opinion.side}: {rule}: {why}", self.parameters.ttl_s,
            of=opinion.id, rule=rule, proposed=opinion.side, **told,
        )  # fmt: skip

    def _told(self, ctx: Context, opinion: Opinion) -> dict[str, Any]:
        """Gather what the decision stands on."""
        symbol = opinion.symbol
        rows = [
            one for name in self.parameters.analysts if (one := self._heard.get((symbol, name))) and _is_young(ctx, one)
        ]
        agreed = [one.opinion.confidence for one in rows if one.opinion.side == opinion.side]
        atr, verdict = self._ranges[symbol].value.atr, ctx.fresh(symbol)
        known = len(atr) and atr[-1] is not None
        return {
            "opinions": [one.opinion.id for one in rows],
            "said": {
                one.opinion.agent: "abstains" if one.abstains else f"{one.opinion.side} {one.opinion.confidence:g}"
                for one in rows
            },
            "agree": len(agreed),
            "mean": round(sum(agreed) / len(agreed), 4),
            "spread_pips": verdict.spread_pips,
            "atr_pips": round(atr[-1] / ctx.pip(symbol), 2) if known else None,
        }

    def _broken(self, ctx: Context, opinion: Opinion, told: dict[str, Any]) -> tuple[str, str] | None:
        """Give the first rule that is broken, and how; None when all hold."""
        values, symbol = self.parameters, opinion.symbol
        if not (verdict := ctx.fresh(symbol)).ok:
            return "data", f"{verdict.code}: {verdict.reason}"
        asked = len(values.analysts)
        for name in values.analysts:
            one = self._heard.get((symbol, name))
            if one is None:
                return "age", f"{name} has said nothing of {symbol}, expected an opinion, or that it abstains"
            if not _is_young(ctx, one):
                age_s = (ctx.now - one.at) / _SECOND
                return "age", f"{name} spoke {age_s:.1f} s ago, expected at most {one.opinion.ttl_s:g} s"
            if one.opinion.side not in (opinion.side, "flat") and one.opinion.confidence >= values.conflict_min:
                return "conflict", f"{name} says {one.opinion.side} with {one.opinion.confidence:g}"
            asked -= one.abstains
        agree, confidence = told["agree"], told["mean"]
        if agree < (needed := min(values.agree_min, asked)):
            return "agreement", f"{agree} of {asked} say {opinion.side}, expected {needed}"
        least = values.confidence_alone if agree == 1 and len(values.analysts) > 1 else values.confidence_min
        if confidence < least:
            alone = " of one alone" if least == values.confidence_alone and agree == 1 else ""
            return "confidence", f"{confidence:g}, expected {least:g} or more{alone}"
        return self._against_market(ctx, symbol, told["spread_pips"], told["atr_pips"])

    def _against_market(self, ctx: Context, symbol: str, spread: float, atr: float | None) -> tuple[str, str] | None:
        values = self.parameters
        if spread > (widest := values.pips("spread_max_pips", symbol)):
            return "spread", f"{spread:g} pips, expected at most {widest:g}"
        if atr is None:
            return "volatility", f"fewer than {_ATR_PERIOD} candles, expected an ATR"
        least, most = values.pips("atr_min_pips", symbol), values.pips("atr_max_pips", symbol)
        if not least <= atr <= most:
            return "volatility", f"ATR {atr:g} pips, expected {least:g} to {most:g}"
        if spread > values.spread_max_atr * atr:
            return "spread", f"{spread:g} pips, expected at most {values.spread_max_atr:g} of the ATR, {atr:g} pips"
        standing, until = self._standing.get(symbol, ("", 0))
        if ctx.now < until:
            return "standing", f"setup {standing} stands for {(until - ctx.now) / _SECOND:.1f} s more"
        return None

    def _propose(self, ctx: Context, opinion: Opinion, told: dict[str, Any]) -> None:
        values = self.parameters
        stop = round(max(values.pips("stop_min_pips", opinion.symbol), values.stop_atr * told["atr_pips"]), 1)
        who = " and ".join(f"{name} {said}" for name, said in told["said"].items())
        signal = ctx.signal(
            opinion.symbol, opinion.side, told["mean"], f"{who}; ATR {told['atr_pips']:g} pips",
            stop, round(values.reward * stop, 1), values.ttl_s,
            of=opinion.id, **told,
        )  # fmt: skip
        self._standing[opinion.symbol] = signal.id, ctx.now + round(values.ttl_s * _SECOND)


def _is_young(ctx: Context, one: _Heard) -> bool:
    return ctx.now - one.at <= one.opinion.ttl_s * _SECOND
