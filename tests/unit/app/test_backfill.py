"""`tapehub backfill`: what it plans, asks for and says, against a venue that stands in for IG."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from tapehub import DataHub
from tapehub.app import backfill
from tapehub.app.cli import app
from tapehub.app.console import Exit
from tapehub.collector.backfill import MINUTE
from tapehub.errors import AllowanceExceeded, FeedError
from tapehub.feeds.prices import AllowanceNote, PriceReply, PriceRow
from tapehub.hub import marks

T0 = 1_780_401_600_000_000_000  # a Tuesday, 12:00 UTC
NOW = T0 + 60 * MINUTE + 2_000_000_000
CREDENTIALS = ("IG_USERNAME", "IG_PASSWORD", "IG_API_KEY", "IG_ACC_TYPE", "IG_SERVICE_USERNAME", "IG_SERVICE_API_KEY")


class Venue:
    source = "ig"

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.remaining = 10_000
        self.fault: Exception | None = None
        self.closed = False

    def fetch(self, symbol: str, start_ns: int, end_ns: int, resolution: str) -> PriceReply:
        if self.fault is not None:
            raise self.fault
        minutes = range(start_ns, end_ns, MINUTE)
        self.asked += [(symbol, (minute - T0) // MINUTE) for minute in minutes]
        self.remaining -= len(minutes)
        rows = tuple(PriceRow(minute, (1.15,) * 4, (1.15006,) * 4, 7.0) for minute in minutes)
        return PriceReply(rows, AllowanceNote(self.remaining, 10_000, 604_799))

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def venue(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Venue:
    """Stand in for IG, and see to it that nobody's credentials are found."""
    made = Venue()
    for name in CREDENTIALS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(backfill, "ig_prices_of", lambda url: (made, made.close))
    return made


@pytest.fixture
def filled(hub: DataHub) -> DataHub:
    """Fill a hub with an hour of EUR_USD from IG that lacks ten minutes, and with another venue's GBP_USD."""
    hub.set_clock("virtual", anchor_ns=NOW, rate=1e-6)
    rows = np.zeros(60, dtype=[("ts_event", "i8"), ("bid", "f8"), ("ask", "f8")])
    rows["ts_event"] = T0 + np.arange(60) * MINUTE
    rows["bid"], rows["ask"] = 1.15, 1.15006
    hub.publish(np.delete(rows, range(30, 40)), symbol="EUR_USD", source="ig", verified=True)
    hub.publish(rows[::2], symbol="GBP_USD", source="kraken", verified=True)
    hub.advance(NOW)
    return hub


def run(hub: DataHub, *options: str) -> Result:
    return CliRunner().invoke(app, ["backfill", "--hub", str(hub.path), *options])


