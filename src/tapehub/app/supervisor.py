"""The processes of a hub, started in order and kept running: what dies is started again, after waits that grow.

A component is a row: its name, the role its process plays, what it needs to know of the others. `Supervisor.step` looks
once and never waits; whoever runs it calls it a few times a second. One that dies again and again is in a restart loop:
that is told once, and it is tried again at the longest wait for as long as it takes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from tapehub.app.console import Exit, span_text
from tapehub.app.workers import Message, Worker
from tapehub.errors import ConfigError, HubError

__all__ = [
    "FIRST_WAIT_S", "LONGEST_WAIT_S", "LOOP_DEATHS", "LOOP_SPAN_S", "STEADY_S", "Component", "Phase", "Row",
    "Supervisor",
]  # fmt: skip

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
STEADY_S = 60.0
"""Whoever ran this long is waited for as if it had never died before."""
LOOP_DEATHS, LOOP_SPAN_S = 5, 300.0
"""So many deaths in a row, the last of them within this span, are a restart loop."""
_COME_UP_S = 30.0
_STOP_S = 2.0  # for all together, so that Ctrl-C gives the terminal back in under three seconds
_INSIST_S = 0.2


@dataclass(frozen=True, slots=True)
class Component:
    """Describe one process.

    Attributes:
        role: a key of `roles.ROLES`.
        arguments: what the role is given, made of what all components said when they came up, this one's earlier self
            included; asked anew at each start.
        needs: those that must have come up before.
        vital: nothing goes on without it, so that what cures it by no restart ends all; else the others go on.
    """

    name: str
    role: str
    arguments: Callable[[Mapping[str, Message]], dict[str, Any]]
    needs: tuple[str, ...] = ()
    vital: bool = True


class Phase(Enum):
    """Say what is going on with a component."""

    WAITING = "waiting"
    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    ENDED = "ended"  # by itself, with nothing more to do
    FAILED = "failed"  # of what starting again does not cure


@dataclass(frozen=True, slots=True)
class Row:
    """Show a component.

    Attributes:
        told: what it said of itself, or why it does not run.
        looping: it is in a restart loop, until it has run for `STEADY_S`.
    """

    name: str
    phase: Phase
    pid: int | None
    for_s: float
    restarts: int
    told: str
    looping: bool = False


class Running(Protocol):
    """Be a process: `Worker` is one."""

    pid: int
    alive: bool
    ready: Message
    exit_code: int | None
    has_ended: Any

    def is_up(self) -> bool: ...
    def failure(self) -> str: ...
    def hang_up(self) -> None: ...
    def close(self, patience_s: float = ..., insist_s: float = ...) -> None: ...


@dataclass(slots=True)
class _Place:
    row: Component
    phase: Phase = Phase.WAITING
    process: Running | None = None
    since_s: float = 0.0
    again_at_s: float = 0.0
    deaths: list[float] = field(default_factory=list)  # in a row, when
    looping: bool = False
    restarts: int = 0
    told: str = ""
    exit_code: int | None = None


@dataclass(slots=True)
class Supervisor:
    """Keep components running. One thread.

    Args:
        components: those that others need stand before them.
        tell: takes what happened as a word, a name and one line, whenever something changes. The words: running,
            remark, died, loop, steady, restart, ended, failed.
        on_line: takes a name and a line of that process's log, in a thread.
        start: makes the process of a role: a `Worker`, unless a test passes its own.
    """

    components: Sequence[Component]
    tell: Callable[[str, str, str], None]
    on_line: Callable[[str, str], None]
    monotonic: Callable[[], float] = time.monotonic
    start: Callable[..., Any] = Worker
    ready: dict[str, Message] = field(default_factory=dict)
    _places: dict[str, _Place] = field(init=False)

    def __post_init__(self) -> None:
        now_s = self.monotonic()
        self._places = {row.name: _Place(row, since_s=now_s) for row in self.components}

    def step(self) -> None:
        """Look at every component once, and start what is due."""
        for place in self._places.values():
            if place.phase in (Phase.STARTING, Phase.RUNNING):
                self._look(place)
            elif place.phase in (Phase.WAITING, Phase.RESTARTING):
                self._start_if_due(place)

    def rows(self) -> list[Row]:
        """Show all."""
        now_s = self.monotonic()
        rows = []
        for name, place in self._places.items():
            pid = place.process.pid if place.process is not None else None
            told = place.told
            if place.phase is Phase.RESTARTING:
                told = f"{told}; again in {span_text(max(place.again_at_s - now_s, 0))}"
            rows.append(Row(name, place.phase, pid, now_s - place.since_s, place.restarts, told, place.looping))
        return rows

    @property
    def failed(self) -> Row | None:
        """Give the first vital one that failed for good."""
        return next(
            (row for row in self.rows() if row.phase is Phase.FAILED and self._places[row.name].row.vital), None
        )

    @property
    def exit_code(self) -> int:
        """Give what a command ends with when the one that failed ends it."""
        places = [place for place in self._places.values() if place.row.vital]
        codes = (place.exit_code for place in places if place.phase is Phase.FAILED)
        return next((code for code in codes if code is not None), int(Exit.FAILED))

    def restart(self, name: str) -> None:
        """End one component, in order, and start it anew at the next step, whatever became of it before.

        Raises:
            ConfigError: there is none of that name.
        """
        place = self._places.get(name)
        if place is None:
            raise ConfigError(f"component {name!r}: expected one of {', '.join(self._places) or 'none: nothing runs'}")
        if place.process is not None:
            process, place.process = place.process, None
            process.close(patience_s=_STOP_S, insist_s=_INSIST_S)
            place.restarts += 1
        now_s = self.monotonic()
        place.phase, place.told, place.exit_code = Phase.RESTARTING, "told to start again", None
        place.deaths, place.looping = [], False
        place.since_s = place.again_at_s = now_s
        self.tell("restart", name, "ended as it was told to, and started again")

    def close(self) -> None:
        """End all, those first that need others; in at most some two and a half seconds."""
        deadline_s = self.monotonic() + _STOP_S
        running = [place for place in reversed(self._places.values()) if place.process is not None]
        needed = {name for place in running for name in place.row.needs}
        for place in running:
            process, place.process = place.process, None
            assert process is not None
            if place.row.name in needed:  # nobody needs them any more: all at once
                for other in running:
                    if other.process is not None:
                        other.process.hang_up()
            process.close(patience_s=max(deadline_s - self.monotonic(), 0.1), insist_s=_INSIST_S)
            place.phase = Phase.ENDED

    # ------------------------------------------------------------ one component

    def _start_if_due(self, place: _Place) -> None:
        now_s = self.monotonic()
        missing = [name for name in place.row.needs if name not in self.ready]
        if missing or now_s < place.again_at_s:
            if missing:
                place.told = f"for {', '.join(missing)}"
            return
        name = place.row.name
        place.process = self.start(
            place.row.role, label=name, ready_s=None, on_line=lambda line: self.on_line(name, line),
            **place.row.arguments(self.ready),
        )  # fmt: skip
        place.phase, place.since_s, place.told = Phase.STARTING, now_s, ""

    def _look(self, place: _Place) -> None:
        process, name, now_s = place.process, place.row.name, self.monotonic()
        assert process is not None
        if place.phase is Phase.STARTING:
            try:
                is_up = process.is_up()
            except HubError as error:
                self._gone(place, str(error))
                return
            if is_up:
                self.ready[name] = process.ready
                place.phase, place.since_s, place.told = Phase.RUNNING, now_s, str(process.ready.get("told", ""))
                self.tell("running", name, f"running, process {process.pid}: {place.told}")
                for remark in process.ready.get("remarks", ()):
                    self.tell("remark", name, remark)
            elif now_s - place.since_s > _COME_UP_S:
                self._gone(place, f"did not come up in {_COME_UP_S:g} s")
        elif not process.alive:
            self._gone(place, process.failure())
        elif process.has_ended.is_set():
            self._end(place, Phase.ENDED, "nothing more to do")
        elif place.looping and now_s - place.since_s > STEADY_S:
            place.deaths, place.looping = [], False
            self.tell("steady", name, f"has run for {span_text(STEADY_S)}: the restart loop is over")

    def _gone(self, place: _Place, why: str) -> None:
        process, now_s = place.process, self.monotonic()
        assert process is not None
        process.close(patience_s=0.1, insist_s=_INSIST_S)
        said = process.exit_code
        # The same settings will not work any better the next time, and what never came up has shown nothing to go by.
        if said is not None and (said == Exit.USAGE or place.row.name not in self.ready):
            self._end(place, Phase.FAILED, why)
            place.exit_code = process.exit_code
            return
        if place.phase is Phase.RUNNING and now_s - place.since_s > STEADY_S:
            place.deaths, place.looping = [], False
        place.deaths = [*place.deaths, now_s][-LOOP_DEATHS:]
        recent = len(place.deaths) == LOOP_DEATHS and now_s - place.deaths[0] <= LOOP_SPAN_S
        begins, place.looping = recent and not place.looping, place.looping or recent
        wait_s = LONGEST_WAIT_S if place.looping else min(FIRST_WAIT_S * 2.0 ** (len(place.deaths) - 1), LONGEST_WAIT_S)
        place.restarts += 1
        place.process, place.phase, place.told = None, Phase.RESTARTING, why
        place.since_s, place.again_at_s = now_s, now_s + wait_s
        self.tell("died", place.row.name, f"{why}; started again in {wait_s:g} s (restart {place.restarts})")
        if begins:
            span = span_text(now_s - place.deaths[0])
            self.tell(
                "loop", place.row.name,
                f"ended {LOOP_DEATHS} times in {span}: a restart loop; from now on tried every {LONGEST_WAIT_S:g} s, "
                f'"tapehub logs {place.row.name}" shows what it says',
            )  # fmt: skip

    def _end(self, place: _Place, phase: Phase, why: str) -> None:
        process, place.process = place.process, None
        assert process is not None
        process.close(patience_s=1.0, insist_s=_INSIST_S)
        place.phase, place.told, place.since_s = phase, why, self.monotonic()
        self.tell(phase.value, place.row.name, f"{phase.value}: {why}")
