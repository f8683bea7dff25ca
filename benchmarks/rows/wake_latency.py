"""Time from just before a publish to the reader holding the tick, at 1,000 ticks a second: asleep, and spinning."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

from benchmarks import probe
from benchmarks.bench import Bench, Errors
from benchmarks.data import index_of
from benchmarks.measure import Measurement, percentile
from benchmarks.peers import HUB
from benchmarks.peers.base import Feature, Wait
from benchmarks.report import Check, Result
from benchmarks.rows.roles import FILL, paced_publisher, stream_reader
from benchmarks.workers import Worker

__all__ = ["run"]

_RATE = 1000
_Pair = tuple[Worker, Worker]


def run(bench: Bench) -> Iterator[Result]:
    """Yield the blocked row and the spinning row."""
    blocked = Result("wake_blocked", "publish → blocked reader has the tick, 1,000/s", "us")
    spin = Result("wake_spin", "publish → spinning reader has the tick, 1,000/s", "us")
    _measure(bench, blocked, Feature.BLOCK, Wait.BLOCK, "wake")
    if blocked.limit is not None:
        limit = blocked.limit
        blocked.checks = [
            Check.of("p50 ≤ 1.25× probe", lambda: blocked.median(HUB) <= 1.25 * limit.median),
            Check.of("p99 ≤ 1.25× probe", lambda: blocked.p99(HUB) <= 1.25 * (limit.p99 or 0.0)),
        ]
    yield blocked
    _measure(bench, spin, Feature.SPIN, Wait.SPIN, "spin")
    spin.checks = [Check.of("p50 ≤ 1 µs", lambda: spin.median(HUB) <= 1)]
    yield spin


def _measure(bench: Bench, row: Result, feature: Feature, wait: Wait, probe_mode: str) -> None:
    rounds, count = bench.pick(2, 6), bench.pick(300, 1000)
    gaps: dict[str, list[int]] = {}
    lost: dict[str, int] = {}
    probed: list[dict[str, float]] = []
    with ExitStack() as stack:
        addresses = stack.enter_context(bench.started(bench.having(Feature.STREAM, feature), row.errors))
        for address in addresses.values():
            address["wake"] = wait is Wait.BLOCK
        jobs = {name: (name, address, wait.value) for name, address in addresses.items()}
        readers = stack.enter_context(bench.crew(stream_reader, jobs, row.errors))
        senders = {name: (*jobs[name][:2], Feature.STREAM.value, 1) for name in readers}
        writers = stack.enter_context(bench.crew(paced_publisher, senders, row.errors))
        for at in range(rounds):
            for name in list(writers):
                found = _round((readers[name], writers[name]), FILL + at * count, count, name, row.errors)
                if found is None:
                    del writers[name]
                    continue
                gaps.setdefault(name, []).extend(found)
                lost[name] = lost.get(name, 0) + count - len(found)
            if not bench.probe_missing:
                probed.append(probe.run(probe_mode, count, _RATE))
    for name, found in gaps.items():
        row.measured[name] = _collect(sorted(found), rounds, lost[name])
    if probed:
        p50, p99 = (sorted(one[key] for one in probed)[len(probed) // 2] / 1e3 for key in ("p50_ns", "p99_ns"))
        row.limit = Measurement(p50, p99, rounds=rounds, samples=rounds * count, note=f"probe {probe_mode}")


def _round(pair: _Pair, first: int, count: int, name: str, errors: Errors) -> list[int] | None:
    reader, writer = pair
    try:
        reader.send(count)
        before, _ = writer.ask((first, count, _RATE))
        got: list[tuple[int, int]] = reader.receive()
    except RuntimeError as error:
        errors[name] = str(error)
        return None
    arrivals = [(index_of(ts_event) - first, at_ns) for ts_event, at_ns in got]
    return [at_ns - before[index] for index, at_ns in arrivals if 0 <= index < count]


def _collect(gaps: list[int], rounds: int, lost: int) -> Measurement:
    return Measurement(
        percentile(gaps, 0.5) / 1e3,
        percentile(gaps, 0.99) / 1e3,
        gaps[0] / 1e3,
        gaps[-1] / 1e3,
        rounds,
        len(gaps),
        f"{lost} not received" if lost else "",
        {"p999_us": percentile(gaps, 0.999) / 1e3, "lost": lost},
    )
