"""An order-flow analyst: order-flow imbalance, delta and book imbalance, as the hub's order-flow records tell them.

Three numbers from -1 (selling) to 1 (buying), and their weighted sum, the score:

- ofi: ``ofi_60s / (|ofi_60s| + total_volume)``: changes of the best quotes, against what was traded meanwhile;
- delta: ``net_volume_delta / total_volume``: bought at the ask less sold at the bid;
- book: ``top_of_book_imbalance``.

Without order flow it has no opinion, and says that it abstains: who merges opinions must not take silence for consent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tapehub.agents.agent import Agent
from tapehub.errors import MissingExtra
from tapehub.model.instruments import normalise

try:
    from pydantic import Field
except ImportError as error:
    raise MissingExtra(error.name or "pydantic", "agents", "the order-flow analyst") from error

if TYPE_CHECKING:
    from tapehub._native import OrderFlowMetrics
    from tapehub.agents.context import Context

__all__ = ["OrderFlow"]

_SECOND = 1_000_000_000
_LOOK_S = 30.0


class OrderFlow(Agent):
    """Say who presses, buyers or sellers; abstain where nobody can tell."""

    name = "order_flow"
    symbols = ("EUR_USD", "GBP_USD", "USD_JPY")
    timeframes = ()
    warmup = 0

    class Parameters(Agent.Parameters):
        """Take the weights of ofi, delta and book.

        Attributes:
            threshold: a score below it, either way, is no opinion.
            toxicity_max: above it nobody knows who presses whom: it abstains.
            every_s: the same opinion is not said again sooner.
            age_max_s: metrics older than this are none.
            abstains_s: how often it says again that it abstains.
        """

        weights: tuple[float, float, float] = (0.4, 0.35, 0.25)
        threshold: float = Field(default=0.25, gt=0, le=1)
        toxicity_max: float = Field(default=0.9, gt=0)
        every_s: float = Field(default=15.0, ge=1)
        age_max_s: float = Field(default=30.0, gt=0)
        ttl_s: float = Field(default=60.0, gt=0)
        abstains_s: float = Field(default=300.0, ge=60)

    def on_start(self, ctx: Context) -> None:
        """Look for order flow every half minute, and at once."""
        self._heard: dict[str, int] = {}
        self._said: dict[str, tuple[str, int]] = {}
        ctx.every(_LOOK_S, "look")
        for symbol in ctx.symbols(self.symbols):
            self._abstain(ctx, symbol, f"no order flow of {symbol} has come")

    def on_order_flow(self, ctx: Context, metrics: OrderFlowMetrics) -> None:
        """Measure, and say what follows."""
        symbol, values = normalise(metrics.symbol), self.parameters
        if metrics.is_stale:
            self._abstain(ctx, symbol, "the order flow is stale by its own account")
            return
        self._heard[symbol] = ctx.now
        if metrics.toxicity_score > values.toxicity_max:
            self._abstain(
                ctx, symbol, f"toxicity is {metrics.toxicity_score:g}, expected at most {values.toxicity_max:g}"
            )
            return
        if metrics.total_volume <= 0:
            self._abstain(ctx, symbol, f"nothing was traded in {metrics.window_seconds:g} s")
            return
        ofi = metrics.ofi_60s / (abs(metrics.ofi_60s) + metrics.total_volume)
        delta = _clipped(metrics.net_volume_delta / metrics.total_volume)
        book = _clipped(metrics.top_of_book_imbalance)
        weights = values.weights
        score = round((weights[0] * ofi + weights[1] * delta + weights[2] * book) / sum(weights), 4)
        side = "buy" if score >= values.threshold else "sell" if score <= -values.threshold else "flat"
        if not self._is_news(ctx, symbol, side, values.every_s):
            return
        who = {"buy": "buyers press", "sell": "sellers press", "flat": "nobody presses"}[side]
        ctx.opinion(
            symbol, side, abs(score) if side != "flat" else 0.0,
            f"{who}: ofi {ofi:+.2f}, delta {delta:+.2f}, book {book:+.2f}",
            values.ttl_s,
            score=score, ofi=round(ofi, 4), delta=round(delta, 4), book=round(book, 4), ofi_60s=metrics.ofi_60s,
            net_volume_delta=metrics.net_volume_delta, total_volume=metrics.total_volume,
            toxicity=metrics.toxicity_score,
        )  # fmt: skip

    def on_timer(self, ctx: Context, name: str) -> None:
        """Abstain where no order flow comes any more."""
        limit_s = self.parameters.age_max_s
        for symbol in ctx.symbols(self.symbols):
            heard = self._heard.get(symbol)
            if heard is None:
                self._abstain(ctx, symbol, f"no order flow of {symbol} has come")
            elif (age_s := (ctx.now - heard) / _SECOND) > limit_s:
                self._abstain(ctx, symbol, f"the last order flow of {symbol} is older than {limit_s:g} s", age_s=age_s)

    def _abstain(self, ctx: Context, symbol: str, why: str, **data: Any) -> None:
        if self._is_news(ctx, symbol, "abstains", self.parameters.abstains_s):
            ttl_s = self.parameters.abstains_s + 2 * _LOOK_S  # until it is said again
            ctx.opinion(symbol, "flat", 0.0, f"abstains: {why}", ttl_s, abstains=True, **data)

    def _is_news(self, ctx: Context, symbol: str, what: str, every_s: float) -> bool:
        """Tell whether something differs from what was said last, or was said some time ago; from now on it was."""
        last, at = self._said.get(symbol, ("", 0))
        if last == what and ((ctx.now - at) < every_s * _SECOND or what == "flat"):
            return False
        self._said[symbol] = what, ctx.now
        return True


def _clipped(value: float) -> float:
    return max(-1.0, min(1.0, value))
