"""Find the recordings that a command line names: files, and whatever can be played in directories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tapehub.errors import ConfigError, MissingExtra, RecordingError
from tapehub.feeds.replay import Recording, open_recording
from tapehub.hub import reading
from tapehub.model.records import TICK

if TYPE_CHECKING:
    from tapehub.hub import DataHub

__all__ = ["Found", "find_recordings", "first_quote_ns", "held_of"]


@dataclass(slots=True)
class Found:
    """Hold what was found.

    Attributes:
        recordings: in the order named; within a directory by path.
        skipped: file of a directory, and why it cannot be played.
    """

    recordings: list[Recording] = field(default_factory=list)
    skipped: list[tuple[Path, str]] = field(default_factory=list)

    @property
    def rows(self) -> int | None:
        """Give the number of ticks, or None where only reading tells."""
        counts = [recording.rows for recording in self.recordings]
        return None if None in counts else sum(count or 0 for count in counts)

    def describe_skipped(self, most: int = 3) -> str:
        """Say in one line what was passed over, the commonest reason first; empty when nothing was."""
        if not self.skipped:
            return ""
        reasons = Counter(_reason(path, why) for path, why in self.skipped)
        parts = [f"{count} × {reason}" for reason, count in reasons.most_common(most)]
        rest = len(self.skipped) - sum(count for _, count in reasons.most_common(most))
        files = "1 file" if len(self.skipped) == 1 else f"{len(self.skipped)} files"
        return f"skipped {files}: " + "; ".join(parts + ([f"{rest} others"] if rest else []))


def find_recordings(
    paths: Sequence[Path],
    *,
    symbol: str | None = None,
    tz: str | None = None,
    start: str | None = None,
    end: str | None = None,
    hour: str | int | None = None,
    source: str | None = None,
) -> Found:
    """Open every file named, and every recording in the directories named.

    A file that was named must be playable; one that merely lies in a directory is skipped when it is not.

    Raises:
        ConfigError: a path names nothing.
        RecordingError: a named file cannot be played, or nothing was found.
    """
    found = Found()
    for named, path in _files(paths):
        try:
            recording = open_recording(path, symbol, tz, start, end, hour=hour, source=source)
        except (RecordingError, MissingExtra) as error:
            if named:
                raise
            found.skipped.append((path, str(error)))
        else:
            found.recordings.append(recording)
    if not found.recordings:
        where = ", ".join(map(str, paths))
        raise RecordingError(f"{where}: no recording to play; expected tick files. {found.describe_skipped()}".rstrip())
    return found


def first_quote_ns(recordings: Sequence[Recording]) -> int | None:
    """Give the event time of the earliest quote, or None when there is none at all."""
    earliest: int | None = None
    for recording in sorted(recordings, key=lambda one: one.ts_min or 0):
        if earliest is not None and (recording.ts_min or 0) > earliest:
            break
        batch = next(iter(recording), None)
        if batch is not None:
            first = int(batch["ts_event"][0])
            earliest = first if earliest is None else min(first, earliest)
    return earliest


def held_of(hub: DataHub, recording: Recording) -> int | None:
    """Give the event time of a tick of a recording that the views of a hub hold already, or None.

    Cheap rather than thorough: the first tick in the log that may be of the file is looked up in the file. What lies
    before the instrument's last clear is in no view, and not looked at.
    """
    channel = reading.find_channel(hub, recording.symbol, recording.source)
    first = None if channel is None else next(iter(recording), None)
    if channel is None or first is None:
        return None
    mask = bytes(channel) + b"\x01"
    state, cleared = hub._hub_state(), int(reading.channel_state(hub, channel)[1]["cleared_seq"])
    position, head = max(int(state["oldest"]), cleared), int(state["head"])
    rows = np.empty(1, TICK)
    while position < head:
        after, count, *_ = hub._scan(
            position, head, mask, 1, int(first["ts_event"][0]), reading.EVER, rows.view(np.uint8)
        )
        if count:
            held_ns = int(rows["ts_event"][0])
            return None if next(iter(recording.window(held_ns, held_ns + 1)), None) is None else held_ns
        if after <= position:
            break
        position = after
    return None


def _files(paths: Sequence[Path]) -> Iterator[tuple[bool, Path]]:
    for path in paths:
        if path.is_dir():
            yield from (
                (False, inner) for inner in sorted(path.rglob("*")) if inner.is_file() and _visible(inner, path)
            )
        elif path.exists():
            yield True, path
        else:
            raise ConfigError(f"{path}: no such file or directory: expected recorded ticks; check the path")


def _visible(path: Path, below: Path) -> bool:
    return not any(part.startswith(".") for part in path.relative_to(below).parts)


def _reason(path: Path, why: str) -> str:
    """Shorten an error to what files of one kind share."""
    text = why.removeprefix(f"{path}: ")
    if text.startswith(("begins with", "is empty")):
        return "no tick recording"
    return " ".join(text.partition(":")[0].partition(" (")[0].split())
