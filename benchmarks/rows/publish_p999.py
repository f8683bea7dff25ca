"""Time single publishes at 1,000 a second while the log is synced and another process writes to the same disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from time import sleep

from benchmarks import probe
from benchmarks.bench import Bench
from benchmarks.measure import Measurement, percentile, timer_overhead_ns
from benchmarks.peers import HUB
from benchmarks.peers.base import Feature
from benchmarks.report import Check, Result
from benchmarks.rows.roles import FILL, paced_publisher
from benchmarks.workers import Link, Worker

__all__ = ["run"]

_RATE = 1000
_BLOCK = 4 << 20


def run(bench: Bench) -> Iterator[Result]:
    """Yield the row: median, and p99.9 in place of p99."""
    row = Result("publish_p999", "publish at 1,000/s, sync=interval, writeback running: p50 / p99.9", "us")
    seconds = bench.pick(3, 20, 30)
    names = [name for name in (HUB, "shm", "basemanager") if bench.wants(name)]
    with bench.started(names, row.errors) as addresses, Worker(_write_back, str(bench.room("writeback"))) as disk:
        disk.receive()
        disk.send("go")
        for name, address in addresses.items():
            jobs = {name: (name, address, Feature.LATEST.value)}
            count = _RATE * (seconds if name == HUB else min(seconds, bench.pick(2, 5)))
            with bench.crew(paced_publisher, jobs, row.errors) as workers:
                for answer in bench.rounds(workers, (FILL, count, _RATE), 1, row.errors).values():
                    row.measured[name] = _collect(*answer[0])
        if not bench.probe_missing:
            found = probe.run("store", _RATE * seconds, _RATE)
            row.limit = Measurement(
                found["p50_ns"] / 1e3,
                found["p999_ns"] / 1e3,
                samples=_RATE * seconds,
                note="probe store: one line, no hub",
            )
        written = disk.ask("stop")
    row.checks = [Check.of("p99.9 ≤ 5 µs", lambda: row.p99(HUB) <= 5)]
    row.notes.append(f"second number is p99.9 of {_RATE * seconds} calls; {written} MiB written and synced meanwhile")
    yield row


def _collect(before: list[int], after: list[int]) -> Measurement:
    overhead_ns = timer_overhead_ns()
    gaps = sorted(max(0, end - start - overhead_ns) for start, end in zip(before, after, strict=True))
    return Measurement(
        percentile(gaps, 0.5) / 1e3,
        percentile(gaps, 0.999) / 1e3,
        gaps[0] / 1e3,
        gaps[-1] / 1e3,
        samples=len(gaps),
        extra={
            "p999_us": percentile(gaps, 0.999) / 1e3,
            "p99_us": percentile(gaps, 0.99) / 1e3,
            "max_us": gaps[-1] / 1e3,
            "timer_overhead_ns": overhead_ns,
        },
    )


def _write_back(link: Link, directory: str) -> None:
    path = Path(directory) / "noise"
    block = os.urandom(_BLOCK)
    link.ready()
    written = 0
    for request in link.requests():
        if request == "stop":
            link.reply(written)
            continue
        with path.open("wb", buffering=0) as file:
            while not link.asked():
                file.seek(written * (1 << 20) % (64 << 20))
                file.write(block)
                written += _BLOCK >> 20
                if written % 16 == 0:
                    os.fsync(file.fileno())
                sleep(0.05)
