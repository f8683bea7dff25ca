# ruff: noqa: E501 (a sentence is read as one)
"""Each fault of a venue, told by a feed to the collector's core, is named by the sentence that the hub alone gives."""

import json
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tapehub import DataHub
from tapehub.app import facts as gathering
from tapehub.app import why
from tapehub.app.board import Board
from tapehub.app.cli import app
from tapehub.app.console import Exit
from tapehub.collector.core import Core
from tapehub.feeds.feed import Event, MarketStatus, Quotes, Stage, Status, StatusKind, empty_quotes
from tapehub.feeds.ig import refusals
from tests.models.intervals import MINUTE, SECOND, ns
from tests.models.waiting import until

ROOT = Path(__file__).resolve().parents[3]
NINE = ns("2024-03-05T09:00")
SATURDAY = ns("2024-03-09T12:00-05:00")
EUR, GBP = "EUR_USD", "GBP_USD"


class Venue:
    """A feed that says what a test has it say, its collector, and a clock that the test moves."""

    def __init__(self, hub: DataHub, start: int = NINE) -> None:
        self.hub, self.now = hub, start
        self._set()
        self.core = Core(hub, "ig", (EUR, GBP), random=random.Random(1), now_ns=start)

    def say(self, *events: Event) -> None:
        for event in events:
            self.core.on_event(event, self.now)

    def up(self) -> None:
        self.say(
            Status(StatusKind.CONNECTED, where="https://stream.example"), Status(StatusKind.SUBSCRIBED, (EUR, GBP))
        )

    def quote(self, symbol: str, bid: float = 1.1, ask: float | None = None) -> None:
        records = empty_quotes(1)
        records[0] = (self.now, self.now, bid, bid + 1e-4 if ask is None else ask, 0, 0, 0)
        self.say(Quotes(records, (symbol,), ("ig",)))

    def go(self, seconds: float, *flowing: str, beat: bool = True) -> None:
        """Let time pass, a quote of some symbols each second."""
        end = self.now + round(seconds * SECOND)
        while self.now < end:
            self.now = min(end, self.now + SECOND)
            if beat:
                self.say(Status(StatusKind.HEARTBEAT))
            for symbol in flowing:
                self.quote(symbol, 1.1 + self.now % MINUTE / SECOND * 1e-5)
            self.core.on_time(self.now)
        self._set()

    def why(self, *symbols: str) -> str:
        return why.sentence(self.hub, symbols)

    def _set(self) -> None:
        self.hub.set_clock("virtual", anchor_ns=self.now, rate=1.0)


@pytest.fixture
def venue(hub: DataHub) -> Venue:
    return Venue(hub)


@pytest.fixture
def flowing(venue: Venue) -> Venue:
    venue.up()
    venue.go(5, EUR, GBP)
    return venue


def test_where_all_flows_all_is_well(flowing: Venue) -> None:
    assert flowing.why() == "All is well: 2 instruments have data, the last tick 0 s ago (EUR_USD)."
    assert flowing.why("EURUSD") == "All is well: EUR_USD ticked 0 s ago."


def test_one_mute_item(flowing: Venue) -> None:
    flowing.go(41, GBP)
    assert flowing.why().startswith(
        "EUR_USD has had no tick for 41 s because its item is mute: other items flow and the heartbeat is fine; the "
        "collector resubscribed it "
    )
    assert flowing.why(GBP) == "All is well: GBP_USD ticked 0 s ago."
    flowing.go(1, EUR, GBP)
    assert flowing.why().startswith("All is well")


def test_everything_mute_and_the_heartbeat_too(flowing: Venue) -> None:
    flowing.go(45, beat=False)
    said = flowing.why()
    assert said.startswith("ig is connected but its heartbeat has stopped for 4")
    assert "the collector asked for a new connection" in said


def test_everything_mute_though_the_heartbeat_is_fine(hub: DataHub) -> None:
    """Since the market opened, not one tick: four times the usual silence is no slow market."""
    venue = Venue(hub, ns("2024-03-10T16:59:00-04:00"))
    venue.up()
    venue.go(60)
    venue.go(140)
    assert "because nothing flows at all, though the heartbeat is fine: ig is connected but mute" in venue.why()


