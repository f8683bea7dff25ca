"""Read what the components of a hub logged: JSON files that are rotated, merged in the order of time."""

from __future__ import annotations

import heapq
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count, islice
from operator import itemgetter
from pathlib import Path
from typing import Any

from tapehub.app.logs import FOLDER

__all__ = ["Event", "Follower", "last_events", "names_of", "text_of"]

UP = "up"
"""The supervisor's own log, which tells of all components."""
_BLOCK_BYTES = 1 << 16
_NOW = "9"  # later than all
_FIRST = ("timestamp", "level", "component", "event")
_LAST = ("exception", "logger")

Event = dict[str, Any]


def names_of(where: Path) -> list[str]:
    """Name the components that have logged in a hub."""
    return sorted({path.name.partition(".jsonl")[0] for path in (where / FOLDER).glob("*.jsonl*")})


def last_events(where: Path, names: Sequence[str], events_max: int) -> list[Event]:
    """Read the last events of some components, or of all, oldest first: what they logged, and what "up" did with them.

    Args:
        events_max: of all together.
    """
    rows = [_newest(where, name) for name in _files(where, names)]
    newest = heapq.merge(*rows, key=itemgetter(0), reverse=True)
    return list(islice((event for _, event in newest if _is_of(event, names)), events_max))[::-1]


def _files(where: Path, names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys((*names, UP))) if names else names_of(where)


def _is_of(event: Event, names: Sequence[str]) -> bool:
    return not names or event["component"] in names


def text_of(event: Event) -> str:
    """Write an event as one line, and the traceback below it where there is one."""
    when = str(event.get("timestamp", ""))[:19].replace("T", " ")
    fields = "".join(f" {key}={_plain(value)}" for key, value in event.items() if key not in (*_FIRST, *_LAST))
    line = f"{when} {event.get('component', ''):<10} {event.get('level', ''):<8} {event.get('event', '')}{fields}"
    trace = event.get("exception")
    return line if not trace else f"{line}\n{trace}"


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return value if value and " " not in value else repr(value)
    return json.dumps(value, default=str)


@dataclass(slots=True)
class Follower:
    """Read on what components log from now on, also when a file is rotated and when a new component begins.

    Args:
        names: those to follow; none stand for all, also for ones that come later.
    """

    where: Path
    names: tuple[str, ...] = ()
    _open: dict[str, tuple[int, int, bytes]] = field(default_factory=dict)  # inode, offset, what has no end of line yet

    def __post_init__(self) -> None:
        for name in _files(self.where, self.names):
            path = _path(self.where, name)
            if path.exists():
                found = path.stat()
                self._open[name] = (found.st_ino, found.st_size, b"")

    def read(self) -> list[Event]:
        """Give what was logged since the last time, in the order of time."""
        rows: list[Event] = []
        for name in _files(self.where, self.names):
            rows += self._read(name)
        return sorted((event for event in rows if _is_of(event, self.names)), key=_when)

    def _read(self, name: str) -> list[Event]:
        path = _path(self.where, name)
        try:
            inode = path.stat().st_ino
        except FileNotFoundError:  # between two files: the new one comes in a moment
            return []
        known, offset, rest = self._open.get(name, (inode, 0, b""))
        text = rest
        if known != inode:  # rotated: first what was still written into the one before
            before = path.with_name(f"{path.name}.1")
            if before.exists() and before.stat().st_ino == known:
                text += _from(before, offset)[0]
            offset = 0
        more, offset = _from(path, offset)
        *lines, rest = (text + more).split(b"\n")
        self._open[name] = (inode, offset, rest)
        return [_event(line, name) for line in lines if line]


def _from(path: Path, offset: int) -> tuple[bytes, int]:
    with path.open("rb") as file:
        file.seek(offset)
        found = file.read()
    return found, offset + len(found)


def _path(where: Path, name: str) -> Path:
    return where / FOLDER / f"{name}.jsonl"


def _newest(where: Path, name: str) -> Iterator[tuple[str, Event]]:
    """Read the events of one component and when they were, the newest first, back into its older files.

    One without a time, such as a torn line, is as old as the one after it: it must not hold up those before it.
    """
    when = _NOW
    path = _path(where, name)
    for number in count(0):
        older = path.with_name(f"{path.name}.{number}") if number else path
        try:
            for line in _lines_backwards(older):
                if line:
                    event = _event(line, name)
                    when = _when(event) or when
                    yield when, event
        except FileNotFoundError:
            if number:  # else rotated at this moment
                return


def _lines_backwards(path: Path) -> Iterator[bytes]:
    """Read a file's lines from its end, a block at a time, so that the last ten of 10 MiB cost one block."""
    with path.open("rb") as file:
        position = file.seek(0, os.SEEK_END)
        rest = b""
        while position:
            size = min(_BLOCK_BYTES, position)
            position -= size
            file.seek(position)
            first, *lines = (file.read(size) + rest).split(b"\n")
            yield from reversed(lines)
            rest = first
        yield rest


def _event(line: bytes, name: str) -> Event:
    """Read a line; one that is no JSON, such as the torn last one of a killed process, is shown as it is."""
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        event = {"timestamp": "", "level": "", "event": line.decode(errors="replace")}
    event.setdefault("component", name)
    return event


def _when(event: Event) -> str:
    return str(event.get("timestamp", "")).replace(" ", "T")