def said(hub: DataHub, *options: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(run(hub, "--json", *options).stdout)
    return told


def test_a_plan_needs_no_credentials_and_asks_for_nothing(
    filled: DataHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in CREDENTIALS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(backfill, "ig_prices_of", None)
    result = run(filled, "--plan", "--reserve", "100")
    assert result.exit_code == Exit.OK
    assert "2026-06-02 12:30 … 2026-06-02 12:39" in result.stdout
    assert "allowance of ig-demo: 10,000 of 10,000 points remain, 100 are reserved, assumed" in result.stdout
    assert "after it: 9,890 to spend" in result.stdout
    assert not list(filled.path.glob("allowance*"))


def test_what_is_missing_from_the_venue_is_filled_and_the_rest_left_alone(filled: DataHub, venue: Venue) -> None:
    result = run(filled)
    assert result.exit_code == Exit.OK
    assert "EUR_USD: 10 of 10 candles" in result.stdout
    assert venue.asked == [("EUR_USD", minute) for minute in range(30, 40)]
    assert venue.closed
    assert len(filled.history("EUR_USD")) == 60
    assert "nothing is missing" in run(filled).stdout
    assert len(venue.asked) == 10


def test_the_plan_as_json_has_the_numbers(filled: DataHub, venue: Venue) -> None:
    told = said(filled, "--plan", "EURUSD")
    assert told["symbols"]["EUR_USD"]["spans"] == [{"start_ns": T0 + 30 * MINUTE, "end_ns": T0 + 40 * MINUTE}]
    assert (told["points_now"], told["points_later"]) == (10, 0)
    assert (told["allowance"]["before"], told["allowance"]["after"]) == (7_500, 7_490)
    assert venue.asked == []


def test_the_outcome_as_json_has_what_is_left(filled: DataHub, venue: Venue) -> None:
    told = said(filled)
    assert told["filled"]["EUR_USD"]["candles"] == 10
    assert (told["allowance"]["left"], told["allowance"]["as_read"]) == (7_490, True)
    assert told["allowance"]["reserve"] == 2_500  # reserved_share of the configuration


def test_what_the_allowance_does_not_reach_for_waits_with_the_numbers(filled: DataHub, venue: Venue) -> None:
    result = run(filled, "--reserve", "9996")
    assert result.exit_code == Exit.OK
    assert venue.asked == [("EUR_USD", minute) for minute in range(36, 40)]
    assert "needs 10 points" in result.stderr
    assert "the other 6 from" in result.stderr
    assert said(filled, "--plan")["allowance"]["reserve"] == 9_996  # remembered


def test_all_or_nothing_is_refused_before_the_first_request(filled: DataHub, venue: Venue) -> None:
    result = run(filled, "--whole", "--reserve", "9996")
    assert result.exit_code == Exit.REFUSED
    assert "needs 10 points" in result.stderr
    assert "nothing was asked for" in result.stderr
    assert venue.asked == []
    assert said(filled, "--whole", "--reserve", "9996")["points_later"] == 10


def test_a_span_of_ones_own_fills_what_the_hub_never_saw(filled: DataHub, venue: Venue) -> None:
    result = run(filled, "USD_CHF", "--from", "2026-06-02T12:10", "--to", "2026-06-02T12:12")
    assert result.exit_code == Exit.OK
    assert venue.asked == [("USD_CHF", 10), ("USD_CHF", 11)]
    assert len(filled.history("USD_CHF")) == 2


def test_the_present_minute_is_not_asked_for(filled: DataHub, venue: Venue) -> None:
    run(filled, "--to", "2026-07-01")
    assert max(minute for _, minute in venue.asked) < 59


def test_a_symbol_of_which_nothing_is_known_needs_a_beginning(filled: DataHub, venue: Venue) -> None:
    result = run(filled, "USD_CHF")
    assert result.exit_code == Exit.OK
    assert "give --from" in result.stderr
    assert venue.asked == []


def test_a_hub_without_the_venue_says_so(hub: DataHub, venue: Venue) -> None:
    result = run(hub)
    assert result.exit_code == Exit.USAGE
    assert "nothing in this hub is from ig" in result.stderr


@pytest.mark.parametrize(
    ("fault", "code"), [(FeedError("no answer"), Exit.FAILED), (AllowanceExceeded("used up"), Exit.REFUSED)]
)
def test_a_failure_is_said_and_shows_in_the_exit_code(
    filled: DataHub, venue: Venue, fault: Exception, code: Exit
) -> None:
    venue.fault = fault
    result = run(filled)
    assert result.exit_code == code
    assert str(fault) in result.stderr
    assert venue.closed


def test_without_credentials_filling_says_which_are_missing(
    filled: DataHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in CREDENTIALS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    result = run(filled)
    assert result.exit_code == Exit.USAGE
    assert "IG_USERNAME" in result.stderr


def test_each_account_has_an_allowance_of_its_own(filled: DataHub, venue: Venue) -> None:
    assert said(filled, "--plan", "--url", "http://127.0.0.1:8080/gateway/deal")["account"] == "ig-127-0-0-1-8080"


def test_a_gap_whose_minutes_are_all_there_is_filled_though_nothing_is_asked_for(filled: DataHub, venue: Venue) -> None:
    run(filled)
    start, end = T0 + 30 * MINUTE, T0 + 40 * MINUTE
    marks.gap(filled, "EUR_USD", "ig", start, end, "ended after the backfill")
    asked = len(venue.asked)
    run(filled, "--plan")
    assert [gap["status"] for gap in filled.gaps("EUR_USD", "ig")] == ["open"], "a plan changes nothing"
    assert "nothing is missing" in run(filled).stdout
    assert [gap["status"] for gap in filled.gaps("EUR_USD", "ig")] == ["filled"]
    assert len(venue.asked) == asked
