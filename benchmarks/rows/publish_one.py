"""Publish distinct ticks over symbols and time, one call each, from one process.

This hub logs each tick over at least three segments and updates the candles of every timeframe; the peers store the
latest tick, or hand it to the transport with one reader attached, whichever is faster for them, and keep nothing
else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.bench import Bench
from benchmarks.measure import Measurement, median
from benchmarks.peers import HUB
from benchmarks.peers.base import Feature
from benchmarks.report import Check, Result
from benchmarks.rows.roles import absorber, publisher
from benchmarks.workers import Worker

__all__ = ["run"]

_SEGMENTS = 3
_TICKS = _SEGMENTS * (1 << 20)
_PEER_ROUND_S = 0.1
_Round = tuple[int, int, int]


def run(bench: Bench) -> Iterator[Result]:
    """Yield the row as a rate."""
    row = Result("publish_one", "publish distinct ticks, one call each", "/s")
    found: dict[str, list[tuple[str, Measurement]]] = {}
    for feature in (Feature.LATEST, Feature.STREAM):
        names = bench.having(feature)
        if feature is Feature.STREAM:
            names = [name for name in names if name != HUB]  # one publish serves both here
        _measure(bench, row, feature, names, found)
    for name, ways in found.items():
        row.measured[name] = max((way[1] for way in ways), key=lambda one: one.median)
    row.checks = [
        Check.of("≥ 3 M/s", lambda: row.median(HUB) >= 3e6),
        Check.of("≥ 3 segments", lambda: row.median(HUB) > 0 and row.measured[HUB].samples >= _TICKS),
    ]
    row.notes.append("tapehub: logged, latest value and candles of all timeframes updated; peers: no log, no candles")
    yield row


def _measure(
    bench: Bench, row: Result, feature: Feature, names: list[str], found: dict[str, list[tuple[str, Measurement]]]
) -> None:
    rounds = bench.pick(3, 9)
    errors: dict[str, str] = {}
    with bench.started(names, errors) as addresses:
        jobs = {name: (name, address, feature.value) for name, address in addresses.items()}
        readers = {name: (name, address) for name, address in addresses.items() if feature is Feature.STREAM}
        with bench.crew(absorber, readers, errors), bench.crew(publisher, jobs, errors) as workers:
            chunks = {name: _chunk(name, worker, rounds) for name, worker in workers.items()}
            answers: dict[str, list[_Round]] = {name: [] for name in workers}
            for at in range(rounds):
                for name, worker in workers.items():
                    answers[name].append(worker.ask((1000 + at * chunks[name], chunks[name])))
    for name, got in answers.items():
        if got:
            found.setdefault(name, []).append((feature.value, _collect(got, feature)))
    for name, error in errors.items():
        row.errors[f"{name} ({feature.value})"] = error


def _chunk(name: str, worker: Worker, rounds: int) -> int:
    if name == HUB:
        return _TICKS // rounds + 1
    count, gross_ns, _ = worker.ask((0, 500))
    return max(500, min(100_000, int(_PEER_ROUND_S * 1e9 * count / gross_ns)))


def _collect(got: list[_Round], feature: Feature) -> Measurement:
    rates = [count * 1e9 / max(1, gross_ns - loop_ns) for count, gross_ns, loop_ns in got]
    extra: dict[str, Any] = {
        "us_per_tick": round(1e6 / median(rates), 4),
        "loop_overhead_ns": round(median([loop_ns / count for count, _, loop_ns in got]), 2),
        "way": feature.value,
    }
    total = sum(count for count, _, _ in got)
    return Measurement(median(rates), None, min(rates), max(rates), len(rates), total, extra=extra)
