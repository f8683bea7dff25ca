"""The command line in this process: help, versions, errors in one line, exit codes."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tapehub import DataHub, HubNotRunning
from tapehub.app.board import Board
from tapehub.app.cli import COMMANDS, app
from tapehub.app.clocks import begin_at, change_clock, clock_of, live_publishers
from tapehub.app.console import Exit
from tapehub.errors import ConfigError
from tapehub.hub.clock import set_skew
from tapehub.model.policies import ClockMode

ROOT = Path(__file__).resolve().parents[3]
SECOND = 1_000_000_000
NOON = int(datetime(2026, 6, 2, 12, tzinfo=UTC).timestamp()) * SECOND


@pytest.fixture
def run() -> CliRunner:
    return CliRunner()


@pytest.fixture
def filled(hub: DataHub) -> DataHub:
    """Fill a hub with two minutes of EUR_USD, on the event clock."""
    hub.set_clock("event")
    rows = np.zeros(120, dtype=[("ts_event", "i8"), ("bid", "f8"), ("ask", "f8")])
    rows["ts_event"] = NOON + np.arange(120) * SECOND
    rows["bid"] = 1.1 + np.arange(120) * 1e-5
    rows["ask"] = rows["bid"] + 8e-5
    hub.publish(rows, symbol="EUR_USD", source="test", verified=True)
    return hub


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(run: CliRunner, command: str) -> None:
    result = run.invoke(app, [command, "--help"])
    assert result.exit_code == Exit.OK
    assert command in result.output


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_documented(command: str) -> None:
    assert f"tapehub {command}" in (ROOT / "docs" / "reference" / "commands.md").read_text()


@pytest.mark.parametrize("code", Exit)
def test_every_exit_code_is_documented(code: Exit) -> None:
    assert re.search(rf"^\| {code.value} \|", (ROOT / "docs" / "reference" / "commands.md").read_text(), re.MULTILINE)


def test_the_version_is_that_of_the_package(run: CliRunner) -> None:
    assert run.invoke(app, ["--version"]).output.startswith("tapehub 0.")


@pytest.mark.parametrize("command", [["status"], ["watch", "--once"], ["verify"], ["clock"]])
def test_without_a_hub_the_answer_is_how_to_start_one(run: CliRunner, hub_dir: Path, command: list[str]) -> None:
    result = run.invoke(app, [*command, "--hub", str(hub_dir)])
    assert result.exit_code == Exit.NOT_RUNNING
    assert 'start it with "tapehub up"' in result.stderr
    assert result.stderr.count("\n") == 1
    assert not hub_dir.exists()


def test_debug_shows_where_an_error_comes_from(run: CliRunner, hub_dir: Path) -> None:
    result = run.invoke(app, ["status", "--hub", str(hub_dir), "--debug"])
    assert isinstance(result.exception, HubNotRunning)


@pytest.mark.parametrize(
    "arguments",
    [
        ["status", "--bogus"],
        ["status", "--hub", "x", "--name", "y"],
        ["status", "--name", "../x"],
        ["replay", "x.csv", "--speed", "-3"],
        ["replay", "x.csv", "--speed", "soon"],
        ["replay", "x.csv", "--rebase", "yesterday"],
        ["replay", "x.csv", "--rebase", "now", "--speed", "10"],
        ["serve", "--clock", "virtual"],
        ["serve", "--clock", "slow"],
        ["serve", "--at", "2026-06-02T12:00"],
    ],
    ids=" ".join,
)
def test_what_cannot_work_is_a_usage_error(run: CliRunner, arguments: list[str]) -> None:
    result = run.invoke(app, arguments)
    assert result.exit_code == Exit.USAGE
    assert "Traceback" not in result.stderr


def test_a_foreign_directory_is_refused_and_left_alone(run: CliRunner, tmp_path: Path) -> None:
    (tmp_path / "control").write_text("something else")
    result = run.invoke(app, ["status", "--hub", str(tmp_path)])
    assert result.exit_code == Exit.REFUSED
    assert (tmp_path / "control").read_text() == "something else"


def test_status_tells_all_as_json(run: CliRunner, filled: DataHub) -> None:
    result = run.invoke(app, ["status", "--json", "--hub", str(filled.path)])
    told = json.loads(result.stdout)
    assert told["ledger"]["ticks"] == 120
    assert told["states"] == {"EUR_USD": "live"}
    assert told["hub_id"] == filled.hub_id
    assert told["exit_code"] == result.exit_code == Exit.OK


def test_status_of_a_resting_hub_says_that_nobody_runs_it(run: CliRunner, filled: DataHub) -> None:
    path = filled.path
    filled.close()
    result = run.invoke(app, ["status", "--hub", str(path)])
    assert result.exit_code == Exit.NOT_RUNNING
    assert "resting" in result.stdout


def test_status_of_a_stale_instrument_is_a_failure(run: CliRunner, filled: DataHub) -> None:
    filled.set_clock("virtual", anchor_ns=NOON + 3600 * SECOND, rate=1e-6)
    result = run.invoke(app, ["status", "--hub", str(filled.path)])
    assert result.exit_code == Exit.FAILED
    assert "EUR_USD stale" in result.stdout


def test_verify_finds_a_sound_log_sound(run: CliRunner, filled: DataHub) -> None:
    result = run.invoke(app, ["verify", "--json", "--hub", str(filled.path)])
    assert result.exit_code == Exit.OK
    assert json.loads(result.stdout)["ok"]


def test_verify_finds_a_flipped_bit(run: CliRunner, filled: DataHub) -> None:
    seq = filled.get_latest_tick("EUR_USD").seq - 50  # type: ignore[union-attr]
    path = filled.path
    files = [file for file in path.rglob("*") if file.is_file()]
    size = max(file.stat().st_size for file in files)
    segment = min(file for file in files if file.stat().st_size == size)  # the first: others are kept ready
    with segment.open("r+b") as log:
        log.seek(seq * 64 + 34)
        byte = log.read(1)[0]
        log.seek(seq * 64 + 34)
        log.write(bytes([byte ^ 1]))
    result = run.invoke(app, ["verify", "--hub", str(path)])
    assert result.exit_code == Exit.FAILED
    assert f"line {seq}" in result.stdout


def test_the_board_shows_spread_rate_and_the_last_minute(filled: DataHub) -> None:
    (row,) = Board(filled, ["EURUSD"]).rows()
    assert (row.symbol, row.state, row.ticks_per_minute) == ("EUR_USD", "live", 60)
    assert row.spread == pytest.approx(0.8)
    assert row.candle is not None
    assert row.candle.timestamp == datetime(2026, 6, 2, 12, 0, tzinfo=UTC)
    assert row.age_s == 0.0


def test_the_board_names_an_instrument_without_a_tick(filled: DataHub) -> None:
    (row,) = Board(filled, ["USD_JPY"]).rows()
    assert (row.bid, row.state) == (None, "empty")


def test_watch_names_a_simulated_clock(run: CliRunner, filled: DataHub) -> None:
    filled.set_clock("virtual", anchor_ns=NOON)
    result = run.invoke(app, ["watch", "--once", "--hub", str(filled.path)])
    assert "SIMULATED" in result.stdout
    assert "EUR_USD" in result.stdout


def test_clock_shows_and_sets(run: CliRunner, filled: DataHub) -> None:
    assert "event clock" in run.invoke(app, ["clock", "--hub", str(filled.path)]).stdout
    run.invoke(app, ["clock", "virtual", "--at", "2026-06-02T12:00", "--rate", "2", "--hub", str(filled.path)])
    assert (clock_of(filled).mode, clock_of(filled).rate) == (ClockMode.VIRTUAL, 2.0)
    assert "wall clock" in run.invoke(app, ["clock", "wall", "--hub", str(filled.path)]).stdout
    set_skew(filled, 8_000_000_000)
    assert "8.0 s ahead" not in run.invoke(app, ["clock", "wall", "--force-clock", "--hub", str(filled.path)]).stdout
    assert int(filled._hub_state()["skew_ns"]) == 0


def test_an_own_publisher_is_nobody_elses(filled: DataHub) -> None:
    assert live_publishers(filled) == []
    assert change_clock(filled, ClockMode.WALL)
    assert not change_clock(filled, ClockMode.WALL)
    assert change_clock(filled, ClockMode.WALL, afresh=True)


def test_replay_gives_the_account_as_json(run: CliRunner, tmp_path: Path, hub_dir: Path) -> None:
    ticks = tmp_path / "DAT_ASCII_EURUSD_T_201902.csv"
    ticks.write_text(
        "20190204 000000994,1.145480,1.145530,0\n"
        "20190204 000000994,1.145480,1.145530,0\n"  # sent again
        "20190204 000059000,1.145560,1.145510,0\n"  # crossed
        "20190204 000101000,1.145510,1.145560,0\n"
    )
    result = run.invoke(app, ["replay", str(ticks), "--json", "--hub", str(hub_dir)])
    assert result.exit_code == Exit.OK, result.stderr
    told = json.loads(result.stdout)
    assert (told["received"], told["published"], told["duplicates"]) == (4, 2, 1)
    assert told["quarantined"] == {"crossed": 1}
    assert told["in_flight"] == 0
    with DataHub.open(hub_dir) as hub:
        assert clock_of(hub).mode is ClockMode.EVENT
        assert hub.get_latest_tick("EUR_USD").timestamp.year == 2019  # type: ignore[union-attr]


def test_replay_of_an_older_file_after_a_newer_one_makes_nothing_late(
    run: CliRunner, tmp_path: Path, hub_dir: Path
) -> None:
    for year in ("2019", "2014"):
        ticks = tmp_path / f"DAT_ASCII_EURUSD_T_{year}.csv"
        ticks.write_text("".join(f"{year}0204 00{minute:02}00994,1.145480,1.145530,0\n" for minute in range(5)))
        assert run.invoke(app, ["replay", str(ticks), "--hub", str(hub_dir)]).exit_code == Exit.OK
    with DataHub.open(hub_dir) as hub:
        row = hub.ledger()["instruments"]["EUR_USD from histdata"]
        assert (row["late_applied"], row["late_unapplied"]) == (0, 0)


def test_replay_of_an_empty_window_says_so(run: CliRunner, tmp_path: Path, hub_dir: Path) -> None:
    ticks = tmp_path / "DAT_ASCII_EURUSD_T_201902.csv"
    ticks.write_text("20190204 000000994,1.145480,1.145530,0\n")
    result = run.invoke(app, ["replay", str(ticks), "--from", "2020-01-01", "--hub", str(hub_dir)])
    assert result.exit_code == Exit.FAILED
    assert "widen --from and --to" in result.stderr
    assert not hub_dir.exists()


def test_a_short_bench_measures_this_hub(run: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tapehub.app.measure._ROUNDS", 1)
    result = run.invoke(app, ["bench", "--json"])
    assert result.exit_code == Exit.OK, result.stderr
    assert all(row["us"] > 0 for row in json.loads(result.stdout).values())


JUNE, NOVEMBER = NOON, int(datetime(2026, 11, 27, 22, tzinfo=UTC).timestamp()) * SECOND


def told_by(hub: DataHub, source: str, ts_ns: int) -> None:
    rows = np.array([(ts_ns, 1.1, 1.1001)], dtype=[("ts_event", "i8"), ("bid", "f8"), ("ask", "f8")])
    hub.publish(rows, symbol="EUR_USD", source=source, verified=True)


def test_a_made_up_market_that_begins_earlier_begins_the_views_anew(hub: DataHub) -> None:
    hub.set_clock("event")
    told_by(hub, "sim", NOVEMBER)
    begin_at(hub, JUNE, "sim")
    assert clock_of(hub).mode is ClockMode.VIRTUAL
    assert hub.get_latest_tick("EUR_USD") is None
    assert hub.state("EUR_USD") == "empty"
    told_by(hub, "sim", JUNE + 1_000_000_000)
    (candle,) = hub.candles("EUR_USD", forming=True)
    assert candle.timestamp == datetime(2026, 6, 2, 12, tzinfo=UTC)
    assert hub.ledger()["ticks"] == 2, "the log keeps what was there"


def test_a_market_at_another_time_is_refused_among_quotes_that_were_not_made_up(hub: DataHub) -> None:
    hub.set_clock("event")
    told_by(hub, "ig", NOVEMBER)
    with pytest.raises(ConfigError, match=r"holds EUR_USD from ig up to 2026-11-27 22:00:00 UTC: .*; .*add --name sim"):
        begin_at(hub, JUNE, "sim")
    assert clock_of(hub).mode is ClockMode.EVENT
    assert hub.get_latest_tick("EUR_USD") is not None
