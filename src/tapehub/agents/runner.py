"""Run agents live: in a process of their own, on the log as it grows, exactly once over any number of deaths."""

from __future__ import annotations

import fcntl
import os
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from tapehub.agents.beginning import begin_run, resumable
from tapehub.agents.engine import Engine
from tapehub.agents.hours import hours_of
from tapehub.agents.journal import RunLog, Written, read_run
from tapehub.agents.lags import Lags
from tapehub.agents.log_reader import LogReader
from tapehub.agents.records import AgentRecord, identity
from tapehub.agents.settings import RunSettings
from tapehub.errors import ConfigError, Diverged, HubError, HubHeld
from tapehub.hub import cursors
from tapehub.hub.clock import clock_of
from tapehub.hub.home import home_of
from tapehub.hub.lineage import identity_of
from tapehub.hub.paths import make_folder, make_own
from tapehub.hub.reading import STATES
from tapehub.model.records import Kind
from tapehub.model.states import State

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from tapehub.agents.agent import Agent
    from tapehub.agents.gate import Look
    from tapehub.agents.records import Output
    from tapehub.agents.run import Run
    from tapehub.hub import DataHub

__all__ = ["Runner", "live_look", "look_at", "only_one", "release_log"]

_SLICE_S: Final = 0.2
_BEHIND_S: Final = 1.0
_RECORDS: Final = 100_000
_BEHIND_RECORDS: Final = 2_000  # so that a slow agent hears how it gets on
_REFUSING: Final = tuple(STATES[state] for state in State if not state.is_fresh)


