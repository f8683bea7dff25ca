"""The core: every event has its effect in the hub, in the right order, and an earlier run's end is remembered."""

import random
from pathlib import Path

import numpy as np
import pytest

from tapehub import DataHub, Record
from tapehub.collector.core import Core
from tapehub.collector.filling import lacking, mark_in
from tapehub.feeds.feed import Malformed, MarketStatus, Quotes, Repair, Status, StatusKind, VenueCandle, empty_quotes
from tapehub.hub.latest import latest
from tapehub.model.states import State
from tests.models.intervals import MINUTE, SECOND, ns
from tests.models.market import drained
from tests.models.memory import lose_memory

NINE = ns("2024-03-05T09:00")
CLOSE, OPEN = ns("2024-03-08T17:00-05:00"), ns("2024-03-10T17:00-04:00")
EUR, GBP = "EUR_USD", "GBP_USD"


def quotes(*rows: tuple[float, float], symbol: str = EUR, source: str = "venue", spread: float = 1e-4) -> Quotes:
    """Make quotes of (seconds after nine, bid)."""
    records = empty_quotes(len(rows))
    for i, (seconds, bid) in enumerate(rows):
        records[i] = (NINE + round(seconds * SECOND), 0, bid, bid + spread, 0, 0, 0)
    return Quotes(records, (symbol,), (source,))


@pytest.fixture
def hub(hub: DataHub) -> DataHub:
    hub.set_clock("event", anchor_ns=NINE)
    return hub


def core(hub: DataHub, now: int = NINE, *symbols: str) -> Core:
    return Core(hub, "venue", symbols or (EUR,), random=random.Random(1), now_ns=now, heartbeat=True)


def up(one: Core, now: int = NINE) -> None:
    one.on_event(Status(StatusKind.CONNECTED), now)
    one.on_event(Status(StatusKind.SUBSCRIBED), now)


def test_a_gap_is_in_the_log_before_the_tick_that_ends_it(hub: DataHub) -> None:
    one = core(hub)
    up(one)
    one.on_event(quotes((1, 1.1)), NINE + SECOND)
    one.on_event(Status(StatusKind.DISCONNECTED, detail="cut"), NINE + 31 * SECOND)
    with hub.stream(kinds=["tick", "gap", "state"]) as stream:
        up(one, NINE + 40 * SECOND)
        one.on_event(quotes((91, 1.1)), NINE + 91 * SECOND)
        assert [one.kind if isinstance(one, Record) else "tick" for one in drained(stream)] == ["gap", "state", "tick"]
    hub.advance(NINE + 200 * SECOND)
    assert hub.candles(EUR)["coverage"].tolist() == pytest.approx([0, 29 / 60], abs=1e-6)


def test_the_restarted_collector_begins_a_gap_at_the_last_tick_of_the_hub(hub: DataHub) -> None:
    core(hub).on_event(quotes((1, 1.1), (2, 1.1)), NINE + 2 * SECOND)
    one = core(hub, NINE + MINUTE)
    (gap,) = hub.gaps(EUR)
    assert (gap["start"], gap["end"], gap["cause"]) == (NINE + 2 * SECOND, None, "collector restarted")
    one.on_event(quotes((70, 1.1)), NINE + 70 * SECOND)
    (gap,) = hub.gaps(EUR)
    assert (gap["start"], gap["end"], gap["status"]) == (NINE + 2 * SECOND, NINE + 70 * SECOND, "open")


def test_a_gap_that_lasted_when_the_collector_died_is_gone_on_with(hub: DataHub) -> None:
    first = core(hub)
    up(first)
    first.on_event(quotes((1, 1.1)), NINE + SECOND)
    first.on_event(Status(StatusKind.DISCONNECTED, detail="cut"), NINE + 5 * SECOND)
    core(hub, NINE + MINUTE).on_event(quotes((70, 1.1)), NINE + 70 * SECOND)
    (gap,) = hub.gaps(EUR)
    assert (gap["start"], gap["end"], gap["cause"]) == (NINE + SECOND, NINE + 70 * SECOND, "cut")


def test_a_restart_over_the_weekend_is_missing_only_what_was_open(hub: DataHub) -> None:
    friday = quotes((0, 1.1))
    friday.records["ts_event"] = CLOSE - 10 * SECOND
    core(hub, CLOSE - MINUTE).on_event(friday, CLOSE - 10 * SECOND)
    core(hub, OPEN + MINUTE)
    assert [(gap["start"], gap["end"]) for gap in hub.gaps(EUR)] == [(CLOSE - 10 * SECOND, CLOSE), (OPEN, None)]


