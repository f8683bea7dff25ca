"""When recorded quotes go out: at N times the speed they came in, as fast as possible, or moved to another day."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from tapehub.errors import ConfigError
from tapehub.feeds.feed import Quotes

__all__ = ["pace", "rebase", "speed_of"]


def speed_of(text: str | float) -> float:
    """Read a speed: ``max``, ``10``, ``10x``.

    Raises:
        ConfigError: it is none, or not positive.
    """
    try:
        speed = math.inf if text == "max" else float(text.rstrip("xX") if isinstance(text, str) else text)
    except ValueError:
        speed = 0.0
    if not speed > 0:
        raise ConfigError(f"speed {text!r}: expected a positive number, as 1 or 10x, or max")
    return speed


def pace(
    batches: Iterable[Quotes],
    speed: float | str = 1.0,
    clock: Callable[[], int] = time.monotonic_ns,
    sleep: Callable[[float], None] = time.sleep,
    skip_ns: int | None = None,
) -> Iterator[Quotes]:
    """Let quotes through when their time has come.

    The first goes at once; one stamped t later goes t / speed later by `clock`, however late those before it went,
    so that delays of the consumer do not add up. What is due together goes together.

    Args:
        speed: how many times faster than it happened; ``"max"`` for no waiting at all.
        clock: nanoseconds.
        sleep: waits for that many seconds.
        skip_ns: silences longer than this, of event time, are cut down to it (a weekend); None keeps them.
    """
    factor = speed_of(speed)
    if math.isinf(factor):
        yield from batches
        return
    anchor_ns: int | None = None
    first_ns = last_ns = cut_ns = 0
    for batch in batches:
        ts_event = batch.records["ts_event"]
        if not len(ts_event):
            continue
        if anchor_ns is None:
            anchor_ns = clock()
            first_ns = last_ns = int(ts_event[0])
        elapsed = ts_event - first_ns - cut_ns
        if skip_ns is not None:
            excess = np.maximum(np.diff(ts_event, prepend=last_ns) - skip_ns, 0)
            elapsed = elapsed - np.cumsum(excess)
            cut_ns += int(excess.sum())
        last_ns = int(ts_event[-1])
        due = anchor_ns + (elapsed / factor).astype(np.int64)
        sent = 0
        while sent < len(due):
            now = clock()
            ready = int(np.searchsorted(due, now, side="right"))
            if ready > sent:
                yield batch.replace(batch.records[sent:ready])
                sent = ready
            else:
                sleep((int(due[sent]) - now) / 1e9)


def rebase(batches: Iterable[Quotes], to_ns: int) -> Iterator[Quotes]:
    """Move all times so that the first quote is at `to_ns`; spaces between quotes stay.

    Days and weeks move too: a session boundary of the recording is then an ordinary moment, unless the move is a
    multiple of a week.
    """
    shift: int | None = None
    for batch in batches:
        if not len(batch.records):
            continue
        if shift is None:
            shift = to_ns - int(batch.records["ts_event"][0])
        records = batch.records.copy()
        records["ts_event"] += shift
        records["ts_recv"][records["ts_recv"] != 0] += shift
        yield batch.replace(records)
