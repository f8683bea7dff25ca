"""Time single ``get_latest_tick`` calls in eight reader processes while one process publishes as fast as it can."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from contextlib import ExitStack
from time import monotonic, perf_counter_ns
from typing import Any

from benchmarks.bench import Bench
from benchmarks.data import symbol_cycle
from benchmarks.measure import Measurement, median, percentile, quiet_gc, timer_overhead_ns
from benchmarks.peers import HUB, PEERS, peer
from benchmarks.peers.base import Address, Feature
from benchmarks.report import Check, Result
from benchmarks.rows.roles import fill, flat_out
from benchmarks.workers import Link, Worker, ask_all

__all__ = ["run"]

_READERS = 8
_SAMPLES_MAX = 400_000


def run(bench: Bench) -> Iterator[Result]:
    """Yield the row: median and p99 over all readers' calls."""
    row = Result("get_p99_under_load", f"get_latest_tick, {_READERS} readers, flat-out producer", "us")
    found: dict[str, list[dict[str, Any]]] = {}
    for _ in range(bench.pick(1, 3)):
        for name in bench.having(Feature.LATEST):
            if name in row.errors:
                continue
            try:
                found.setdefault(name, []).append(_one_pass(bench, name, row))
            except (RuntimeError, TimeoutError, LookupError, OSError) as error:
                row.errors[name] = str(error)
    for name, got in found.items():
        if got:
            row.measured[name] = _collect(got)
    row.checks = [Check.of("p99 ≤ 8 µs", lambda: row.p99(HUB) <= 8)]
    row.notes.append("nine busy processes share the cores: a call that is descheduled counts with its whole pause")
    yield row


def _one_pass(bench: Bench, name: str, row: Result) -> dict[str, Any]:
    seconds = bench.pick(0.5, 1.5)
    with ExitStack() as stack:
        address = stack.enter_context(bench.started([name], row.errors))[name]
        filler = Worker(fill, name, address)
        readers = [stack.enter_context(Worker(time_gets, name, address)) for _ in range(_READERS)]
        with filler:
            filler.receive()
            for reader in readers:
                reader.receive()
        batch = min(400_000, PEERS[name].stream_count) // 200 * 200
        writer = stack.enter_context(Worker(flat_out, name, address, batch))
        writer.receive()
        writer.send("go")
        start = monotonic()
        answers = ask_all(readers, seconds)
        published = writer.ask("stop")
        took_s = monotonic() - start
    gaps = sorted(gap for answer in answers for gap in answer)
    shares = {"p50": 0.5, "p99": 0.99, "p999": 0.999, "p9999": 0.9999}
    found = {name: percentile(gaps, share) for name, share in shares.items()}
    return {**found, "max": gaps[-1], "count": len(gaps), "rate": published / took_s}


def _collect(got: list[dict[str, Any]]) -> Measurement:
    p99 = [one["p99"] / 1e3 for one in got]
    return Measurement(
        median([one["p50"] / 1e3 for one in got]),
        median(p99),
        min(p99),
        max(p99),
        len(got),
        sum(one["count"] for one in got),
        extra={
            "published_per_s": round(median([one["rate"] for one in got])),
            **{f"{name}_us": median([one[name] / 1e3 for one in got]) for name in ("p999", "p9999", "max")},
        },
    )


def time_gets(link: Link, name: str, address: Address) -> None:
    """Answer a number of seconds by calling that long: ns of each call, the timer's own distance subtracted."""
    reader = peer(name).reader(address)
    symbols = symbol_cycle(1000)
    overhead_ns = timer_overhead_ns(2000)
    link.ready()
    for seconds in link.requests():
        gaps = array("q")
        call, clock, keep = reader.latest, perf_counter_ns, gaps.append
        end = monotonic() + seconds
        with quiet_gc():
            while monotonic() < end and len(gaps) < _SAMPLES_MAX:
                for symbol in symbols[:100]:
                    start = clock()
                    call(symbol)
                    keep(clock() - start)
        step = max(1, len(gaps) // 50_000)  # at most 50 k a reader go back over the pipe, evenly thinned
        link.reply([max(0, gap - overhead_ns) for gap in gaps[::step]])
    reader.close()