def test_a_cut(flowing: Venue) -> None:
    flowing.say(Status(StatusKind.DISCONNECTED, detail="connection lost (DISCONNECTED:WILL-RETRY)"))
    flowing.go(9)
    assert flowing.why() == (
        "ig lost its connection 9 s ago (connection lost (DISCONNECTED:WILL-RETRY)); it reconnects by itself."
    )


CODES = sorted(refusals._MEND | refusals._TOKENS | refusals._MINUTE | {refusals._WEEK})


@pytest.mark.parametrize("code", CODES)
def test_a_login_refused_names_the_code_and_what_to_do(venue: Venue, code: str) -> None:
    detail = f"IG refused POST /session: 403 {code}"
    venue.say(Status(StatusKind.REFUSED, (), 0, detail, Stage.LOGIN, code, "https://ig.example"))
    venue.say(Status(StatusKind.DISCONNECTED, detail=f"VenueError: {detail}"))
    venue.go(2)
    said = venue.why()
    assert said.startswith(f"The login was refused with {code}: ")
    assert "tries again by itself" not in said, "each known code has words of its own"


def test_what_is_waited_for_hides_not_what_was_refused(venue: Venue) -> None:
    code = "error.security.invalid-details"
    venue.say(Status(StatusKind.REFUSED, (), 0, "401", Stage.LOGIN, code))
    venue.say(Status(StatusKind.REFUSED, (), 0, "no login before 10 min have passed", Stage.ALLOWANCE))
    venue.go(2)
    assert venue.why().startswith(f"The login was refused with {code}: ")
    assert venue.why().endswith("; no login before 10 min have passed.")


def test_an_allowance_that_holds_up_a_request_takes_nothing_from_what_streams(flowing: Venue) -> None:
    flowing.say(Status(StatusKind.REFUSED, (), 0, "GET /markets waits 40 s", Stage.ALLOWANCE))
    flowing.go(2, EUR)
    assert flowing.hub.state(GBP) == "live"
    assert flowing.why().startswith("All is well")


def test_expired_tokens_at_the_streaming_server(flowing: Venue) -> None:
    flowing.say(
        Status(StatusKind.DISCONNECTED, (), 0, "streaming server: 1 User/password check failed", Stage.STREAM, "1")
    )
    flowing.go(1)
    assert "1 User/password check failed: it did not take the session's tokens" in flowing.why()


def test_a_protocol_refused(venue: Venue) -> None:
    said = "streaming server: 65 Unsupported protocol version: 2.4.0"
    venue.say(Status(StatusKind.REFUSED, (), 0, said, Stage.STREAM, "65", "https://stream.example"))
    venue.go(1)
    assert venue.why().startswith(
        "The streaming server https://stream.example refused with 65 Unsupported protocol version: 2.4.0: it refuses the client's"
    )


@pytest.mark.parametrize(
    ("bid", "ask", "reason"),
    [(1.2, 1.1, "crossed"), (0.0, 1.1, "non-positive"), (11000.0, 11000.6, "scale"), (float("nan"), 1.0, "non-finite")],
)
def test_quotes_that_are_all_in_quarantine(flowing: Venue, bid: float, ask: float, reason: str) -> None:
    for _ in range(35):
        flowing.quote(EUR, bid, ask)
        flowing.go(1, GBP)
    said = flowing.why()
    assert said.startswith(f"EUR_USD has had no good tick for 35 s: its quotes are quarantined as {reason}")
    assert ("input_scale = 0.0001 would convert it" in said) == (reason == "scale")


def test_a_bad_epic_and_one_subscription_too_many(flowing: Venue) -> None:
    why_not = "EUR_USD: IG refused CHART:CS.D.NOPE:TICK: 21 Invalid group"
    flowing.say(Status(StatusKind.REFUSED, (EUR,), 0, why_not, Stage.SUBSCRIPTION, "21"))
    flowing.go(2, GBP)
    assert flowing.why() == (
        "EUR_USD is refused: IG refused CHART:CS.D.NOPE:TICK: 21 Invalid group; the epic is not known there: find the "
        "right one with tapehub ig search; the others flow."
    )
    assert flowing.why(GBP).startswith("All is well")
    assert flowing.why("XAU_USD") == "XAU_USD is not collected: no running feed was asked for it; add it to tapehub up."
    beyond = "EUR_USD: CHART:X:TICK (ticks): subscription beyond the 1 that IG allows this account"
    flowing.say(Status(StatusKind.REFUSED, (EUR,), 0, beyond, Stage.SUBSCRIPTION))
    flowing.go(2, GBP)
    assert "beyond the 1 that IG allows this account" in flowing.why()


