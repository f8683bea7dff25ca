"""Agents as people run them: the tutorial's twenty lines, as commands, in processes of their own."""

import json
import re
import signal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tapehub import DataHub
from tapehub.agents.halts import halted
from tapehub.app.cli import app
from tests.conftest import ROOT
from tests.e2e.test_commands import run, running, serving
from tests.models.paper import event_hub, publish, series
from tests.models.team import PARAMETERS, TEAM

TUTORIAL = ROOT / "docs" / "tutorial" / "first-agent.md"
HOURS = ("2026-06-02T08:00", "2026-06-02T12:00")


@pytest.fixture
def agent(tmp_path: Path) -> Path:
    """Save the tutorial's agent, as the tutorial says."""
    (first, *_) = re.findall(r"```python\n(.*?)```", TUTORIAL.read_text(), re.DOTALL)
    assert len(first.strip().splitlines()) <= 22, "the tutorial says twenty lines"
    path = tmp_path / "my_agent.py"
    path.write_text(first)
    return path


def test_tutorials_agent_trades_the_hubs_log_and_recorded_files(agent: Path, hub_dir: Path, tmp_path: Path) -> None:
    with event_hub(hub_dir) as hub:
        for batch in series(7, *HOURS, symbols=["EUR_USD"]):
            publish(hub, batch)
    page, told = tmp_path / "report.html", tmp_path / "report.json"
    done = run("backtest", agent, "--hub", hub_dir, "--set", "bars=10", "--html", page, "--json-to", told)
    assert done.returncode == 0, done.stderr
    report = json.loads(told.read_text())
    assert report["trades"]
    assert "<svg" in page.read_text()
    assert re.search(r"in \d+ trades", done.stdout)
    short = run("backtest", agent, "--hub", hub_dir, "--set", "warmup=400")
    assert re.search(r"had \d+ candles of 1m by the end, expected 400 to begin with", short.stderr)
    assert "expected" not in done.stderr
    wrong = run("backtest", agent, "--hub", hub_dir, "--set", "bras=10")
    assert wrong.returncode == 2
    assert "its parameters are symbols, timeframes, warmup, bars, stop_pips" in wrong.stderr


def test_team_is_backtested_as_one_run(hub_dir: Path, tmp_path: Path) -> None:
    with event_hub(hub_dir) as hub:
        for batch in series(7, *HOURS, symbols=["EUR_USD"]):
            publish(hub, batch)
    told = tmp_path / "report.json"
    team = [word for name in TEAM[1:] for word in ("--with", name)]
    rules = [f"validator.{name}={value}" for name, value in PARAMETERS["validator"].items()]
    words = [word for rule in ['symbols=["EUR_USD"]', *rules] for word in ("--set", rule)]
    done = run("backtest", TEAM[0], *team, *words, "--hub", hub_dir, "--json-to", told)
    assert done.returncode == 0, done.stderr
    report = json.loads(told.read_text())
    assert report["signals"] > 0
    assert report["orders"] + sum(report["refused"].values()) > 0
    wrong = run("backtest", TEAM[0], *team, "--set", "bras=10", "--hub", hub_dir)
    assert wrong.returncode == 2
    assert "none of momentum, order_flow, validator, trader has such a parameter" in wrong.stderr


def test_agent_runs_is_listed_halted_stopped_and_compared(agent: Path, hub_dir: Path) -> None:
    with serving(hub_dir, "--clock", "event"):
        with DataHub.open(hub_dir) as hub:
            batches = list(series(7, *HOURS, symbols=["EUR_USD"]))
            publish(hub, batches[0])
            with running(
                "agent", "run", agent, "--hub", hub_dir, "--set", "bars=5", "--set", "gate.late_s=1e9"
            ) as live:
                name = re.search(r"breakout-[0-9a-f]{12}", live.line("running"))
                assert name is not None
                for batch in batches[1:6]:
                    publish(hub, batch)
                listed = CliRunner().invoke(app, ["agent", "list", "--json", "--hub", str(hub_dir)])
                (row,) = json.loads(listed.stdout)["runs"]
                assert row["run"] == name.group()
                assert row["state"].startswith("running, process")
                assert run("agent", "run", agent, "--hub", hub_dir).returncode == 4
                assert CliRunner().invoke(app, ["halt", "enough", "--hub", str(hub_dir)]).exit_code == 0
                told = halted(hub)
                assert told is not None
                assert told.reason == "enough"
                for batch in batches[6:9]:
                    publish(hub, batch)
                assert run("agent", "stop", "breakout", "--hub", hub_dir).returncode == 0
                assert "ended" in live.line("ended")
            assert CliRunner().invoke(app, ["resume", "--hub", str(hub_dir)]).exit_code == 0
            assert halted(hub) is None
        compared = run("backtest", "--compare-live", "breakout", "--json", "--hub", hub_dir)
        assert compared.returncode == 0, compared.stdout + compared.stderr
        found = json.loads(compared.stdout)
        assert found["differences"] == []
        assert found["ended"]
        assert found["compared"] > 5


def test_agent_of_the_configuration_runs_with_up(
    agent: Path, hub_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "tapehub.toml"
    config.write_text(f'[agents.run.mine]\nagent = "{agent}"\nparameters = {{ bars = 5 }}\n')
    monkeypatch.setenv("TAPEHUB_CONFIG", str(config))
    with running("up", "--hub", hub_dir) as up:
        up.line(r"agent mine.*running, process \d+: run mine-[0-9a-f]{12}")
        assert up.end(signal.SIGTERM) == 0
    listed = json.loads(CliRunner().invoke(app, ["agent", "list", "--json", "--hub", str(hub_dir)]).stdout)["runs"]
    assert [(row["agent"], row["state"]) for row in listed] == [("mine", "not running")]
