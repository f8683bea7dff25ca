"""Item updates become events, without a socket: exact prices, one quote an update, merges that end with a session."""

import json
import random
from collections.abc import Iterable

import numpy as np
import pytest

from tapehub.feeds import Event, Malformed, MarketStatus, Quotes, Status, StatusKind, VenueCandle
from tapehub.feeds.ig.budget import plan_of
from tapehub.feeds.ig.markets import Market
from tapehub.feeds.ig.protocol import Protocol
from tapehub.feeds.ig.scaling import Scaler
from tapehub.model.instruments import InstrumentBook

EPICS = {"EUR_USD": "CS.D.EURUSD.TODAY.IP", "USD_JPY": "CS.D.USDJPY.CFD.IP"}
MARKETS = {
    "EUR_USD": Market("CS.D.EURUSD.TODAY.IP", scaling_factor=10000, decimals=1, bid=11514.0, ask=11515.0),
    "USD_JPY": Market("CS.D.USDJPY.CFD.IP", scaling_factor=100, decimals=3, bid=154.1, ask=154.2),
}
EUR, JPY = "CHART:CS.D.EURUSD.TODAY.IP:TICK", "CHART:CS.D.USDJPY.CFD.IP:TICK"
CANDLE = "CHART:CS.D.EURUSD.TODAY.IP:1MINUTE"
STATE = "PRICE:ACC:CS.D.EURUSD.TODAY.IP"
MS = 1_000_000


@pytest.fixture
def protocol() -> Protocol:
    made = Protocol(tuple(EPICS))
    book = InstrumentBook()
    plan = plan_of(40, EPICS, "ACC")
    made.assign(plan.items, {symbol: Scaler(market, book.find(symbol)) for symbol, market in MARKETS.items()})
    for item in plan.items:
        made.subscribed(item.name)
    return made


def rows(events: Iterable[Event]) -> list[tuple[str, int, int, float, float]]:
    return [
        (
            event.symbols[row["instrument"]],
            int(row["ts_event"]),
            int(row["ts_recv"]),
            float(row["bid"]),
            float(row["ask"]),
        )
        for event in events
        if isinstance(event, Quotes)
        for row in event.records
    ]


def test_points_become_market_prices_exactly(protocol: Protocol) -> None:
    protocol.update(EUR, {"BID": "11514.9", "OFR": "11515.5", "UTM": "1780000000123"}, 77)
    protocol.update(JPY, {"BID": "154.321", "OFR": "154.328", "UTM": "1780000000124"}, 78)
    [quotes] = protocol.take()
    assert isinstance(quotes, Quotes)
    assert quotes.sources == ("ig", "ig")
    assert rows([quotes]) == [
        ("EUR_USD", 1780000000123 * MS, 77, 1.15149, 1.15155),
        ("USD_JPY", 1780000000124 * MS, 78, 154.321, 154.328),
    ]
    assert protocol.take() == []


def test_fields_are_merged_and_every_update_is_one_quote(protocol: Protocol) -> None:
    protocol.update(EUR, {"BID": "11514.9", "OFR": "11515.5", "UTM": "1"}, 1)
    protocol.update(EUR, {"OFR": "11515.7", "UTM": "2"}, 2)
    protocol.update(EUR, {"UTM": "3"}, 3)
    protocol.update(EUR, {}, 4)
    assert [row[1:] for row in rows(protocol.take())] == [
        (1 * MS, 1, 1.15149, 1.15155),
        (2 * MS, 2, 1.15149, 1.15157),
        (3 * MS, 3, 1.15149, 1.15157),
        (3 * MS, 4, 1.15149, 1.15157),
    ]


def test_a_bid_from_before_is_never_paired_with_an_ask_from_after(protocol: Protocol) -> None:
    protocol.update(EUR, {"BID": "11514.9", "OFR": "11515.5", "UTM": "1"}, 1)
    protocol.subscribed(EUR)
    protocol.update(EUR, {"OFR": "11600.0", "UTM": "2"}, 2)
    protocol.update(EUR, {"BID": "11599.4"}, 3)
    first, broken, second = protocol.take()
    assert rows([first])[0][3:] == (1.15149, 1.15155)
    assert isinstance(broken, Malformed)
    assert broken.why == "a tick without BID"
    assert rows([second]) == [("EUR_USD", 2 * MS, 3, 1.15994, 1.16)]


def test_a_new_plan_keeps_what_is_merged_of_items_that_stay(protocol: Protocol) -> None:
    protocol.update(EUR, {"BID": "11514.9", "OFR": "11515.5", "UTM": "1"}, 1)
    scalers = {symbol: merged.scaler for symbol, merged in (("EUR_USD", protocol._items[EUR]),) if merged.scaler}
    protocol.assign(plan_of(1, EPICS, "ACC").items, scalers)
    protocol.update(EUR, {"UTM": "2"}, 2)
    assert len(rows(protocol.take())) == 2
    protocol.update(JPY, {"BID": "154.1", "OFR": "154.2", "UTM": "3"}, 3)
    assert isinstance(protocol.take()[0], Malformed)