def test_a_saturday_and_its_maintenance(hub: DataHub) -> None:
    venue = Venue(hub, SATURDAY)
    venue.up()
    venue.go(1)
    closed = "No data because the FX market is closed; it opens on Sunday 17:00 New York, in 28 h."
    assert venue.why() == closed
    venue.say(Status(StatusKind.DISCONNECTED, (), 0, "streaming server: 32 maintenance", Stage.STREAM, "32"))
    venue.say(Status(StatusKind.REFUSED, (), 0, "IG refused POST /session: 503", Stage.LOGIN))
    venue.go(3)
    assert venue.why() == closed
    assert why.explain(gathering.gather(hub)).ok


def test_the_venues_word_against_the_calendar(flowing: Venue) -> None:
    flowing.say(MarketStatus((EUR, GBP), False, detail="OFFLINE"))
    flowing.go(2)
    assert flowing.why() == (
        "No data because the venue says that EUR_USD and GBP_USD are OFFLINE, though the calendar is open."
    )


def test_a_collector_that_stopped_and_one_that_does_not_move(flowing: Venue) -> None:
    flowing.now += 80 * SECOND
    flowing._set()
    assert flowing.why().startswith("The collector of ig runs but has said nothing for 8")
    flowing.core.stop(flowing.now)
    flowing.now += 10 * SECOND
    flowing._set()
    assert flowing.why() == "No collector is running since ig was stopped 10 s ago: start one with tapehub up."


def test_a_story_told_again_and_again_is_read_on_from_where_it_was(flowing: Venue) -> None:
    for _ in range(5):
        flowing.say(Status(StatusKind.DISCONNECTED, detail="cut"))
        flowing.go(2)
        assert "lost its connection 2 s ago" in flowing.why()
        flowing.up()
        flowing.go(2, EUR, GBP)
        assert flowing.why().startswith("All is well")


def test_a_flapping_connection_does_not_fill_the_log(flowing: Venue) -> None:
    before = flowing.hub.ledger()["by_kind"]["ledger"]
    for _ in range(200):
        flowing.say(Status(StatusKind.DISCONNECTED, detail="cut"))
        flowing.up()
        flowing.core.on_time(flowing.now)
    assert flowing.hub.ledger()["by_kind"]["ledger"] <= before + 1


def test_forty_instruments_fit_one_record(hub: DataHub) -> None:
    symbols = [f"{base}_{quote}" for base in ("EUR", "GBP", "AUD", "NZD", "CAD", "CHF", "NOK", "SEK") for quote in
               ("USD", "JPY", "SGD", "MXN", "ZAR")]  # fmt: skip
    now = NINE
    hub.set_clock("virtual", anchor_ns=now, rate=1.0)
    core = Core(hub, "ig", symbols, random=random.Random(1), now_ns=now)
    core.on_event(Status(StatusKind.CONNECTED), now)
    core.on_event(Status(StatusKind.SUBSCRIBED), now)
    core.on_event(Status(StatusKind.DISCONNECTED, detail="cut"), now + SECOND)
    core.on_time(now + 2 * SECOND)
    assert not list(hub.path.glob("blobs/*"))
    assert len(gathering.gather(hub).items) == 40


