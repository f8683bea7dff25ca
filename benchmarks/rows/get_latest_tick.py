"""Time ``get_latest_tick(symbol)`` on a quiet machine: one reader process, eight symbols in turn."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.bench import Bench
from benchmarks.measure import collect_blocks
from benchmarks.peers import HUB
from benchmarks.peers.base import Feature
from benchmarks.report import Check, Result, best_peer, ratio
from benchmarks.rows.roles import fill, reader_of

__all__ = ["run"]


def run(bench: Bench) -> Iterator[Result]:
    """Yield the row."""
    row = Result("get_latest_tick", "get_latest_tick(symbol) → object", "us")
    rounds = bench.pick(5, 11)
    with bench.started(bench.having(Feature.LATEST), row.errors) as addresses:
        jobs = {name: (name, address) for name, address in addresses.items()}
        with bench.crew(fill, jobs, row.errors) as fillers:
            readers = {name: (*jobs[name], "latest", 0) for name in fillers}
            with bench.crew(reader_of, readers, row.errors) as workers:
                bench.rounds(fillers, "be quiet", 1, row.errors)
                answers = bench.rounds(workers, 10_000, rounds, row.errors)
    for name, found in answers.items():
        row.measured[name] = collect_blocks([one[0] for one in found], [gap for one in found for gap in one[1]])
    row.limit = bench.limit("read", 20_000_000, key="ns", scale=1e-3)
    row.checks = [
        Check.of("≤ 0.06 µs", lambda: row.median(HUB) <= 0.06),
        Check.of("≥ 1000× BaseManager", lambda: ratio(row, "basemanager") >= 1000),
        Check.of("≥ 6× the best peer", lambda: ratio(row, best_peer(row)[0]) >= 6),
    ]
    yield row
