"""The journal of a run: its outputs, written into the log once, and read back from it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from tapehub.agents.records import AgentRecord, Order, Output, cause_word
from tapehub.agents.run import Run
from tapehub.agents.search import Found, between
from tapehub.errors import Diverged
from tapehub.hub import blobs
from tapehub.model.records import NO_INSTRUMENT, Kind

if TYPE_CHECKING:
    from tapehub.hub import DataHub

__all__ = ["OUTPUTS", "RunLog", "Written", "read_run"]

OUTPUTS: Final = (Kind.OPINION, Kind.SIGNAL, Kind.ORDER, Kind.FILL, Kind.ACCOUNT, Kind.AGENT)


class RunLog:
    """Write the outputs of a run; what the log has already is compared instead.

    Args:
        known: what the run has in the log.
        heard: takes each output that was written.
    """

    def __init__(
        self,
        hub: DataHub,
        run: Run,
        known: Mapping[tuple[int, int], Found],
        heard: Callable[[Output], None] | None = None,
    ) -> None:
        self._hub = hub
        self._run = run
        self._known = deque(sorted(known.items()))
        self._heard = heard
        self.written = self.compared = 0

    @property
    def left(self) -> int:
        """Count what is in the log and was not decided again yet."""
        return len(self._known)

    def check_all_compared(self) -> None:
        """Raise, if the log holds what was not decided again though all that caused it was read.

        Raises:
            Diverged: it does. The next output would meet it, and so would that of each process to come.
        """
        if self._known:
            key, there = self._known[0]
            raise Diverged(
                f"run {self._run.id} decides nothing again at record {key[0]}; the log says, there: "
                f"{_short(there.payload)}; the agent was changed, or is not a function of the log"
            )

    def __call__(self, output: Output) -> None:
        """Take an output.

        Raises:
            Diverged: the log holds another one in its place.
        """
        if self._known:
            key, there = self._known.popleft()
            if key != (output.cause, output.ordinal) or there.payload != output.payload or there.kind != output.kind:
                raise Diverged(
                    f"run {self._run.id} decides at record {output.cause}: {_short(output.payload)}; the log says, at "
                    f"record {key[0]}: {_short(there.payload)}; the agent was changed, or is not a function of the log"
                )
            self.compared += 1
            return
        self.write(output.kind, output.ts, cause_word(output.cause, output.ordinal), output.symbol, output.payload)
        self.written += 1
        if self._heard is not None:
            self._heard(output)

    def write(self, kind: Kind, ts: int, two: int, symbol: str, payload: bytes) -> int:
        """Publish a record of the run."""
        hub = self._hub

        def publish(flags: int, kept: bytes, incarnation: int) -> int:
            instrument, source = NO_INSTRUMENT, 0
            found = hub._find(symbol) if symbol else None
            if found is not None:
                instrument, source = hub._channels()[found[1]]
            return hub._publish_record(
                int(kind), ts, fixed1=self._run.number, fixed2=two, instrument=instrument, source=source, flags=flags,
                payload=kept, incarnation=incarnation,
            )  # fmt: skip

        return blobs.keep(hub, payload, publish)


def _short(payload: bytes) -> str:
    return payload.decode(errors="replace")[:160]


class Written(NamedTuple):
    """Hold what a run has left in the log.

    Attributes:
        outputs: by cause and ordinal.
        looks: what a look at the hub refused, by cause and ordinal: code, reason, clock reading.
        ended: cause of the last record of a run that was stopped; None while it was not.
        last: the greatest cause.
        lags: how far the run was behind, and from which record on, in the order it was written.
        failures: the record at which the run was ended by what an agent raised, and that, oldest first.
    """

    outputs: dict[tuple[int, int], Found]
    looks: dict[tuple[int, int], tuple[str, str, int]]
    ended: int | None
    last: int
    failures: tuple[tuple[int, str], ...] = ()
    lags: tuple[tuple[int, float], ...] = ()

    @property
    def fails(self) -> str:
        """Say what the run has failed by twice at one record, and would a third time; empty when it has not."""
        return self.failures[-1][1] if len(set(self.failures[-2:])) < len(self.failures[-2:]) else ""


def read_run(hub: DataHub, run: Run) -> Written:
    """Read what a run has left in the log."""
    outputs: dict[tuple[int, int], Found] = {}
    looks: dict[tuple[int, int], tuple[str, str, int]] = {}
    ended, failures, lags = None, [], []
    for found in between(hub, OUTPUTS, run.begin_seq, hub.head):
        if found.run != run.number:
            continue
        if not found.cause:
            said = found.message
            if isinstance(said, AgentRecord) and said.what == "error":
                failures.append((int(said.data.get("record", found.seq)), said.text))
            elif isinstance(said, AgentRecord) and said.what == "behind":
                lags.append((int(said.data.get("next", found.seq)), float(said.data.get("seconds", 0.0))))
            continue
        key = (found.cause, found.ordinal)
        outputs[key] = found
        if found.kind == Kind.ORDER and b'"by":"hub"' in found.payload:
            told = found.message
            if isinstance(told, Order):
                looks[key] = (told.code, told.reason, int(told.judged["clock"]))
        elif found.kind == Kind.AGENT:
            said = found.message
            if isinstance(said, AgentRecord) and said.what == "stop":
                ended = found.cause
    last = max((key[0] for key in outputs), default=run.begin_seq)
    return Written(outputs, looks, ended, last, tuple(failures), tuple(lags))
