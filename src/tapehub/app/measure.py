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

from tapehub._native import Tick
from tapehub.feeds.feed import Records, empty_quotes
from tapehub.hub import DataHub

__all__ = ["MEASUREMENTS", "Measurement", "measure"]

_ROUNDS = 7
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SYMBOLS = ("EUR_USD", "GBP_USD", "AUD_USD", "USD_CHF", "USD_CAD", "NZD_USD", "EUR_GBP", "EUR_CHF")
_START_NS = 1_736_208_000_000_000_000  # Tuesday 2025-01-07 00:00 UTC: no weekend near
MEASUREMENTS = {
    "get_latest_tick(symbol), an object": 0.06,
    "100 candles as objects": 2.0,
    "100 candles as an array": 0.8,
    "view of the whole log": 1.0,
    "publish ticks one by one, all candles": 0.33,
    "publish an array, each tick of it": 0.067,
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
        # Hours of sparse ticks for the candles, then a busy market: 100 ticks a second, and bursts of 1,000.
        hub.publish(_ticks(0, 40_000, 500), symbols=_SYMBOLS, source="bench")
        latest, candles, arrays, log = hub.get_latest_tick, hub.get_latest_candles, hub.candles, hub.log
        yield _each(lambda: latest("EUR_USD"), 20_000)
        yield _each(lambda: candles("EUR_USD", 100), 2_000)
        yield _each(lambda: arrays("EUR_USD", limit=100), 2_000)
        yield _each(lambda: log(0), 2_000)
        at_ms = 40_000 * 500
        yield _publish_each(hub, [_ticks(at_ms + n * 200_000, 20_000, 10) for n in range(_ROUNDS)])
        at_ms += _ROUNDS * 200_000
        yield _publish_arrays(hub, [_ticks(at_ms + n * 100_000, 100_000, 1) for n in range(_ROUNDS)])


def _ticks(from_ms: int, count: int, step_ms: int) -> Records:
    """Make distinct ticks over all symbols, `step_ms` apart, the first `from_ms` after the start."""
    number = np.arange(count)
    quotes = empty_quotes(count)
    quotes["ts_event"] = _START_NS + (from_ms + number * step_ms) * 1_000_000
    quotes["instrument"] = number % len(_SYMBOLS)
    quotes["bid"] = 1.1 + (number * 7919 % 997) * 1e-5
    quotes["ask"] = quotes["bid"] + 1e-4
    return quotes


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


def _publish_each(hub: DataHub, rounds: list[Records]) -> float:
    publish = hub.update_tick
    took = []
    for records in rounds:
        ticks = [
            Tick(_SYMBOLS[index], bid, ask, timestamp=_EPOCH + timedelta(microseconds=ts_event // 1000))
            for index, ts_event, bid, ask in zip(
                *(records[name].tolist() for name in ("instrument", "ts_event", "bid", "ask")), strict=True
            )
        ]
        began = time.perf_counter()
        for tick in ticks:
            publish(tick)
        took.append((time.perf_counter() - began) / len(ticks))
    return statistics.median(took) * 1e6


def _publish_arrays(hub: DataHub, rounds: list[Records]) -> float:
    took = []
    for records in rounds:
        began = time.perf_counter()
        hub.publish(records, symbols=_SYMBOLS, source="bench")
        took.append((time.perf_counter() - began) / len(records))
    return statistics.median(took) * 1e6
