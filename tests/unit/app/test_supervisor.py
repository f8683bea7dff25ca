"""The supervisor: what dies is started again after waits that grow, and nothing is started before what it needs."""

import threading
from collections.abc import Mapping
from typing import Any

import pytest

from tapehub.app.console import Exit
from tapehub.app.supervisor import (
    FIRST_WAIT_S,
    LONGEST_WAIT_S,
    LOOP_DEATHS,
    LOOP_SPAN_S,
    STEADY_S,
    Component,
    Phase,
    Supervisor,
)
from tapehub.app.workers import Message
from tapehub.errors import ConfigError, HubError


class Process:
    """Be what a test says a process is."""

    def __init__(self, role: str, arguments: dict[str, Any]) -> None:
        self.role, self.arguments = role, arguments
        self.pid = 4711
        self.alive = True
        self.ready: Message = {}
        self.exit_code: int | None = None
        self.refused = ""
        self.has_ended = threading.Event()
        self.closed = self.hung_up = 0

    def is_up(self) -> bool:
        if self.refused:
            raise HubError(self.refused)
        return bool(self.ready)

    def failure(self) -> str:
        return "killed by signal 9"

    def hang_up(self) -> None:
        self.hung_up += 1

    def close(self, patience_s: float = 0.0, insist_s: float = 0.0) -> None:
        self.closed += 1


class Stage:
    """Run a supervisor by hand."""

    def __init__(self, *components: Component) -> None:
        self.now_s = 100.0
        self.started: list[Process] = []
        self.said: list[str] = []
        self.words: list[str] = []
        self.supervisor = Supervisor(
            components,
            tell=self._tell,
            on_line=lambda name, line: None,
            monotonic=lambda: self.now_s,
            start=self._start,
        )

    def _tell(self, word: str, name: str, text: str) -> None:
        self.words.append(word)
        self.said.append(f"{name}: {text}")

    def _start(self, role: str, *, label: str, ready_s: None, on_line: Any, **arguments: Any) -> Process:
        self.started.append(Process(role, arguments))
        return self.started[-1]

    def step(self, seconds: float = 0.0) -> None:
        self.now_s += seconds
        self.supervisor.step()

    def come_up(self, **ready: Any) -> Process:
        """Start what is due, and let the latest be up."""
        self.step()
        self.started[-1].ready = {"ready": True, **ready}
        self.step()
        return self.started[-1]

    @property
    def phases(self) -> list[Phase]:
        return [row.phase for row in self.supervisor.rows()]


def server(ready: Mapping[str, Message]) -> dict[str, Any]:
    return {"port": ready.get("server", {}).get("port", 0)}


SERVER = Component("server", "server", server)
COLLECTOR = Component("collector", "collector", lambda ready: {"at": ready["server"]["port"]}, ("server",))


def test_what_needs_another_is_started_when_that_is_up_and_told_what_it_said() -> None:
    stage = Stage(SERVER, COLLECTOR)
    stage.step()
    assert stage.phases == [Phase.STARTING, Phase.WAITING]
    stage.started[0].ready = {"port": 5, "told": "at 5"}
    stage.step()
    stage.step()
    assert [one.role for one in stage.started] == ["server", "collector"]
    assert stage.started[1].arguments == {"at": 5}
    assert "server: running, process 4711: at 5" in stage.said


def test_what_dies_is_started_again_after_waits_that_grow_up_to_a_ceiling() -> None:
    stage = Stage(SERVER)
    waits = []
    for _ in range(10):
        stage.come_up().alive = False
        stage.step()
        assert stage.phases == [Phase.RESTARTING]
        before, count = stage.now_s, len(stage.started)
        while len(stage.started) == count:
            stage.step(0.25)
        waits.append(stage.now_s - before)
    assert waits[:4] == [FIRST_WAIT_S, 2 * FIRST_WAIT_S, 4 * FIRST_WAIT_S, 8 * FIRST_WAIT_S]
    assert max(waits) == LONGEST_WAIT_S
    assert stage.supervisor.rows()[0].restarts == 10


def test_a_restart_loop_is_told_once_and_tried_on_at_the_longest_wait() -> None:
    stage = Stage(SERVER)
    for deaths in range(1, LOOP_DEATHS + 4):
        stage.come_up().alive = False
        stage.step()
        assert stage.supervisor.rows()[0].looping == (deaths >= LOOP_DEATHS)
        stage.step(LONGEST_WAIT_S)
    assert stage.words.count("loop") == 1
    assert f"ended {LOOP_DEATHS} times in 2 min 0 s: a restart loop" in "\n".join(stage.said)
    waits = [text for text in stage.said if "started again in" in text]
    assert all(f"in {LONGEST_WAIT_S:g} s" in text for text in waits[LOOP_DEATHS - 1 :])
    stage.started[-1].ready = {"ready": True}
    stage.step()
    stage.step(STEADY_S + 1)
    assert stage.words[-1] == "steady"
    assert not stage.supervisor.rows()[0].looping


