"""The log as agents use it: read in order for an engine, written by a run, and searched for what runs left in it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from tapehub._native import Follower
from tapehub.agents.engine import Engine, Entry
from tapehub.agents.entries import KINDS
from tapehub.agents.records import AgentRecord, Message, Order, Output, cause_word, decode, split_cause
from tapehub.agents.run import Run
from tapehub.errors import HubError, InvalidRecord
from tapehub.hub import blobs, scanning
from tapehub.hub.naming import symbol_of
from tapehub.hub.reading import EVER, NEVER
from tapehub.model.records import NO_INSTRUMENT, Kind

if TYPE_CHECKING:
    from tapehub.hub import DataHub

__all__ = [
    "OUTPUTS",
    "Diverged",
    "Found",
    "LogReader",
    "RunLog",
    "Written",
    "between",
    "find_run",
    "newest",
    "read_run",
    "run_of",
    "runs",
]

OUTPUTS: Final = (Kind.OPINION, Kind.SIGNAL, Kind.ORDER, Kind.FILL, Kind.ACCOUNT, Kind.AGENT)
_NO_ROWS: Final = np.empty(0, np.uint8)


class Diverged(HubError):
    """Report that a run, decided again, comes to something else than the log holds."""


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


class LogReader:
    """Drive an engine with the log from one place on. One thread.

    Args:
        position: sequence to begin with.
        symbols: whose ticks are read.
        name: how it is listed among the readers; empty lists it not at all.
    """

    def __init__(self, hub: DataHub, position: int, symbols: Iterable[str], *, name: str = "") -> None:
        self._hub = hub
        self._symbols = frozenset(symbols)
        self._kinds = sum(1 << kind for kind in KINDS)
        self._names: dict[int, str] = {}
        self._sources: list[str] = []
        self._mask = self._channels()
        self._follower = Follower(hub, position, self._kinds, self._mask, 0)
        self._incarnation = hub._incarnation
        self._cursor = hub._open_cursor(name, position) if name else None
        self.delivered = 0

    def _channels(self) -> bytes:
        """Mask the channels of the symbols; at least one byte, as an empty mask is all of them."""
        channels = self._hub._channels()
        mask = bytearray(len(channels) + 1)
        for number, (instrument, _) in enumerate(channels):
            mask[number] = self._symbol(instrument) in self._symbols
        return bytes(mask)

    def _symbol(self, instrument: int) -> str:
        found = self._names.get(instrument)
        if found is None:
            if instrument >= self._hub._instrument_count():
                return ""
            found = self._names[instrument] = symbol_of(self._hub, instrument)
        return found

    def _source(self, number: int) -> str:
        if number >= len(self._sources):
            self._sources = self._hub.sources
        return self._sources[number] if number < len(self._sources) else ""

    @property
    def position(self) -> int:
        """Give the sequence that is read next."""
        if self._follower.rewind():
            self._follower.take_passed()
        return self._follower.position

    def waiting(self) -> int | None:
        """Give the sequence of the next record that there is to read; None when there is none."""
        hub = self._hub
        after, _, _, other, _ = hub._scan(self.position, hub.head, self._mask, self._kinds, NEVER, EVER, _NO_ROWS)
        place = int(other or after)
        return place if place < hub.head else None

    def drive(self, engine: Engine, end: int | None = None, timeout_s: float = 0.0, records_max: int = 100_000) -> int:
        """Hand an engine what there is, in log order; wait for the first record.

        Args:
            end: stop behind this sequence.

        Returns:
            how many records were read.

        Raises:
            HubError: the hub was replaced, or what comes next is gone.
        """
        take, step, timeout_ns, count = self._follower.next, engine.tick, round(timeout_s * 1e9), 0
        while count < records_max:
            tick = take(timeout_ns)
            if tick is not None:
                if end is not None and tick.seq > end:
                    self._follower.rewind()
                    self._follower.position = tick.seq  # given back: it is the next one
                    break
                step(tick)
                count += 1
                timeout_ns = 0
                continue
            if not self._follower.stopped:
                break
            read = self._others(engine, end)
            if not read:
                break
            count += read
            timeout_ns = 0
        self.delivered += count
        if self._cursor is not None and count:
            self._hub._move_cursor(self._cursor, self.position, self.delivered, 0, False)
        return count

    def _others(self, engine: Engine, end: int | None) -> int:
        """Hand on a run of other records, up to the next tick."""
        hub, count = self._hub, 0
        if hub._incarnation != self._incarnation:
            raise HubError(f"the hub was replaced or restarted: {hub.path}; start the agent again")
        while True:
            start = self.position
            after, _, _, other, oldest = hub._scan(start, hub.head, self._mask, self._kinds, NEVER, EVER, _NO_ROWS)
            if oldest:
                raise HubError(
                    f"records {start} to {oldest - 1} were dropped before run {engine.run.id} read them: raise "
                    "retention_bytes; the next start is a new run"
                )
            if not other or (end is not None and other > end):
                return count
            record = hub._record(other)
            self._follower.position = after
            if record is None:
                continue
            count += 1
            if record[0] == Kind.CHANNEL:
                self._mask = self._channels()
                self._follower.set_channels(self._mask)
                continue
            engine.record(self._entry(other, record))

    def _entry(self, seq: int, record: Any) -> Entry:
        kind, _, ts_event, _, ts_publish, one, two, instrument, source, flags, payload = record
        body: Any = None
        if kind == Kind.CANDLE:
            body = self._hub._candle_objects(np.frombuffer(payload, np.uint8)[:96].copy())[0]
        elif kind == Kind.ORDER_FLOW:
            body = self._hub._order_flow_object(seq)
        elif flags & blobs.BLOB_FLAG:
            payload = blobs.load(self._hub.path, flags, payload)
        symbol = "" if instrument == NO_INSTRUMENT else self._symbol(instrument)
        return Entry(seq, kind, ts_event, ts_publish, symbol, self._source(source), one, two, flags, payload, body)

    def close(self) -> None:
        """Give the reader's place back."""
        if self._cursor is not None and not self._hub.closed and self._hub._incarnation == self._incarnation:
            self._hub._close_cursor(self._cursor)
            self._cursor = None


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
        instrument, source = NO_INSTRUMENT, 0
        found = self._hub._find(symbol) if symbol else None
        if found is not None:
            instrument, source = self._hub._channels()[found[1]]
        flags, kept = blobs.keep(self._hub.path, payload)
        return self._hub._publish_record(
            int(kind),
            ts,
            fixed1=self._run.number,
            fixed2=two,
            instrument=instrument,
            source=source,
            flags=flags,
            payload=kept,
        )


def _short(payload: bytes) -> str:
    return payload.decode(errors="replace")[:160]


# ---------------------------------------------------------------- what is in the log


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
    payload = blobs.load(hub.path, record[9], record[10])
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
    for found in between(hub, OUTPUTS, run.begin, hub.head):
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
    last = max((key[0] for key in outputs), default=run.begin)
    return Written(outputs, looks, ended, last, tuple(failures), tuple(lags))