class Runner:
    """Keep one run going. One thread; as a context manager it gives everything back.

    Args:
        agents: made anew for each process: an agent that has run cannot run again.
        specs: how each was found, see `finding.load`; a replay makes them by it.
        name: of the run's agent and account; default is the first agent's.
        fresh: begin a new run even where an earlier one did not end.
        rng: draws the number and the seed of a new run.
        make: makes the agents again, should the earlier run turn out to be over; default is by their specs.
        heard: takes each output when it is written.
        tell: takes one line when something is worth saying.

    Raises:
        HubHeld: another process runs agents of that name on this hub.
    """

    def __init__(
        self,
        hub: DataHub,
        agents: Sequence[Agent],
        specs: Sequence[str],
        *,
        name: str = "",
        settings: RunSettings | None = None,
        seed: int | None = None,
        fresh: bool = False,
        rng: random.Random | None = None,
        make: Callable[[], Sequence[Agent]] | None = None,
        heard: Callable[[Output], None] | None = None,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        if not agents:
            raise ConfigError("a run without agents: expected at least one")
        self.hub = hub
        self.name = name or agents[0].label()
        self._specs = list(specs)
        self._settings = settings or RunSettings()
        self._rng = rng or random.Random(os.urandom(16))
        self._seed = seed
        self._make = make
        self._heard = heard
        self._tell = tell
        self._told_behind = False
        self._told_at_s = 0.0
        self._lock = only_one(hub, self.name)
        self._lock.__enter__()
        self.reader: LogReader | None = None
        try:
            self._open(list(agents), fresh=fresh)
        except BaseException:
            self.close()
            raise

    # ------------------------------------------------------------ beginning

    def _open(self, agents: list[Agent], *, fresh: bool) -> None:
        run, why = (None, "") if fresh else resumable(self.hub, self.name, agents, self._specs, self._settings)
        if run is not None:
            written = read_run(self.hub, run)
            if written.ended is not None:
                run = None
            elif written.fails:
                # A run is a function of the log: it would come to the same record and fail there for ever.
                why = f"run {run.id} has failed twice at one record: {written.fails}"
                run = None
            else:
                try:
                    self._begin(run, agents, written)
                except Diverged as error:
                    why = str(error)
                    if self._make is None:
                        raise
                    agents = list(self._make())
                else:
                    self._tell(f"goes on with run {run.id}: {self.log.compared} outputs were there")
                    return
        if why:
            self._tell(f"begins a new run: {why}")
        run = begin_run(self.hub, self.name, agents, self._specs, self._settings, self._rng, seed=self._seed)
        self._begin(run, agents, Written({}, {}, None, run.begin_seq))
        self._tell(f"began run {run.id}")

    def _begin(self, run: Run, agents: Sequence[Agent], written: Written) -> None:
        """Make the engine, and bring it to where the log shows the run to have been."""
        self.run = run
        self.log = RunLog(self.hub, run, written.outputs, self._heard)
        look = live_look(self.hub, run, written)
        self._told_behind = bool(written.lags and written.lags[-1][1])  # so that its end is written, too
        self.engine = Engine(run, agents, self.log, look=look, lags=Lags(written.lags), hours=hours_of(self.hub, run))
        self._keep_log(run.warm_seq)
        if self.reader is not None:
            self.reader.close()
        self.reader = LogReader(self.hub, run.warm_seq, run.watched, name=self.name[:31])
        # What is in the log already: compared up to the last output, so that a difference shows before anything is
        # written.
        last = max(written.last, run.begin_seq)
        try:
            while self.reader.position <= last and self.reader.drive(self.engine, end=last):
                pass
        except HubError:
            raise
        except Exception as error:
            self.fail(error)
            raise
        self.log.check_all_compared()

    def _keep_log(self, position: int) -> None:
        """Hold the log from the run's beginning on: a restart reads it again."""
        cursors.keep(home_of(self.hub), _cursor(self.name), position, identity_of(self.hub))

    # ------------------------------------------------------------ running

    def step(self, timeout_s: float = _SLICE_S) -> int:
        """Take in what the log has; wait for it up to some time. Returns how many records were read."""
        assert self.reader is not None
        self._say_behind()
        most = _BEHIND_RECORDS if self._told_behind else _RECORDS
        return self.reader.drive(self.engine, timeout_s=timeout_s, records_max=most)

    def serve(self, stop: threading.Event, *, ends: bool = True) -> None:
        """Run until told to stop, or until a record asks the run to end; then end it in order.

        What an agent raises is left in the log, and raised.

        Args:
            ends: False leaves the run as it is when told to stop: the next start goes on with it.
        """
        try:
            while not stop.is_set() and not self.engine.end_wanted:
                self.step()
            if ends or self.engine.end_wanted:
                self.end()
        except HubError:
            raise
        except Exception as error:
            self.fail(error)
            raise

    def end(self) -> None:
        """End the run in order: the agents hear of it, and the next start is a new run."""
        self.engine.stop()
        release_log(self.hub, self.name)

    def fail(self, error: BaseException) -> None:
        """Leave in the log what ended the run out of order."""
        text, data = f"{type(error).__name__}: {error}", {"record": self.engine.cause}
        told = AgentRecord(identity(self.run.number, 0, 0), self.name, "error", text, data)
        self.log.write(Kind.AGENT, self.hub.now(), 0, "", told.encode())

    def _say_behind(self) -> None:
        """Write into the log how far behind the run is for what it reads next: when that changes, and each second.

        It is written before anything is decided by it, so every replay knows it too.
        """
        assert self.reader is not None
        seconds, records = self.lag()
        behind, clock_s = seconds > _BEHIND_S, time.monotonic()
        if behind == self._told_behind and not (behind and clock_s - self._told_at_s >= _BEHIND_S):
            return
        self._told_behind, self._told_at_s = behind, clock_s
        place, seconds = self.reader.position, round(seconds, 3) if behind else 0.0
        data = {"seconds": seconds, "records": records if behind else 0, "next": place}
        told = AgentRecord(identity(self.run.number, 0, 0), self.name, "behind", data=data)
        self.log.write(Kind.AGENT, self.hub.now(), 0, "", told.encode())
        self.engine.lags.note(place, seconds)

    def lag(self) -> tuple[float, int]:
        """Say how far behind the head of the log the run is: how long its next record has waited, s, and records."""
        assert self.reader is not None
        place = self.reader.waiting()
        if place is None:
            return 0.0, 0
        since = int(self.hub.log(place, 1)["ts_publish"][0])
        return max(0.0, (self.hub.now() - since) / 1e9), self.hub.head - place

    def close(self) -> None:
        """Leave; the run goes on with the next start unless it was ended."""
        if self.reader is not None:
            self.reader.close()
        self._lock.__exit__(None, None, None)

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def look_at(hub: DataHub, run: Run, symbol: str, now: int) -> tuple[str, str, int] | None:
    """Look at the hub itself: code, reason and clock reading where it refuses what the log permits."""
    late_s = run.settings.gate.late_s
    reading = clock_of(hub)
    clock = reading.now_ns
    if reading.rate:  # one that events move has no time but that of the log
        behind_s = (clock - now) / 1e9
        if behind_s > late_s * max(reading.rate, 1.0):
            return "late", f"the run is {behind_s:.3f} s behind the hub clock, expected at most {late_s:g} s", clock
    state = hub.state(symbol, run.watched.get(symbol) or None)
    if state in _REFUSING:
        return state, f"{symbol} is {state} by the hub, at this moment", clock
    return None


def live_look(hub: DataHub, run: Run, written: Written) -> Look:
    """Make the look at the hub itself that a live run's desk takes before each order.

    What was decided in an earlier life of the run is decided the same way again.
    """

    def look(symbol: str, now: int, cause: int, ordinal: int) -> tuple[str, str, int] | None:
        key = (cause, ordinal)
        if key in written.looks:
            return written.looks[key]
        return None if key in written.outputs else look_at(hub, run, symbol, now)

    return look


def release_log(hub: DataHub, name: str) -> None:
    """Let retention have the log that a run of this name held back."""
    cursors.drop(home_of(hub), _cursor(name))


def _cursor(name: str) -> str:
    return f"agent-{name}"


@contextmanager
def only_one(hub: DataHub, name: str) -> Iterator[None]:
    """Hold the lock of an agent's name on a hub: the kernel gives it back however the process ends.

    Raises:
        HubHeld: another process has it.
        ConfigError: the name does not fit a file.
    """
    if not name or "/" in name or name.startswith("."):
        raise ConfigError(f"agent name {name!r}: expected one that fits a file; give another with --as")
    folder = hub.path / "agents"
    make_folder(folder)
    held = os.open(make_own(folder / f"{name}.lock"), os.O_RDWR | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(held, 32, 0).decode().strip() or "unknown"
            raise HubHeld(
                f"process {owner} runs agent {name} on this hub already: {hub.path}; stop it, or give another name"
            ) from None
        os.ftruncate(held, 0)
        os.pwrite(held, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(held)
