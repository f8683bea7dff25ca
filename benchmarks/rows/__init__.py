"""List the rows: one module a group, in the order of the table."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from benchmarks.bench import Bench
from benchmarks.report import Result
from benchmarks.rows import (
    candles_100,
    candles_build,
    collector_throughput,
    eight_readers,
    get_latest_tick,
    get_p99_under_load,
    log_view,
    manager_replies,
    open_after_kill,
    publish_batch,
    publish_one,
    publish_p999,
    wake_latency,
)

__all__ = ["ROWS"]

ROWS: dict[str, Callable[[Bench], Iterator[Result]]] = {
    module.__name__.rpartition(".")[2]: module.run
    for module in (
        get_latest_tick,
        candles_100,
        manager_replies,
        publish_one,
        publish_batch,
        publish_p999,
        wake_latency,
        eight_readers,
        get_p99_under_load,
        log_view,
        candles_build,
        collector_throughput,
        open_after_kill,
    )
}
