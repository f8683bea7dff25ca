"""Several recordings as one series in event time.

Reads as little ahead as order allows: two batches of every file that can already hold ticks, nothing of the others,
so a year of hourly files takes the memory of one. What is held is cut at the earliest time that some file may still
add to, put together and sorted; numpy's stable sort makes use of runs that are in order already, so that costs
little.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from tapehub.errors import RecordingError
from tapehub.feeds.feed import Quotes, Records, in_time, joined
from tapehub.feeds.replay.recording import Recording

__all__ = ["merge"]

_NEVER = int(np.iinfo(np.int64).max)


def merge(recordings: Iterable[Recording], records_max: int = 131_072) -> Iterator[Quotes]:
    """Read several recordings as one, in order of event time.

    Equal times stay in the order of the files given, and within a file in its own. A record's `instrument` is an
    index into `symbols` and `sources`: one entry for each (symbol, source), the same in every batch. Memory: a few
    batches of every file whose times overlap.

    Args:
        records_max: upper bound on a batch.

    Raises:
        RecordingError: a file is damaged.
    """
    files = list(recordings)
    channels = list(dict.fromkeys((file.symbol, file.source) for file in files))
    symbols = tuple(symbol for symbol, _ in channels)
    sources = tuple(source for _, source in channels)
    waiting = sorted(
        range(len(files)), key=lambda i: -_NEVER if (bound := files[i].ts_min) is None else bound, reverse=True
    )
    tracks: list[_Track] = []
    while waiting or tracks:
        until_ns = min((track.certain_ns for track in tracks), default=_NEVER)
        opens_ns = _NEVER if not waiting else -_NEVER if (bound := files[waiting[-1]].ts_min) is None else bound
        for records in _together([track.take(min(until_ns, opens_ns)) for track in tracks], records_max):
            yield Quotes(records, symbols, sources)
        if waiting and opens_ns <= until_ns:
            order = waiting.pop()
            file = files[order]
            tracks.append(_Track(order, file, channels.index((file.symbol, file.source))))
            tracks.sort(key=lambda track: track.order)
        else:
            for track in tracks:
                if track.certain_ns == until_ns:
                    track.refill()
        tracks = [track for track in tracks if len(track.held)]


class _Track:
    """Hold what was read of one recording and not given out yet; empty only when the file is."""

    def __init__(self, order: int, file: Recording, channel: int) -> None:
        self.order = order
        self._file = file
        self._channel = channel
        self._batches = iter(file)
        self._next = next(self._batches, None)
        self.held: Records = np.empty(0, dtype=np.void)
        self.refill()

    @property
    def certain_ns(self) -> int:
        """Give the time before which nothing more can come."""
        return _NEVER if self._next is None else int(self.held["ts_event"][-1])

    def refill(self) -> None:
        """Append the next batch, if there is one."""
        if self._next is None:
            return
        batch, self._next = self._next, next(self._batches, None)
        bound = self._file.ts_min
        if bound is not None and batch["ts_event"][0] < bound:
            raise RecordingError(
                f"{self._file.path}: a tick at {batch['ts_event'][0]} ns: expected none before {bound}, by its name or "
                "first line; rename it or sort it by time"
            )
        # A copy in any case: a reader's batch may be shared.
        self.held = joined([self.held, batch]) if len(self.held) else batch.copy()
        self.held["instrument"] = self._channel

    def take(self, before_ns: int) -> Records:
        """Give out what is earlier."""
        cut = len(self.held) if before_ns == _NEVER else int(np.searchsorted(self.held["ts_event"], before_ns))
        taken, self.held = self.held[:cut], self.held[cut:]
        return taken


def _together(parts: Sequence[Records], records_max: int) -> Iterator[Records]:
    filled = [part for part in parts if len(part)]
    if not filled:
        return
    records = in_time(joined(filled))
    for begin in range(0, len(records), records_max):
        yield records[begin : begin + records_max]
