"""Does a run, decided again from the log, come to what it came to live? Every difference, by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tapehub.agents.engine import Engine
from tapehub.agents.finding import make
from tapehub.agents.hours import hours_of
from tapehub.agents.journal import read_run
from tapehub.agents.lags import Lags
from tapehub.agents.log_reader import LogReader
from tapehub.agents.records import Output, identity
from tapehub.errors import ConfigError
from tapehub.model.records import Kind

if TYPE_CHECKING:
    from tapehub.agents.agent import Agent
    from tapehub.agents.run import Run
    from tapehub.hub import DataHub

__all__ = ["Comparison", "Difference", "compare", "replay"]


@dataclass(frozen=True, slots=True)
class Difference:
    """Say where a replay differs from what the log holds.

    Attributes:
        id: of the output.
        what: ``missing`` (from the replay), ``extra``, or ``changed``.
        fields: those that differ: what the log holds, what the replay says.
    """

    id: str
    kind: str
    what: str
    fields: dict[str, tuple[Any, Any]] = field(default_factory=dict)

    def __str__(self) -> str:
        rest = "; ".join(f"{name}: {live!r} live, {again!r} again" for name, (live, again) in self.fields.items())
        return f"{self.kind} {self.id} {self.what}" + (f": {rest}" if rest else "")


@dataclass(slots=True)
class Comparison:
    """Hold what a replay came to.

    Attributes:
        compared: outputs in the log.
        undecided: outputs of the replay beyond the last that the log holds: the run has not come there yet, or died.
    """

    run: Run
    compared: int = 0
    undecided: int = 0
    ended: bool = False
    records: int = 0
    outputs: list[Output] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    first_ns: int = 0
    last_ns: int = 0


def replay(
    hub: DataHub, run: Run, agents: Sequence[Agent] | None = None, sink: Callable[[Output], None] | None = None
) -> tuple[Engine, list[Output], int]:
    """Decide a run again from the log, up to where it was stopped, or to the log's head.

    Args:
        agents: default is to make them as the run's first record says.

    Returns:
        the engine as it stands at the end, the outputs, and how many records were read.
    """
    if run.warm_seq < int(hub._hub_state()["oldest"]):
        raise ConfigError(f"the log that run {run.id} began with, at record {run.warm_seq}, is gone: {hub.path}")
    made = agents if agents is not None else [make(one["spec"], dict(one["parameters"])) for one in run.members]
    written = read_run(hub, run)
    outputs: list[Output] = []

    def look(symbol: str, now: int, cause: int, ordinal: int) -> tuple[str, str, int] | None:
        return written.looks.get((cause, ordinal))

    engine = Engine(run, made, sink or outputs.append, look=look, lags=Lags(written.lags), hours=hours_of(hub, run))
    reader = LogReader(hub, run.warm_seq, run.watched)
    end = written.ended if written.ended is not None else hub.head
    while reader.drive(engine, end=end):
        pass
    if written.ended is not None:
        engine.stop()
    return engine, outputs, reader.delivered


def compare(hub: DataHub, run: Run, agents: Sequence[Agent] | None = None) -> Comparison:
    """Decide a run again, and compare with what it has left in the log."""
    engine, outputs, records = replay(hub, run, agents)
    written = read_run(hub, run)
    made = Comparison(
        run, compared=len(written.outputs), ended=written.ended is not None, records=records, outputs=outputs
    )
    made.first_ns, made.last_ns = run.started_ns, engine.now
    again = {(one.cause, one.ordinal): one for one in outputs}
    last = max(written.outputs, default=(0, 0))
    for key, found in sorted(written.outputs.items()):
        name, kind = identity(run.number, *key), _kind(found.kind)
        other = again.pop(key, None)
        if other is None:
            made.differences.append(Difference(name, kind, "missing"))
        elif (found.kind, found.ts_event, found.payload) != (int(other.kind), other.ts, other.payload):
            made.differences.append(Difference(name, kind, "changed", _fields(found, other)))
    for key, other in sorted(again.items()):
        if made.ended or key < last:
            made.differences.append(Difference(identity(run.number, *key), _kind(other.kind), "extra"))
        else:
            made.undecided += 1
    return made


def _fields(found: Any, other: Output) -> dict[str, tuple[Any, Any]]:
    live, again = json.loads(found.payload), json.loads(other.payload)
    live |= {"kind": _kind(found.kind), "ts_event": found.ts_event}
    again |= {"kind": _kind(other.kind), "ts_event": other.ts}
    names = dict.fromkeys([*live, *again])
    return {name: (live.get(name), again.get(name)) for name in names if live.get(name) != again.get(name)}


def _kind(kind: int) -> str:
    return Kind(kind).name.lower()
