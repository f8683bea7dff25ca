"""Bring a venue's messages into the hub: parse, quality gate, publish; on one core, with nobody else's work in it.

A message is what IG's streaming client hands over: the item's name and the fields that changed, as text. From there on
all is the collector's: `feeds.ig.protocol`, `collector.core` with gate, liveness and rhythm, and the hub's log with the
candles of all timeframes. Counted is the processor time of the one thread that does it, so that a busy machine does not
change the number. Shown apart are the gate alone, the core without the parsing, and the whole way from the socket: the
official client's own threads included, against the simulated venue in another process.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Iterator
from time import monotonic, perf_counter_ns, process_time_ns, sleep, thread_time_ns
from typing import Any

from benchmarks.bench import Bench
from benchmarks.data import SYMBOLS, ticks
from benchmarks.measure import Measurement, median, quiet_gc
from benchmarks.peers import HUB
from benchmarks.peers.base import optional, package_version
from benchmarks.report import Check, Result
from benchmarks.workers import Link

__all__ = ["run"]

_BATCHES = (1, 8, 256)
_TARGET = 100_000
_WAYS = {"throughput": "parse → quality → hub", "core": "quality → hub, without the parse", "gate": "the gate alone"}
_EPICS = {symbol: f"CS.D.{symbol.replace('_', '')}.CFD.IP" for symbol in SYMBOLS[:3]}
_DECIMALS = tuple(3 if symbol.endswith("JPY") else 5 for symbol in _EPICS)
_STEP_NS = 4_000_000
_CLIENT_TICKS_PER_S = 600.0  # of each symbol: together some 1,800 a second, below what the client is known to take
_Message = tuple[str, dict[str, str | None]]


def run(bench: Bench) -> Iterator[Result]:
    """Yield a row for each number of messages taken at a time, and one with the official client."""
    if not bench.hub:
        return
    count, rounds = bench.pick(20_000, 60_000), bench.pick(3, 9)
    for size in _BATCHES:
        rows = {
            what: Result(f"collector_{what}_{size}", f"{title}, {size} at a time", "/s")
            for what, title in _WAYS.items()
        }
        errors: dict[str, str] = {}
        with bench.crew(_way, {what: (what, str(bench.room("hub")), size, count) for what in rows}, errors) as workers:
            for what, answers in bench.rounds(workers, "go", rounds, errors).items():
                rows[what].measured[HUB] = _collect(answers, count)
        for what, error in errors.items():
            rows[what].errors[HUB] = error
        whole = rows["throughput"]
        if size > 1:
            whole.checks = [Check.of("≥ 100 k/s on one core", lambda row=whole: row.median(HUB) >= _TARGET)]  # type: ignore[misc]
        else:
            whole.notes.append("no target: what comes 100,000 times a second comes many at a time")
        whole.notes.append("processor time of the one thread that works; an event-time hub without a server")
        yield from rows.values()
    if package_version("lightstreamer-client-lib"):
        yield _with_client(bench)
    else:
        bench.say("collector_with_client skipped: lightstreamer-client-lib is not installed")


def _collect(answers: list[tuple[int, int]], count: int) -> Measurement:
    rates = [count * 1e9 / cpu_ns for cpu_ns, _ in answers]
    walls = [count * 1e9 / wall_ns for _, wall_ns in answers]
    extra = {"us_per_message": round(1e6 / median(rates), 3), "wall_per_s": round(median(walls))}
    return Measurement(median(rates), None, min(rates), max(rates), len(rates), count * len(rates), extra=extra)


# ---------------------------------------------------------------- without the client


def _way(link: Link, what: str, path: str, size: int, count: int) -> None:
    hub = optional("tapehub").DataHub.open(path, create=True, sync="none")
    hub.set_clock("event", anchor_ns=int(ticks(1)["ts_event"][0]))
    work = {"throughput": _whole, "core": _core, "gate": _gate}[what](hub, size, count)
    link.ready()
    turn = 0
    for _ in link.requests():
        doing = work(turn)
        with quiet_gc():
            began_ns, cpu_ns = perf_counter_ns(), thread_time_ns()
            doing()
            taken = thread_time_ns() - cpu_ns, perf_counter_ns() - began_ns
        turn += 1
        link.reply(taken)
    ledger = hub.ledger()
    expected = 0 if what == "gate" else count * turn
    if ledger["ticks"] != expected or not ledger["balanced"]:
        raise RuntimeError(f"{ledger['ticks']} ticks in the log, expected {expected}: {ledger}")
    hub.close()


def _whole(hub: Any, size: int, count: int) -> Callable[[int], Callable[[], None]]:
    protocol, core = _protocol(), _new_core(hub)

    def prepare(turn: int) -> Callable[[], None]:
        # Cut and paired before the clock runs: that is the benchmark's work, not the collector's.
        messages, times = _messages(turn * count, count)
        timed = [(*message, now_ns) for message, now_ns in zip(messages, times, strict=True)]
        batches = [timed[begin : begin + size] for begin in range(0, count, size)]

        def work() -> None:
            update, take, on_event = protocol.update, protocol.take, core.on_event
            for batch in batches:
                for name, changes, now_ns in batch:
                    update(name, changes, now_ns)
                for event in take():
                    on_event(event, now_ns)

        return work

    return prepare


def _core(hub: Any, size: int, count: int) -> Callable[[int], Callable[[], None]]:
    protocol, core = _protocol(), _new_core(hub)

    def prepare(turn: int) -> Callable[[], None]:
        events = _parsed(protocol, turn, size, count)

        def work() -> None:
            on_event = core.on_event
            for event, now_ns in events:
                on_event(event, now_ns)

        return work

    return prepare


def _gate(hub: Any, size: int, count: int) -> Callable[[int], Callable[[], None]]:
    from tapehub.quality import Gate

    protocol, gate = _protocol(), Gate(book=hub._names.book)

    def prepare(turn: int) -> Callable[[], None]:
        events = _parsed(protocol, turn, size, count)

        def work() -> None:
            check = gate.check
            for event, now_ns in events:
                check(event.batch, event.symbols, "ig", now_ns)

        return work

    return prepare


def _protocol() -> Any:
    """Make IG's protocol with three tick items, ready for their first updates."""
    from tapehub.feeds.ig.budget import plan_of
    from tapehub.feeds.ig.markets import Market
    from tapehub.feeds.ig.protocol import Protocol
    from tapehub.feeds.ig.scaling import Scaler
    from tapehub.model.instruments import InstrumentBook

    first, book = ticks(len(_EPICS), symbols=len(_EPICS)), InstrumentBook()
    scalers = {
        symbol: Scaler(Market(epic, bid=float(row["bid"]), ask=float(row["ask"])), book.find(symbol))
        for (symbol, epic), row in zip(_EPICS.items(), first, strict=True)
    }
    protocol = Protocol(tuple(_EPICS))
    protocol.assign(plan_of(40, _EPICS, "A", heartbeat=False, states=False, candles=False).items, scalers)
    return protocol


