"""Recorded files as a feed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from tapehub.errors import ConfigError
from tapehub.feeds.feed import Guarantees, Quotes, RecordedFeed
from tapehub.feeds.replay.formats import open_recording
from tapehub.feeds.replay.merge import merge
from tapehub.feeds.replay.recording import Recording

__all__ = ["Replay"]


class Replay(RecordedFeed):
    """Read recordings of any formats as one feed, in order of event time. Any number of iterations, each its own.

    Args:
        recordings: opened recordings, or paths of files that need no option to be opened.
    """

    def __init__(self, recordings: Iterable[Recording | str | Path], name: str = "replay") -> None:
        self.recordings = [row if isinstance(row, Recording) else open_recording(row) for row in recordings]
        if not self.recordings:
            raise ConfigError("replay of no file: expected at least one recording")
        self.name = name
        self.symbols = tuple(dict.fromkeys(row.symbol for row in self.recordings))
        self.guarantees = Guarantees(ordered=True, merged=True, repeatable=True, complete=True)

    def batches(self) -> Iterator[Quotes]:
        """Iterate over the quotes of all recordings."""
        return merge(self.recordings)
