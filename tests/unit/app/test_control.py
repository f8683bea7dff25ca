"""The socket of a running "up": three verbs and nothing else, whatever is sent; and who is told of a restart loop."""

import json
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tapehub import DataHub
from tapehub.app.alerting import Message
from tapehub.app.alerts import send_alerts
from tapehub.app.config import AlertsConfig
from tapehub.app.control import Control, ask, collected, described, only_one, running_components, running_up
from tapehub.app.supervisor import Phase, Row
from tapehub.errors import ConfigError, HubError
from tests.models.waiting import until

SERVER = Row("server", Phase.RUNNING, 4711, 12.5, 1, "epoch 1")


@dataclass
class Up:
    """Be an "up" that steps in a thread of its own."""

    where: Path
    rows: list[Row] = field(default_factory=lambda: [SERVER])
    restarted: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.control = Control(self.where, self.stop)
        self.control.step(described(self.rows), self._restart)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.wait(0.01) and not self.stop.is_set():
            self.control.step(described(self.rows), self._restart)
        self.control.close()

    def _restart(self, name: str) -> None:
        if name != "server":
            raise ConfigError(f"component {name!r}: expected one of server")
        self.restarted.append(name)

    def close(self) -> None:
        self._over.set()
        self._thread.join(10)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    made = Up(tmp_path)
    yield made
    made.close()


def test_components_are_told_as_rows(up: Up) -> None:
    (row,) = running_components(up.where)
    assert {**row, "since": ""} == {
        "name": "server", "phase": "running", "pid": 4711, "restarts": 1, "looping": False, "since": "", "for_s": 12.5,
        "told": "epoch 1",
    }  # fmt: skip
    found = running_up(up.where)
    assert found is not None
    assert found["pid"] == os.getpid()


def test_a_restart_is_made_by_the_supervisors_thread_and_a_refusal_comes_back(up: Up) -> None:
    assert ask(up.where, "restart", name="server") is not None
    assert up.restarted == ["server"]
    with pytest.raises(HubError, match="component 'x': expected one of server"):
        ask(up.where, "restart", name="x")


def test_whoever_asks_for_the_end_is_answered_when_it_has_come(up: Up) -> None:
    told = ask(up.where, "stop")
    assert told is not None
    assert (told["stopped"], told["ended"]) == (["server"], True)
    assert running_up(up.where) is None
    assert not (up.where / "up.sock").exists()


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"nonsense\n",
        b"[]\n",
        b"{}\n",
        b'{"verb": "__import__"}\n',
        b'{"verb": {"a": 1}}\n',
        b'{"verb": "restart", "name": "../../etc"}\n',
        b"\x80\x04cposix\nsystem\n\x85R.\n",
        b"[" * 100_000,
        b'{"verb": "components"' + b" " * 100_000,
    ],
    ids=lambda line: repr(line[:24]),
)
def test_what_is_no_question_is_refused_and_it_goes_on(up: Up, line: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asker:
        asker.settimeout(10)
        asker.connect(str(up.where / "up.sock"))
        try:
            asker.sendall(line)
            asker.shutdown(socket.SHUT_WR)
            answer = asker.recv(4096)
        except (BrokenPipeError, ConnectionResetError):  # it has read as much as it will
            answer = b""
    assert not answer or "error" in json.loads(answer)
    assert not up.stop.is_set()
    assert [row["name"] for row in running_components(up.where)] == ["server"]


def test_one_that_says_nothing_holds_up_nobody(up: Up) -> None:
    silent = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(5)]
    for one in silent:
        one.connect(str(up.where / "up.sock"))
    assert len(running_components(up.where)) == 1
    for one in silent:
        one.close()


def test_a_socket_that_a_killed_one_left_behind_answers_nobody_and_is_replaced(tmp_path: Path) -> None:
    left = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    left.bind(str(tmp_path / "up.sock"))
    left.close()
    assert running_components(tmp_path) == []
    with only_one(tmp_path) as owner:
        assert owner == ""
        made = Up(tmp_path)
        assert len(running_components(tmp_path)) == 1
        assert (tmp_path / "up.sock").stat().st_mode & 0o777 == 0o600
        with only_one(tmp_path) as other:
            assert other == str(os.getpid())
        made.close()


def test_a_restart_loop_is_told_to_those_who_get_alerts(hub: DataHub) -> None:
    class Sent:
        def __init__(self) -> None:
            self.messages: list[Message] = []

        def send(self, message: Message) -> None:
            self.messages.append(message)

    class Log:
        def info(self, event: str, **told: Any) -> None: ...
        def warning(self, event: str, **told: Any) -> None: ...

    up, sent, stop = Up(hub.path), Sent(), threading.Event()
    config = AlertsConfig(after_s=0, recovered_after_s=0, together_s=0)
    sending = threading.Thread(target=send_alerts, args=(stop, hub, config, sent, Log()))
    sending.start()
    try:
        looping = Row("collector", Phase.RESTARTING, None, 3.0, 5, "killed by signal 9; again in 30 s", looping=True)
        up.rows = [SERVER, looping]
        until(lambda: len(sent.messages) == 1, "a message")
        up.rows = [SERVER, Row("collector", Phase.RUNNING, 5, 61.0, 5, "ig")]
        until(lambda: len(sent.messages) == 2, "a second message")
    finally:
        stop.set()
        sending.join(10)
        up.close()
    told, over = sent.messages
    assert told.title == "tapehub hub: collector in a restart loop"
    assert told.body.startswith("collector in a restart loop: killed by signal 9 (since")
    assert over.body.startswith("collector: running again, after")
    assert (hub.path / "alerts.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("rows", "feed"),
    [
        ([("server", Phase.RUNNING, "epoch 1")], "none"),
        ([("server", Phase.RUNNING, "epoch 1"), ("collector", Phase.RUNNING, "kraken: BTC_USD")], "kraken"),
        ([("server", Phase.RUNNING, ""), ("collector", Phase.RESTARTING, "killed: by signal 9")], ""),
        ([("simulator", Phase.RUNNING, ""), ("collector", Phase.WAITING, "for simulator")], "sim"),
        ([], ""),
    ],
)
def test_what_an_up_collects_is_told_by_its_rows(tmp_path: Path, rows: list[tuple[str, Phase, str]], feed: str) -> None:
    made = Up(tmp_path, rows=[Row(name, phase, None, 1.0, 0, told) for name, phase, told in rows])
    try:
        assert collected(tmp_path) == feed
    finally:
        made.close()
    assert collected(tmp_path) == ""