def _new_core(hub: Any) -> Any:
    from tapehub.collector.core import Core
    from tapehub.feeds import Status, StatusKind

    now_ns = int(ticks(1)["ts_event"][0])
    core = Core(hub, "ig", _EPICS, random=random.Random(1), now_ns=now_ns)
    core.on_event(Status(StatusKind.CONNECTED, tuple(_EPICS), now_ns), now_ns)
    return core


def _messages(first: int, count: int) -> tuple[list[_Message], list[int]]:
    """Make updates as the client decodes them, all three fields changed, and the times they come in."""
    names = [f"CHART:{epic}:TICK" for epic in _EPICS.values()]
    rows = ticks(count, first, _STEP_NS, len(names))
    columns = (rows[name].tolist() for name in ("instrument", "ts_event", "bid", "ask"))
    messages: list[_Message] = []
    times: list[int] = []
    for which, ts_event, bid, ask in zip(*columns, strict=True):
        decimals = _DECIMALS[which]
        changes: dict[str, str | None] = {
            "BID": f"{bid:.{decimals}f}", "OFR": f"{ask:.{decimals}f}", "UTM": str(ts_event // 1_000_000)
        }  # fmt: skip
        messages.append((names[which], changes))
        times.append(ts_event + 3_000_000)
    return messages, times


def _parsed(protocol: Any, turn: int, size: int, count: int) -> list[tuple[Any, int]]:
    messages, times = _messages(turn * count, count)
    events: list[tuple[Any, int]] = []
    for begin in range(0, count, size):
        for (name, changes), now_ns in zip(messages[begin : begin + size], times[begin : begin + size], strict=True):
            protocol.update(name, changes, now_ns)
        events += [(event, now_ns) for event in protocol.take()]
    return events


# ---------------------------------------------------------------- with the client


def _with_client(bench: Bench) -> Result:
    """Collect from the simulated venue through the official client, and take the processor time apart."""
    row = Result("collector_with_client", "from the socket: official client, parse → quality → hub", "/s")
    seconds = bench.pick(3.0, 10.0)
    errors = row.errors
    with bench.crew(_venue, {"venue": ()}, errors) as venues:
        if "venue" in venues:
            url = venues["venue"].ask("where")
            with bench.crew(_from_socket, {HUB: (str(bench.room("hub")), url)}, errors) as workers:
                answers = bench.rounds(workers, seconds, bench.pick(1, 3), errors).get(HUB, [])
                if answers:
                    row.measured[HUB] = _shares(answers)
                    row.notes.append("the rate that one core's whole time would carry; the venue sends less")
                    row.notes.append(_told(row.measured[HUB].extra))
    return row


def _shares(answers: list[dict[str, float]]) -> Measurement:
    rates = [one["messages"] * 1e9 / one["cpu_ns"] for one in answers]
    of_core = [one["core_ns"] / one["cpu_ns"] for one in answers]
    of_client = [1 - one["loop_ns"] / one["cpu_ns"] for one in answers]
    extra = {
        "us_per_message": round(1e6 / median(rates), 2),
        "share_of_client_threads": round(median(of_client), 3),
        "share_of_parse_gate_hub": round(median(of_core), 3),
        "messages_per_s": round(median([one["messages"] / one["wall_s"] for one in answers])),
    }
    samples = int(sum(one["messages"] for one in answers))
    return Measurement(median(rates), None, min(rates), max(rates), len(rates), samples, extra=extra)


def _told(extra: dict[str, Any]) -> str:
    return (
        f"of {extra['us_per_message']} µs a message the official client's threads take "
        f"{extra['share_of_client_threads']:.0%}, parse, gate and hub {extra['share_of_parse_gate_hub']:.0%} "
        f"(at {extra['messages_per_s']} messages a second)"
    )


def _venue(link: Link) -> None:
    from tapehub.feeds.sim import Settings, SimulatorThread, SyntheticSource, VirtualClock

    clock = VirtualClock(int(ticks(1)["ts_event"][0]))
    source = SyntheticSource(tuple(_EPICS), 1, _CLIENT_TICKS_PER_S)
    with SimulatorThread(Settings(), source=source, clock=clock) as sim:
        link.ready()
        for _ in link.requests():
            link.reply(sim.rest_url)


def _from_socket(link: Link, path: str, url: str) -> None:
    """Collect in one thread's event loop; answer so many seconds of it with messages and times."""
    import threading

    hub = optional("tapehub").DataHub.open(path, create=True, sync="none")
    hub.set_clock("event", anchor_ns=int(ticks(1)["ts_event"][0]))
    meter: dict[str, float] = {"core_ns": 0.0, "loop_ns": 0.0}
    stop = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_collecting(hub, url, meter, stop)), daemon=True)
    thread.start()
    limit = monotonic() + 30
    while hub.ledger()["ticks"] < 100:
        if monotonic() > limit:
            raise RuntimeError("no ticks of the simulated venue within 30 s")
        sleep(0.05)
    link.ready()
    for seconds in link.requests():
        before, meter_before = hub.ledger()["received"], dict(meter)
        began, cpu_ns = monotonic(), process_time_ns()
        sleep(seconds)
        link.reply(
            {
                "cpu_ns": process_time_ns() - cpu_ns,
                "messages": hub.ledger()["received"] - before,
                "wall_s": monotonic() - began,
                "core_ns": meter["core_ns"] - meter_before["core_ns"],
                "loop_ns": meter["loop_ns"] - meter_before["loop_ns"],
            }
        )
    stop.set()
    thread.join(10)
    hub.close()
    os._exit(0)  # the client's own threads have no end


