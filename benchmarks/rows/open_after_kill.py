"""Open a hub in a fresh process after its writer was killed by SIGKILL in the middle of a batch.

Every tick for which a call had returned before the kill must be there: the row fails loudly when one is missing.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from time import perf_counter_ns
from typing import Any

from benchmarks.bench import Bench
from benchmarks.data import SYMBOLS, ticks
from benchmarks.measure import Measurement, median
from benchmarks.peers import HUB
from benchmarks.peers.base import Address, optional
from benchmarks.report import Check, Result
from benchmarks.workers import Link, Worker

__all__ = ["run"]

_BATCH = 250_000
_LINE = 64


def run(bench: Bench) -> Iterator[Result]:
    """Yield the row; 100 M records (6.4 GB of disk) with ``--full``, else 10 M, or 1 M with ``--quick``."""
    records = bench.pick(1_000_000, 10_000_000, 100_000_000)
    row = Result("open_after_kill", f"open a hub of {records // 1_000_000} M records after kill -9", "s")
    if bench.hub:
        free = shutil.disk_usage(bench.work).free
        if free < records * _LINE * 1.2:
            needed = records * _LINE * 6 // 5
            row.errors[HUB] = f"{free >> 20} MiB free in the work directory; expected {needed >> 20}; see --work-dir"
        else:
            _measure(bench, row, records)
    row.checks = [Check.of("≤ 0.2 s", lambda: row.median(HUB) <= 0.2)]
    if records < 100_000_000:
        row.notes.append(f"the target is for 100 M records; this run has {records // 1_000_000} M (--full has 100 M)")
    yield row


def _measure(bench: Bench, row: Result, records: int) -> None:
    with bench.started([HUB], row.errors) as addresses:
        if HUB not in addresses:
            return
        address = addresses[HUB]
        opened: list[dict[str, Any]] = []
        try:
            acknowledged = _write_and_kill(address, 0, records)
            for _ in range(bench.pick(2, 4)):
                with Worker(_open, address, timeout_s=120) as worker:
                    opened.append(worker.receive())
                _expect(opened[-1]["ticks"], acknowledged)
                acknowledged = _write_and_kill(address, acknowledged, acknowledged + 2 * _BATCH)
        except RuntimeError as error:
            row.errors[HUB] = str(error)
            return
    times = [one["ns"] / 1e9 for one in opened]
    extra = {"first_tick_read_s": median([one["read_ns"] / 1e9 for one in opened]), "records": records}
    row.measured[HUB] = Measurement(median(times), None, min(times), max(times), len(times), acknowledged, extra=extra)


def _write_and_kill(address: Address, first: int, until: int) -> int:
    """Publish from tick ``first`` until ``until`` are acknowledged, then kill; return how many were acknowledged."""
    with Worker(_write, address, first, timeout_s=120) as worker:
        acknowledged = first
        while acknowledged < until:
            acknowledged = worker.receive()
        worker.kill()
        return acknowledged


def _write(link: Link, address: Address, first: int) -> None:
    hub = optional("tapehub").DataHub.open(address["path"], create=False)
    symbols = list(SYMBOLS)
    first = max(first, _published(hub))
    while True:
        hub.publish(ticks(_BATCH, first, 1_000_000), symbols=symbols)
        first += _BATCH
        link.ready(first)


def _open(link: Link, address: Address) -> None:
    tapehub = optional("tapehub")
    start = perf_counter_ns()
    hub = tapehub.DataHub.open(address["path"], create=False)
    opened = perf_counter_ns()
    hub.get_latest_tick("EUR_USD")
    read = perf_counter_ns()
    link.ready({"ns": opened - start, "read_ns": read - start, "ticks": _published(hub)})
    hub.close()


def _published(hub: Any) -> int:
    """Return how many ticks of this row the hub holds: all that it counts but the fill's 40,000."""
    received: int = hub.get_status()["stats"]["ticks_received"]
    return received - 40_000


def _expect(found: int, acknowledged: int) -> None:
    if found < acknowledged:
        raise RuntimeError(f"the hub holds {found} ticks after the kill; expected the {acknowledged} acknowledged")