def test_another_items_subscription_clears_nothing_of_this_one(protocol: Protocol) -> None:
    protocol.update(EUR, {"BID": "11514.9", "OFR": "11515.5", "UTM": "1"}, 1)
    protocol.subscribed(JPY)
    protocol.update(EUR, {"BID": "11515.0"}, 2)
    assert len(rows(protocol.take())) == 2


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"BID": None}, "a tick without BID"),
        ({"BID": None, "OFR": None}, "a tick without BID, OFR"),
        ({"BID": ""}, "BID, OFR or UTM is no number"),
        ({"OFR": "n/a"}, "BID, OFR or UTM is no number"),
        ({"UTM": "soon"}, "BID, OFR or UTM is no number"),
        ({"UTM": "-5"}, "UTM -5 is no time in ms"),
        ({"UTM": "99999999999999999999"}, "is no time in ms"),
    ],
)
def test_what_cannot_be_read_is_kept_and_counted(protocol: Protocol, changes: dict[str, str | None], why: str) -> None:
    protocol.update(EUR, {"BID": "11514.9", "OFR": "11515.5", "UTM": "1"}, 1)
    protocol.take()
    protocol.update(EUR, changes, 2)
    [event] = protocol.take()
    assert isinstance(event, Malformed)
    assert why in event.why
    assert event.ts_recv == 2
    assert event.symbol == "EUR_USD"
    assert json.loads(event.raw) == {"item": EUR, "fields": changes}
    assert protocol.received["EUR_USD"] == 2


def test_every_update_has_exactly_one_fate(protocol: Protocol) -> None:
    rng = random.Random(5)
    sent = 0
    fates = 0
    for number in range(3000):
        if rng.random() < 0.02:
            protocol.subscribed(EUR)
        changes: dict[str, str | None] = {"UTM": str(number)}
        for name, at in (("BID", 11514.9), ("OFR", 11515.5)):
            if rng.random() < 0.7:
                changes[name] = rng.choice([f"{at + rng.random():.1f}", None, "x", f"{at:.1f}", f"{at:.1f}"])
        protocol.update(EUR, changes, number)
        sent += 1
        if rng.random() < 0.1:
            events = protocol.take()
            fates += len(rows(events)) + sum(isinstance(event, Malformed) for event in events)
    events = protocol.take()
    fates += len(rows(events)) + sum(isinstance(event, Malformed) for event in events)
    assert fates == sent == protocol.received["EUR_USD"]


def test_an_item_nobody_asked_for_is_malformed(protocol: Protocol) -> None:
    protocol.update("CHART:X:TICK", {"BID": "1"}, 3)
    [event] = protocol.take()
    assert isinstance(event, Malformed)
    assert "not asked for" in event.why


def test_a_wrong_scale_is_refused_by_name_after_three_and_nothing_is_published(protocol: Protocol) -> None:
    for number in range(4):
        protocol.update(EUR, {"BID": "115.1", "OFR": "115.2", "UTM": str(number)}, number)
    protocol.update(JPY, {"BID": "154.1", "OFR": "154.2", "UTM": "9"}, 9)
    events = protocol.take()
    assert [row[0] for row in rows(events)] == ["USD_JPY"]
    assert sum(isinstance(event, Malformed) for event in events) == 4
    [refused] = [event for event in events if isinstance(event, Status)]
    assert (refused.kind, refused.symbols) == (StatusKind.REFUSED, ("EUR_USD",))
    assert "expected a price of EUR_USD between 0.6 and 2" in refused.detail


def test_one_odd_first_price_refuses_nothing(protocol: Protocol) -> None:
    protocol.update(EUR, {"BID": "0", "OFR": "0", "UTM": "1"}, 1)
    protocol.update(EUR, {"BID": "11514.9", "OFR": "11515.5", "UTM": "2"}, 2)
    odd, quotes = protocol.take()
    assert isinstance(odd, Malformed)
    assert rows([quotes])[0][3:] == (1.15149, 1.15155)


def test_a_magnitude_that_changes_in_mid_stream_is_kept_back_until_it_fits_again(protocol: Protocol) -> None:
    sent = ["11514.9", "115149.0", "115150.0", "115151.0", "11515.0", "0", "115149000", "11515.1"]
    for number, bid in enumerate(sent):
        protocol.update(EUR, {"BID": bid, "OFR": bid, "UTM": str(number)}, number)
    events = protocol.take()
    assert [row[3] for row in rows(events)] == [1.15149, 1.1515, 0.0, 11514.9, 1.15151]
    assert sum(isinstance(event, Malformed) for event in events) == 3
    refused, again = (event for event in events if isinstance(event, Status))
    assert (refused.kind, refused.symbols, refused.ts_recv) == (StatusKind.REFUSED, ("EUR_USD",), 3)
    assert "11.5151 is of another magnitude than before (1.15149)" in refused.detail
    assert (again.kind, again.ts_recv) == (StatusKind.SUBSCRIBED, 4)
    assert protocol.received["EUR_USD"] == len(sent)


