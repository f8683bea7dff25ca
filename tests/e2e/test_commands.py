"""The commands as people run them: real processes, one hub between them."""

import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import tapehub
from tapehub.app.console import Exit
from tapehub.hub.latest import latest
from tapehub.hub.retention import Retention, retention_of

HISTDATA = "{year}0204 00{minute:02}{second:02}{ms:03},1.14{price:03},1.14{price:03}9,0\n"
_WAIT_S = 30


def command(*arguments: str | Path) -> list[str]:
    """Spell a command out."""
    return [sys.executable, "-m", "tapehub.app.cli", *map(str, arguments)]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=50)


class Running:
    """A command that goes on, with the lines it prints."""

    def __init__(self, *arguments: str | Path) -> None:
        self.process = subprocess.Popen(
            command(*arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self.seen: list[str] = []
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def line(self, pattern: str) -> str:
        """Wait for a line that matches."""
        while True:
            line = self._lines.get(timeout=_WAIT_S)
            assert line is not None, f"ended without {pattern!r}: {self.seen}"
            self.seen.append(line)
            if re.search(pattern, line):
                return line

    def end(self, number: signal.Signals) -> int:
        """Send a signal, wait for the end, return the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(_WAIT_S)
        self._thread.join(_WAIT_S)
        while (line := self._lines.get(timeout=1)) is not None:
            self.seen.append(line)
        return code

    def close(self) -> None:
        """End it, by force if need be."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(_WAIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(_WAIT_S)
        self._thread.join(_WAIT_S)
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def running(*arguments: str | Path) -> Iterator[Running]:
    """Keep a command running."""
    started = Running(*arguments)
    try:
        yield started
    finally:
        started.close()


@contextmanager
def serving(hub_dir: Path, *arguments: str) -> Iterator[Running]:
    """Keep a server running."""
    with running("serve", "--hub", hub_dir, *arguments) as server:
        server.line("clock")
        yield server


def recording(path: Path, year: int = 2014, seconds: int = 180) -> Path:
    """Write a HistData file with a tick a second."""
    path.write_text(
        "".join(
            HISTDATA.format(year=year, minute=second // 60, second=second % 60, ms=500, price=second % 500)
            for second in range(seconds)
        )
    )
    return path


def told(*arguments: str | Path) -> dict[str, Any]:
    """Run a command with --json and read what it says."""
    done = run(*arguments, "--json")
    assert done.stdout, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def closed(hub: tapehub.DataHub, count: int) -> list[tapehub.Candle]:
    """Wait until the server has closed so many candles; it looks at the clock a few times a second."""
    for _ in range(_WAIT_S * 20):
        if len(candles := hub.get_latest_candles("EUR_USD", 10)) >= count:
            return candles
        time.sleep(0.05)
    raise AssertionError(f"the server closed no {count} candles in {_WAIT_S} s")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_a_server_ends_cleanly_when_told_to(hub_dir: Path, number: signal.Signals) -> None:
    with serving(hub_dir) as server:
        assert told("status", "--hub", hub_dir)["server"][0] == server.process.pid
        assert server.end(number) == Exit.OK, server.seen
        assert "Traceback" not in "".join(server.seen)
    assert run("status", "--hub", hub_dir).returncode == Exit.NOT_RUNNING


def test_a_second_server_is_told_who_holds_the_hub(hub_dir: Path) -> None:
    with serving(hub_dir) as server:
        second = run("serve", "--hub", hub_dir)
        assert second.returncode == Exit.REFUSED
        assert f"process {server.process.pid}, started 20" in second.stderr
        assert "Traceback" not in second.stderr


def test_a_server_keeps_of_the_log_what_the_configuration_says(
    hub_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tapehub.toml").write_text("[hub]\nretention_days = 3\n")
    (tmp_path / "tapehub.toml").touch()
    monkeypatch.setenv("TAPEHUB_CONFIG", str(tmp_path / "tapehub.toml"))
    with serving(hub_dir) as server, tapehub.DataHub.open(hub_dir) as hub:
        assert retention_of(hub) == Retention(10 << 30, 3)
        assert server.end(signal.SIGTERM) == Exit.OK, server.seen


def test_a_killed_server_leaves_the_hub_to_the_next_one(hub_dir: Path) -> None:
    with serving(hub_dir) as server:
        server.end(signal.SIGKILL)
    with serving(hub_dir) as server:
        assert told("status", "--hub", hub_dir)["server"][0] == server.process.pid
        assert server.end(signal.SIGTERM) == Exit.OK, server.seen


def test_a_recording_of_2014_played_into_a_running_server_gives_candles_of_2014(hub_dir: Path, tmp_path: Path) -> None:
    ticks = recording(tmp_path / "DAT_ASCII_EURUSD_T_201402.csv", 2014)
    with serving(hub_dir) as server:
        done = run("replay", ticks, "--hub", hub_dir)
        assert done.returncode == Exit.OK, done.stderr
        assert "180 published" in done.stdout
        assert "event clock" in done.stderr
        assert '"tapehub clock wall"' in done.stderr
        with tapehub.DataHub.open(hub_dir) as hub:
            candles = closed(hub, 2)
            assert [candle.timestamp.year for candle in candles] == [2014] * len(candles)
            assert [candle.volume for candle in candles][:2] == [60, 60]
            row = hub.ledger()["instruments"]["EUR_USD from histdata"]
            assert (row["late_applied"], row["late_unapplied"]) == (0, 0)
        assert server.end(signal.SIGTERM) == Exit.OK, server.seen


def test_a_file_that_the_hub_holds_is_not_played_again_unasked(hub_dir: Path, tmp_path: Path) -> None:
    ticks = recording(tmp_path / "DAT_ASCII_EURUSD_T_201402.csv", 2014)
    assert run("replay", ticks, "--hub", hub_dir).returncode == Exit.OK
    for more in ((), ("--from", "2014-02-04T05:01")):
        refused = run("replay", ticks, *more, "--hub", hub_dir)
        assert refused.returncode == Exit.USAGE
        assert "holds EUR_USD from histdata at 2014-02-04 05:0" in refused.stderr
    with tapehub.DataHub.open(hub_dir) as hub:
        assert hub.ledger()["ticks"] == 180
    assert told("replay", ticks, "--source", "twin", "--hub", hub_dir)["published"] == 180
    assert told("replay", ticks, "--again", "--hub", hub_dir)["published"] == 180


def test_a_paced_replay_runs_on_a_virtual_clock_and_counts_what_it_did_when_interrupted(
    hub_dir: Path, tmp_path: Path
) -> None:
    ticks = recording(tmp_path / "DAT_ASCII_EURUSD_T_201402.csv", 2014, seconds=3000)
    with serving(hub_dir) as server:
        with running("replay", ticks, "--speed", "20", "--hub", hub_dir) as replay:
            replay.line(r"virtual clock at 20× \(SIMULATED\), 2014-02-04 05:00")
            with tapehub.DataHub.open(hub_dir) as hub:
                with hub.stream(start="oldest") as stream:
                    while not len(stream.poll(timeout_s=1)):
                        pass
                # Whoever would change the clock under these ticks is refused.
                refused = run("clock", "wall", "--hub", hub_dir)
                assert refused.returncode == Exit.REFUSED
                assert f"pid {replay.process.pid}" in refused.stderr
                assert "--force-clock" in refused.stderr
                assert replay.end(signal.SIGINT) == Exit.INTERRUPTED, replay.seen
                (line,) = [line for line in replay.seen if line.startswith("interrupted after")]
                count = int(line.split()[2].replace(",", ""))
                assert 0 < count < 3000
                assert len(hub.ticks("EUR_USD", limit=3000)) == count
        assert run("clock", "wall", "--hub", hub_dir).returncode == Exit.OK
        assert server.end(signal.SIGTERM) == Exit.OK, server.seen


def test_a_rebased_replay_leaves_the_wall_clock_alone(hub_dir: Path, tmp_path: Path) -> None:
    ticks = recording(tmp_path / "DAT_ASCII_EURUSD_T_201402.csv", 2014, seconds=2)
    before_s = time.time()
    done = run("replay", ticks, "--rebase", "now", "--hub", hub_dir)
    assert done.returncode == Exit.OK, done.stderr
    with tapehub.DataHub.open(hub_dir) as hub:
        rows = hub.ticks("EUR_USD").numpy()
        assert len(rows) == 2
        assert before_s <= rows["ts_event"][0] / 1e9 <= time.time()
        assert rows["ts_event"][1] - rows["ts_event"][0] == 1_000_000_000
        link = latest(hub).links(hub)["replay"]
        assert (link["made_up"], link["phase"], link["alive"]) == ("REPLAY", "stopped", False)
    assert "wall clock" in run("clock", "--hub", hub_dir).stdout


def test_real_files_of_two_brokers_are_merged_and_all_accounted_for(hub_dir: Path, shared_data: Path) -> None:
    day = ("--from", "2014-05-02T12:00", "--to", "2014-05-02T13:00")
    folders = [shared_data / "lean" / broker / "tick" / "eurusd" / "20140502_quote.zip" for broker in ("oanda", "fxcm")]
    account = told("replay", *folders, *day, "--hub", hub_dir)
    quarantined = sum(account["quarantined"].values())
    assert account["received"] == account["published"] + account["duplicates"] + account["refused"] + quarantined
    assert account["published"] > 5_000
    with tapehub.DataHub.open(hub_dir) as hub:
        assert set(hub.instruments["EUR_USD"]["sources"]) == {"oanda", "fxcm"}
        assert hub.ledger()["ticks"] == account["published"]
    verified = told("verify", "--hub", hub_dir)
    assert verified["ok"]
    assert verified["records"] >= account["published"]


def test_doctor_proves_first_that_three_processes_share_one_hub(hub_dir: Path) -> None:
    with serving(hub_dir) as server:
        done = run("doctor", "--json", "--hub", hub_dir)
        answer = json.loads(done.stdout)
        first, second, *others = answer["checks"]
        assert (first["name"], first["health"]) == ("one hub for all", "good")
        assert "1000 ticks" in first["found"]
        assert (second["name"], second["health"]) == ("your hub", "good")
        assert {"version", "permissions", "disk", "clock"} <= {check["name"] for check in others}
        assert done.returncode == answer["exit_code"] == Exit.FAILED, answer
        assert answer["link"] == "collector", answer
        assert told("status", "--hub", hub_dir)["ledger"]["ticks"] == 0
        assert server.end(signal.SIGTERM) == Exit.OK, server.seen


def test_doctor_of_a_hub_others_may_read_names_the_remedy(hub_dir: Path) -> None:
    tapehub.DataHub.open(hub_dir, create=True).close()
    hub_dir.chmod(0o755)
    done = run("doctor", "--hub", hub_dir)
    assert done.returncode == Exit.FAILED
    assert "0755" in done.stdout
    assert "chmod" in done.stdout
    assert "Not well: permissions" in done.stdout.splitlines()[-1]


def test_doctor_without_a_hub_says_how_to_start_one(hub_dir: Path) -> None:
    done = run("doctor", "--hub", hub_dir)
    assert done.returncode == Exit.NOT_RUNNING
    assert done.stdout.splitlines()[-1] == f"No hub is running at {hub_dir}: start one with tapehub up."


def test_watch_in_a_pipe_prints_lines_until_told_to_end(hub_dir: Path, tmp_path: Path) -> None:
    ticks = recording(tmp_path / "DAT_ASCII_EURUSD_T_201402.csv")
    assert run("replay", ticks, "--hub", hub_dir).returncode == Exit.OK
    with running("watch", "--hub", hub_dir) as watch:
        line = watch.line("EUR_USD")
        assert "EVENT TIME" in line
        assert "60/min" in line
        assert watch.end(signal.SIGINT) == Exit.OK, watch.seen


def test_output_cut_off_by_a_pipe_is_no_error(hub_dir: Path) -> None:
    tapehub.DataHub.open(hub_dir, create=True).close()
    with running("watch", "--hub", hub_dir) as watch:
        watch.line("no instrument")
        assert watch.process.stdout is not None
        watch.end(signal.SIGTERM)
    assert "Traceback" not in "".join(watch.seen)