def test_deaths_far_apart_are_no_loop() -> None:
    stage = Stage(SERVER)
    for _ in range(LOOP_DEATHS + 2):
        stage.come_up()
        stage.step(min(STEADY_S, LOOP_SPAN_S / 2))
        stage.started[-1].alive = False
        stage.step()
        stage.step(LOOP_SPAN_S / (LOOP_DEATHS - 1))
    assert "loop" not in stage.words


def test_one_that_is_told_to_is_started_anew_without_a_wait() -> None:
    stage = Stage(SERVER, COLLECTOR)
    stage.come_up(port=1)
    stage.come_up()
    stage.supervisor.restart("collector")
    assert (stage.started[1].closed, stage.started[0].closed) == (1, 0)
    stage.step()
    assert [one.role for one in stage.started] == ["server", "collector", "collector"]
    with pytest.raises(ConfigError, match="component 'colector': expected one of server, collector"):
        stage.supervisor.restart("colector")


def test_what_others_do_not_need_may_fail_without_them() -> None:
    stage = Stage(SERVER, Component("alerts", "alerts", lambda ready: {}, ("server",), vital=False))
    stage.come_up(port=1)
    stage.step()
    stage.started[1].refused, stage.started[1].exit_code = "apprise is not installed", Exit.USAGE
    stage.step()
    assert stage.phases == [Phase.RUNNING, Phase.FAILED]
    assert stage.supervisor.failed is None
    stage.supervisor.restart("alerts")
    stage.step()
    assert stage.phases == [Phase.RUNNING, Phase.STARTING]


def test_what_ran_for_long_is_started_again_at_once() -> None:
    stage = Stage(SERVER)
    for _ in range(3):
        stage.come_up().alive = False
        stage.step()
        stage.step(LONGEST_WAIT_S)
    process = stage.come_up()
    stage.step(STEADY_S + 1)
    process.alive = False
    stage.step()
    assert f"started again in {FIRST_WAIT_S:g} s" in stage.said[-1]


def test_what_is_started_again_is_told_what_it_said_before() -> None:
    stage = Stage(SERVER)
    stage.come_up(port=7).alive = False
    stage.step()
    stage.step(FIRST_WAIT_S)
    assert [one.arguments for one in stage.started] == [{"port": 0}, {"port": 7}]


@pytest.mark.parametrize("came_up", [False, True])
def test_a_setting_that_cannot_work_is_no_reason_to_try_again(came_up: bool) -> None:
    stage = Stage(SERVER)
    if came_up:
        stage.come_up().alive = False
        stage.step()
        stage.step(FIRST_WAIT_S)
    else:
        stage.step()
    stage.started[-1].refused, stage.started[-1].exit_code = "IG credentials: not found", Exit.USAGE
    stage.step()
    stage.step(100)
    assert stage.phases == [Phase.FAILED]
    assert stage.supervisor.exit_code == Exit.USAGE
    assert stage.supervisor.failed is not None
    assert "IG credentials" in stage.supervisor.failed.told
    assert len(stage.started) == 1 + came_up


def test_a_failure_after_it_was_up_is_tried_again() -> None:
    stage = Stage(SERVER)
    stage.come_up().alive = False
    stage.step()
    stage.step(FIRST_WAIT_S)
    stage.started[-1].refused, stage.started[-1].exit_code = "the disk is full", Exit.FAILED
    stage.step()
    assert stage.phases == [Phase.RESTARTING]


def test_a_feed_that_has_ended_is_not_started_again() -> None:
    stage = Stage(SERVER)
    process = stage.come_up()
    process.has_ended.set()
    stage.step()
    stage.step(100)
    assert stage.phases == [Phase.ENDED]
    assert process.closed


def test_what_does_not_come_up_is_ended_and_tried_again() -> None:
    stage = Stage(SERVER)
    stage.step()
    stage.step(31.0)
    assert stage.started[0].closed
    assert stage.phases == [Phase.RESTARTING]


def test_all_are_ended_those_first_that_need_others() -> None:
    stage = Stage(SERVER, COLLECTOR)
    stage.come_up(port=1)
    stage.come_up()
    order: list[str] = []
    for process in stage.started:
        process.close = lambda patience_s=0.0, insist_s=0.0, role=process.role: order.append(role)  # type: ignore[misc]
    stage.supervisor.close()
    assert order == ["collector", "server"]
