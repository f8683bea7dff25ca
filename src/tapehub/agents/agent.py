"""`Agent`: what a trading agent is written as."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, ClassVar

from tapehub.errors import ConfigError, MissingExtra
from tapehub.model.timeframes import parse

try:
    from pydantic import BaseModel, ConfigDict, ValidationError
except ImportError as error:
    raise MissingExtra(error.name or "pydantic", "agents", "an agent") from error

if TYPE_CHECKING:
    from tapehub._native import Candle, OrderFlowMetrics, Tick
    from tapehub.agents.context import Context
    from tapehub.agents.market import StateChange
    from tapehub.agents.records import Fill, Opinion, Order, Signal

__all__ = ["Agent", "overridden"]


class Agent:
    """Decide on what the log tells. Subclass it; the same class runs live, in a replay and in a backtest.

    Called by one thread, in log order. What it does may depend on what it is given alone: `ctx.now` for the time,
    `ctx.random` for chance. Whatever it raises ends the run.

    Attributes:
        symbols: what it looks at, in any spelling.
        timeframes: the candles it gets.
        warmup: candles of each timeframe that it has when it starts.
        parameters: an instance of its ``Parameters``.
    """

    symbols: tuple[str, ...] = ()
    timeframes: tuple[str, ...] = ("1m",)
    warmup: int = 200
    name: ClassVar[str] = ""
    """How it is listed; the class's name in lower case unless given."""

    class Parameters(BaseModel):
        """Hold the parameters: a subclass inside the agent has one field each, with its default and its bounds."""

        model_config = ConfigDict(extra="forbid", frozen=True)

    def __init__(self, **values: Any) -> None:
        """Take parameters by name; ``symbols``, ``timeframes`` and ``warmup`` may be given too.

        Raises:
            ConfigError: one is unknown, or its value cannot be.
        """
        for given in ("symbols", "timeframes"):
            if given in values:
                value = values.pop(given)
                words = value.replace(",", " ").split() if isinstance(value, str) else value
                setattr(self, given, tuple(words))
        if "warmup" in values:
            self.warmup = int(values.pop("warmup"))
        self.timeframes = tuple(parse(one).name for one in self.timeframes)
        try:
            self.parameters: Any = self.Parameters.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            known = ["symbols", "timeframes", "warmup", *self.Parameters.model_fields]
            if first["type"] == "extra_forbidden":
                wrong = f"{name}: no such parameter"
                wrong += "".join(f", did you mean {one}?" for one in get_close_matches(name, known, 1, 0.7))
            else:
                expected = first["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
                wrong = f"{name} is {first['input']!r}, expected {expected}"
            raise ConfigError(f"agent {self.label()}: {wrong}; its parameters are {', '.join(known)}") from None

    @classmethod
    def label(cls) -> str:
        """Give the name it is listed under."""
        return cls.name or cls.__name__.lower()

    def plain(self) -> dict[str, Any]:
        """Give what it was made with, as JSON takes it."""
        settings: Mapping[str, Any] = self.parameters.model_dump(mode="json")
        return {**settings, "symbols": list(self.symbols), "timeframes": list(self.timeframes), "warmup": self.warmup}

    # ------------------------------------------------------------ called by the engine

    def on_start(self, ctx: Context) -> None:
        """Begin: the candles of the warm-up are there. Timers are set here."""

    def on_tick(self, ctx: Context, tick: Tick) -> None:
        """Take one quote. An agent that does without is much faster in a backtest."""

    def on_candle(self, ctx: Context, candle: Candle) -> None:
        """Take a candle that has just become final."""

    def on_order_flow(self, ctx: Context, metrics: OrderFlowMetrics) -> None:
        """Take order-flow metrics."""

    def on_state(self, ctx: Context, change: StateChange) -> None:
        """Hear that a feed's state has changed, or that a gap has begun or ended."""

    def on_timer(self, ctx: Context, name: str) -> None:
        """Act on a timer that is due."""

    def on_opinion(self, ctx: Context, opinion: Opinion) -> None:
        """Hear what another agent thinks."""

    def on_signal(self, ctx: Context, signal: Signal) -> None:
        """Hear what another agent proposes."""

    def on_order(self, ctx: Context, order: Order) -> None:
        """Hear what became of an own order after it was accepted."""

    def on_fill(self, ctx: Context, fill: Fill) -> None:
        """Hear that an own order, stop or target was filled."""

    def on_stop(self, ctx: Context) -> None:
        """End."""


def overridden(agent: Agent, method: str) -> bool:
    """Tell whether an agent does something of its own at a callback."""
    return getattr(type(agent), method) is not getattr(Agent, method)
