"""A running "tapehub up" is asked and told from other terminals: down, restart, logs, status, a second up."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import subprocess
import termios
import time
from pathlib import Path

import pytest

from tapehub import DataHub
from tapehub.app.console import Exit
from tapehub.app.control import ask, running_components, running_up
from tapehub.errors import HubError
from tests.servers.commands import COMMAND, TUESDAY, running, tapehub

pytestmark = pytest.mark.timeout(90)


@pytest.fixture(autouse=True)
def _no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPEHUB_GATEWAY__ENABLED", "false")


def test_down_stops_all_and_says_what_that_was_while_another_is_attached(hub_dir: Path) -> None:
    with running("up", "--feed", "synthetic", "--at", TUESDAY, "--hub", str(hub_dir)) as run:
        run.says(r"collector +running")
        rows = running_components(hub_dir)
        assert [(row["name"], row["phase"], row["restarts"], row["looping"]) for row in rows] == [
            ("server", "running", 0, False),
            ("collector", "running", 0, False),
        ]
        with running("up", "--hub", str(hub_dir)) as second:
            second.says("components: server running, collector running")
            refused = tapehub("up", "--no-attach", "--hub", str(hub_dir))
            assert refused.returncode == Exit.REFUSED, refused.stderr
            done = tapehub("down", "--hub", str(hub_dir))
            assert done.returncode == Exit.OK, done.stderr
            assert f'stopped "tapehub up", process {run.process.pid}, and what it ran: server, collector' in done.stdout
            assert run.process.wait(10) == Exit.OK
            assert second.process.wait(10) == Exit.OK
            second.end()
            assert f'the other "tapehub up", process {run.process.pid}, has ended' in second.said
    for row in rows:
        assert not Path(f"/proc/{row['pid']}").exists()
    assert not (hub_dir / "up.sock").exists()
    assert running_up(hub_dir) is None
    again = tapehub("down", "--hub", str(hub_dir))
    assert again.returncode == Exit.NOT_RUNNING
    assert 'no "tapehub up" runs the hub' in again.stderr


def test_restart_starts_one_component_anew_and_the_others_stay(hub_dir: Path) -> None:
    with running("up", "--feed", "synthetic", "--at", TUESDAY, "--hub", str(hub_dir)) as run:
        run.says(r"collector +running")
        before = {row["name"]: row["pid"] for row in running_components(hub_dir)}
        done = tapehub("restart", "coll", "--hub", str(hub_dir))
        assert done.returncode == Exit.OK, done.stderr
        assert f"collector, process {before['collector']}, was ended and is started again" in done.stdout
        run.says(r"collector +running", 2)
        run.until(lambda: running_components(hub_dir)[1]["phase"] == "running", "restart")
        after = {row["name"]: row["pid"] for row in running_components(hub_dir)}
        assert after["server"] == before["server"]
        assert after["collector"] not in (None, before["collector"])
        wrong = tapehub("restart", "colector", "--hub", str(hub_dir))
        assert wrong.returncode == Exit.USAGE
        assert "expected one of server, collector" in wrong.stderr
        shown = tapehub("status", "--json", "--hub", str(hub_dir))
        assert [row["name"] for row in json.loads(shown.stdout)["components"]] == ["server", "collector"]
        assert run.end() == Exit.OK


@pytest.mark.slow
def test_logs_are_merged_by_time_and_followed(hub_dir: Path) -> None:
    with running("up", "--feed", "synthetic", "--at", TUESDAY, "--hub", str(hub_dir)) as run:
        run.says(r"collector +running")
        run.until(lambda: "collecting" in tapehub("logs", "--hub", str(hub_dir)).stdout, "log")
        events = [json.loads(line) for line in tapehub("logs", "--json", "--hub", str(hub_dir)).stdout.splitlines()]
        assert [event["timestamp"] for event in events] == sorted(event["timestamp"] for event in events)
        assert {event["component"] for event in events} == {"up", "server", "collector"}
        assert {"timestamp", "level", "logger", "component", "event"} <= set.intersection(*(set(e) for e in events))
        assert tapehub("logs", "-n", "1", "--hub", str(hub_dir)).stdout.count("\n") == 1
        with running("logs", "collector", "--follow", "-n", "1", "--hub", str(hub_dir)) as tail:
            tail.says(r"collector +info")  # it follows from before it shows the last one
            os.kill(run.pid_of("collector"), signal.SIGKILL)
            tail.says(r"collector +warning +died told='killed by signal 9; started again")
            tail.says(r"collector +info +collecting")
            assert "server" not in tail.said
            assert tail.end(signal.SIGINT) == Exit.OK
        wrong = tapehub("logs", "collectr", "--hub", str(hub_dir))
        assert wrong.returncode == Exit.USAGE
        assert "expected of collector, server, up" in wrong.stderr
        assert run.end() == Exit.OK


def test_an_up_that_does_not_answer_is_named(hub_dir: Path) -> None:
    with running("up", "--hub", str(hub_dir)) as run:
        run.says(r"server +running")
        run.process.send_signal(signal.SIGSTOP)
        with pytest.raises(HubError, match=f"process {run.process.pid}, did not answer"):
            ask(hub_dir, "components", 0.5)
        run.process.send_signal(signal.SIGCONT)
        assert run.end() == Exit.OK


def test_ctrl_c_at_a_terminal_hands_it_back(hub_dir: Path) -> None:
    leader, follower = pty.openpty()
    before = termios.tcgetattr(follower)
    process = subprocess.Popen(
        [*COMMAND, "up", "--feed", "synthetic", "--at", TUESDAY, "--hub", str(hub_dir)],
        stdin=follower, stdout=follower, stderr=follower, start_new_session=True,
        env=os.environ | {"TERM": "xterm-256color"},
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    said = b""
    try:
        until_s = time.monotonic() + 40
        while not re.search(rb"collector.{0,40}running", said) and time.monotonic() < until_s:
            said += read(leader)
        assert b"\x1b[?25l" in said  # the table hides the cursor
        os.write(leader, b"\x03")
        while process.poll() is None and time.monotonic() < until_s:
            said += read(leader)
        assert process.wait(5) == Exit.OK
        said += read(leader)
        assert termios.tcgetattr(follower) == before
        assert said.rfind(b"\x1b[?25h") > said.rfind(b"\x1b[?25l")
        assert b"stopped; the data stay" in said
    finally:
        process.kill()
        process.wait(10)
        os.close(leader)
        os.close(follower)


def read(leader: int) -> bytes:
    return os.read(leader, 65_536) if select.select([leader], [], [], 0.1)[0] else b""


def test_in_a_deep_directory_and_in_a_groups_hub_it_is_asked_all_the_same(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60) / "hub"
    deep.parent.mkdir(parents=True)
    DataHub.open(deep, create=True, group=os.getgid()).close()
    with running("up", "--feed", "synthetic", "--at", TUESDAY, "--hub", str(deep)) as run:
        run.says(r"collector +running")
        assert [row["name"] for row in running_components(deep)] == ["server", "collector"]
        run.until(lambda: (deep / "logs" / "collector.jsonl").exists(), "log")
        modes = {
            path.name: path.stat().st_mode & 0o7777
            for path in (deep / "up.lock", deep / "up.sock", deep / "logs", *(deep / "logs").iterdir())
        }
        assert modes == {
            "up.lock": 0o660, "up.sock": 0o660, "logs": 0o2770, "up.jsonl": 0o660, "server.jsonl": 0o660,
            "collector.jsonl": 0o660,
        }  # fmt: skip
        assert tapehub("down", "--hub", str(deep)).returncode == Exit.OK
