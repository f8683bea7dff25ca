"""The way of every quote from a feed into the hub: counted as received, judged by the gate, published."""

from __future__ import annotations

import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tapehub.collector.quarantine import Quarantine
from tapehub.errors import TapehubError
from tapehub.feeds.feed import QUOTE, Quotes
from tapehub.feeds.quotes import records_of
from tapehub.hub.publishing import row_offsets
from tapehub.quality import Gate, Reason, Tally, Verdict
from tapehub.quality.gate import Batch

if TYPE_CHECKING:
    from tapehub.hub import DataHub

__all__ = ["Count", "Publisher", "due", "sliced", "trace"]

_UNDEFINED = -1
_OFFSETS = row_offsets(QUOTE, indexed=True) or ()
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
        precounted: the feed tells the hub of each quote as it comes; then nothing is counted as received here, but for
            messages of no instrument.
        traced: keep a checksum of what was published of each instrument, for readers to compare with.
        on_verdict: called with what the gate decided on a run of one source, before any of it is published: what is
            logged there stands before the ticks.
    """

    def __init__(
        self,
        hub: DataHub,
        *,
        follows_events: bool = False,
        precounted: bool = False,
        traced: bool = False,
        on_verdict: Callable[[Verdict, tuple[str, ...], str, int], None] | None = None,
    ) -> None:
        self._hub = hub
        self.gate = Gate(book=hub._names.book)
        self.quarantine = Quarantine(hub)
        self._follows_events = follows_events
        self._precounted = precounted
        self._traced = traced
        self._on_verdict = on_verdict
        self._unpublished: Counter[str] = Counter()  # accepted, and not in the log: an error came in between
        self._refused: Counter[str] = Counter()
        self._targets: dict[tuple[tuple[str, ...], str], list[int]] = {}
        self._symbols: tuple[str, ...] = ()  # the last that were asked for, all of whose channels are defined
        self._source = ""
        self._last_targets: list[int] = []
        self._incarnation = hub._incarnation
        self.traces: dict[str, int] = {}
        self.refusals: Counter[str] = Counter()

    @property
    def counts(self) -> dict[str, Count]:
        """Account for each symbol, whatever its sources; under the empty name stands what names no known symbol."""
        out: dict[str, Count] = {}
        for (symbol, _), tally in self.gate.tallies.items():
            if tally.received:
                quarantined = Counter({reason.label: number for reason, number in tally.quarantined.items()})
                out.setdefault(symbol, Count()).add(
                    Count(tally.received, tally.accepted, tally.duplicates, 0, quarantined)
                )
        for symbol, count in out.items():
            count.refused = self._refused[symbol]
            count.published -= self._refused[symbol] + self._unpublished[symbol]
        return out

    @property
    def total(self) -> Count:
        """Add the accounts of all instruments."""
        total = Count()
        for count in self.counts.values():
            total.add(count)
        return total

    def publish(self, quotes: Quotes, now_ns: int | None = None) -> int:
        """Publish a batch; return how many quotes of it are in the log.

        Args:
            now_ns: the hub clock, where the caller has read it already.

        Raises:
            HubError: the hub cannot take more; what of the batch is in the log is counted as published.
        """
        now = self._hub.now() if now_ns is None else now_ns
        sources = quotes.sources
        if sources.count(sources[0]) == len(sources):
            return self._publish_run(quotes.batch, quotes.symbols, sources[0], now)
        return sum(self._publish_run(records, quotes.symbols, source, now) for source, records in quotes.by_source())

    def malformed(self, raw: bytes, why: str, source: str, now_ns: int, symbol: str = "", count: int = 1) -> None:
        """Account for a message that could not be read, and keep it; under the instrument's name where it tells one.

        Args:
            count: how many quotes it stands for.
        """
        if not (self._precounted and symbol):
            self._hub._receive(count)
        tally = self.gate.tallies.setdefault((symbol, source), Tally())
        tally.received += count
        tally.quarantined[Reason.MALFORMED] += count
        self.quarantine.message(raw, why, source, now_ns, symbol)
        self._hub._count(quarantined=count)

    def left(self, counts: Mapping[str, int], source: str) -> None:
        """Account for quotes that a feed had received and did not hand over when it was closed: refused, each."""
        for symbol, count in counts.items():
            tally = self.gate.tallies.setdefault((symbol, source), Tally())
            tally.received += count
            tally.accepted += count
            self._refused[symbol] += count
            self._hub._count(refused=count)
            self.refusals[f"{symbol}: not handed over when the feed was closed"] += count

    def _publish_run(self, batch: Batch, symbols: tuple[str, ...], source: str, now_ns: int) -> int:
        hub = self._hub
        # Counted before it is judged: what dies in this process in between is in flight, not forgotten.
        if not self._precounted:
            hub._receive(len(batch))
        verdict = self.gate.check(batch, symbols, source, None if self._follows_events else now_ns)
        if verdict.duplicates or len(verdict.quarantined):
            if len(verdict.quarantined):
                self.quarantine.quotes(
                    verdict.quarantined, verdict.reasons.tolist(), symbols, source, now_ns, self.gate
                )
            hub._count(duplicates=verdict.duplicates, quarantined=len(verdict.quarantined))
        if self._on_verdict is not None:
            self._on_verdict(verdict, symbols, source, now_ns)
        return self._put(verdict, symbols, source) if len(verdict.accepted) else 0

    def _put(self, verdict: Verdict, symbols: tuple[str, ...], source: str) -> int:
        """Publish what the gate let through; a row the hub refuses all the same is counted and passed over."""
        hub, batch = self._hub, verdict.accepted
        channels = self._channels(verdict, symbols, source)
        total = 0
        while len(batch):
            try:
                if isinstance(batch, list):
                    done, fault = hub._publish_rows(batch, channels)
                else:
                    done, fault = hub._publish_array(batch, _OFFSETS, channels, 0)
            except TapehubError as error:
                self._unpublished.update(symbols[row[-1]] for row in batch[error.published :])
                raise
            total += done
            if self._traced:
                self._trace(batch[:done], symbols)
            if not fault:
                return total
            hub._count(refused=1)
            symbol = symbols[batch[done][-1]]
            self._refused[symbol] += 1
            self.refusals[f"{symbol}: {fault}"] += 1
            batch = batch[done + 1 :]
        return total

    def _channels(self, verdict: Verdict, symbols: tuple[str, ...], source: str) -> list[int]:
        """Give the channel of each symbol; those that no row is of need none, and get none defined."""
        if self._hub._incarnation != self._incarnation:  # another hub lies in its place
            self._incarnation = self._hub._incarnation
            self._targets.clear()
            self._symbols = ()
        if symbols is self._symbols and source == self._source:  # a feed's are always the same; their hash is not kept
            return self._last_targets
        known = self._targets.get((symbols, source))
        if known is None:
            known = self._targets[symbols, source] = [_UNDEFINED] * len(symbols)
        for index, _, accepted, _, _ in verdict.arrivals:
            if accepted and known[index] == _UNDEFINED:
                known[index] = self._hub._names.feed_channel(symbols[index], source)
        if _UNDEFINED not in known:
            self._symbols, self._source, self._last_targets = symbols, source, known
            return known
        some = next(channel for channel in known if channel != _UNDEFINED)
        return [some if channel == _UNDEFINED else channel for channel in known]

    def _trace(self, batch: Batch, symbols: tuple[str, ...]) -> None:
        records = records_of(batch) if isinstance(batch, list) else batch
        for index, symbol in enumerate(symbols):
            rows = records[records["instrument"] == index]
            self.traces[symbol] = trace(rows, self.traces.get(symbol, 0))


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
                yield batch.replace(batch.records[sent:ready])
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
            yield batch.replace(batch.records[begin : begin + records_max])
            time.sleep(0)  # a server in this process would want a turn
