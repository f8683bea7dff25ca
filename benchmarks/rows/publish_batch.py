"""Publish numpy batches: in bursts with pauses (segments are prefaulted in the pauses), and sustained without one.

The peer is a plain copy of the same batch into a warm shared-memory ring; the limit is a C++ copy of 64-byte lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing.shared_memory import SharedMemory
from time import perf_counter_ns, sleep
from typing import Any

import numpy as np

from benchmarks.bench import Bench
from benchmarks.data import SYMBOLS, TICK, ticks
from benchmarks.measure import Measurement, median, quiet_gc
from benchmarks.peers import HUB
from benchmarks.peers.base import Address, optional
from benchmarks.peers.tapehub import warm
from benchmarks.report import Check, Result
from benchmarks.workers import Link

__all__ = ["run"]

_BURST = 200_000
_PAUSE_S = 0.1


def run(bench: Bench) -> Iterator[Result]:
    """Yield the burst row and the sustained row."""
    burst = Result("publish_batch_burst", f"publish numpy batches of {_BURST // 1000} k ticks, bursts", "/s")
    sustained = Result("publish_batch_sustained", "publish numpy batches, sustained", "/s")
    roles = {HUB: _hub, "shm": _shm}
    limit = bench.limit("copy", 1_000_000, bench.pick(5, 15), key="per_s")
    for row, rounds, pause_s in ((burst, bench.pick(6, 15), _PAUSE_S), (sustained, bench.pick(15, 100), 0.0)):
        with bench.started([name for name in roles if bench.wants(name)], row.errors) as addresses:
            for name, address in addresses.items():
                with bench.crew(roles[name], {name: (address, rounds, pause_s)}, row.errors) as workers:
                    for answer in bench.rounds(workers, "go", 1, row.errors).values():
                        row.measured[name] = _collect(answer[0])
        row.limit = limit
        row.notes.append(f"{rounds} batches of {_BURST}, {pause_s:g} s apart; shm is a bare copy, no log, no candles")
    burst.checks = [Check.of("≥ 15 M/s", lambda: burst.median(HUB) >= 15e6)]
    yield burst
    yield sustained


def _collect(times_ns: list[int]) -> Measurement:
    rates = [_BURST * 1e9 / ns for ns in times_ns]
    total = len(times_ns) * _BURST * 1e9 / sum(times_ns)
    extra = {"overall_per_s": round(total)}
    return Measurement(median(rates), None, min(rates), max(rates), len(rates), len(rates) * _BURST, "", extra)


def _hub(link: Link, address: Address, rounds: int, pause_s: float) -> None:
    hub = optional("tapehub").DataHub.open(address["path"], create=False)
    warm(hub)
    symbols = list(SYMBOLS)
    link.ready()
    for _ in link.requests():
        times: list[int] = []
        for at in range(rounds):
            batch = ticks(_BURST, at * _BURST, 1_000_000)
            if pause_s:
                sleep(pause_s)
            with quiet_gc():
                start = perf_counter_ns()
                hub.publish(batch, symbols=symbols)
                times.append(perf_counter_ns() - start)
        link.reply(times)
    hub.close()


def _shm(link: Link, address: Address, rounds: int, pause_s: float) -> None:
    memory = SharedMemory(address["memory"])
    buffer: Any = memory.buf
    ring: Any = np.frombuffer(buffer, TICK, _BURST)
    link.ready()
    for _ in link.requests():
        times: list[int] = []
        for at in range(rounds):
            batch = ticks(_BURST, at * _BURST, 1_000_000)
            if pause_s:
                sleep(pause_s)
            with quiet_gc():
                start = perf_counter_ns()
                ring[:] = batch
                times.append(perf_counter_ns() - start)
        link.reply(times)
    del ring, buffer
    memory.close()
