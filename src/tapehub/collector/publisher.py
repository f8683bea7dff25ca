"""The way of every quote from a feed into the hub: counted as received, judged by the gate, published."""

from __future__ import annotations

import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tapehub.errors import InvalidRecord
from tapehub.feeds.feed import Quotes, Records
from tapehub.quality import Gate, Reason

if TYPE_CHECKING:
    from tapehub.hub import DataHub

__all__ = ["Count", "Publisher", "due", "sliced", "trace"]

_TRACED = np.dtype([("ts_event", "<i8"), ("bid", "<f8"), ("ask", "<f8")])


@dataclass(slots=True)
class Count:
    """Account for the quotes of one instrument; `balance` is zero when each has exactly one fate."""

    received: int = 0
    published: int = 0
    duplicates: int = 0
    refused: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)

    @property
    def balance(self) -> int:
        """Give the quotes that were received and have no fate yet."""
        return self.received - self.published - self.duplicates - self.refused - self.quarantined.total()

    def add(self, other: Count) -> None:
        """Add another account."""
        self.received += other.received
        self.published += other.published
        self.duplicates += other.duplicates
        self.refused += other.refused
        self.quarantined.update(other.quarantined)


class Publisher:
    """Publish a feed's quotes. One thread.

    Args:
        follows_events: the hub clock is the latest event, so no quote can be ahead of it.
        traced: keep a checksum of what was published of each instrument, for readers to compare with.
    """

    def __init__(self, hub: DataHub, *, follows_events: bool = False, traced: bool = False) -> None:
        self._hub = hub
        self._gate = Gate()
        self._follows_events = follows_events
        self._traced = traced
        self.counts: dict[str, Count] = {}
        self.traces: dict[str, int] = {}
        self.refusals: Counter[str] = Counter()

    @property
    def total(self) -> Count:
        """Add the accounts of all instruments."""
        total = Count()
        for count in self.counts.values():
            total.add(count)
        return total

    def publish(self, quotes: Quotes) -> int:
        """Publish a batch; return how many quotes of it are in the log."""
        before = sum(count.published for count in self.counts.values())
        for source, records in quotes.by_source():
            self._publish_run(records, quotes.symbols, source)
        return sum(count.published for count in self.counts.values()) - before

    def _publish_run(self, records: Records, symbols: tuple[str, ...], source: str) -> None:
        records, symbols = _only_used(records, symbols)
        # Counted before it is judged: what dies in this process in between is in flight, not forgotten.
        self._hub._count(received=len(records))
        self._tally(records, symbols, "received")
        now_ns = None if self._follows_events else self._hub.now()
        verdict = self._gate.check(records, symbols, source, now_ns)
        if verdict.duplicates or len(verdict.quarantined):
            self._hub._count(duplicates=verdict.duplicates, quarantined=len(verdict.quarantined))
            self._set_aside(records, verdict.accepted, verdict.quarantined, verdict.reasons, symbols)
        self._put(verdict.accepted, symbols, source)

    def _set_aside(
        self, records: Records, accepted: Records, bad: Records, reasons: Any, symbols: tuple[str, ...]
    ) -> None:
        for reason in np.unique(reasons).tolist():
            label = Reason(reason).label
            for symbol, number in _by_symbol(bad[reasons == reason], symbols):
                self._of(symbol).quarantined[label] += number
        left = Counter(dict(_by_symbol(records, symbols)))
        for part in (accepted, bad):
            left.subtract(dict(_by_symbol(part, symbols)))
        for symbol, number in left.items():
            self._of(symbol).duplicates += number

    def _put(self, records: Records, symbols: tuple[str, ...], source: str) -> None:
        """Publish what the gate let through; a row the hub refuses all the same is counted and passed over."""
        while len(records):
            try:
                done, skipped = self._hub.publish(records, symbols=symbols, source=source, verified=True), 0
            except InvalidRecord as error:
                done, skipped = error.published, 1
                self.refusals[str(error)] += 1
            self._tally(records[:done], symbols, "published")
            if skipped:
                self._tally(records[done : done + 1], symbols, "refused")
            if self._traced:
                for index, symbol in enumerate(symbols):
                    rows = records[:done]
                    rows = rows[rows["instrument"] == index]
                    self.traces[symbol] = trace(rows, self.traces.get(symbol, 0))
            records = records[done + skipped :]

    def _tally(self, records: Records, symbols: tuple[str, ...], what: str) -> None:
        for symbol, number in _by_symbol(records, symbols):
            count = self._of(symbol)
            setattr(count, what, getattr(count, what) + number)

    def _of(self, symbol: str) -> Count:
        return self.counts.setdefault(symbol, Count())


def trace(records: np.ndarray[Any, Any], before: int = 0) -> int:
    """Continue a checksum over event times and prices, so that two processes can tell they saw the same ticks."""
    plain = np.empty(len(records), dtype=_TRACED)
    for name in _TRACED.names or ():
        plain[name] = records[name]
    return zlib.crc32(plain.tobytes(), before)


def due(
    batches: Iterable[Quotes], now: Callable[[], int], rate: float, stop: threading.Event, hold_s: float = 0.02
) -> Iterator[Quotes]:
    """Let quotes through when the hub clock reaches their event time; end early when told to.

    Nothing is ever ahead of the clock that judges it, and what fell behind goes at once, so delays do not add up.

    Args:
        now: the hub clock, ns UTC.
        rate: hub seconds in a second, to know how long to sleep.
        hold_s: collect at least this long before waking again, so that a fast replay does not wake for every tick.
    """
    for batch in batches:
        ts_event = batch.records["ts_event"]
        sent = 0
        while sent < len(ts_event):
            if stop.is_set():
                return
            now_ns = now()
            ready = int(np.searchsorted(ts_event, now_ns, side="right"))
            if ready > sent:
                yield batch._replace(records=batch.records[sent:ready])
                sent = ready
            else:
                behind_s = (int(ts_event[sent]) - now_ns) / 1e9 / rate
                # In slices, since the clock may be set anew and a signal may come.
                stop.wait(min(max(behind_s, 0.0005 if rate <= 10 else hold_s), 0.25))


def sliced(batches: Iterable[Quotes], stop: threading.Event, records_max: int = 32_768) -> Iterator[Quotes]:
    """Cut batches into pieces between which one can stop and show progress."""
    for batch in batches:
        for begin in range(0, len(batch.records), records_max):
            if stop.is_set():
                return
            yield batch._replace(records=batch.records[begin : begin + records_max])
            time.sleep(0)  # a server in this process would want a turn


def _only_used(records: Records, symbols: tuple[str, ...]) -> tuple[Records, tuple[str, ...]]:
    """Drop the symbols that no row is of: publishing defines a channel for each it is given."""
    used = np.unique(records["instrument"])
    if len(used) == len(symbols) or (len(used) and used[-1] >= len(symbols)):
        return records, symbols
    place = np.zeros(len(symbols), dtype=np.uint16)
    place[used] = np.arange(len(used), dtype=np.uint16)
    renamed = records.copy()
    renamed["instrument"] = place[records["instrument"]]
    return renamed, tuple(symbols[index] for index in used.tolist())


def _by_symbol(records: Records, symbols: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    if not len(records):
        return
    numbers = np.bincount(np.minimum(records["instrument"], len(symbols)), minlength=len(symbols) + 1)
    totals: Counter[str] = Counter()
    for index in np.flatnonzero(numbers).tolist():
        totals[symbols[index] if index < len(symbols) else ""] += int(numbers[index])
    yield from totals.items()