def test_a_clock_that_was_set_back_makes_no_gap_that_begins_in_the_future(hub: DataHub) -> None:
    first = core(hub)
    up(first)
    first.on_event(quotes((100, 1.1)), NINE + 100 * SECOND)
    hub.set_clock("event", anchor_ns=NINE - 3600 * SECOND)
    core(hub, NINE - 3600 * SECOND)
    assert hub.gaps(EUR) == []
    first.on_event(Status(StatusKind.DISCONNECTED, detail="cut"), NINE + 105 * SECOND)
    one = core(hub, NINE - 3600 * SECOND)
    one.on_event(quotes((-3500, 1.1)), NINE - 3500 * SECOND)
    assert all(gap["end"] is None or gap["end"] > gap["start"] for gap in hub.gaps(EUR))


def test_a_first_run_has_no_gap(hub: DataHub) -> None:
    one = core(hub)
    one.on_event(Status(StatusKind.DISCONNECTED, detail="no route"), NINE)
    one.on_time(NINE + MINUTE)
    up(one, NINE + 2 * MINUTE)
    one.on_event(quotes((121, 1.1)), NINE + 121 * SECOND)
    assert hub.gaps(EUR) == []
    assert hub.state(EUR) == "live"


def test_a_message_that_cannot_be_read_is_received_and_quarantined(hub: DataHub) -> None:
    one = core(hub)
    one.on_event(Malformed(b"\x00garbage", "no such frame"), NINE)
    (row,) = hub.quarantined()
    assert (row["raw"], row["detail"], row["reason"]) == (b"\x00garbage", "no such frame", 1)
    ledger = hub.ledger()
    assert (ledger["received"], ledger["quarantined"], ledger["ticks"]) == (1, 1, 0)
    assert one.publisher.total.balance == 0


@pytest.mark.parametrize("size", [1, 500])
def test_rubbish_is_stored_a_little_and_counted_in_full(hub: DataHub, size: int) -> None:
    one = core(hub)
    bad = quotes(*((i / 1000, 1.1) for i in range(500)), spread=-1e-4)
    for begin in range(0, 500, size):
        one.on_event(bad.replace(bad.records[begin : begin + size]), NINE)
    rows = hub.quarantined(EUR)
    assert len(rows) == 10
    one.on_event(quotes((90, 1.1), spread=-1e-4), NINE + 90 * SECOND)
    assert hub.quarantined(EUR)[-1]["not_stored"] == 490
    for i in range(25):
        one.on_event(quotes((91 + i / 100, 1.1), spread=-1e-4), NINE + 91 * SECOND)
    one.on_time(NINE + 200 * SECOND)
    assert hub.quarantined(EUR)[-1]["not_stored"] == 16
    assert one.publisher.counts[EUR].quarantined == {"crossed": 526}
    assert hub.ledger()["quarantined"] == 526


def test_the_scale_of_a_quote_is_doubted_with_the_likely_factor(hub: DataHub) -> None:
    one = core(hub)
    one.on_event(quotes((1, 11514.9), spread=0.6), NINE + SECOND)
    (row,) = hub.quarantined(EUR)
    assert "input_scale = 0.0001 would convert it" in row["detail"]
    assert (row["bid"], row["ts_event"]) == (11514.9, NINE + SECOND)
    assert hub.get_latest_tick(EUR) is None


def test_two_sources_of_one_symbol_have_states_of_their_own(hub: DataHub) -> None:
    one = core(hub)
    records = np.concatenate([quotes((i, 1.1)).records for i in range(4)])
    records["instrument"] = [0, 1, 0, 1]
    one.on_event(Quotes(records, (EUR, EUR), ("venue", "other")), NINE + 4 * SECOND)
    assert (hub.state(EUR, "venue"), hub.state(EUR, "other")) == ("live", "live")
    assert one.publisher.counts[EUR].published == 4


def test_the_report_tells_skew_and_the_account_of_each_instrument(hub: DataHub) -> None:
    one = core(hub)
    one.on_event(quotes((1, 1.1), (1, 1.1), (2, -1.0)), NINE + 2 * SECOND)
    one.on_time(NINE + 61 * SECOND)
    told = hub.get_status()["feeds"]["venue"]
    assert told["skew_ms"] == 1000.0
    assert told["counts"][EUR] == {
        "received": 3, "published": 1, "duplicates": 1, "refused": 0, "quarantined": {"non-positive": 1},
        "in_flight": 0,
    }  # fmt: skip


