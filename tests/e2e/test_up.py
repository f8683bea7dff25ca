"""`tapehub up` and `tapehub collect` as people run them: real processes, killed in turn, ended by signals."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tapehub import DataHub
from tapehub.app.console import Exit
from tapehub.hub.retention import Retention, retention_of
from tests.servers.commands import COMMAND, TUESDAY, running, tapehub


def ticks(path: Path) -> int:
    with DataHub.open(path, name="test", read_only=True) as hub:
        return int(hub.ledger()["ticks"])


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)], ids=["Ctrl-C", "SIGTERM"]
)
def test_up_runs_a_hub_and_a_feed_until_told_to_end(hub_dir: Path, number: signal.Signals) -> None:
    with running("up", "--feed", "synthetic", "--at", TUESDAY, "--rate", "20", "--hub", str(hub_dir)) as run:
        run.says(r"collector +running")
        run.until(lambda: ticks(hub_dir) > 0, "tick")
        assert run.end(number) == Exit.OK
    assert "stopped; the data stay" in run.said
    logged = [json.loads(line) for line in (hub_dir / "logs" / "collector.jsonl").read_text().splitlines()]
    assert [row["published"] for row in logged if row["event"] == "stopped"] == [ticks(hub_dir)]
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


def test_up_keeps_of_the_log_what_the_configuration_says(
    hub_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tapehub.toml").write_text("[hub]\nretention_bytes = 1073741824\n")
    (tmp_path / "tapehub.toml").touch()
    monkeypatch.setenv("TAPEHUB_CONFIG", str(tmp_path / "tapehub.toml"))
    with running("up", "--hub", str(hub_dir)) as run:
        run.says(r"server +running")
        with DataHub.open(hub_dir, name="test") as hub:
            assert retention_of(hub) == Retention(1 << 30, 14)
        assert run.end() == Exit.OK


def test_a_second_up_attaches_and_says_so(hub_dir: Path) -> None:
    with running("up", "--hub", str(hub_dir)) as first:
        first.says(r"server +running")
        refused = tapehub("up", "--feed", "synthetic", "--hub", str(hub_dir))
        assert refused.returncode == Exit.REFUSED
        assert "collects no feed, so that --feed synthetic is not followed" in refused.stderr
        with running("up", "--hub", str(hub_dir)) as second:
            second.says(f"runs this hub already, as process {first.process.pid}: attached to it, nothing was started")
            second.says("components: server running")
            assert second.end() == Exit.OK
        assert "starting server" not in second.said
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
    arguments = ("up", "--feed", "sim", "--symbols", "EUR_USD", "--at", TUESDAY, "--hub", str(hub_dir))
    with running(*arguments) as run:
        run.says("status=subscribed")
        left = [run.pid_of(name) for name in ("server", "simulator", "collector")]
        run.end(signal.SIGKILL)
    until_s = time.monotonic() + 30
    while any(lives(pid) for pid in left):
        assert time.monotonic() < until_s, f"still there: {left}"
        time.sleep(0.02)
    with running("up", "--hub", str(hub_dir)) as again:  # the lock and the socket it left are in nobody's way
        again.says(r"server +running")
        assert tapehub("down", "--hub", str(hub_dir)).returncode == Exit.OK


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("command", [["up", "--feed", "ig"], ["collect", "ig"]], ids=["up", "collect"])
def test_without_credentials_it_ends_with_2_and_offers_the_simulator(
    command: list[str], hub_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("IG_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    done = subprocess.run(
        [*COMMAND, *command, "--hub", str(hub_dir)],
        env=os.environ | {"TAPEHUB_CONFIG": os.devnull},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == Exit.USAGE
    said = done.stdout + done.stderr
    assert "IG_USERNAME, IG_PASSWORD, IG_API_KEY not found" in said
    assert "--feed sim" in said
    assert "Traceback" not in said


@pytest.mark.slow
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
        (["up", "--feed", "none", "--at", TUESDAY], "--feed none with --at: expected a feed with that"),
        (["up", "--feed", "kraken", "--at", TUESDAY], "venues are at the present"),
        (["collect", "ig", "--sim", "http://127.0.0.1:1"], "with the feed sim alone"),
    ],
)
def test_what_cannot_work_is_one_line(arguments: list[str], said: str, hub_dir: Path) -> None:
    done = subprocess.run([*COMMAND, *arguments, "--hub", str(hub_dir)], capture_output=True, text=True, timeout=50)
    assert done.returncode == Exit.USAGE
    assert said in done.stderr.splitlines()[-1]
    assert not hub_dir.exists()
