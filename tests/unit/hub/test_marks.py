"""States, gaps and quarantine as the hub tells them again: to every process, and without believing the dead."""

import os
import signal
import subprocess
import sys
from base64 import b64encode

import pytest

from tapehub import DataHub, Record, StaleDataError
from tapehub.gateway.about import about
from tapehub.gateway.events import newest_events
from tapehub.hub import marks
from tapehub.hub.latest import latest
from tapehub.model.records import Kind
from tapehub.model.states import GapStatus, State
from tapehub.quality import Reason
from tests.models.intervals import HOUR, MINUTE, SECOND, ns
from tests.models.market import EUR, GBP, NINE, drained, moment, quotes, tick

SATURDAY = ns("2024-03-09T12:00")


def freeze(hub: DataHub, seconds: float) -> None:
    hub.set_clock("virtual", anchor_ns=NINE + round(seconds * SECOND), rate=1e-6)


def feed(hub: DataHub, seconds: float = 0, symbol: str = EUR, source: str = "ig") -> None:
    hub.publish(quotes([seconds]), symbol=symbol, source=source, verified=True)


# ---------------------------------------------------------------- states


@pytest.mark.parametrize("state", [State.LIVE, State.QUIET, State.STALE, State.DEAD, State.CLOSED])
def test_a_recorded_state_is_told_by_every_read(hub: DataHub, state: State) -> None:
    freeze(hub, 0)
    feed(hub)
    with hub.stream(EUR, kinds="state") as stream:
        marks.state(hub, EUR, "ig", state, "because", NINE, NINE - SECOND)
        (record,) = drained(stream)
    assert (record.fixed[0] & 0xFF, record.fixed[1], record.payload) == (state, NINE - SECOND, b"because")
    assert hub.state(EUR) == hub.snapshot(EUR).state == state.label
    if state.is_fresh:
        assert hub.require_fresh(EUR, 5)
    else:
        with pytest.raises(StaleDataError, match=state.label):
            hub.require_fresh(EUR, 1e9)


def test_the_stored_numbers_are_those_of_the_first_version() -> None:
    assert [state.name for state in State] == ["UNVERIFIED", "LIVE", "QUIET", "STALE", "DEAD", "CLOSED"]
    assert [state.value for state in State] == list(range(6))
    assert [status.label for status in GapStatus] == ["open", "filled", "unfillable", "closed_market"]


def test_one_source_dead_hides_no_other(hub: DataHub) -> None:
    freeze(hub, 0)
    feed(hub, source="ig")
    feed(hub, source="kraken")
    marks.state(hub, EUR, "ig", State.DEAD, "cut", NINE)
    marks.state(hub, EUR, "kraken", State.LIVE, "ticks", NINE)
    assert (hub.state(EUR), hub.state(EUR, "ig"), hub.state(EUR, "kraken")) == ("dead", "dead", "live")
    marks.state(hub, EUR, "ig", State.LIVE, "ticks", NINE)
    marks.state(hub, EUR, "kraken", State.DEAD, "cut", NINE)
    assert (hub.state(EUR), hub.state(EUR, "kraken")) == ("live", "dead")


CHILD = """
import sys, time
from tapehub import DataHub
from tapehub.hub import marks
from tapehub.model.states import State
with DataHub.open(sys.argv[1]) as hub:
    marks.state(hub, "EUR_USD", "ig", State[sys.argv[2]], "ticks", hub.now())
    print("said", flush=True)
    time.sleep(30)
"""


@pytest.mark.parametrize("state", ["LIVE", "QUIET", "CLOSED"])
def test_the_word_of_a_process_that_is_gone_is_not_believed(hub: DataHub, state: str) -> None:
    freeze(hub, 5)
    feed(hub)
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(hub.path), state], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "said\n"
        assert hub.state(EUR) == state.lower()
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    assert hub.state(EUR) == "dead"
    with pytest.raises(StaleDataError):
        hub.require_fresh(EUR, 60)
    with DataHub.open(hub.path):  # whoever takes its place says nothing for it
        assert hub.state(EUR) == "dead"


# ---------------------------------------------------------------- what nobody vouches for


def test_the_same_quote_pushed_again_and_again_is_stale_whatever_its_timestamps_say(hub: DataHub) -> None:
    for second in range(0, 40, 2):
        freeze(hub, second)
        hub.update_tick(tick(second))
        assert hub.state(EUR) == ("unverified" if second <= 30 else "stale"), second
    with pytest.raises(StaleDataError):
        hub.require_fresh(EUR, 5)
    hub.update_tick(tick(38.5, bid=1.1001))
    assert hub.state(EUR) == "unverified"
    assert hub.require_fresh(EUR, 5)


def test_frozen_is_seen_behind_thousands_of_repetitions(hub: DataHub) -> None:
    freeze(hub, 30.9)
    hub.update_tick(tick(0, bid=1.2))
    hub.publish(quotes([1 + i / 100 for i in range(3000)]), symbol=EUR)
    assert hub.state(EUR) == "unverified"
    freeze(hub, 31.1)
    assert hub.state(EUR) == "stale"


