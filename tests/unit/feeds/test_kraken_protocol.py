"""Kraken's protocol, with bytes and receive times put in by hand."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapehub.errors import ConfigError
from tapehub.feeds import Event, Malformed, MarketStatus, Quotes, Status, StatusKind
from tapehub.feeds.kraken import Protocol
from tapehub.feeds.kraken.protocol import venue_symbol
from tests.servers.kraken import Top, ticker

NOW = 1_780_401_600_000_000_000
EURUSD = Top("EUR/USD", "1.15149", "1000.25", "1.15155", "2500", "2026-06-02T12:00:00.123456789Z")


def protocol(*symbols: str) -> Protocol:
    made = Protocol(symbols or ("EURUSD", "GBP/USD", "XBT/USD"))
    made.opened(NOW)
    made.to_send()
    return made


def read(text: str | bytes, made: Protocol | None = None) -> list[Event]:
    """Read a message by a protocol whose last heartbeat was just now."""
    made = made or protocol()
    made.receive(b'{"channel":"heartbeat"}', NOW)
    return made.receive(text.encode() if isinstance(text, str) else text, NOW)


def one(events: list[Event]) -> Any:
    (event,) = events
    return event


def sent(made: Protocol) -> list[dict[str, Any]]:
    return [json.loads(message) for message in made.to_send()]


def test_symbols_are_the_venues_and_bitcoin_is_btc() -> None:
    assert protocol().symbols == ("EUR_USD", "GBP_USD", "BTC_USD")
    assert venue_symbol("BTC_USD") == "BTC/USD"


@pytest.mark.parametrize("symbols", [("US500",), (), ("EURUSD", "EUR/USD")])
def test_instruments_that_kraken_cannot_have_are_refused(symbols: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        Protocol(symbols)


def test_a_new_connection_subscribes_everything_on_every_change_of_the_book() -> None:
    made = Protocol(["EURUSD", "BTC_USD"])
    assert one(made.opened(NOW)) == Status(StatusKind.CONNECTED, ("EUR_USD", "BTC_USD"), NOW)
    (request,) = sent(made)
    assert request["method"] == "subscribe"
    assert request["params"] == {
        "channel": "ticker",
        "symbol": ["EUR/USD", "BTC/USD"],
        "event_trigger": "bbo",
        "snapshot": True,
    }
    assert made.to_send() == []
    made.opened(NOW)
    assert sent(made)[0]["req_id"] > request["req_id"]


def test_what_was_to_be_sent_on_the_old_connection_is_not_sent_on_the_new() -> None:
    made = protocol()
    made.resubscribe()
    made.opened(NOW)
    assert [message["method"] for message in sent(made)] == ["subscribe"]


def test_resubscribing_gives_up_and_asks_again_for_those_symbols_alone() -> None:
    made = protocol()
    made.resubscribe(("GBP_USD", "NZD_USD"))
    asked = [(message["method"], message["params"]["symbol"]) for message in sent(made)]
    assert asked == [("unsubscribe", ["GBP/USD"]), ("subscribe", ["GBP/USD"])]
    made.resubscribe(("NZD_USD",))
    assert sent(made) == []


def test_a_quote_keeps_the_venues_time_to_the_nanosecond_and_its_prices_exactly() -> None:
    quotes = one(read(ticker(EURUSD, "snapshot")))
    assert isinstance(quotes, Quotes)
    (record,) = quotes.records.tolist()
    assert record == (1_780_401_600_123_456_789, NOW, 1.15149, 1.15155, 1000.25, 2500.0, 0)
    assert quotes.symbols == ("EUR_USD", "GBP_USD", "BTC_USD")
    assert set(quotes.sources) == {"kraken"}


@given(st.decimals("0.00001", "3000000", places=5), st.decimals("0.00001", "3000000", places=5))
def test_a_price_is_the_double_nearest_to_its_text(bid: Any, ask: Any) -> None:
    quotes = one(read(ticker(EURUSD._replace(bid=str(bid), ask=str(ask)))))
    assert quotes.records["bid"][0] == float(bid)
    assert quotes.records["ask"][0] == float(ask)


def test_other_zones_and_lengths_of_fractions_are_read() -> None:
    for stamp, ns in (
        ("2026-06-02T12:00:00Z", NOW),
        ("2026-06-02T12:00:00.5Z", NOW + 500_000_000),
        ("2026-06-02T14:00:00.000000001+02:00", NOW + 1),
    ):
        quotes = one(read(ticker(EURUSD._replace(timestamp=stamp))))
        assert quotes.records["ts_event"][0] == ns


@pytest.mark.parametrize("kind", ["snapshot", "update"])
def test_a_quote_without_a_time_is_kept_apart_and_no_time_is_invented(kind: str) -> None:
    found = one(read(ticker(EURUSD._replace(timestamp=""), kind)))
    assert isinstance(found, Malformed)
    assert "no timestamp" in found.why
    assert found.raw == ticker(EURUSD._replace(timestamp=""), kind).encode()


def test_one_bad_row_does_not_take_the_others_along() -> None:
    message = json.loads(ticker(EURUSD))
    good = message["data"][0]
    message["data"] = [good, {**good, "bid": None}, {**good, "symbol": "GBP/USD"}, {**good, "symbol": "DOGE/USD"}, 7]
    quotes, *bad = read(json.dumps(message))
    assert isinstance(quotes, Quotes)
    assert quotes.records["instrument"].tolist() == [0, 1]
    assert all(isinstance(event, Malformed) for event in bad)
    assert len(bad) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"bid": '"1.15149"'},
        {"bid": "true"},
        {"ask_qty": "-1"},
        {"bid_qty": "1e300"},
        {"timestamp": "2026-06-02T12:00:00"},
        {"timestamp": "yesterday"},
        {"timestamp": "9999-06-02T12:00:00Z"},
        {"symbol": "DOGE/USD"},
        {"bid": "NaN"},
        {"ask": "Infinity"},
    ],
    ids=str,
)
def test_a_row_that_cannot_be_read_is_malformed(change: dict[str, str]) -> None:
    found = one(read(ticker(EURUSD._replace(**change))))
    assert isinstance(found, Malformed)
    names_none = "symbol" in change or "NaN" in change.values() or "Infinity" in change.values()  # these are no JSON
    assert found.symbol == ("" if names_none else "EUR_USD")


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xfe\xfd", b"[1,2]", b"null", b"{", b'{"channel":"book"}', b'{"channel":"ticker"}', b"[" * 100_000,
     b'{"channel":"ticker","data":[]}', b'{"channel":"status","data":[{}]}', b'{"method":"dance"}', b"{}",
     b'{"method":"subscribe","success":true,"result":{"symbol":"DOGE/USD"}}', b'{"channel":["ticker"]}'],
    ids=repr,
)  # fmt: skip
def test_what_is_no_message_of_the_protocol_is_malformed(data: bytes) -> None:
    found = one(read(data))
    assert isinstance(found, Malformed)
    assert found.raw == data
    assert found.ts_recv == NOW


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
FIELDS = st.sampled_from("channel data type method success result error symbol req_id".split())
VALUES = JSON | st.sampled_from(["ticker", "status", "heartbeat", "subscribe", "pong", "EUR/USD"])


@given(st.binary(max_size=60) | st.dictionaries(FIELDS, VALUES).map(lambda value: json.dumps(value).encode()))
def test_no_bytes_raise(data: bytes) -> None:
    for event in read(data):
        assert isinstance(event, Quotes | Status | Malformed | MarketStatus)


@given(st.dictionaries(st.sampled_from("symbol bid ask bid_qty ask_qty timestamp".split()), JSON))
def test_no_row_raises(row: dict[str, Any]) -> None:
    good = json.loads(ticker(EURUSD))["data"][0]
    for event in read(json.dumps({"channel": "ticker", "data": [{**good, **row}]})):
        assert isinstance(event, Quotes | Malformed)


def test_heartbeats_and_pongs_prove_life() -> None:
    assert one(read('{"channel":"heartbeat"}')) == Status(StatusKind.HEARTBEAT, (), NOW)
    assert one(read('{"method":"pong","req_id":3}')).kind is StatusKind.HEARTBEAT


def test_data_that_flow_are_a_heartbeat_a_second_since_the_venue_then_sends_none() -> None:
    made = protocol()
    beats = []
    for i in range(40):
        events = made.receive(ticker(EURUSD).encode(), NOW + i * 100_000_000)
        assert isinstance(events[0], Quotes)
        beats += [i for event in events[1:] if isinstance(event, Status) and event.kind is StatusKind.HEARTBEAT]
    assert beats == [0, 10, 20, 30]


@pytest.mark.parametrize(("word", "is_open"), [("online", None), ("maintenance", False), ("cancel_only", False)])
def test_the_engines_state_is_passed_on(word: str, is_open: bool | None) -> None:
    found = one(read(f'{{"channel":"status","type":"update","data":[{{"system":"{word}"}}]}}'))
    assert found == MarketStatus(("EUR_USD", "GBP_USD", "BTC_USD"), is_open, NOW, word)


def test_confirmations_and_refusals_come_by_symbol() -> None:
    yes = '{"method":"subscribe","req_id":1,"result":{"channel":"ticker","symbol":"EUR/USD"},"success":true}'
    assert one(read(yes)) == Status(StatusKind.SUBSCRIBED, ("EUR_USD",), NOW)
    no = '{"error":"Currency pair not supported GBP/USD","method":"subscribe","success":false,"symbol":"GBP/USD"}'
    assert one(read(no)) == Status(StatusKind.REFUSED, ("GBP_USD",), NOW, "Currency pair not supported GBP/USD")


def test_a_refusal_that_names_no_symbol_concerns_the_whole_request() -> None:
    made = protocol()
    made.resubscribe(("BTC_USD",))
    request = sent(made)[-1]["req_id"]
    assert one(read(f'{{"error":"Malformed request","success":false,"req_id":{request}}}', made)).symbols == (
        "BTC_USD",
    )
    assert one(read('{"error":"Malformed request","success":false}', made)).symbols == made.symbols


def test_being_subscribed_already_is_no_refusal() -> None:
    answer = '{"error":"Already subscribed","method":"subscribe","success":false,"symbol":"EUR/USD"}'
    assert one(read(answer)).kind is StatusKind.SUBSCRIBED


def test_giving_up_a_subscription_is_no_event() -> None:
    assert read('{"method":"unsubscribe","success":true,"result":{"symbol":"EUR/USD"}}') == []


def test_the_documented_shapes_are_read(shared_data: Any) -> None:
    folder = shared_data / "kraken/v2-shape"
    made = protocol()
    quotes = one(read((folder / "ws_ticker_snapshot.json").read_bytes(), made))
    assert quotes.records.tolist()[0][2:6] == (105944.2, 105944.3, 2.5, pytest.approx(3.2))
    assert one(read((folder / "ws_subscribe_response.json").read_bytes(), made)).symbols == ("BTC_USD",)
    assert one(read((folder / "ws_pong.json").read_bytes(), made)).kind is StatusKind.HEARTBEAT
    assert isinstance(one(read((folder / "ws_book_update.json").read_bytes(), made)), Malformed)
