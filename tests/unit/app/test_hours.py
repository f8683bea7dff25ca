"""Configured holidays reach the hub by whoever serves or collects, and people are told when markets open."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from tapehub import DataHub
from tapehub.app.cli import app
from tapehub.app.config import read_config
from tapehub.app.hours import hours, hours_text
from tapehub.app.hubs import log_calendars
from tapehub.collector.core import Core
from tapehub.errors import ConfigError
from tapehub.feeds.feed import Status, StatusKind
from tapehub.hub.server import HubServer
from tapehub.model.calendars import Calendar, CalendarId, calendar_of
from tests.models.intervals import HOUR, ns
from tests.models.market import drained

CHRISTMAS = ns("2026-12-25T15:00")  # a Friday
WRITTEN = """\
[calendars.fx]
holidays = ["2026-12-25", "2026-12-31T13:00/2027-01-03T17:00", 2027-07-05]

[calendars.Metals]
holidays = ["2026-12-24T13:00/2026-12-25T18:00"]
"""


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "tapehub.toml"
    path.write_text(WRITTEN)
    monkeypatch.setenv("TAPEHUB_CONFIG", str(path))
    return path


def published(hub: DataHub, at_ns: int, *symbols: str) -> None:
    hub.set_clock("event", anchor_ns=at_ns)
    rows = np.zeros(1, [("ts_event", "<i8"), ("bid", "<f8"), ("ask", "<f8")])
    rows[0] = (at_ns, 1.1, 1.1001)
    for symbol in symbols:
        hub.publish(rows, symbol=symbol)


def test_the_configuration_gives_the_hours_of_every_calendar(configured: Path) -> None:
    fx, metals, always = read_config().sessions()
    assert fx.closures == calendar_of("fx", ["2026-12-25", "2026-12-31T13:00/2027-01-03T17:00", "2027-07-05"]).closures
    assert metals.to_bytes() == calendar_of("metals", ["2026-12-24T13:00/2026-12-25T18:00"]).to_bytes()
    assert always.to_bytes() == Calendar(CalendarId.ALWAYS).to_bytes()


def test_without_a_section_the_hours_are_the_weekly_ones(configured: Path) -> None:
    configured.write_text("")
    assert [hours.to_bytes() for hours in read_config().sessions()] == [
        Calendar(identifier).to_bytes() for identifier in CalendarId
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('[calendars.lunar]\nholidays = ["2026-12-25"]\n', r"\[calendars\]: calendar 'lunar': expected fx, metals or"),
        ('[calendars.fx]\nholidays = ["christmas"]\n', r"\[calendars\]: holiday 'christmas': expected 2024-12-25 or"),
        (
            '[calendars.fx]\nholiday = ["2026-12-25"]\n',
            r"\[calendars\.fx\] holiday: no such setting, expected one of holidays; did you mean holidays",
        ),
    ],
)
def test_a_holiday_that_cannot_be_names_the_file(configured: Path, text: str, why: str) -> None:
    configured.write_text(text)
    with pytest.raises(ConfigError, match=rf"tapehub\.toml: {why}"):
        read_config().sessions()


def test_the_servers_configuration_counts_while_one_runs(hub: DataHub, configured: Path) -> None:
    with HubServer(hub.path):
        log_calendars(hub, read_config())
        assert hub.calendar("EUR_USD").is_open(CHRISTMAS)
    log_calendars(hub, read_config())
    assert not hub.calendar("EUR_USD").is_open(CHRISTMAS)
    configured.write_text("")
    log_calendars(hub, read_config())
    assert hub.calendar("EUR_USD").is_open(CHRISTMAS), "the holiday was taken out of the configuration"


def test_a_replay_takes_the_holidays_along(hub_dir: Path, tmp_path: Path, configured: Path) -> None:
    configured.write_text('[calendars.fx]\nholidays = ["2014-02-05"]\n')
    recorded = tmp_path / "DAT_ASCII_EURUSD_T_201402.csv"
    recorded.write_text("20140204 120000000,1.352100,1.352200,0\n20140206 120000000,1.352300,1.352400,0\n")
    result = CliRunner().invoke(app, ["replay", str(recorded), "--hub", str(hub_dir)])
    assert result.exit_code == 0, result.output
    with DataHub.open(hub_dir) as hub, hub.stream(kinds="interval", timeframes="1d", start="oldest") as stream:
        ends = [one for one in drained(stream) if hasattr(one, "outcome")]
    assert [one.outcome for one in ends] == ["final", "closed"], "the day of the 6th is not over"


# ---------------------------------------------------------------- what people are told


def told(hub: DataHub) -> str:
    return "; ".join(hours_text(one, hub.now()) for one in hours(hub, hub.now()).values())


def test_hours_are_told_of_each_calendar_in_use(hub: DataHub, configured: Path) -> None:
    assert hours(hub, CHRISTMAS) == {}
    log_calendars(hub, read_config())
    published(hub, CHRISTMAS - 48 * HOUR, "EUR_USD", "GBP_USD")
    assert told(hub) == "FX open until Thursday 17:00 New York, in 31 h 0 min"
    published(hub, CHRISTMAS, "EUR_USD", "BTC_USD", "XAU_USD")
    text = "FX closed for a holiday until Sunday 17:00 New York, in 2 d"
    assert told(hub) == f"{text}; metals closed for a holiday until Sunday 18:00 New York, in 2 d; 24/7 open"
    assert list(hours(hub, CHRISTMAS)) == ["fx", "metals", "always"]


def test_status_and_doctor_name_the_holiday(hub_dir: Path, configured: Path) -> None:
    with HubServer(hub_dir, calendars=read_config().sessions()) as server:
        published(server.hub, CHRISTMAS - 48 * HOUR, "EUR_USD")
        server.hub.advance(CHRISTMAS)
        core = Core(server.hub, "ig", ("EUR_USD",), random=random.Random(1), now_ns=CHRISTMAS)
        core.on_event(Status(StatusKind.CONNECTED), CHRISTMAS)
        core.tell(CHRISTMAS)
        shown: dict[str, Any] = json.loads(CliRunner().invoke(app, ["status", "--json", "--hub", str(hub_dir)]).stdout)
        assert shown["markets"]["fx"]["is_holiday"]
        assert shown["markets"]["fx"]["turns_ns"] == ns("2026-12-27T22:00")
        assert "closed for a holiday; it opens on Sunday 17:00 New York" in shown["why"]
        plain = CliRunner().invoke(app, ["status", "--hub", str(hub_dir)]).stdout
        assert "FX closed for a holiday until Sunday 17:00 New York" in " ".join(plain.split())
