"""Agents, markets and hubs for tests of the agents: small, and the same each time."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from tapehub import DataHub, Tick
from tapehub._native import Candle
from tapehub.agents import Agent, Context, RunSettings
from tapehub.agents.beginning import defined
from tapehub.agents.engine import Engine
from tapehub.agents.hours import hours_of
from tapehub.agents.journal import read_run
from tapehub.agents.lags import Lags
from tapehub.agents.log_reader import LogReader
from tapehub.agents.records import Fill, Output, decode
from tapehub.agents.run import Run
from tapehub.agents.settings import read_settings
from tapehub.feeds.quotes import Quotes
from tapehub.feeds.synthetic import Synthetic
from tapehub.model.instruments import InstrumentBook
from tapehub.model.records import Kind

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
TUESDAY = 1_780_387_200 * SECOND
"""2026-06-02T08:00 UTC, 09:00 in London."""


class ThreeUp(Agent):
    """Buy after three rising minutes, sell after three falling ones; say what is going on."""

    symbols = ("EUR_USD", "USD_JPY")
    warmup = 5

    class Parameters(Agent.Parameters):
        rows: int = 3
        stop_pips: float = 4.0
        target_pips: float = 5.0

    def on_start(self, ctx: Context) -> None:
        ctx.every(600, "ten minutes")

    def on_candle(self, ctx: Context, candle: Candle) -> None:
        closes = [one.close for one in ctx.candles(candle.symbol, "1m", self.parameters.rows)]
        if len(closes) < self.parameters.rows or ctx.positions(candle.symbol):
            return
        side = "buy" if closes == sorted(closes) else "sell" if closes == sorted(closes, reverse=True) else ""
        if side:
            chance, values = round(ctx.random.random(), 3), self.parameters
            signal = ctx.signal(candle.symbol, side, chance, "in a row", values.stop_pips, values.target_pips)
            ctx.order(candle.symbol, side, signal=signal)

    def on_timer(self, ctx: Context, name: str) -> None:
        ctx.log(f"{name}: {ctx.account.equity:.2f}")

    def on_fill(self, ctx: Context, fill: Fill) -> None:
        ctx.log(f"{fill.what} by {fill.why}")


def settings(**told: Any) -> RunSettings:
    """Make settings from plain values, as in ``risk={"spread_max_pips": 3}``."""
    return read_settings(told)


def run_of(
    agents: Sequence[Agent], start: int, limits: RunSettings | None = None, symbols: Sequence[str] = (), seed: int = 1
) -> Run:
    """Describe a run on nothing but what a test hands to the engine."""
    book = InstrumentBook()
    names = dict.fromkeys([*(name for one in agents for name in one.symbols), *symbols])
    return Run(
        0xABCDEF, agents[0].label(), (), seed, 0, 0, start, dict.fromkeys(names, ""),
        {name: defined(book.find(name)) for name in names}, by_ticks=True, settings=limits or RunSettings(),
    )  # fmt: skip


class Desktop:
    """An engine, and what it put out; ticks are typed in by hand.

    Args:
        agents: default is one that does nothing, of `symbols`.
    """

    def __init__(
        self,
        *agents: Agent,
        symbols: Sequence[str] = ("EUR_USD",),
        start: int = TUESDAY,
        look: Any = None,
        opening: dict[str, Any] | None = None,
        **told: Any,
    ) -> None:
        made = list(agents) or [Agent(symbols=tuple(symbols))]
        self.outputs: list[Output] = []
        run = run_of(made, start, settings(**told), symbols)
        self.engine = Engine(replace(run, opening=opening or {}), made, self.outputs.append, look=look)
        self.engine.begin(start)
        self.ctx = self.engine.members[0].ctx
        self.seq = 100
        self.at = start

    def tick(self, bid: float, ask: float, after_s: float = 1.0, symbol: str = "EUR_USD", **sizes: float) -> Tick:
        """Let a tick come, some seconds after the one before."""
        self.at += round(after_s * SECOND)
        self.seq += 1
        made = Tick(symbol, bid, ask, timestamp=self.at, ts_publish=self.at, seq=self.seq, source="test", **sizes)  # type: ignore[arg-type]
        self.engine.tick(made)
        return made

    def told(self, kind: Kind) -> list[Any]:
        """Give the records of a kind that were put out."""
        return [decode(one.kind, one.payload) for one in self.outputs if one.kind == kind]

    @property
    def fills(self) -> list[Fill]:
        """Give the fills."""
        return self.told(Kind.FILL)


def series(
    seed: int, start: str, end: str, symbols: Sequence[str] = ("EUR_USD", "USD_JPY"), rate: float = 1.0
) -> Iterator[Quotes]:
    """Make quotes, a quarter of an hour at a time."""
    return Synthetic(symbols, start, end, seed, rate).batches()


def publish(hub: DataHub, quotes: Quotes, chunk: int = 500) -> None:
    """Publish quotes as a feed would, a few at a time."""
    for begin in range(0, len(quotes.records), chunk):
        hub.publish(
            quotes.records[begin : begin + chunk], symbols=quotes.symbols, source=quotes.sources[0], verified=True
        )


def replayed(hub: DataHub, run: Run, agents: Sequence[Agent]) -> list[Output]:
    """Replay a run from the log: what it puts out when it is decided again."""
    written = read_run(hub, run)
    outputs: list[Output] = []

    def look(symbol: str, now: int, cause: int, ordinal: int) -> tuple[str, str, int] | None:
        return written.looks.get((cause, ordinal))

    engine = Engine(run, agents, outputs.append, look=look, lags=Lags(written.lags), hours=hours_of(hub, run))
    reader = LogReader(hub, run.warm_seq, run.watched)
    end = written.ended if written.ended is not None else hub.head
    while reader.drive(engine, end=end):
        pass
    if written.ended is not None:
        engine.stop()
    return outputs


def in_log(hub: DataHub, run: Run) -> list[tuple[int, int, int, int, bytes]]:
    """Give what a run has in the log: kind, cause, ordinal, log time, payload; in its order."""
    found = read_run(hub, run).outputs
    return [(one.kind, one.cause, one.ordinal, one.ts_event, one.payload) for _, one in sorted(found.items())]


def plain(outputs: Sequence[Output]) -> list[tuple[int, int, int, int, bytes]]:
    """Give outputs as `in_log` gives them."""
    return [(int(one.kind), one.cause, one.ordinal, one.ts, one.payload) for one in outputs]


def event_hub(path: Any) -> DataHub:
    """Open a hub whose clock follows the events."""
    hub = DataHub.open(path, create=True)
    hub.set_clock("event")
    return hub


def rng(seed: int = 1) -> random.Random:
    """Make a generator."""
    return random.Random(seed)
