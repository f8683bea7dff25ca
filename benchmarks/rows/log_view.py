"""Time a zero-copy view of one million lines of the log; the limit is numpy's own view of a mapped file."""

from __future__ import annotations

import mmap
from collections.abc import Iterator

import numpy as np

from benchmarks.bench import Bench
from benchmarks.data import SYMBOLS, ticks
from benchmarks.measure import Measurement, collect_blocks, sample_calls, time_block
from benchmarks.peers import HUB
from benchmarks.peers.base import Address, optional
from benchmarks.report import Check, Result
from benchmarks.workers import Link

__all__ = ["run"]

_LINES = 1_000_000
_CALLS = 20_000


def run(bench: Bench) -> Iterator[Result]:
    """Yield the row."""
    row = Result("log_view", "zero-copy view of 1 M log lines", "us")
    with bench.started([HUB] if bench.hub else [], row.errors) as addresses:
        jobs = {name: (address,) for name, address in addresses.items()}
        with bench.crew(_view, jobs, row.errors) as workers:
            for name, answer in bench.rounds(workers, bench.pick(5, 11), 1, row.errors).items():
                row.measured[name] = answer[0]
    row.limit = _numpy_view()
    row.checks = [Check.of("≤ 1 µs", lambda: row.median(HUB) <= 1)]
    row.notes.append("the limit is np.frombuffer on one mapping of 64 MB")
    yield row


def _view(link: Link, address: Address) -> None:
    hub = optional("tapehub").DataHub.open(address["path"], create=False)
    symbols = list(SYMBOLS)
    for first in range(0, 1_200_000, 200_000):
        hub.publish(ticks(200_000, first, 1_000_000), symbols=symbols)
    view = hub.log(0, _LINES)
    if len(view) != _LINES:
        raise RuntimeError(f"log(0, {_LINES}) has {len(view)} lines; expected {_LINES}")

    def call(_: int) -> object:
        return hub.log(0, _LINES)

    link.ready()
    for rounds in link.requests():
        blocks = [time_block(call, range(_CALLS)) for _ in range(rounds)]
        gaps = sample_calls(call, range(_CALLS))
        link.reply(collect_blocks(blocks, gaps))
    hub.close()


def _numpy_view() -> Measurement:
    with mmap.mmap(-1, _LINES * 64) as mapped:

        def call(_: int) -> object:
            return np.frombuffer(mapped, "V64", _LINES)

        return collect_blocks([time_block(call, range(_CALLS)) for _ in range(5)], note="np.frombuffer")
