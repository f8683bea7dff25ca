"""A recording: one file of one instrument's ticks, in order of event time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tapehub.errors import RecordingError
from tapehub.feeds.feed import Quotes, Records, in_time, joined

__all__ = ["Options", "Recording", "ordered", "windowed"]


@dataclass(frozen=True, slots=True)
class Options:
    """Carry what the caller knows and a file may not tell.

    Attributes:
        symbol: canonical name of the instrument.
        tz: time zone of the file's wall times, see `zones.Zone`.
        hour_ns: beginning of the hour that a Dukascopy tick file counts from, UTC.
        decimals: digits after the point where prices are integers.
        source: name of who quoted; the format's own when None.
    """

    symbol: str | None = None
    tz: str | None = None
    hour_ns: int | None = None
    decimals: int | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Recording:
    """Stand for a file of ticks; iterating reads it from the beginning, as often as wanted.

    Attributes:
        symbol: canonical name of the instrument.
        source: who quoted, in lower case: ``dukascopy``, ``oanda``, …
        format: name of the format, a key of `formats.FORMATS`.
        rows: number of ticks in the file, None where only reading tells. A window does not change it.
        ts_min: no tick is earlier than this (UTC ns), None where only reading tells. `merge` opens the file no sooner.
    """

    path: Path
    symbol: str
    source: str
    format: str
    read: Callable[[], Iterator[Records]]
    rows: int | None = None
    ts_min: int | None = None

    def __iter__(self) -> Iterator[Records]:
        """Iterate over the ticks: shape (n,), dtype QUOTE, n > 0, `ts_event` ascending, equal ones in the file's order.

        Raises:
            RecordingError: the file is damaged; the message says where.
        """
        return self.read()

    def batches(self) -> Iterator[Quotes]:
        """Iterate over the ticks as a feed yields them."""
        for records in self.read():
            yield Quotes(records, (self.symbol,), (self.source,))

    def window(self, start_ns: int | None, end_ns: int | None) -> Recording:
        """Keep the ticks with ``start_ns <= ts_event < end_ns``."""
        if start_ns is None and end_ns is None:
            return self
        read = self.read
        ts_min = max((ts for ts in (self.ts_min, start_ns) if ts is not None), default=None)
        return replace(self, read=lambda: windowed(read(), start_ns, end_ns), ts_min=ts_min)


def windowed(batches: Iterator[Records], start_ns: int | None, end_ns: int | None) -> Iterator[Records]:
    """Cut ordered batches down to ``start_ns <= ts_event < end_ns``, and stop reading at the end."""
    for records in batches:
        ts_event = records["ts_event"]
        begin = 0 if start_ns is None else int(np.searchsorted(ts_event, start_ns))
        end = len(records) if end_ns is None else int(np.searchsorted(ts_event, end_ns))
        if end > begin:
            yield records[begin:end]
        if end < len(records):
            return


def ordered(batches: Iterator[Records], path: Path) -> Iterator[Records]:
    """Put ticks in order of event time, equal ones left as they came, one batch late.

    Files are in order but for odd exceptions; those are mended within two neighbouring batches (some 40,000 ticks).

    Raises:
        RecordingError: a tick is older than that reaches.
    """
    held: Records | None = None
    sent_ns = np.iinfo(np.int64).min
    row = 0
    for batch in batches:
        if not len(batch):
            continue
        records = in_time(batch)
        if held is not None:
            if records["ts_event"][0] < held["ts_event"][-1]:
                both = in_time(joined([held, records]))
                held, records = both[: len(held)], both[len(held) :]
            if held["ts_event"][0] < sent_ns:
                raise RecordingError(
                    f"{path}: near tick {row}: event time {held['ts_event'][0]} ns follows {sent_ns} ns, more than "
                    f"{len(held)} ticks late: expected ascending times; sort the file by time"
                )
            sent_ns = held["ts_event"][-1]
            yield held
        held = records
        row += len(batch)
    if held is not None:
        if held["ts_event"][0] < sent_ns:
            raise RecordingError(f"{path}: the last ticks are older than those before them: sort the file by time")
        yield held