def test_a_heartbeat_and_market_states_are_passed_on_in_their_place(protocol: Protocol) -> None:
    protocol.update(EUR, {"BID": "11514.9", "OFR": "11515.5", "UTM": "1"}, 1)
    protocol.update("TRADE:HB.U.HEARTBEAT.IP", {"HEARTBEAT": "1780000000000"}, 2)
    protocol.update(STATE, {"DLG_FLAG": "TRADEABLE  ", "BIDPRICE1": "11514.9"}, 3)
    protocol.update(STATE, {"BIDPRICE1": "11515.0"}, 4)
    protocol.update(STATE, {"DLG_FLAG": "CLOSED"}, 5)
    protocol.update(EUR, {"UTM": "2"}, 6)
    quotes, beat, opened, closed, more = protocol.take()
    assert isinstance(quotes, Quotes)
    assert beat == Status(StatusKind.HEARTBEAT, (), 2, "1780000000000")
    assert opened == MarketStatus(("EUR_USD",), True, 3, "TRADEABLE")
    assert closed == MarketStatus(("EUR_USD",), False, 5, "CLOSED")
    assert isinstance(more, Quotes)


def candle(start: int, close: str, end: str | None, **more: str) -> dict[str, str | None]:
    fields: dict[str, str | None] = {"UTM": str(start), "BID_CLOSE": close, "CONS_END": end}
    return fields | dict(more)


FIRST = {
    "BID_OPEN": "11514.0", "BID_HIGH": "11516.0", "BID_LOW": "11513.0",
    "OFR_OPEN": "11514.6", "OFR_HIGH": "11516.6", "OFR_LOW": "11513.6", "OFR_CLOSE": "11515.6",
    "CONS_TICK_COUNT": "9",
}  # fmt: skip


def test_a_candle_is_handed_over_when_the_venue_ends_it(protocol: Protocol) -> None:
    protocol.update(CANDLE, candle(60_000, "11515.0", "0", **FIRST), 1)
    protocol.update(CANDLE, {"CONS_END": "1", "CONS_TICK_COUNT": "10"}, 2)
    protocol.update(CANDLE, {"CONS_TICK_COUNT": "10"}, 3)
    assert protocol.take() == [
        VenueCandle(
            "EUR_USD", "ig", "1m", 60_000 * MS, (1.1514, 1.1516, 1.1513, 1.1515), (1.15146, 1.15166, 1.15136, 1.15156),
            10, 2,
        )
    ]  # fmt: skip


def test_a_lost_end_finalises_at_the_next_candle_and_is_flagged(protocol: Protocol) -> None:
    protocol.update(CANDLE, candle(60_000, "11515.0", "0", **FIRST), 1)
    protocol.update(CANDLE, {"BID_CLOSE": "11515.5"}, 2)
    protocol.update(CANDLE, candle(120_000, "11517.0", "0", BID_OPEN="11516.9"), 3)
    protocol.update(CANDLE, {"CONS_END": "1"}, 4)
    protocol.update(CANDLE, candle(180_000, "11518.0", "0"), 5)
    lost, ended = protocol.take()
    assert isinstance(lost, VenueCandle)
    assert isinstance(ended, VenueCandle)
    assert (lost.start, lost.bid, lost.confirmed) == (60_000 * MS, (1.1514, 1.1516, 1.1513, 1.15155), False)
    assert (ended.start, ended.bid[0], ended.bid[3], ended.confirmed) == (120_000 * MS, 1.15169, 1.1517, True)


def test_an_end_mark_carried_over_from_the_candle_before_ends_nothing(protocol: Protocol) -> None:
    protocol.update(CANDLE, candle(60_000, "11515.0", "1", **FIRST), 1)
    protocol.take()
    protocol.update(CANDLE, {"UTM": "120000", "BID_CLOSE": "11520.0"}, 2)  # CONS_END unchanged, so not sent
    assert protocol.take() == []


def test_a_candle_is_not_put_together_across_sessions(protocol: Protocol) -> None:
    protocol.update(CANDLE, candle(60_000, "11515.0", "0", **FIRST), 1)
    protocol.subscribed(CANDLE)
    protocol.update(CANDLE, candle(120_000, "11517.0", "1"), 2)
    [event] = protocol.take()
    assert isinstance(event, Malformed)
    assert "no number" in event.why


def test_a_minute_without_prices_is_no_candle(protocol: Protocol) -> None:
    protocol.update(CANDLE, {"UTM": "60000", "CONS_END": "1"} | dict.fromkeys(FIRST), 1)
    assert protocol.take() == []


def test_batches_keep_the_order_of_arrival(protocol: Protocol) -> None:
    for number in range(500):
        name, at = ((EUR, 11514.9), (JPY, 154.3))[number % 2]
        protocol.update(name, {"BID": f"{at}", "OFR": f"{at}", "UTM": str(1000 - number)}, number)
    [quotes] = protocol.take()
    assert isinstance(quotes, Quotes)
    assert quotes.records["ts_recv"].tolist() == list(range(500))
    assert np.all(np.diff(quotes.records["ts_event"]) < 0), (
        "nothing is sorted here: what the venue sent is what is told"
    )
