"""An agent's process is killed again and again; its run leaves in the log what an undisturbed one would."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tapehub.agents.finding import make
from tapehub.agents.journal import read_run
from tapehub.agents.search import runs
from tapehub.hub.server import HubServer
from tests.conftest import ROOT
from tests.models.paper import in_log, plain, publish, replayed, series

AGENT = f"{ROOT / 'tests' / 'models' / 'paper.py'}:ThreeUp"


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_killed_agent_leaves_what_an_undisturbed_one_would(hub_dir: Path, seed: int) -> None:
    chance = random.Random(seed)
    with HubServer(hub_dir) as server:
        hub = server.hub
        server.set_clock("event")
        batches = list(series(seed, "2026-06-02T07:45", "2026-06-02T10:30", rate=0.5))
        publish(hub, batches[0])
        server.beat()
        kills, batch = 0, 1
        while batch < len(batches):
            process = started(hub_dir)
            try:
                for _ in range(chance.randint(2, 5)):
                    if batch < len(batches):
                        publish(hub, batches[batch], 60)
                        server.beat()
                        batch += 1
                    time.sleep(chance.uniform(0.0, 0.25))
            finally:
                if batch < len(batches):
                    process.kill()
                    kills += 1
                else:
                    settled(hub)
                    process.send_signal(signal.SIGTERM)
                process.wait(20)
        (run,) = runs(hub)
        written = read_run(hub, run)
        assert written.ended is not None
        assert kills >= 2
        found = in_log(hub, run)
        assert sum(row[0] == 16 for row in found) >= 2, "too few fills to prove anything"
        assert plain(replayed(hub, run, [make(AGENT, {})])) == found


def started(hub_dir: Path) -> subprocess.Popen[bytes]:
    """Start the agent, and wait until it has come up."""
    limits = ("gate.late_s=1e9", "gate.max_age_s=60")
    process = subprocess.Popen(
        [sys.executable, "-m", "tapehub.app.cli", "agent", "run", AGENT, "--hub", str(hub_dir),
         *(word for one in limits for word in ("--set", one))],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline()
    process.stdout.close()
    assert line.startswith(b"running "), line
    return process


def settled(hub: object) -> None:
    """Wait until the agent has read the whole log."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        lags = [row["lag"] for row in hub.readers() if row["name"] == "threeup"]  # type: ignore[attr-defined]
        if lags and max(lags) <= 40:  # what it has written itself is not counted as read
            time.sleep(0.3)
            return
        time.sleep(0.05)
    raise AssertionError(f"the agent has not come to the end of the log: {lags}")