async def _collecting(hub: Any, url: str, meter: dict[str, float], stop: Any) -> None:
    from tapehub.collector.core import Core
    from tapehub.feeds.ig import Credentials, IgFeed, Settings
    from tapehub.feeds.ig.protocol import Protocol

    feed = IgFeed(
        tuple(_EPICS), credentials=Credentials("demo", "demo", "demo-key"), now=hub.now, rng=random.Random(1),
        base_url=url, settings=Settings(lend=False, states=False, candles=False),
    )  # fmt: skip
    core = Core(hub, "ig", feed.symbols, random=random.Random(1), now_ns=hub.now(), follows_events=True)
    update = Protocol.update

    def timed(self: Any, *arguments: Any) -> None:
        began_ns = thread_time_ns()
        update(self, *arguments)
        meter["core_ns"] += thread_time_ns() - began_ns

    Protocol.update = timed  # type: ignore[method-assign]
    stream = feed.events()
    try:
        async for event in stream:
            began_ns = thread_time_ns()
            core.on_event(event, hub.now())
            now_ns = thread_time_ns()
            meter["core_ns"] += now_ns - began_ns
            meter["loop_ns"] = float(now_ns)
            if stop.is_set():
                return
    finally:
        await stream.aclose()
        Protocol.update = update  # type: ignore[method-assign]
