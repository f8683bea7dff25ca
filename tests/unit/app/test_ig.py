"""`tapehub ig` against the simulated venue: search, markets, init."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tapehub.app.cli import app
from tapehub.app.config import read_config
from tapehub.app.console import Exit
from tapehub.feeds.sim import SimulatorThread, SyntheticSource, VirtualClock
from tests.servers.ig import TUESDAY

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def run() -> CliRunner:
    return CliRunner()


@pytest.fixture
def venue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatorThread]:
    """Run the venue, with credentials for it in the environment."""
    source = SyntheticSource(["EUR_USD", "GBP_USD", "USD_JPY", "XAU_USD", "DE40"], 1, 1.0)
    with SimulatorThread(source=source, clock=VirtualClock(TUESDAY)) as sim:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "tapehub.toml").touch()
        monkeypatch.setenv("TAPEHUB_CONFIG", str(tmp_path / "tapehub.toml"))
        monkeypatch.setenv("TAPEHUB_IG__BASE_URL", sim.rest_url)
        for name, value in (("USERNAME", "demo"), ("PASSWORD", "demo"), ("API_KEY", "demo-key")):
            monkeypatch.setenv(f"IG_{name}", value)
        yield sim


def test_search_finds_a_pair_however_it_is_spelt(run: CliRunner, venue: SimulatorThread) -> None:
    shown = run.invoke(app, ["ig", "search", "eurusd", "--json"])
    assert shown.exit_code == Exit.OK, shown.output
    assert {row["epic"] for row in json.loads(shown.stdout)} >= {"CS.D.EURUSD.CFD.IP", "CS.D.EURUSD.MINI.IP"}
    assert "CS.D.EURUSD.CFD.IP" in run.invoke(app, ["ig", "search", "EUR/USD"]).stdout
    assert "no market like" in run.invoke(app, ["ig", "search", "unobtainium"]).stderr


def test_markets_say_how_their_prices_are_read(
    run: CliRunner, venue: SimulatorThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAPEHUB_IG__FORM", "TODAY")
    shown = run.invoke(app, ["ig", "markets", "EURUSD", "usd/jpy", "--json"])
    assert shown.exit_code == Exit.OK, shown.output
    answer = json.loads(shown.stdout)
    assert {row["symbol"]: row["divisor"] for row in answer["markets"]} == {"EUR_USD": 10000, "USD_JPY": 100}
    assert all(0 < row["spread_pips"] < 10 for row in answer["markets"])
    assert answer["subscriptions"] == 40


def test_a_market_that_cannot_be_had_is_named_and_ends_with_1(run: CliRunner, venue: SimulatorThread) -> None:
    shown = run.invoke(app, ["ig", "markets", "EURUSD", "SEK_PLN"])
    assert shown.exit_code == Exit.FAILED
    assert "CS.D.EURUSD.CFD.IP" in shown.stdout
    assert "SEK_PLN" in shown.stderr


def test_init_writes_a_watchlist_and_keeps_the_rest(run: CliRunner, venue: SimulatorThread, tmp_path: Path) -> None:
    (tmp_path / "tapehub.toml").write_text('# mine\n[other]\nkeep = "this"\n')
    refused = run.invoke(app, ["ig", "init", "--watchlist", "no such list"])
    assert refused.exit_code == Exit.USAGE
    names = refused.stderr.partition("expected one of IG's:")[2]
    name = names.split("'")[1]
    done = run.invoke(app, ["ig", "init", "--watchlist", name])
    assert done.exit_code == Exit.OK, done.output
    assert read_config().ig.epics["EUR_USD"].startswith("CS.D.EURUSD.")
    assert '# mine\n[other]\nkeep = "this"\n' in (tmp_path / "tapehub.toml").read_text()
    again = run.invoke(app, ["ig", "init", "--watchlist", name])
    assert again.exit_code == Exit.OK


def test_a_refused_login_is_one_line_without_the_secret(
    run: CliRunner, venue: SimulatorThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IG_PASSWORD", "wrong-word-5")
    shown = run.invoke(app, ["ig", "search", "eurusd"])
    assert shown.exit_code == Exit.FAILED
    assert "invalid-details" in shown.stderr
    assert "wrong-word-5" not in shown.output


def test_without_credentials_the_message_says_which_and_offers_the_simulator(
    run: CliRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tapehub.toml").touch()
    monkeypatch.setenv("TAPEHUB_CONFIG", str(tmp_path / "tapehub.toml"))
    for name in ("USERNAME", "PASSWORD", "API_KEY"):
        monkeypatch.delenv(f"IG_{name}", raising=False)
    shown = run.invoke(app, ["ig", "search", "eurusd"])
    assert shown.exit_code == Exit.USAGE
    assert "IG_USERNAME, IG_PASSWORD, IG_API_KEY not found" in shown.stderr
    assert "--feed sim" in shown.stderr


@pytest.mark.parametrize("command", ["search", "markets", "init"])
def test_every_command_explains_itself_and_is_documented(run: CliRunner, command: str) -> None:
    assert run.invoke(app, ["ig", command, "--help"]).exit_code == Exit.OK
    assert f"tapehub ig {command}" in (ROOT / "docs/reference/commands.md").read_text()