def test_timestamps_that_crawl_do_not_hide_that_a_quote_is_frozen(hub: DataHub) -> None:
    freeze(hub, 0)
    hub.update_tick(tick(20))
    freeze(hub, 40)
    hub.update_tick(tick(20.5))
    assert hub.state(EUR) == "stale"


def test_old_data_of_a_closed_market_are_closed_and_of_an_open_one_stale(hub: DataHub) -> None:
    hub.set_clock("virtual", anchor_ns=SATURDAY, rate=1e-6)
    feed(hub)
    feed(hub, symbol="BTC_USD")
    hub.update_tick(tick(0, symbol=GBP))
    assert (hub.state(EUR), hub.state(GBP), hub.state("BTC_USD")) == ("closed", "closed", "stale")
    with pytest.raises(StaleDataError, match="closed"):
        hub.require_fresh(EUR, 1e9)


# ---------------------------------------------------------------- gaps


def test_a_gap_is_one_row_with_its_last_word(hub: DataHub) -> None:
    hub.publish(quotes([15, 70, 130]), symbol=EUR, source="ig", verified=True)
    start, end = NINE + 90 * SECOND, NINE + 126 * SECOND
    marks.gap(hub, EUR, "ig", start, None, "mute", at_ns=NINE + 100 * SECOND)
    (row,) = hub.gaps(EUR)
    assert (row["start"], row["end"], row["cause"], row["status"]) == (start, None, "mute", "open")
    marks.gap(hub, EUR, "ig", start, end, "mute")
    marks.gap(hub, EUR, "ig", NINE, NINE + 15 * SECOND, "restart")
    marks.gap(hub, EUR, "ig", start, end, "mute", GapStatus.FILLED, noted=True)
    assert [(row["start"], row["end"], row["status"]) for row in hub.gaps("EUR/USD")] == [
        (NINE, NINE + 15 * SECOND, "open"), (start, end, "filled"),
    ]  # fmt: skip
    assert hub.gaps(EUR, "kraken") == hub.gaps(GBP) == []


def test_coverage_is_lowered_once_however_much_news_there_is_of_a_gap(hub: DataHub) -> None:
    hub.publish(quotes([0, 70, 130]), symbol=EUR, source="ig", verified=True)
    hub.advance(moment(200))
    start, end = NINE + 90 * SECOND, NINE + 126 * SECOND
    marks.gap(hub, EUR, "ig", start, None, "mute")
    assert hub.candles(EUR)["coverage"].tolist() == pytest.approx([1, 1, 1])
    marks.gap(hub, EUR, "ig", start, end, "mute")
    for status in (GapStatus.UNFILLABLE, GapStatus.FILLED):
        marks.gap(hub, EUR, "ig", start, end, "mute", status, noted=True)
    assert hub.candles(EUR)["coverage"].tolist() == pytest.approx([1, 0.5, 0.9])


def test_intervals_within_a_gap_that_lasts_are_gaps_already(hub: DataHub) -> None:
    hub.set_clock("event")
    with hub.stream(EUR, kinds="interval") as stream:
        feed(hub, 10)
        marks.gap(hub, EUR, "ig", NINE + 70 * SECOND, None, "cut")
        hub.advance(moment(241))
        got = [one.outcome for one in drained(stream) if hasattr(one, "outcome")]
    assert got == ["final", "gap", "gap", "gap"]


def test_a_candle_that_comes_while_a_gap_lasts_is_covered_up_to_it_and_right_when_it_has_ended(hub: DataHub) -> None:
    feed(hub, 10)
    marks.gap(hub, EUR, "ig", NINE + 90 * SECOND, None, "cut")
    marks.gap(hub, EUR, "ig", NINE + 90 * SECOND, NINE + 150 * SECOND, "cut")
    feed(hub, 150)
    hub.advance(moment(200))
    assert hub.candles(EUR)["coverage"].tolist() == pytest.approx([5 / 6, 0.5])


def test_a_gap_as_it_was_written_before_there_was_a_status_is_open(hub: DataHub) -> None:
    feed(hub)
    hub._publish_record(int(Kind.GAP), NINE, fixed1=NINE, fixed2=NINE + MINUTE, instrument=0, source=0, payload=b"old")
    (row,) = hub.gaps(EUR)
    assert (row["cause"], row["status"], row["end"]) == ("old", "open", NINE + MINUTE)


# ---------------------------------------------------------------- quarantine and reports