def test_the_markets_word_closes_and_opens(hub: DataHub) -> None:
    one = core(hub)
    up(one)
    one.on_event(quotes((1, 1.1)), NINE + SECOND)
    one.on_event(MarketStatus((EUR,), False, detail="SUSPENDED"), NINE + 2 * SECOND)
    assert hub.state(EUR) == "closed"
    one.on_time(NINE + 30 * MINUTE)
    one.on_event(MarketStatus((EUR,), True, detail="TRADEABLE"), NINE + 30 * MINUTE)
    one.on_event(quotes((1801, 1.1)), NINE + 1801 * SECOND)
    assert hub.state(EUR) == "live"
    assert hub.gaps(EUR) == []


def test_a_repair_that_does_not_help_is_followed_by_the_next_even_across_the_reconnection(hub: DataHub) -> None:
    one = core(hub, NINE, EUR, GBP)
    up(one)
    one.on_event(quotes((0, 1.25), symbol=GBP), NINE)
    steps = []
    down_until = 0
    for second in range(1, 600):
        now = NINE + second * SECOND
        if now < down_until:
            continue
        if down_until:
            up(one, now)
            down_until = 0
        one.on_event(Status(StatusKind.HEARTBEAT), now)
        one.on_event(quotes((second, 1.1)), now)
        for request in one.on_time(now):
            steps.append(request.step)
            if request.step is not Repair.RESUBSCRIBE:
                one.on_event(Status(StatusKind.DISCONNECTED, detail="asked to"), now)
                down_until = now + 3 * SECOND
    assert steps[:4] == [Repair.RESUBSCRIBE, Repair.RESUBSCRIBE, Repair.RECONNECT, Repair.RELOGIN]
    one.on_event(quotes((600, 1.25), symbol=GBP), NINE + 600 * SECOND)
    assert one.on_time(NINE + 600 * SECOND) == []
    assert not one.liveness.out


# ---------------------------------------------------------------- reconciliation


def venue_candle(start: int, bids: list[float], spread: float = 1e-4, ticks: int = 3) -> VenueCandle:
    bid = (bids[0], max(bids), min(bids), bids[-1])
    first, high, low, last = (one + spread for one in bid)
    return VenueCandle(EUR, "venue", "1m", start, bid, (first, high, low, last), ticks, start + MINUTE)


def test_a_candle_that_equals_the_venues_agrees_and_another_does_not(hub: DataHub) -> None:
    one = core(hub)
    up(one)
    one.on_event(quotes((1, 1.1), (20, 1.1005), (59, 1.1002), (61, 1.1), (119, 1.1)), NINE + 119 * SECOND)
    one.on_event(venue_candle(NINE, [1.1, 1.1005, 1.1002]), NINE + 60 * SECOND)
    one.on_event(venue_candle(NINE + MINUTE, [1.1, 1.1008, 1.1003], ticks=4), NINE + 120 * SECOND)
    assert hub.comparisons() == [], "ticks of the last moments may still come"
    one.on_time(NINE + 130 * SECOND)
    same, other = hub.comparisons(EUR)
    assert (same["start"], same["agrees"], same["ticks"], same["venue_ticks"]) == (NINE, True, 3, 3)
    assert same["difference_pips"] == pytest.approx([0, 0, 0, 0], abs=1e-6)
    assert (other["agrees"], other["ticks"], other["venue_ticks"]) == (False, 2, 4)
    assert other["difference_pips"] == pytest.approx([0, 0, 0, -3], abs=1e-3)


def test_a_candle_whose_end_the_venue_never_confirmed_is_named(hub: DataHub) -> None:
    one = core(hub)
    up(one)
    for minute in range(4):
        one.on_event(quotes((60 * minute + 5, 1.1)), NINE + minute * MINUTE + 5 * SECOND)
        one.on_time(NINE + (minute + 1) * MINUTE)
        if minute != 2:
            one.on_event(venue_candle(NINE + minute * MINUTE, [1.1], ticks=1), NINE + (minute + 1) * MINUTE)
    one.on_time(NINE + 5 * MINUTE)
    assert [(row["start"], row["confirmed"]) for row in sorted(hub.comparisons(), key=lambda row: row["start"])] == [
        (NINE, True), (NINE + MINUTE, True), (NINE + 2 * MINUTE, False), (NINE + 3 * MINUTE, True),
    ]  # fmt: skip


