"""A short measurement of the hub alone, by the definitions of the benchmarks.

One process and one thread, so no figure for waking a reader: `benchmarks/` has that, with producers and readers apart.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from tapehub import DataHub, Tick
from tapehub.feeds.feed import Records, joined
from tapehub.feeds.synthetic import Synthetic

__all__ = ["MEASUREMENTS", "Measurement", "measure"]

_ROUNDS = 7
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SYMBOLS = ("EUR_USD", "USD_JPY", "GBP_USD", "AUD_USD")
_START = datetime(2026, 6, 2, 12, tzinfo=UTC)
MEASUREMENTS = {
    "get_latest_tick(symbol), an object": 0.06,
    "100 candles as objects": 2.0,
    "100 candles as an array": 0.8,
    "view of the whole log, no copy": 1.0,
    "publish, one call a tick, logged, all candles": 0.33,
    "publish an array, each tick, same guarantees": 1 / 15,
}
"""What is measured, and the goal in microseconds."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """Give one result, in microseconds an operation."""

    name: str
    us: float
    goal_us: float

    @property
    def per_s(self) -> float:
        """Give operations per second."""
        return 1e6 / self.us if self.us > 0 else float("inf")


def measure(path: Path) -> Iterator[Measurement]:
    """Measure one thing after the other in a new hub at `path`."""
    results = _measure(path)
    for (name, goal_us), us in zip(MEASUREMENTS.items(), results, strict=True):
        yield Measurement(name, us, goal_us)


def _measure(path: Path) -> Iterator[float]:
    with DataHub.open(path, create=True, name="bench") as hub:
        hub.set_clock("event")
        feed = Synthetic(_SYMBOLS, _START, _START + timedelta(hours=4), ticks_per_s=6.0)
        batches = [quotes.records for quotes in feed.batches()]
        symbols = feed.symbols
        filled, fresh = batches[: len(batches) // 2], joined(batches[len(batches) // 2 :])
        for records in filled:
            hub.publish(records, symbols=symbols, source="bench")
        latest, candles, arrays, log = hub.get_latest_tick, hub.get_latest_candles, hub.candles, hub.log
        yield _each(lambda: latest("EUR_USD"), 20_000)
        yield _each(lambda: candles("EUR_USD", 100), 2_000)
        yield _each(lambda: arrays("EUR_USD", limit=100), 2_000)
        yield _each(lambda: log(0), 2_000)
        rounds = np.array_split(fresh, 2 * _ROUNDS)
        yield _publish_each(hub, symbols, rounds[:_ROUNDS])
        yield _publish_arrays(hub, symbols, rounds[_ROUNDS:])


def _each(call: Callable[[], object], times: int) -> float:
    def nothing() -> None: ...

    took = []
    for _ in range(_ROUNDS):
        bare = _loop(nothing, times)
        took.append(_loop(call, times) - bare)
    return max(statistics.median(took) / times * 1e6, 1e-4)


def _loop(call: Callable[[], object], times: int) -> float:
    began = time.perf_counter()
    for _ in range(times):
        call()
    return time.perf_counter() - began


def _publish_each(hub: DataHub, symbols: tuple[str, ...], rounds: list[Records]) -> float:
    publish = hub.update_tick
    took = []
    for records in rounds:
        ticks = [
            Tick(symbols[index], bid, ask, timestamp=_EPOCH + timedelta(microseconds=ts_event // 1000))
            for index, ts_event, bid, ask in zip(
                *(records[name].tolist() for name in ("instrument", "ts_event", "bid", "ask")), strict=True
            )
        ]
        began = time.perf_counter()
        for tick in ticks:
            publish(tick)
        took.append((time.perf_counter() - began) / len(ticks))
    return statistics.median(took) * 1e6


def _publish_arrays(hub: DataHub, symbols: tuple[str, ...], rounds: list[Records]) -> float:
    took = []
    for records in rounds:
        began = time.perf_counter()
        hub.publish(records, symbols=symbols, source="bench")
        took.append((time.perf_counter() - began) / len(records))
    return statistics.median(took) * 1e6