def test_quarantine_is_read_back_by_symbol_newest_last(hub: DataHub) -> None:
    feed(hub)
    for i in range(5):
        marks.quarantine(hub, EUR, "ig", 5, NINE + i, quote=(NINE + i, 7, 1.2, 1.1, 1.0, 2.0), detail=f"no. {i}")
    marks.quarantine(hub, "MYSTERY", "ig", 2, NINE + 9, quote=(NINE, 0, 5.0, 6.0, 0.0, 0.0), not_stored=41)
    marks.quarantine(hub, "", "ig", 1, NINE + 10, raw=b"\xff" * 5000, detail="not text")
    assert "MYSTERY" not in hub.instruments
    assert [row["detail"] for row in hub.quarantined("EURUSD", limit=2)] == ["no. 3", "no. 4"]
    (mystery,) = hub.quarantined("MYSTERY")
    assert (mystery["bid"], mystery["not_stored"], mystery["reason"], mystery["source"]) == (5.0, 41, 2, "ig")
    assert len(hub.quarantined()) == 7
    last = hub.quarantined(limit=1)[0]
    assert (last["raw"], last["bytes"]) == (b"\xff" * 3000, 5000)
    assert hub.quarantined(limit=0) == []
    assert hub.ledger()["by_kind"]["quarantine"] == 7


RAW = bytes(range(40))
"""As long as a quote is."""


@pytest.mark.parametrize("reason", [Reason.CROSSED, Reason.MALFORMED])
def test_raw_bytes_are_told_as_such_by_every_reader_whatever_their_reason_and_length(
    hub: DataHub, reason: Reason
) -> None:
    quote = (NINE, 7, 1.2, 1.1, 1.0, 2.0)
    marks.quarantine(hub, EUR, "ig", reason, NINE, quote=quote, detail="a quote")
    marks.quarantine(hub, GBP, "ig", reason, NINE + 1, raw=RAW, detail="a message")
    with_quote, with_raw = hub.quarantined()
    assert (with_raw["raw"], "bid" in with_raw) == (RAW, False)
    assert ("raw" in with_quote, with_quote["bid"], with_quote["ask_size"]) == (False, 1.2, 2.0)
    for told in (newest_events(hub, ["quarantine"], 9), _streamed(hub)):
        one, other = map(about, told)
        assert (other["raw"], "bid" in other, other["detail"]) == (b64encode(RAW).decode(), False, "a message")
        assert ("raw" in one, one["bid"], one["ask_size"], one["ts_event"][:10]) == (False, 1.2, 2.0, "2024-03-05")
    assert latest(hub).quarantined() == {EUR: (NINE, reason, "a quote"), GBP: (NINE + 1, reason, "a message")}


def _streamed(hub: DataHub) -> list[Record]:
    with hub.stream(kinds="quarantine", start="oldest") as stream:
        return drained(stream)


@pytest.mark.parametrize("payload", [b"", b"\x01", b"\xff\xff{}", b"\x02\x00{}" + bytes(39), b"\x02\x00{]"])
def test_a_damaged_record_of_quarantine_is_an_error_of_its_value(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"cannot be read|Expecting"):
        marks.read_quarantine(0, payload)


def test_the_latest_report_of_each_feed_is_in_status_and_ledger(hub: DataHub) -> None:
    assert hub.get_status()["feeds"] == {}
    for received in (1, 2):
        marks.feed_report(hub, "ig", {"skew_ms": 3.5, "counts": {EUR: {"received": received}}}, NINE)
    marks.feed_report(hub, "kraken", {"skew_ms": None, "counts": {}}, NINE)
    feeds = hub.get_status()["feeds"]
    assert set(feeds) == {"ig", "kraken"}
    assert feeds["ig"]["skew_ms"] == 3.5
    assert hub.ledger()["feeds"]["ig"] == {EUR: {"received": 2}}


def test_a_report_of_a_thousand_symbols_is_no_less_a_report(hub: DataHub) -> None:
    counts = {f"SYMBOL_{i}": {"received": i} for i in range(1000)}
    marks.feed_report(hub, "ig", {"counts": counts}, NINE)
    assert hub.ledger()["feeds"]["ig"] == counts


def test_marks_do_not_pay_for_lost_quotes(hub: DataHub) -> None:
    """Receive ten, publish seven and log twenty marks, then die: three are lost, also when another takes the place."""
    code = f"""
import os, signal, sys
import numpy as np
from tapehub import DataHub
from tapehub.hub import marks
from tapehub.model.states import State
hub = DataHub.open(sys.argv[1])
hub._count(received=10)
rows = np.zeros(7, [("ts_event", "i8"), ("bid", "f8"), ("ask", "f8")])
rows["ts_event"] = {NINE} + np.arange(7); rows["bid"] = rows["ask"] = 1.1
hub.publish(rows, symbol="EUR_USD", source="ig", verified=True)
for _ in range(20):
    marks.state(hub, "EUR_USD", "ig", State.LIVE, "ticks", {NINE})
os.kill(os.getpid(), signal.SIGKILL)
"""
    for round_ in (1, 2):
        done = subprocess.run([sys.executable, "-c", code, str(hub.path)], check=False)
        assert done.returncode == -signal.SIGKILL
        ledger = hub.ledger()
        assert (ledger["received"], ledger["lost_in_producer"]) == (10 * round_, 3 * round_)
    with DataHub.open(hub.path) as other:
        other.update_tick(tick(HOUR // SECOND))
        assert other.ledger()["lost_in_producer"] == 6
