"""Alerts as people get them: a venue that goes mute, a webhook, and an alerts component that is killed in between."""

import json
import os
import re
import signal
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from tapehub import DataHub
from tapehub.app.console import Exit
from tapehub.app.control import running_components
from tapehub.collector.collector import save_rhythm
from tapehub.quality import Rhythm
from tests.servers.commands import TUESDAY, Run, running, tapehub
from tests.servers.webhook import webhook

pytestmark = pytest.mark.timeout(120)
NOON = int(datetime(2026, 6, 2, 12, tzinfo=UTC).timestamp()) * 10**9
SYMBOLS = ("EUR_USD", "GBP_USD")
SECRET = "t0pSecretToken"


@pytest.fixture(autouse=True)
def _no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPEHUB_GATEWAY__ENABLED", "false")


def learn(hub_dir: Path) -> None:
    """Let the hub know that these tick ten times a second at that hour, so that silence means something after 5 s."""
    with DataHub.open(hub_dir, create=True) as hub:
        rhythm = Rhythm()
        for symbol in SYMBOLS:
            rhythm.ticks(symbol, NOON + np.arange(1000, dtype=np.int64) * 100_000_000)
        save_rhythm(hub, "sim", rhythm)


def play(run: Run, kind: str) -> None:
    found = re.search(r"IG's API at (http://127\.0\.0\.1:\d+)", run.said)
    assert found
    body = json.dumps({"kind": kind, "item": "EUR_USD"}).encode()
    request = urllib.request.Request(f"{found[1]}/sim/fault", body, {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=10).close()


def test_a_mute_item_is_told_once_and_its_recovery_with_the_gap_though_alerts_were_killed(hub_dir: Path) -> None:
    learn(hub_dir)
    with webhook() as hook:
        settings = {
            "URLS": f'["json://{hook.address}/{SECRET}"]', "AFTER_S": "1", "RECOVERED_AFTER_S": "1", "TOGETHER_S": "1",
            "GAP_S": "1", "REPEAT_S": "600",
        }  # fmt: skip
        environment = {f"TAPEHUB_ALERTS__{name}": value for name, value in settings.items()}
        arguments = ("up", "--feed", "sim", "--symbols", ",".join(SYMBOLS), "--at", TUESDAY, "--rate", "10")
        with running(*arguments, "--hub", str(hub_dir), **environment) as run:
            run.says(r"alerts +running, process \d+: to 1 JSON")
            run.says("status=subscribed", 2)
            with DataHub.open(hub_dir, name="test", read_only=True) as hub:
                run.until(lambda: hub.state("EUR_USD") == "live", "life")
                play(run, "mute")
                run.until(lambda: "EUR_USD (sim) STALE: silent" in hook.text, f"message: {hook.text}")
                os.kill(run.pid_of("alerts"), signal.SIGKILL)
                run.says(r"alerts +running", 2)
                play(run, "unmute")
                run.until(lambda: "EUR_USD (sim): live again, after" in hook.text, f"recovery: {hook.text}")
                run.until(lambda: "EUR_USD (sim) gap: " in hook.text, f"gap: {hook.text}")
            assert [row["name"] for row in running_components(hub_dir)] == [
                "server",
                "simulator",
                "collector",
                "alerts",
            ]
            assert run.end() == Exit.OK
        titles = [message["title"] for message in hook.messages]
        assert sum("STALE" in title for title in titles) == 1, titles
        assert all(title.startswith("tapehub hub SIMULATED: ") for title in titles)
        assert "GBP_USD (sim) STALE" not in hook.text
    logged = tapehub("logs", "alerts", "--json", "-n", "1000", "--hub", str(hub_dir)).stdout
    assert '"event": "delivered"' in logged
    assert SECRET not in logged + run.said


@pytest.mark.slow
def test_alerts_that_cannot_be_sent_end_nothing_else(hub_dir: Path) -> None:
    arguments = ("up", "--feed", "synthetic", "--at", TUESDAY, "--hub", str(hub_dir))
    with running(*arguments, TAPEHUB_ALERTS__URLS=f'["nosuch://{SECRET}"]') as run:
        run.says(r"collector +running")
        run.says(r"alerts +failed: .*number 1 \(nosuch://\) is no address")
        phases = {row["name"]: row["phase"] for row in running_components(hub_dir)}
        assert (phases["alerts"], phases["server"]) == ("failed", "running")
        assert run.end() == Exit.OK
    assert SECRET not in run.said
