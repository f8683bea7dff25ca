"""Time calls: medians of interleaved rounds, percentiles of single calls, loop overhead subtracted and stated.

A *round* is one short block of calls in one process. Rounds of different contestants alternate (A B C A B C …), so
that a machine that changes its mood changes it for all; a contestant's number is the median of its rounds.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from time import perf_counter_ns
from typing import Any

__all__ = [
    "BLOCK_NS",
    "Block",
    "Measurement",
    "calibrate",
    "collect_blocks",
    "median",
    "percentile",
    "quiet_gc",
    "sample_calls",
    "time_block",
    "timer_overhead_ns",
]

BLOCK_NS = 20_000_000
_BARE_MIN = 2_000


@dataclass(frozen=True, slots=True)
class Measurement:
    """Hold one contestant's result in one row; ``median`` and ``p99`` are in the row's unit."""

    median: float
    p99: float | None = None
    low: float | None = None
    high: float | None = None
    rounds: int = 1
    samples: int = 0
    note: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for the results file."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Block:
    """Hold one round: calls made, ns in all, and ns of the same loop with nothing in it."""

    calls: int
    gross_ns: int
    loop_ns: int

    @property
    def per_call_ns(self) -> float:
        """Return the time of one call without the loop around it."""
        return max(0.0, (self.gross_ns - self.loop_ns) / self.calls)


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which ``share`` of an ascending sequence lies (nearest rank, never interpolated)."""
    if not ordered:
        raise ValueError("percentile of no samples; expected at least one")
    return float(ordered[min(len(ordered) - 1, int(len(ordered) * share))])


def median(values: Sequence[float]) -> float:
    """Return the middle value (the upper one of two)."""
    return percentile(sorted(values), 0.5)


@contextmanager
def quiet_gc() -> Iterator[None]:
    """Keep the cyclic garbage collector out of a measured block."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def time_block(call: Callable[[Any], object], items: Sequence[Any]) -> Block:
    """Call once for each item and time it, then time the bare loop over at least as many."""
    bare = list(items) * (1 + _BARE_MIN // len(items))
    with quiet_gc():
        start = perf_counter_ns()
        for item in items:
            call(item)
        gross_ns = perf_counter_ns() - start
        start = perf_counter_ns()
        for item in bare:  # noqa: B007 - the empty loop is what is timed
            pass
        loop_ns = (perf_counter_ns() - start) * len(items) // len(bare)
    return Block(len(items), gross_ns, loop_ns)


def calibrate(call: Callable[[Any], object], items: Sequence[Any], block_ns: int = BLOCK_NS) -> int:
    """Return how many calls fill a block: at least 5, at most as many as there are items."""
    probe = min(50, len(items))
    block = time_block(call, items[:5])
    if block.per_call_ns < 1_000_000:
        block = time_block(call, items[:probe])
    return max(5, min(len(items), int(block_ns / max(1.0, block.per_call_ns))))


def timer_overhead_ns(rounds: int = 20_000) -> int:
    """Return the median distance of two successive readings of the timer."""
    gaps = sorted(-(perf_counter_ns() - perf_counter_ns()) for _ in range(rounds))
    return gaps[rounds // 2]


def sample_calls(call: Callable[[Any], object], items: Sequence[Any]) -> list[int]:
    """Time each call by itself and return ascending ns, the timer's own median distance subtracted."""
    clock = perf_counter_ns
    gaps = [0] * len(items)
    with quiet_gc():
        for at, item in enumerate(items):
            start = clock()
            call(item)
            gaps[at] = clock() - start
    overhead_ns = timer_overhead_ns()
    return sorted(max(0, gap - overhead_ns) for gap in gaps)


def collect_blocks(blocks: Sequence[Block], samples: Sequence[int] = (), note: str = "") -> Measurement:
    """Turn the rounds of one contestant, and its single calls in ns, into a measurement in µs."""
    ordered = sorted(samples)
    per_call = [block.per_call_ns / 1e3 for block in blocks]
    loop = median([block.loop_ns / block.calls for block in blocks])
    return Measurement(
        median=median(per_call),
        p99=percentile(ordered, 0.99) / 1e3 if ordered else None,
        low=min(per_call),
        high=max(per_call),
        rounds=len(blocks),
        samples=len(ordered),
        note=note,
        extra={"loop_overhead_ns": round(loop, 2), "calls_per_round": blocks[0].calls},
    )
