"""Backtests: the same classes on recorded files, or on a hub's own log from one time to another."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tapehub.agents.arrays import ArrayDriver
from tapehub.agents.beginning import (
    by_ticks_at,
    defined,
    first_at,
    position_at,
    row_of,
    source_of,
    warm_span_ns,
    watched,
)
from tapehub.agents.engine import Engine
from tapehub.agents.hours import Hours, hours_at, named
from tapehub.agents.log_reader import LogReader
from tapehub.agents.records import Output
from tapehub.agents.run import Run, fingerprint
from tapehub.agents.settings import RunSettings
from tapehub.errors import ConfigError
from tapehub.model.calendars import Calendar
from tapehub.model.instruments import InstrumentBook
from tapehub.model.sessions import Sessions

if TYPE_CHECKING:
    from tapehub.agents.agent import Agent
    from tapehub.feeds.quotes import Quotes
    from tapehub.hub import DataHub

__all__ = ["Backtest", "backtest_log", "backtest_quotes"]

_STEP = 50_000


@dataclass(slots=True)
class Backtest:
    """Hold what a backtest came to.

    Attributes:
        outputs: what a live run would have written.
        ticks: that were read.
        first_ns, last_ns: log time of the first and the last record after the warm-up.
        seconds: of computing.
    """

    run: Run
    outputs: list[Output] = field(default_factory=list)
    ticks: int = 0
    first_ns: int = 0
    last_ns: int = 0
    seconds: float = 0.0
    engine: Engine | None = None

    def digest(self) -> str:
        """Sum up all outputs: equal digests, equal backtests."""
        total = hashlib.sha256()
        for one in self.outputs:
            total.update(f"{int(one.kind)} {one.cause} {one.ordinal} {one.ts} ".encode() + one.payload + b"\n")
        return total.hexdigest()


def backtest_quotes(
    agents: Sequence[Agent],
    quotes: Iterable[Quotes],
    *,
    specs: Sequence[str] = (),
    name: str = "",
    settings: RunSettings | None = None,
    seed: int = 1,
    start: int | None = None,
    book: InstrumentBook | None = None,
    calendars: Iterable[Sessions] = (),
    by_tick: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> Backtest:
    """Run agents over recorded quotes, which come in order of event time.

    Args:
        start: callbacks begin at this event time, ns; what comes before builds candles. Default is the first quote.
        calendars: opening hours with the holidays of a configuration; default is the weekly hours.
        by_tick: hand over every tick also where no agent wants it; the outputs are the same.
        on_progress: takes ticks and event time, after each batch.

    Raises:
        ConfigError: there is no quote of what the agents look at.
    """
    book = book or InstrumentBook()
    settings = settings or RunSettings()
    symbols = watched(agents, settings.paper.currency, book)
    hours = {table.id: table for table in calendars}
    run = _run(
        agents, specs, name, settings, seed, start or 0, symbols, {one: defined(book.find(one)) for one in symbols},
        hours=hours,
    )  # fmt: skip
    made = Backtest(run)
    engine = made.engine = Engine(run, agents, made.outputs.append, hours=hours)
    driver = ArrayDriver(engine, by_tick=by_tick)
    began = time.perf_counter()
    wanted = set(symbols)
    for batch in quotes:
        records = batch.records
        if not len(records):
            continue
        if not engine.live:
            cut = _first_row(batch, wanted) if start is None else int(np.searchsorted(records["ts_event"], start))
            driver.feed(batch.replace(records=records[:cut]))
            if cut == len(records):
                continue
            made.first_ns = int(records["ts_event"][cut]) if start is None else start
            engine.cause = driver.seq
            engine.begin(made.first_ns)
            records = records[cut:]
        driver.feed(batch.replace(records=records))
        if on_progress is not None:
            on_progress(driver.seq, int(records["ts_event"][-1]))
    if not engine.live or not any(market.seq for market in engine.markets.values()):
        raise ConfigError(f"no quote of {', '.join(symbols)}: expected some to trade on; check the files and --from")
    made.last_ns, made.ticks = engine.now, driver.seq
    engine.stop()
    made.seconds = time.perf_counter() - began
    return made


def backtest_log(
    hub: DataHub,
    agents: Sequence[Agent],
    *,
    specs: Sequence[str] = (),
    name: str = "",
    settings: RunSettings | None = None,
    seed: int = 1,
    start: int | None = None,
    end: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Backtest:
    """Run agents over a hub's log: all kinds of records, in log order.

    Args:
        start, end: hub time at which callbacks begin, and before which the log is left, ns; default is all of it.
    """
    settings = settings or RunSettings()
    book = hub._names.book
    symbols = watched(agents, settings.paper.currency, book)
    begin = first_at(hub, start) if start is not None else int(hub._hub_state()["oldest"])
    hours = hours_at(hub, begin)

    def calendar_of(symbol: str) -> Sessions:
        calendar = row_of(hub, symbol, book).calendar
        return hours.get(calendar) or Calendar(calendar)

    warm = position_at(hub, start - warm_span_ns(agents, start, calendar_of)) if start is not None else begin
    stop = first_at(hub, end) if end is not None else hub.head
    state = hub._hub_state()
    run = _run(
        agents, specs, name, settings, seed, start or 0, symbols,
        {one: defined(row_of(hub, one, book)) for one in symbols},
        sources={one: source_of(hub, one) for one in symbols}, basis=int(state["price_basis"]),
        grace_ns=int(state["grace_ns"]), by_ticks=by_ticks_at(hub, warm), warm=warm, hours=hours,
    )  # fmt: skip
    made = Backtest(run)
    engine = made.engine = Engine(run, agents, made.outputs.append, hours=hours)
    reader = LogReader(hub, warm, symbols)
    began = time.perf_counter()
    while begin > warm and reader.drive(engine, end=begin - 1, records_max=_STEP):
        pass
    began_ns = int(hub.log(begin, 1)["ts_publish"][0]) if start is None and begin < hub.head else 0
    made.first_ns = max(engine.now, start or began_ns)
    engine.cause = max(engine.cause, begin)
    engine.begin(made.first_ns)
    while reader.drive(engine, end=stop - 1, records_max=_STEP):
        if on_progress is not None:
            on_progress(reader.delivered, engine.now)
    made.last_ns, made.ticks = engine.now, reader.delivered
    engine.stop()
    made.seconds = time.perf_counter() - began
    return made


def _first_row(batch: Quotes, wanted: set[str]) -> int:
    """Find the first quote of what a run reads; one beyond the batch when there is none."""
    mine = np.array([symbol in wanted for symbol in batch.symbols])[batch.records["instrument"]]
    return int(mine.argmax()) if mine.any() else len(mine)


def _run(
    agents: Sequence[Agent],
    specs: Sequence[str],
    name: str,
    settings: RunSettings,
    seed: int,
    start: int,
    symbols: Sequence[str],
    definitions: dict[str, dict[str, Any]],
    *,
    hours: Hours,
    sources: dict[str, str] | None = None,
    basis: int = 0,
    grace_ns: int = 500_000_000,
    by_ticks: bool = True,
    warm: int = 0,
) -> Run:
    """Describe a backtest; its number follows from what it is made of, so the same one has the same identities."""
    if not agents:
        raise ConfigError("a backtest without agents: expected at least one")
    specs = list(specs) or [one.label() for one in agents]
    members = tuple({"spec": spec, "parameters": one.plain()} for spec, one in zip(specs, agents, strict=True))
    label = name or agents[0].label()
    made_of = json.dumps([label, members, seed, start, settings.model_dump(mode="json")], sort_keys=True, default=str)
    number = int.from_bytes(hashlib.sha256(made_of.encode()).digest()[:6], "big")
    return Run(
        number=number, agent=label, members=members, seed=seed, begin_seq=0, warm_seq=warm, started_ns=start,
        watched=sources or dict.fromkeys(symbols, ""), definitions=definitions, basis=basis, grace_ns=grace_ns,
        by_ticks=by_ticks, settings=settings, code=fingerprint(agents), calendars=named(hours),
    )  # fmt: skip
