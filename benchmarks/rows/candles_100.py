"""Time the last candles of a symbol, as objects and as an array, on both sides of BaseManager's 16 KiB cliff."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.bench import Bench
from benchmarks.measure import collect_blocks
from benchmarks.peers import HUB
from benchmarks.peers.base import Feature
from benchmarks.report import Check, Result
from benchmarks.rows.roles import reader_of

__all__ = ["run"]


def run(bench: Bench) -> Iterator[Result]:
    """Yield 100 candles as objects, 100 as an array, and 200 as objects."""
    objects = Result("candles_100_objects", "100 candles → list of objects", "us")
    array = Result("candles_100_numpy", "100 candles → numpy array", "us")
    cliff = Result("candles_200_objects", "200 candles → list of objects (over 16 KiB)", "us")
    errors: dict[str, str] = {}
    with bench.started(bench.having(Feature.CANDLES), errors) as addresses:
        for row, what, count in ((objects, "objects", 100), (array, "array", 100), (cliff, "objects", 200)):
            row.errors.update(errors)
            jobs = {name: (name, address, what, count) for name, address in addresses.items()}
            with bench.crew(reader_of, jobs, row.errors) as workers:
                answers = bench.rounds(workers, 2_000, bench.pick(3, 9), row.errors)
            for name, found in answers.items():
                row.measured[name] = collect_blocks([one[0] for one in found], [gap for one in found for gap in one[1]])
    objects.checks = [Check.of("≤ 2 µs", lambda: objects.median(HUB) <= 2)]
    array.checks = [Check.of("≤ 0.8 µs", lambda: array.median(HUB) <= 0.8)]
    cliff.notes.append("BaseManager's reply no longer fits one packet and waits for a delayed acknowledgement")
    yield from (objects, array, cliff)
