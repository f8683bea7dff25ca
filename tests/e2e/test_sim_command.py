"""`tapehub sim` as people run it: an IG on a port, until it is told to end."""

import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

SCRIPT = '[[fault]]\nat = "+0s"\nkind = "refuse_login"\ncode = "error.security.account-suspended"\n'


def start(*arguments: str) -> tuple[subprocess.Popen[str], str]:
    """Start it, and give the address it prints."""
    command = [sys.executable, "-u", "-m", "tapehub.app.cli", "sim", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    first = process.stdout.readline()
    found = re.search(r"http://127\.0\.0\.1:\d+/gateway/deal", first)
    assert found, first + process.communicate(timeout=20)[1]
    return process, found.group()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_answers_and_ends_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    script = tmp_path / "faults.toml"
    script.write_text(SCRIPT)
    process, url = start(
        "--script", str(script), "--anchor", "2026-06-02T12:00", "--speed", "10", "--symbol", "EUR_USD"
    )
    try:
        headers = {"X-IG-API-KEY": "demo-key", "VERSION": "2", "Content-Type": "application/json"}
        body = json.dumps({"identifier": "demo", "password": "demo"}).encode()
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(urllib.request.Request(f"{url}/session", body, headers), timeout=20)
        assert json.load(refused.value) == {"errorCode": "error.security.account-suspended"}
        refused.value.close()
    finally:
        process.send_signal(number)
        # Not by communicate, which looks past what the first line has left in the reader's buffer.
        assert process.stdout is not None
        assert process.stderr is not None
        with process.stdout as out, process.stderr as err:
            said, remarks = out.read(), err.read()
        process.wait(20)
    assert process.returncode == 0, remarks
    assert "quotes of EUR_USD from 2026-06-02 12:00" in said
    assert "stopped: 1 requests" in said
    assert "Traceback" not in remarks


def test_a_script_that_makes_no_sense_is_a_usage_error(tmp_path: Path) -> None:
    script = tmp_path / "faults.toml"
    script.write_text('[[fault]]\nat = "+1s"\nkind = "explode"\n')
    command = [sys.executable, "-m", "tapehub.app.cli", "sim", "--script", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert "fault 1" in done.stderr