def test_a_bid_hub_compares_bids(tmp_path: Path) -> None:
    with DataHub.open(tmp_path / "bids", create=True, price_basis="bid", sync="none") as hub:
        hub.set_clock("event", anchor_ns=NINE)
        one = core(hub)
        one.on_event(quotes((1, 1.1), (20, 1.1005), (59, 1.1002)), NINE + 59 * SECOND)
        one.on_event(venue_candle(NINE, [1.1, 1.1006, 1.1002]), NINE + 60 * SECOND)
        one.on_time(NINE + 63 * SECOND)
        (row,) = hub.comparisons()
        assert row["difference_pips"] == pytest.approx([0, -1, 0, 0], abs=1e-3)
        assert not row["agrees"]


def test_an_unreadable_tick_belongs_to_its_instrument_which_is_not_taken_for_mute(hub: DataHub) -> None:
    one = core(hub, NINE, EUR, GBP)
    up(one)
    asked = []
    for second in range(1, 300):
        now = NINE + second * SECOND
        one.on_event(quotes((second, 1.25), symbol=GBP), now)
        if second <= 5:
            one.on_event(quotes((second, 1.1)), now)
        else:
            one.on_event(Malformed(b"OFR=n/a", "no number", now, EUR), now)
        one.on_event(Status(StatusKind.HEARTBEAT), now)
        asked += one.on_time(now)
    assert asked == [], "no new subscription would make them readable"
    assert one.liveness.state((EUR, "venue")) is State.STALE
    counts = one.publisher.counts
    assert "" not in counts
    assert (counts[EUR].received, counts[EUR].published, counts[EUR].balance) == (299, 5, 0)
    assert dict(counts[EUR].quarantined) == {"malformed": 294}
    assert {row["symbol"] for row in hub.quarantined(EUR)} == {EUR}
    assert hub.quarantined(EUR)[0]["raw"] == b"OFR=n/a"


def friday(hub: DataHub) -> Core:
    """Let a feed fall away ten minutes before Friday's close, and the market close."""
    one = core(hub, CLOSE - 20 * MINUTE)
    up(one, CLOSE - 20 * MINUTE)
    last = quotes((0, 1.1))
    last.records["ts_event"] = CLOSE - 10 * MINUTE
    one.on_event(last, CLOSE - 10 * MINUTE)
    one.on_event(Status(StatusKind.DISCONNECTED, detail="gone"), CLOSE - 10 * MINUTE + SECOND)
    for minute in range(60):
        one.on_time(CLOSE - 9 * MINUTE + minute * MINUTE)
    (gap,) = hub.gaps(EUR)
    assert (gap["start"], gap["end"]) == (CLOSE - 10 * MINUTE, CLOSE)
    return one


def test_a_gap_that_was_filled_over_the_weekend_is_not_opened_again_on_sunday(hub: DataHub) -> None:
    one = friday(hub)
    mark_in(hub)(EUR, "venue", CLOSE - 10 * MINUTE, CLOSE, "filled", "backfill")
    one.on_time(OPEN + SECOND)
    assert one.liveness.state((EUR, "venue")) is State.DEAD
    assert [(gap["start"], gap["end"], gap["status"]) for gap in hub.gaps(EUR)] == [
        (CLOSE - 10 * MINUTE, CLOSE, "filled"), (OPEN, None, "open"),
    ]  # fmt: skip


def test_nor_by_a_collector_that_was_restarted_meanwhile(hub: DataHub) -> None:
    friday(hub)
    mark_in(hub)(EUR, "venue", CLOSE - 10 * MINUTE, CLOSE, "filled", "backfill")
    core(hub, OPEN + MINUTE)
    assert [(gap["start"], gap["end"], gap["status"]) for gap in hub.gaps(EUR)] == [
        (CLOSE - 10 * MINUTE, CLOSE, "filled"), (OPEN, None, "open"),
    ]  # fmt: skip


