"""`tapehub up` and `tapehub collect` as people run them: real processes, killed in turn, ended by signals."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tapehub import DataHub
from tapehub.app.console import Exit

COMMAND = [sys.executable, "-m", "tapehub.app.cli"]
TUESDAY = "2026-06-02T12:00"
WITHIN_S = 40.0


class Run:
    """A command that goes on, and what it has said so far."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            env=os.environ | {"PYTHONUNBUFFERED": "1"} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as said:
            self.lines.extend(iter(said.readline, ""))

    @property
    def said(self) -> str:
        return "".join(self.lines)

    def until(self, done: Callable[[], object], what: str) -> None:
        """Wait for a condition."""
        deadline = time.monotonic() + WITHIN_S
        while not done():
            assert time.monotonic() < deadline, f"no {what} within {WITHIN_S} s:\n{self.said}"
            assert self.process.poll() is None, f"ended before {what}:\n{self.said}"
            time.sleep(0.02)

    def says(self, pattern: str, times: int = 1) -> None:
        """Wait until it has said something so many times."""
        self.until(lambda: len(re.findall(pattern, self.said)) >= times, f"{pattern!r} × {times}")

    def pid_of(self, name: str) -> int:
        """Give the latest process of a component."""
        return int(re.findall(rf"{name} +running, process (\d+)", self.said)[-1])

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(30)
        self._reader.join(30)
        return code


@contextmanager
def running(*arguments: str, **environment: str) -> Iterator[Run]:
    run = Run(*arguments, **environment)
    try:
        yield run
    finally:
        run.end(signal.SIGKILL)


