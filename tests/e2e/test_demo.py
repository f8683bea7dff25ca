"""The demonstration from start to end: it exits 0 only when every tick is accounted for and seen by both readers.

Its collector is the real one, with the official clients, against the simulated venue.
"""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tapehub.app.console import Exit

# Some of these start six processes and let the market go on for 17 s; machines are shared.
pytestmark = pytest.mark.timeout(120)
DEMO = [sys.executable, "-m", "tapehub_entry", "tapehub.app.demo"]
MINUTES = "20190204 08{minute:02}{second:02}000,1.14{price:03}0,1.14{price:03}5,0\n"


def environment(temporary: Path, **settings: str) -> dict[str, str]:
    """Give the demonstration's environment, with a place of its own for what it must remove."""
    return os.environ | {"TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1"} | settings


def run(temporary: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the demonstration to its end."""
    return subprocess.run(DEMO, env=environment(temporary, **settings), capture_output=True, text=True, timeout=110)


def ledger(said: str) -> dict[str, list[int]]:
    """Read the printed ledger: label to the numbers of each instrument and of all."""
    rows = re.findall(r"^ (\S.*?\S)((?: {2,}[\d,]+)+) *$", said, re.MULTILINE)
    return {label: [int(number.replace(",", "")) for number in numbers.split()] for label, numbers in rows}


def assert_balanced(said: str) -> dict[str, list[int]]:
    """Check the printed ledger by adding it up again."""
    rows = ledger(said)
    fates = [numbers for label, numbers in rows.items() if label[0] in "=+"]
    assert rows["received"] == [sum(column) for column in zip(*fates, strict=True)]
    assert rows["= published"] == rows["in the hub"] == rows["seen by reader-1"] == rows["seen by reader-2"]
    assert rows["= published"][-1] > 0
    return rows


def assert_shown(done: subprocess.CompletedProcess[str]) -> None:
    """Check that the made-up market was shown, and all of it accounted for."""
    assert done.returncode == Exit.OK, done.stdout + done.stderr
    rows = assert_balanced(done.stdout)
    assert len(rows["received"]) == 4  # three instruments, and all
    assert re.search(r"^12:00:\d\d UTC SIMULATED EUR_USD \d\.\d{5}/", done.stdout, re.MULTILINE)
    assert re.search(r"^the page: http://127\.0\.0\.1:\d+/login\?token=\S{20,}$", done.stdout, re.MULTILINE)
    assert "status=subscribed symbols=['EUR_USD']" in done.stderr


@pytest.mark.slow
def test_where_there_is_no_time_for_it_no_fault_is_played(tmp_path: Path) -> None:
    done = run(tmp_path, DEMO_SECONDS="5")
    assert_shown(done)
    assert "no fault is played" in done.stdout


@pytest.mark.slow
def test_recorded_files_are_moved_onto_the_clock_and_accounted_for(tmp_path: Path) -> None:
    data, temporary = tmp_path / "data", tmp_path / "temporary"
    data.mkdir()
    temporary.mkdir()
    (data / "DAT_ASCII_EURUSD_T_201902.csv").write_text(
        "".join(MINUTES.format(minute=second // 60, second=second % 60, price=second % 500) for second in range(120))
    )
    (data / "notes.txt").write_text("no recording")
    done = run(temporary, DEMO_SECONDS="5", DATA=str(data))
    assert done.returncode == Exit.OK, done.stdout + done.stderr
    assert len(assert_balanced(done.stdout)["received"]) == 2
    assert "2019-02-04 13:00" in done.stderr
    assert "skipped 1 file" in done.stderr
    assert list(temporary.iterdir()) == []


@pytest.mark.slow
def test_a_recording_that_ends_ends_the_demonstration(tmp_path: Path) -> None:
    data, temporary = tmp_path / "data", tmp_path / "temporary"
    data.mkdir()
    temporary.mkdir()
    (data / "DAT_ASCII_EURUSD_T_201902.csv").write_text(
        "".join(MINUTES.format(minute=0, second=second, price=second) for second in range(2))
        + MINUTES.format(minute=0, second=1, price=1)  # sent again: a duplicate
        + "20190204 080002000,1.145600,1.145500,0\n"  # crossed
    )
    done = run(temporary, DATA=str(data))
    assert done.returncode == Exit.OK, done.stdout + done.stderr
    rows = assert_balanced(done.stdout)
    assert rows["received"] == [4, 4]
    assert rows["+ duplicate"] == [1, 1]
    assert rows["+ quarantined, crossed"] == [1, 1]


def test_the_fault_is_played_noticed_and_over_before_the_end(tmp_path: Path) -> None:
    done = run(tmp_path, DEMO_SECONDS="17")
    assert_shown(done)
    acts = ["the venue goes mute on EUR_USD", "EUR_USD is STALE", "the venue speaks again", "EUR_USD is LIVE again"]
    places = [done.stdout.find(act) for act in acts]
    assert -1 not in places, done.stdout
    assert places == sorted(places)
    assert re.search(r"a gap of \d+\.\d s from 12:00:\d\d to 12:00:\d\d UTC \(silent for", done.stdout)
    assert "step=resubscribe symbols=['EUR_USD']" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow  # `.ci/run` plays them as well
def test_real_files_are_played_and_accounted_for(tmp_path: Path, shared_data: Path) -> None:
    done = run(tmp_path, DEMO_SECONDS="5", DATA=str(shared_data / "dukascopy"))
    assert done.returncode == Exit.OK, done.stdout + done.stderr
    assert_balanced(done.stdout)


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)], ids=["Ctrl-C", "SIGTERM"]
)
def test_a_signal_ends_it_with_the_ledger(tmp_path: Path, number: signal.Signals) -> None:
    process = subprocess.Popen(
        DEMO, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    with process.stdout as said:
        for line in said:
            if "live" in line:
                break
        process.send_signal(number)
        rest = said.read()
    assert process.wait(30) == Exit.OK, rest
    assert_balanced(rest)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_demonstration_leaves_no_process_behind(tmp_path: Path) -> None:
    """What is left behind is a temporary directory; the session's check for processes proves the rest."""
    process = subprocess.Popen(
        DEMO, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    with process.stdout as said:
        next(iter(said))
        process.kill()
        assert process.wait(30) == -signal.SIGKILL


@pytest.mark.parametrize(
    ("settings", "code", "said"),
    [
        ({"DEMO_SECONDS": "soon"}, Exit.USAGE, "expected a number of seconds"),
        ({"DATA": "no/such/place"}, Exit.USAGE, "no such file or directory"),
    ],
    ids=["DEMO_SECONDS", "DATA"],
)
def test_a_setting_that_cannot_work_is_one_line(
    tmp_path: Path, settings: dict[str, str], code: Exit, said: str
) -> None:
    done = run(tmp_path, **settings)
    assert done.returncode == code
    assert said in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