def test_a_feed_that_flowed_until_the_close_and_is_mute_on_sunday_lacks_nothing_of_friday(hub: DataHub) -> None:
    one = core(hub, CLOSE - MINUTE)
    up(one, CLOSE - MINUTE)
    last = quotes((0, 1.1))
    last.records["ts_event"] = CLOSE - 10 * SECOND
    one.on_event(last, CLOSE - 10 * SECOND)
    one.on_time(CLOSE)
    one.on_event(Status(StatusKind.DISCONNECTED, detail="gone"), OPEN - MINUTE)
    one.on_time(OPEN + SECOND)
    assert [(gap["start"], gap["end"]) for gap in hub.gaps(EUR)] == [(OPEN, None)]


def test_a_holiday_that_no_calendar_knows_is_a_closed_market_and_no_outage(hub: DataHub) -> None:
    one = core(hub, CLOSE - MINUTE)
    up(one, CLOSE - MINUTE)
    last = quotes((0, 1.1))
    last.records["ts_event"] = CLOSE - 10 * SECOND
    one.on_event(last, CLOSE - 10 * SECOND)
    one.on_event(MarketStatus((EUR,), False, detail="CLOSED"), CLOSE + SECOND)
    assert one.take_opened() == ()
    asked = []
    for second in range(150):  # four times the usual silence: an outage, as far as anyone can see
        one.on_event(Status(StatusKind.HEARTBEAT), OPEN + second * SECOND)
        asked += one.on_time(OPEN + second * SECOND)
    assert one.take_opened() == (EUR,)
    assert asked, "a repair, before which the feed asks the venue"
    assert hub.gaps(EUR)[-1]["start"] == OPEN
    one.on_event(MarketStatus((EUR,), False, detail="CLOSED"), OPEN + 150 * SECOND)
    assert one.liveness.state((EUR, "venue")) is State.CLOSED
    (gap,) = hub.gaps(EUR)
    assert (gap["start"], gap["status"], gap["cause"]) == (OPEN, "closed_market", "venue: CLOSED")
    assert one.on_time(OPEN + 600 * SECOND) == []
    one.on_event(MarketStatus((EUR,), True, detail="TRADEABLE"), OPEN + 3600 * SECOND)
    first = quotes((0, 1.1))
    first.records["ts_event"] = OPEN + 3601 * SECOND
    one.on_event(first, OPEN + 3601 * SECOND)
    (gap,) = hub.gaps(EUR)
    assert (gap["start"], gap["end"], gap["status"]) == (OPEN, OPEN + 3600 * SECOND, "closed_market")
    assert not len(lacking(hub, EUR, "venue", hub.calendar(EUR), OPEN, OPEN + 3600 * SECOND))


def test_an_outage_that_ends_in_a_suspension_was_one_until_then(hub: DataHub) -> None:
    one = core(hub)
    up(one)
    one.on_event(quotes((1, 1.1)), NINE + SECOND)
    one.on_event(Status(StatusKind.DISCONNECTED, detail="cut"), NINE + 5 * SECOND)
    up(one, NINE + 65 * SECOND)
    one.on_event(MarketStatus((EUR,), False, detail="SUSPENDED"), NINE + 66 * SECOND)
    one.stop(NINE + 600 * SECOND)
    assert [(gap["start"], gap["end"], gap["status"]) for gap in hub.gaps(EUR)] == [
        (NINE + SECOND, NINE + 66 * SECOND, "open")
    ]


def test_after_the_memory_was_lost_each_instrument_is_what_it_was(tmp_path: Path) -> None:
    memory = tmp_path / "memory"
    memory.mkdir()
    with DataHub.open(tmp_path / "one", create=True, segment_lines=1 << 12, sync="none", memory_root=memory) as hub:
        hub.set_clock("event", anchor_ns=NINE)
        one = core(hub)
        up(one)
        one.on_event(quotes((1, 1.1)), NINE + SECOND)
        assert hub.state(EUR) == "live"
        lose_memory(memory, hub)
        one.on_time(NINE + 2 * SECOND)
        assert hub.state(EUR) == "live"
        assert latest(hub).links(hub)["venue"]["alive"]
        assert hub.get_status()["feeds"]["venue"]["ts"] == NINE + 2 * SECOND


def test_the_last_quote_of_a_closed_market_tells_nothing_of_journeys(hub: DataHub) -> None:
    saturday = CLOSE + 20 * 60 * MINUTE
    one = core(hub, saturday)
    up(one, saturday)
    one.on_event(quotes((0, 1.1)), saturday)
    assert one.skew.estimate_ns(saturday) is None