def test_watch_and_status_show_every_source_with_its_state_and_cause(flowing: Venue) -> None:
    rows = np.zeros(1, dtype=[("ts_event", "i8"), ("bid", "f8"), ("ask", "f8")])
    rows["ts_event"], rows["bid"], rows["ask"] = flowing.now, 1.2, 1.2002
    flowing.hub.publish(rows, symbol=EUR, source="kraken", verified=True)
    flowing.go(41, GBP)
    lines = Board(flowing.hub, [EUR]).lines()
    assert [line.split()[2:5] for line in lines] == [["SIMULATED", EUR, "ig"], ["SIMULATED", EUR, "kraken"]]
    assert "stale" in lines[0]
    assert "while others flow" in lines[0]
    done = CliRunner().invoke(app, ["watch", EUR, "--once", "--hub", str(flowing.hub.path)])
    assert "EUR_USD ig: stale for " in done.stdout
    assert "while others flow" in done.stdout
    assert "1.20000/1.20020 2.0 pips" in lines[1]
    done = CliRunner().invoke(app, ["status", "--json", "--hub", str(flowing.hub.path)])
    told = json.loads(done.stdout)
    assert done.exit_code == Exit.FAILED
    found = {(row["symbol"], row["source"]): row for row in told["sources"]}
    assert found[EUR, "ig"]["state"] == "stale"
    assert "while others flow" in found[EUR, "ig"]["cause"]
    assert found[EUR, "ig"]["tick_s"] == pytest.approx(41, abs=1)
    assert found[EUR, "kraken"]["state"] in ("live", "stale")
    assert told["why"].startswith("EUR_USD has had no tick for 4")


@pytest.fixture
def killed(hub: DataHub) -> None:
    collector = subprocess.Popen(
        [sys.executable, "-m", "tests.servers.collecting", str(hub.path), str(hub.now()), "0"],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with collector:
        assert collector.stdout is not None
        assert collector.stdout.readline() == "ready\n"
        until(lambda: gathering.gather(hub).feeds, "a feed", every_s=0.02)
        collector.send_signal(signal.SIGKILL)
        collector.wait()


@pytest.mark.usefixtures("killed")
def test_a_collector_that_was_killed(hub: DataHub) -> None:
    assert why.sentence(hub) == (
        "No collector is running since the process of endless ended without a word: start one with tapehub up."
    )


def test_what_was_waited_for_this_morning_is_no_cause_this_afternoon(flowing: Venue) -> None:
    wait = "GET /markets waits 12 s: IG's allowance is used up, less what orders keep"
    flowing.say(Status(StatusKind.REFUSED, detail=wait, stage=Stage.ALLOWANCE, wait_s=12.0))
    flowing.say(Status(StatusKind.DISCONNECTED, detail="connection lost"))
    flowing.go(2)
    assert flowing.why() == f"No data yet: {wait}."
    flowing.go(20)
    assert flowing.why() == "ig lost its connection 22 s ago (connection lost); it reconnects by itself."


def test_a_wait_is_over_though_its_collector_says_nothing_more(flowing: Venue) -> None:
    wait = "GET /markets waits 12 s"
    flowing.say(Status(StatusKind.REFUSED, detail=wait, stage=Stage.ALLOWANCE, wait_s=12.0))
    flowing.say(Status(StatusKind.DISCONNECTED, detail="connection lost"))
    flowing.go(2)
    flowing.now += 20 * SECOND
    flowing._set()
    assert "waits" not in flowing.why()


def test_what_the_feed_goes_on_without_is_told(flowing: Venue) -> None:
    left_out = {f"CHART:{number}": f"CHART:{number} (1-minute candles): beyond the 40" for number in range(20)}
    flowing.core.link.on_remarks(left_out)
    flowing.go(2, EUR, GBP)
    (finding,) = (one for one in why.explain(gathering.gather(flowing.hub)).chain if one.link == "subscriptions")
    assert finding.sentence == (
        "No instrument is refused; the feed goes on without: CHART:0 (1-minute candles): beyond the 40 and 12 more."
    )
    flowing.core.report(flowing.now)
    shown = CliRunner().invoke(app, ["status", "--hub", str(flowing.hub.path)]).stdout
    assert "ig goes on without: CHART:3 (1-minute candles): beyond the 40" in shown
    assert "ig goes on without: and 8 more" in shown
    flowing.core.link.on_remarks({})
    flowing.go(2, EUR, GBP)
    assert "without" not in CliRunner().invoke(app, ["status", "--hub", str(flowing.hub.path)]).stdout