def ticks(path: Path) -> int:
    with DataHub.open(path, name="test", read_only=True) as hub:
        return int(hub.ledger()["ticks"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_up_runs_a_hub_and_a_feed_until_told_to_end(hub_dir: Path, number: signal.Signals) -> None:
    with running("up", "--feed", "synthetic", "--at", TUESDAY, "--rate", "20", "--hub", str(hub_dir)) as run:
        run.says(r"collector +running")
        run.until(lambda: ticks(hub_dir) > 0, "tick")
        assert run.end(number) == Exit.OK
    assert "stopped; the data stay" in run.said
    stopped = [json.loads(line) for line in (hub_dir / "logs" / "collector.jsonl").read_text().splitlines()][-1]
    assert stopped["event"] == "stopped"
    assert stopped["published"] == ticks(hub_dir)
    assert (hub_dir / "logs" / "collector.jsonl").stat().st_mode & 0o077 == 0


def test_whatever_is_killed_is_started_again_and_nothing_is_lost(hub_dir: Path) -> None:
    arguments = ("up", "--feed", "sim", "--symbols", "EUR_USD,GBPUSD", "--at", TUESDAY, "--rate", "20")
    with running(*arguments, "--hub", str(hub_dir)) as run:
        run.says("status=subscribed", 2)
        run.until(lambda: ticks(hub_dir) > 0, "tick")
        for killed, sign, times in (("collector", "status=subscribed", 4), ("simulator", "status=subscribed", 6)):
            os.kill(run.pid_of(killed), signal.SIGKILL)
            run.says(rf"{killed} +killed by signal 9; started again")
            run.says(sign, times)
        os.kill(run.pid_of("server"), signal.SIGKILL)
        run.says(r"server +running", 2)
        before = ticks(hub_dir)
        run.until(lambda: ticks(hub_dir) > before, "tick after all that")
        assert run.end() == Exit.OK
    with DataHub.open(hub_dir, name="test") as hub:
        assert hub.verify().ok
        assert hub.ledger()["balanced"]
        assert next(gap["cause"] for gap in hub.gaps("EUR_USD")) == "collector restarted"
        assert hub.instruments["EUR_USD"]["sources"] == ["sim"]


def test_a_second_up_attaches_and_says_so(hub_dir: Path) -> None:
    with running("up", "--hub", str(hub_dir)) as first:
        first.says(r"server +running")
        with running("up", "--feed", "synthetic", "--hub", str(hub_dir)) as second:
            second.says(f"runs this hub already, as process {first.process.pid}: attached to it, nothing was started")
            assert second.end() == Exit.OK
        assert "running" not in second.said
        assert first.end() == Exit.OK


def test_up_uses_a_server_that_runs_already(hub_dir: Path) -> None:
    with running("serve", "--hub", str(hub_dir)) as server:
        server.says("serving")
        with running("up", "--feed", "synthetic", "--at", TUESDAY, "--rate", "20", "--hub", str(hub_dir)) as run:
            run.until(lambda: ticks(hub_dir) > 0, "tick")
            assert run.end() == Exit.OK
        assert "server  " not in run.said
        assert server.end() == Exit.OK


def test_a_killed_up_leaves_no_process_behind(hub_dir: Path) -> None:
    """The session's check for processes proves it; here, that the hub can be had again."""
    with running("up", "--feed", "synthetic", "--at", TUESDAY, "--hub", str(hub_dir)) as run:
        run.says(r"collector +running")
        run.end(signal.SIGKILL)
    with running("up", "--hub", str(hub_dir)) as again:
        again.says(r"server +running")
        assert again.end() == Exit.OK


@pytest.mark.parametrize("command", [["up", "--feed", "ig"], ["collect", "ig"]], ids=["up", "collect"])
def test_without_credentials_it_ends_with_2_and_offers_the_simulator(
    command: list[str], hub_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("IG_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    done = subprocess.run(
        [*COMMAND, *command, "--hub", str(hub_dir)],
        env=os.environ | {"TAPEHUB_CONFIG": str(tmp_path / "tapehub.toml")},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == Exit.USAGE
    said = done.stdout + done.stderr
    assert "IG_USERNAME, IG_PASSWORD, IG_API_KEY not found" in said
    assert "--feed sim" in said
    assert "Traceback" not in said


def test_collect_starts_a_simulator_of_its_own_and_accounts_for_the_ticks(hub_dir: Path) -> None:
    with DataHub.open(hub_dir, create=True, name="test") as hub:
        hub.set_clock("virtual", anchor_ns=1_780_401_600_000_000_000)
    with running("collect", "sim", "--symbols", "EUR_USD", "--rate", "20", "--hub", str(hub_dir)) as run:
        run.says("status=subscribed")
        run.until(lambda: ticks(hub_dir) > 5, "tick")
        assert run.end(signal.SIGINT) == Exit.OK
    assert "simulating IG at http://127.0.0.1:" in run.said
    found = re.search(
        r"received ([\d,]+) ticks: ([\d,]+) published, 0 duplicates, 0 quarantined, 0 in flight", run.said
    )
    assert found, run.said
    assert int(found[1].replace(",", "")) == ticks(hub_dir)


def test_collect_replays_files_at_the_present_and_ends_with_them(hub_dir: Path, tmp_path: Path) -> None:
    recording = tmp_path / "DAT_ASCII_EURUSD_T_201902.csv"
    recording.write_text(
        "".join(f"20190204 08000{second}000,1.14{second}000,1.14{second}050,0\n" for second in range(3))
    )
    done = subprocess.run(
        [*COMMAND, "collect", "replay", str(recording), "--hub", str(hub_dir)],
        capture_output=True, text=True, timeout=50,
    )  # fmt: skip
    assert done.returncode == Exit.OK, done.stderr
    assert "received 3 ticks: 3 published" in done.stdout
    with DataHub.open(hub_dir, name="test") as hub:
        assert hub.instruments["EUR_USD"]["sources"] == ["histdata"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["up", "--feed", "bloomberg"], "expected one of"),
        (["up", "--feed", "none", "--at", TUESDAY], "expected them with a feed"),
        (["up", "--feed", "kraken", "--at", TUESDAY], "venues are at the present"),
        (["collect", "ig", "--sim", "http://127.0.0.1:1"], "with the feed sim alone"),
    ],
)
def test_what_cannot_work_is_one_line(arguments: list[str], said: str, hub_dir: Path) -> None:
    done = subprocess.run([*COMMAND, *arguments, "--hub", str(hub_dir)], capture_output=True, text=True, timeout=50)
    assert done.returncode == Exit.USAGE
    assert said in done.stderr.splitlines()[-1]
    assert not hub_dir.exists()
