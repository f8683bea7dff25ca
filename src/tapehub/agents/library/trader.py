"""The trader: the one member of the team that orders. What a setup comes to, gate, risk manager and broker decide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tapehub.agents.agent import Agent
from tapehub.errors import MissingExtra

try:
    from pydantic import Field
except ImportError as error:
    raise MissingExtra(error.name or "pydantic", "agents", "the trader") from error

if TYPE_CHECKING:
    from tapehub.agents.context import Context
    from tapehub.agents.records import Signal

__all__ = ["Trader"]


class Trader(Agent):
    """Order what those it follows propose, while it stands, in the size that the risk manager gives it."""

    name = "trader"
    symbols = ("EUR_USD", "GBP_USD", "USD_JPY")
    timeframes = ()
    warmup = 0

    class Parameters(Agent.Parameters):
        """Take whom to follow.

        Attributes:
            follows: whose signals count, by the names they run under.
            confidence_min: signals below it are left.
        """

        follows: tuple[str, ...] = Field(default=("validator",), min_length=1)
        confidence_min: float = Field(default=0.0, ge=0, le=1)

    def on_start(self, ctx: Context) -> None:
        """Know what is watched."""
        self._symbols = frozenset(ctx.symbols(self.symbols))

    def on_signal(self, ctx: Context, signal: Signal) -> None:
        """Order, or say why not."""
        values = self.parameters
        if signal.agent not in values.follows or signal.symbol not in self._symbols:
            return
        age_s = (ctx.now - int(signal.judged["clock"])) / 1e9
        if age_s > signal.ttl_s:
            ctx.log(f"leaves it: {age_s:.1f} s old, expected at most {signal.ttl_s:g} s", of=signal.id)
        elif signal.confidence < values.confidence_min:
            ctx.log(f"leaves it: {signal.confidence:g} is below {values.confidence_min:g}", of=signal.id)
        else:
            ctx.order(signal.symbol, signal.side, signal=signal)
