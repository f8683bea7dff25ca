"""What agents have left in a hub's log, found by kind, and the runs among it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from tapehub.agents.records import AgentRecord, Message, decode, split_cause
from tapehub.agents.run import Run
from tapehub.errors import InvalidRecord
from tapehub.hub import blobs, scanning
from tapehub.model.records import Kind

if TYPE_CHECKING:
    from tapehub.hub import DataHub

__all__ = ["NO_ROWS", "Found", "between", "find_run", "newest", "run_of", "runs"]

NO_ROWS: Final = np.empty(0, np.uint8)
"""For a scan that copies nothing."""


class Found(NamedTuple):
    """Hold a record of an agent that was found in the log.

    Attributes:
        run: number of the run it is of; 0 of none.
        cause, ordinal: its place among that run's outputs; cause is 0 for what is no output.
    """

    seq: int
    kind: int
    ts_event: int
    ts_publish: int
    run: int
    cause: int
    ordinal: int
    payload: bytes

    @property
    def message(self) -> Message:
        """Give it as its type."""
        return decode(self.kind, self.payload)


def newest(hub: DataHub, kinds: Iterable[Kind], oldest: int = 0) -> Iterator[Found]:
    """Go through records of some kinds, newest first, a segment at a time."""
    for seq, record in scanning.newest(hub, _mask(kinds), oldest):
        yield _found(hub, seq, record)


def between(hub: DataHub, kinds: Iterable[Kind], position: int, stop: int) -> Iterator[Found]:
    """Go through records of some kinds from one place in the log to another, oldest first."""
    for seq, record in scanning.between(hub, _mask(kinds), position, stop):
        yield _found(hub, seq, record)


def _mask(kinds: Iterable[Kind]) -> int:
    return sum(1 << kind for kind in kinds)


def _found(hub: DataHub, seq: int, record: Any) -> Found:
    cause, ordinal = split_cause(record[6])
    payload = blobs.load(hub, record[9], record[10])
    return Found(seq, record[0], record[2], record[4], record[5], cause, ordinal, payload)


def runs(hub: DataHub, agent: str | None = None) -> Iterator[Run]:
    """List the runs in the log, newest first."""
    for found in newest(hub, [Kind.AGENT]):
        run = run_of(found)
        if run is not None and (agent is None or run.agent == agent):
            yield run


def run_of(found: Found) -> Run | None:
    """Read a run from its first record; None when it is another."""
    if found.cause or found.kind != Kind.AGENT:
        return None
    try:
        told = found.message
        if isinstance(told, AgentRecord) and told.what == "start":
            return Run.read(told.agent, found.seq, told.data)
    except (InvalidRecord, KeyError, TypeError, ValueError):
        return None
    return None


def find_run(hub: DataHub, name: str) -> Run | None:
    """Find a run by its id, its number in hex, or the name of its agent: then the newest."""
    return next((run for run in runs(hub) if name in (run.id, f"{run.number:012x}", run.agent)), None)
