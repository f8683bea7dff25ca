"""A simulated venue, a collector and an agent on one clock that is moved by hand: no socket, no real time."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Self

from tapehub import DataHub
from tapehub._native import Candle
from tapehub.agents import Agent, Context, Fill, Runner
from tapehub.agents.journal import read_run
from tapehub.agents.records import Order
from tapehub.collector.core import Core
from tapehub.feeds.feed import RecordedFeed
from tapehub.feeds.sim import Fault, FaultKind, ManualClock, RecordedSource, Settings, Venue
from tapehub.hub.server import HubServer
from tapehub.model.records import Kind
from tests.models.lively import Lively
from tests.models.paper import settings
from tests.models.terminal import Terminal

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
NOON = 1_780_401_600 * SECOND
"""2026-06-02T12:00 UTC, a Tuesday."""
EPICS = {"EUR_USD": "CS.D.EURUSD.CFD.IP", "GBP_USD": "CS.D.GBPUSD.TODAY.IP", "USD_JPY": "CS.D.USDJPY.CFD.IP"}
LIMITS = settings(
    risk={"spread_max_pips": 2, "pause_after_losses": 0, "trades_per_day": 1000, "hold_max_min": 3},
    paper={"slippage_random_pips": 0.2, "currency": "GBP"},
    gate={"gap_settle_s": 20},
)


class Chancer(Agent):
    """Trade by chance on every candle, and say what it thinks."""

    symbols = ("EUR_USD", "USD_JPY")
    timeframes = ("15s", "1m")
    warmup = 2

    def on_candle(self, ctx: Context, candle: Candle) -> None:
        if candle.timeframe == "1m":
            ctx.opinion(candle.symbol, "flat", 0.5, f"closed at {candle.close}", ticks=candle.ticks)
            return
        side = ctx.random.choice(["buy", "sell", ""])
        if side:
            signal = ctx.signal(candle.symbol, side, round(ctx.random.random(), 2), "by chance", 2.0, 2.5)
            ctx.order(candle.symbol, side, 20_000, signal=signal)

    def on_state(self, ctx: Context, change: Any) -> None:
        ctx.log(f"{change.symbol} {change.state}: {change.cause}")

    def on_fill(self, ctx: Context, fill: Fill) -> None:
        ctx.log(f"{fill.what} by {fill.why} at {fill.price}")


class Eager(Agent):
    """Order every five seconds, whatever happens, and close at once."""

    symbols = ("EUR_USD",)
    timeframes = ()

    def on_start(self, ctx: Context) -> None:
        ctx.every(5, "now")

    def on_timer(self, ctx: Context, name: str) -> None:
        for position in ctx.positions():
            ctx.close(position)
        ctx.order("EUR_USD", "buy", 1_000, stop_pips=50, reason="it is time")


class Stage:
    """Play a market for an agent.

    Args:
        make: makes the agents; called again for each life of the process.
        faults: seconds after the start, and what goes wrong.
        feed: the venue's quotes; default are lively ones.
        served: a server writes watermarks; else none does.
        outage_s: from when until when nobody reaches the venue, in seconds after the start.
    """

    def __init__(
        self,
        folder: Path,
        make: Callable[[], Sequence[Agent]],
        seed: int,
        *,
        minutes: float,
        faults: Iterable[tuple[float, Fault]] = (),
        feed: RecordedFeed | None = None,
        served: bool = True,
        limits: Any = LIMITS,
        start: int = NOON,
        outage_s: tuple[float, float] | None = None,
    ) -> None:
        self._server = HubServer(folder / "hub", segment_lines=1 << 16, sync="none") if served else None
        self.hub = (
            self._server.hub if self._server else DataHub.open(folder / "hub", create=True, segment_lines=1 << 16)
        )
        self.start = start
        self.hub.set_clock("event", anchor_ns=start)
        self._clock = ManualClock(start)
        self.end = start + round(minutes * MINUTE)
        source = RecordedSource(feed or Lively([(start - MINUTE, self.end)], seed))
        faults = [*faults, *([(outage_s[0], Fault(FaultKind.CUT, how="reset"))] if outage_s else [])]
        self._outage = [start + round(at_s * SECOND) for at_s in outage_s or ()]
        script = [(start + round(after_s * SECOND), fault) for after_s, fault in faults]
        venue = Settings(heartbeat_s=5.0, distinct_snapshot=False)
        self.venue = Venue(source, self._clock, venue, seed=seed, steady=self._clock, script=script)
        self._core = Core(self.hub, "ig", tuple(EPICS), random=random.Random(seed), now_ns=start)
        self._terminal = Terminal(self.venue, EPICS)
        self._make, self._seed, self._limits = make, seed, limits
        self._now, self._chance = start, random.Random(seed)
        self.lives = 0
        self.runner = self._begin()

    def _begin(self) -> Runner:
        """Start the agent's process, in effect: nothing of an earlier one is known to it but the log."""
        self.lives += 1
        agents = list(self._make())
        names = [f"{type(one).__module__}:{type(one).__qualname__}" for one in agents]
        rng = random.Random(self._seed)
        return Runner(self.hub, agents, names, settings=self._limits, rng=rng, make=self._make)

    def play(self, *, dies_each_s: float = 0.0) -> Self:
        """Play to the end.

        Args:
            dies_each_s: so often the agent dies, on average, in the middle of whatever it does; it begins again soon.
        """
        dies = self._next_death(dies_each_s)
        back = 0
        while self._now < self.end:
            self._clock.now_ns = self._now
            self.venue.advance()
            if self._outage and self._outage[0] <= self._now < self._outage[1]:
                self._terminal._back_ns = self._outage[1]
            for event in self._terminal.read(self._now):
                self._core.on_event(event, self._now)
            for request in self._core.on_time(self._now):
                self._terminal.repair(request, self._now)
            if self._now % SECOND == 0:
                self._beat()
            if back and self._now >= back:
                self.runner, back = self._begin(), 0
                dies = self._next_death(dies_each_s)
            if not back and self._now >= dies:
                self._die()
                back = self._now + self._chance.randint(0, 6) * SECOND // 2
            elif not back:
                while self.runner.step(0):
                    pass
            self._now += SECOND // 2
        if back:
            self.runner = self._begin()
        while self.runner.step(0):
            pass
        self.runner.end()
        self._core.stop(self.end)
        return self

    def _beat(self) -> None:
        if self._server is not None:
            self._server.beat()
        self.hub.advance(self._now)

    def _next_death(self, each_s: float) -> int:
        return self._now + round(self._chance.expovariate(1 / each_s) * SECOND) if each_s else 1 << 62

    def _die(self) -> None:
        """Let the agent read a little further, and leave without a word."""
        assert self.runner.reader is not None
        self.runner.reader.drive(self.runner.engine, records_max=self._chance.randint(0, 8))
        self.runner.close()

    def told(self, kind: Kind) -> list[tuple[int, Any]]:
        """Give what the run has left in the log of a kind, with its log time."""
        rows = read_run(self.hub, self.runner.run).outputs
        return [(one.ts_event, one.message) for _, one in sorted(rows.items()) if one.kind == kind]

    def orders(self, begin_s: float, end_s: float) -> list[Order]:
        """Give the decisions on opening orders between two times, in seconds after the start."""
        begin, end = (self.start + round(at_s * SECOND) for at_s in (begin_s, end_s))
        decided = ("accepted", "refused")
        rows = self.told(Kind.ORDER)
        return [one for at, one in rows if begin <= at < end and one.what == "open" and one.status in decided]

    def fills(self, begin_s: float, end_s: float) -> list[Fill]:
        """Give the fills between two times, in seconds after the start."""
        begin, end = (self.start + round(at_s * SECOND) for at_s in (begin_s, end_s))
        return [one for at, one in self.told(Kind.FILL) if begin <= at < end]

    def close(self) -> None:
        """Give everything back."""
        self.runner.close()
        (self._server or self.hub).close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
