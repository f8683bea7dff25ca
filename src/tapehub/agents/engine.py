"""The engine: records of the log in, calls of agents, outputs out. The one loop of live runs, replays and backtests.

Sans-I/O: whoever drives it hands it ticks and other records in log order, and takes its outputs. It reads no clock. See
docs/adr/0014-agents.md for what follows from that.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tapehub._native import Candle, OrderFlowMetrics
from tapehub.agents.agent import Agent, overridden
from tapehub.agents.context import Context
from tapehub.agents.desk import Desk
from tapehub.agents.entries import OWN, Entry, Readers
from tapehub.agents.gate import Look, Verdict
from tapehub.agents.lags import Lags
from tapehub.agents.market import Market
from tapehub.agents.records import AgentRecord, Fill, Opinion, Order, Output, Position, Signal, check_said, identity
from tapehub.agents.series import Series
from tapehub.agents.timeline import Timeline
from tapehub.errors import ConfigError
from tapehub.model.calendars import CalendarId
from tapehub.model.instruments import Instrument, normalise
from tapehub.model.policies import PriceBasis
from tapehub.model.records import Kind

if TYPE_CHECKING:
    from tapehub._native import Tick
    from tapehub.agents.account import AccountView
    from tapehub.agents.hours import Hours
    from tapehub.agents.run import Run
    from tapehub.model.sessions import Sessions

__all__ = ["Engine", "Member"]


class Member(NamedTuple):
    """One agent of a run and what it is given."""

    agent: Agent
    ctx: Context


class Engine(Timeline):
    """Run agents over the log. One thread.

    Args:
        sink: takes each output, in order.
        look: see `Desk`.
        lags: how far the run was behind, as far as that is known.
        hours: the session tables that the run began with.

    Attributes:
        now: the log's time, ns.
        cause: sequence of the record that is being taken in.
        live: callbacks have begun; before that, candles are built.
    """

    def __init__(
        self,
        run: Run,
        agents: Sequence[Agent],
        sink: Callable[[Output], None],
        *,
        look: Look | None = None,
        lags: Lags | None = None,
        hours: Hours | None = None,
    ) -> None:
        self.run = run
        self._hours = hours or {}
        if (told := sorted(run.calendars or ())) != sorted(one.name.lower() for one in self._hours):
            # Else a holiday would be an open market, and nobody would know.
            raise ConfigError(f"run {run.id} began with session tables of {told}: expected those; see hours.hours_of")
        super().__init__(by_ticks=run.by_ticks, grace_ns=run.grace_ns)
        self.cause = 0
        self.live = False
        self.lags = lags or Lags()
        self.end_wanted = ""
        """Why somebody wants the run to end; a live driver ends it, a replay ends where the live run did."""
        self._sink = sink
        self._ordinal = 0
        self._mail: deque[tuple[str, Any, bool]] = deque()
        self._delivering = False
        self.markets = self._made_markets(agents)
        for number, agent in enumerate(agents):
            if unknown := [name for name in agent.symbols if normalise(name) not in self.markets]:
                raise ConfigError(f"agent {agent.label()} {number}: no definition of {unknown}")
        self._readers = Readers(self)
        self.desk = Desk(run, self, look)
        names = _names(agents)
        self.members = [
            Member(agent, Context(self, name, run.id, random.Random(f"{run.seed}/{name}")))
            for agent, name in zip(agents, names, strict=True)
        ]
        self._on_candle = self._listening("on_candle")
        self._on_order_flow = self._listening("on_order_flow")
        self._on_state = self._listening("on_state")
        self._followers: dict[Series, list[Callable[[Candle], None]]] = {}
        self.ticks_wanted = any(overridden(one.agent, "on_tick") for one in self.members)

    def _made_markets(self, agents: Sequence[Agent]) -> dict[str, Market]:
        frames: dict[str, set[str]] = {}
        for agent in agents:
            for symbol in agent.symbols:
                frames.setdefault(normalise(symbol), set()).update(agent.timeframes)
        made = {}
        for rank, (symbol, source) in enumerate(sorted(self.run.watched.items())):
            told = self.run.definitions[symbol]
            instrument = Instrument(symbol, **{**told, "calendar": CalendarId(told["calendar"])})
            made[symbol] = Market(
                instrument, tuple(frames.get(symbol, ())), PriceBasis(self.run.basis), self, rank=rank, source=source,
                wanted=symbol in frames, sessions=self._hours.get(instrument.calendar),
            )  # fmt: skip
        return made

    def _listening(self, method: str) -> dict[str, list[tuple[Callable[..., None], Context]]]:
        """Find who overrides a callback, by symbol."""
        found: dict[str, list[tuple[Callable[..., None], Context]]] = {}
        for agent, ctx in self.members:
            if overridden(agent, method):
                for symbol in dict.fromkeys(normalise(name) for name in agent.symbols):
                    found.setdefault(symbol, []).append((getattr(agent, method), ctx))
        return found

    # ------------------------------------------------------------ records in

    def tick(self, tick: Tick) -> None:
        """Take in a tick."""
        market = self.markets.get(tick.symbol)
        if market is None:
            return
        now, seq = tick.ts_publish, tick.seq
        if seq != self.cause:
            self.cause, self._ordinal = seq, 0
        if now < self.now:
            now = self.now
        elif now >= self.wake:
            self._pass_time(now)
        self.now = now
        if tick.source != market.source and not self.settle_source(market, tick.source):
            return
        market.take(tick, now)
        if not self.live:
            return
        if market.watched and market.concerns_broker(now):
            self.desk.on_quote(market)
            self._deliver()
        for on_tick, ctx in market.listeners:
            on_tick(ctx, tick)
        if self._mail:
            self._deliver()

    def moment(self, now: int, cause: int) -> None:
        """Do what is due before a tick is taken in, which may be passed without."""
        if cause != self.cause:
            self.cause, self._ordinal = cause, 0
        if now >= self.wake:
            self._pass_time(now)
        self.now = max(self.now, now)

    def settle_source(self, market: Market, source: str | None) -> bool:
        """Settle on the source of the first tick, where the run did not name one."""
        if market.source:
            return False
        market.source = source or ""
        for series in market.series:
            series.source = market.source
        return True

    def record(self, entry: Entry) -> None:
        """Take in a record of another kind. What the run itself has said moves nothing: it knows already."""
        if entry.one == self.run.number and entry.kind in OWN:
            self._readers.read_own(entry)
            return
        if entry.kind == Kind.CALENDAR and self.run.calendars is None:  # it was decided without, at other moments
            return
        self.cause, self._ordinal = entry.seq, 0
        now = max(self.now, entry.ts_publish)
        if entry.kind == Kind.WATERMARK and not self.by_ticks:
            self._set_out(now)
            self.now = now
            self._mark(entry.ts_event)
            return
        if now and now >= self.wake:  # a record may come before a clock of events has a time
            self._pass_time(now)
        self.now = now
        self._readers.read(entry)
        self._deliver()

    def begin(self, at: int = 0) -> None:
        """Begin the callbacks."""
        self.now = max(self.now, at)
        self.live = True
        self.desk.begin()
        for agent, ctx in self.members:
            agent.on_start(ctx)
        for agent, ctx in self.members:
            if overridden(agent, "on_tick"):
                for symbol in dict.fromkeys(normalise(name) for name in agent.symbols):
                    self.markets[symbol].listeners += ((agent.on_tick, ctx),)
        self._deliver()

    def stop(self) -> None:
        """End the callbacks."""
        for agent, ctx in self.members:
            agent.on_stop(ctx)
        self._deliver()
        self.desk.end()
        self._deliver()
        made, _ = self.next_id()
        self.emit(AgentRecord(made, self.run.agent, "stop"))
        self.live = False

    # ------------------------------------------------------------ candles

    def _finish(self, series: Series, end: int) -> None:
        market = self.markets[series.symbol]
        for candle in series.finish(end):
            self.candle(market, series, candle)

    def _renew(self) -> None:
        self.desk.keeper.renew()
        for market in self.markets.values():
            for series in market.series:
                series.renew()

    def _move(self, by_ns: int) -> None:
        if self.live:  # what a run takes over was told by the time line it begins in
            self.desk.move(by_ns)

    def candle(self, market: Market, series: Series, candle: Candle) -> None:
        """Give a final candle, built or pushed, to the indicators and then to those who want it."""
        for follow in self._followers.get(series, ()):
            follow(candle)
        if self.live:
            for on_candle, ctx in self._on_candle.get(market.symbol, ()):
                on_candle(ctx, candle)
                self._deliver()

    # ------------------------------------------------------------ outputs

    def next_id(self) -> tuple[str, int]:
        """Give the identity, and the ordinal, of the next output."""
        return identity(self.run.number, self.cause, self._ordinal), self._ordinal

    def emit(self, made: Any) -> None:
        """Put out a record, whose identity is the next."""
        symbol = getattr(made, "symbol", "")
        self._sink(Output(made.KIND, self.cause, self._ordinal, self.now, symbol, made.encode()))
        self._ordinal += 1

    def tell(self, agent: str, made: Any) -> None:
        """Let an agent hear of its own order or fill, when what is being done is done."""
        self._mail.append((agent, made, True))

    def hear(self, made: Any) -> None:
        """Let all agents hear what another run says."""
        self._mail.append(("", made, False))

    def _deliver(self) -> None:
        """Hand out what is in the mail; what comes in meanwhile comes after it."""
        if self._delivering or not self._mail:
            return
        self._delivering = True
        try:
            while self._mail:
                name, made, own = self._mail.popleft()
                method = _METHODS[type(made)]
                for agent, ctx in self.members:
                    if (ctx.agent == name) is own:
                        getattr(agent, method)(ctx, made)
        finally:
            self._delivering = False

    # ------------------------------------------------------------ what a context passes on

    def market(self, symbol: str) -> Market:
        """Find an instrument that is watched.

        Raises:
            ConfigError: it is not.
        """
        found = self.markets.get(symbol) or self.markets.get(normalise(symbol))
        if found is None:
            raise ConfigError(f"{symbol} is not watched by run {self.run.id}: expected one of {sorted(self.markets)}")
        return found

    def verdict(self, symbol: str) -> Verdict:
        """Ask the gate."""
        return self.desk.verdict(self.market(symbol).symbol)

    def say(self, agent: str, kind: type[Any], told: dict[str, Any]) -> Any:
        """Publish an opinion, a signal or a remark of an agent."""
        rest: dict[str, Any] = {}
        if "symbol" in told:
            rest["symbol"] = self.market(told["symbol"]).symbol
            check_said(agent, kind, told)
        if kind is Signal:
            verdict = self.desk.verdict(rest["symbol"])
            rest |= {"refused": verdict.reason, "judged": verdict.plain()}
        made = kind(id=self.next_id()[0], agent=agent, **{**told, **rest})
        self.emit(made)
        if kind is not AgentRecord and len(self.members) > 1:
            self._mail.append((agent, made, False))
        return made

    def order(self, agent: str, told: dict[str, Any]) -> Order:
        """Bring an order to the desk."""
        return self.desk.order(agent, {**told, "symbol": self.market(told["symbol"]).symbol})

    def close(self, agent: str, position: str, reason: str) -> Order:
        """Bring a closing order to the desk."""
        return self.desk.close(agent, position, reason)

    def timer(self, agent: str, name: str, first: int, period: int) -> None:
        """Call `on_timer` at an instant, and each period after it."""
        if not self.now:
            self.when_timed(
                lambda now: self.timer(agent, name, first + (now // period * period if period else now), period)
            )
            return
        member = next(one for one in self.members if one.ctx.agent == agent)

        def call() -> None:
            member.agent.on_timer(member.ctx, name)
            if period:
                due = first + period
                if not self._watermark < due <= self._watermark + period:
                    # A mark that went far ahead, once is enough; or `first` is of the time line before this one.
                    due = (self._watermark // period + 1) * period
                self.timer(agent, name, due, period)

        self.schedule(first, call)

    def follow(self, symbol: str, timeframe: str, take: Callable[[Candle], None]) -> None:
        """Feed an indicator the final candles, from those there are on."""
        market = self.market(symbol).sync()
        series = market.find(timeframe)
        if series is None:
            raise ConfigError(f"an indicator on {timeframe} of {symbol}: the agent declares no such timeframe")
        for candle in series.candles:
            take(candle)
        self._followers.setdefault(series, []).append(take)

    def account(self) -> AccountView:
        """Show the account."""
        return self.desk.account.view()

    def positions(self, symbol: str | None) -> list[Position]:
        """List what is open."""
        held = self.desk.account.positions
        return [one.record() for one in held.values() if symbol is None or one.symbol == symbol] if held else []

    def clock(self) -> int:
        """Give the log's time."""
        return self.now

    def behind(self) -> float:
        """Say how far the run was behind when it came to this record."""
        return self.lags.at(self.cause)

    def trade_by(self, sessions: Sessions) -> None:
        """Judge by another session table of a calendar from here on."""
        for market in self.markets.values():
            if market.calendar.id is sessions.id:
                market.calendar = sessions

    def order_flow(self, market: Market, metrics: OrderFlowMetrics) -> None:
        """Give metrics to those who want them."""
        market.flow = metrics
        if self.live:
            for on_order_flow, ctx in self._on_order_flow.get(market.symbol, ()):
                on_order_flow(ctx, metrics)

    def state(self, market: Market, change: Any) -> None:
        """Give a change of state to those who want it."""
        if self.live:
            for on_state, ctx in self._on_state.get(market.symbol, ()):
                on_state(ctx, change)


_METHODS = {Opinion: "on_opinion", Signal: "on_signal", Order: "on_order", Fill: "on_fill"}


def _names(agents: Sequence[Agent]) -> list[str]:
    """Give each agent a name of its own."""
    names: list[str] = []
    for agent in agents:
        label, number = agent.label(), 2
        while label in names:
            label, number = f"{agent.label()}-{number}", number + 1
        names.append(label)
    return names
