"""What no hub may hold is refused with value, expectation and place, and leaves nothing behind."""

import math
from typing import Any

import numpy as np
import pytest

from tapehub import Candle, DataHub, InvalidRecord, OrderFlowMetrics, TapehubError, Tick
from tapehub.errors import UnknownTimeframe
from tests.models.intervals import ns
from tests.models.market import EUR, NINE, candle, counters, flow, quotes, tick

NAN, INF = math.nan, math.inf
TICKS: list[tuple[dict[str, Any], str]] = [
    ({"bid": NAN}, "bid is nan, expected a finite price"),
    ({"ask": INF}, "ask is inf, expected a finite price"),
    ({"bid": -INF}, "bid is -inf, expected a finite price"),
    ({"bid": 0.0}, "bid is 0, expected a price above 0"),
    ({"bid": -1.1}, r"bid is -1\.1, expected a price above 0"),
    ({"ask": 1.0}, r"quote is crossed: bid 1\.1 is above ask 1, expected bid <= ask"),
    ({"bid_size": -1.0}, "bid_size is -1, expected 0"),
    ({"ask_size": NAN}, "ask_size is nan, expected 0"),
    ({"timestamp": ns("1989-12-31T23:59:59")}, "timestamp is 1989-12-31T23:59:59Z, expected 1990 or later"),
]


@pytest.mark.parametrize(("changed", "message"), TICKS)
def test_bad_tick_is_refused_and_changes_nothing(hub: DataHub, changed: dict[str, Any], message: str) -> None:
    hub.update_tick(tick(0))
    before = counters(hub)
    given = {"symbol": EUR, "bid": 1.1, "ask": 1.1002, "timestamp": NINE, **changed}
    with pytest.raises(InvalidRecord, match=f"tick of EUR_USD: {message}") as caught:
        hub.update_tick(Tick(**given))
    assert isinstance(caught.value, ValueError)
    assert counters(hub) == before
    assert hub.ledger()["refused"] == 1


@pytest.mark.parametrize(("changed", "message"), TICKS)
def test_bad_row_ends_a_batch_where_it_stands(hub: DataHub, changed: dict[str, Any], message: str) -> None:
    rows = np.zeros(700, [*quotes([]).dtype.descr, ("bid_size", "<f4"), ("ask_size", "<f4")])
    rows["ts_event"], rows["bid"], rows["ask"] = NINE + np.arange(700), 1.1, 1.1002
    for name, value in changed.items():
        rows[{"timestamp": "ts_event"}.get(name, name)][600] = value
    with pytest.raises(InvalidRecord, match=f"row 600 of 700: {message}.*600 rows before it are published") as caught:
        hub.publish(rows, symbol=EUR)
    assert caught.value.published == 600
    assert len(hub.ticks(EUR)) == hub.ledger()["ticks"] == 600
    assert hub.ledger()["refused"] == 1
    assert hub.publish(rows[601:], symbol=EUR) == 99


def test_a_tick_over_a_minute_ahead_of_the_hub_clock_is_refused(open_hub: Any) -> None:
    hub = open_hub()
    hub.set_clock("virtual", anchor_ns=NINE, rate=1e-6)
    hub.update_tick(tick(59))
    before = counters(hub)
    for attempt in (lambda: hub.update_tick(tick(61)), lambda: hub.publish(quotes([61]), symbol=EUR)):
        with pytest.raises(
            InvalidRecord, match=r"2024-03-05T09:01:01Z, over a minute ahead of the hub clock.*09:00:00"
        ):
            attempt()
    with pytest.raises(InvalidRecord, match="minute ahead of the hub clock"):
        hub.update_candle_1m(candle(2))
    with pytest.raises(InvalidRecord, match="minute ahead of the hub clock"):
        hub.update_order_flow(flow(61))
    assert counters(hub) == before


@pytest.mark.parametrize("symbol", ["", "   ", "X" * 32, "Ä" * 16, "EUR\nUSD"])
def test_bad_symbol_is_refused_by_every_method(hub: DataHub, symbol: str) -> None:
    before = counters(hub)
    calls = [
        lambda: hub.update_tick({"symbol": symbol, "bid": 1.1, "ask": 1.2, "timestamp": NINE}),  # type: ignore[arg-type]
        lambda: hub.publish(quotes([0]), symbol=symbol),
        lambda: hub.publish(np.zeros(1, [*ROWS.dtype.descr, ("instrument", "<u2")]), symbols=[symbol]),
        lambda: hub.get_latest_tick(symbol),
        lambda: hub.warm_start_candles(symbol, [candle(0)]),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="symbol"):
            call()
    assert counters(hub) == before
    assert hub.instruments == {}


CANDLES: list[tuple[dict[str, Any], str]] = [
    ({"open": NAN}, "finite and above 0"),
    ({"high": INF}, "finite and above 0"),
    ({"low": -1.0}, "finite and above 0"),
    ({"high": 1.05}, "expected low <= all <= high"),
    ({"low": 1.15}, "expected low <= all <= high"),
    ({"volume": -1.0}, "volume is -1.0, expected finite and not negative"),
    ({"volume": NAN}, "volume is nan"),
    ({"timestamp": ns("1980-01-01")}, "expected a time from 1990"),
    ({"timeframe": "5m"}, "timeframe is 5m, expected 1m"),
]


@pytest.mark.parametrize(("changed", "message"), CANDLES)
def test_bad_candle_is_refused_and_changes_nothing(hub: DataHub, changed: dict[str, Any], message: str) -> None:
    hub.update_candle_1m(candle(0))
    before = counters(hub)
    given = {"symbol": EUR, "timestamp": NINE, "open": 1.1, "high": 1.2, "low": 1.0, "close": 1.1, **changed}
    with pytest.raises(InvalidRecord, match=message):
        hub.update_candle_1m(Candle(**given))
    with pytest.raises(InvalidRecord, match=message):
        hub.warm_start_candles(EUR, [Candle(**given)])
    assert counters(hub) == before


def test_bad_order_flow_is_refused(hub: DataHub) -> None:
    with pytest.raises(InvalidRecord, match="order flow of EUR_USD"):
        hub.update_order_flow(OrderFlowMetrics(EUR, "6E", ns("1980-01-01")))
    assert hub.get_latest_order_flow(EUR) is None


ROWS = quotes([0, 1])


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (ROWS.reshape(2, 1), r"\(2, 1\), expected a structured numpy array of shape \(n,\)"),
        (ROWS[0], "expected a structured numpy array"),
        (np.zeros((3, 3)), r"float64 \(3, 3\), expected a structured numpy array"),
        ([1, 2], "list, expected a structured numpy array"),
        (np.zeros(2, [("ts_event", "<i8"), ("bid", "<f8")]), r"\('ts_event', 'bid'\), expected also ask"),
        (np.zeros(2, [("ts_event", "<f8"), ("bid", "<f8"), ("ask", "<f8")]), "ts_event is float64, expected int64"),
        (np.zeros(2, [("ts_event", "<i8"), ("bid", "S8"), ("ask", "<f8")]), r"bid is \|S8, expected float64"),
        (np.zeros(2, [("ts_event", "<i8"), ("bid", "<f8", 2), ("ask", "<f8")]), "bid"),
        (np.zeros(2, [("ts_event", "<i8"), ("bid", "<c16"), ("ask", "<f8")]), "bid is complex128, expected float64"),
        (np.zeros(2, [("ts_event", "m8[ns]"), ("bid", "<f8"), ("ask", "<f8")]), "ts_event"),
    ],
)
def test_array_of_another_shape_is_refused_with_what_is_expected(hub: DataHub, array: Any, message: str) -> None:
    before = counters(hub)
    with pytest.raises(InvalidRecord, match=message):
        hub.publish(array, symbol=EUR)
    assert counters(hub) == before


def test_publish_wants_exactly_one_way_to_name_its_symbols(hub: DataHub) -> None:
    for options in ({}, {"symbol": EUR, "symbols": [EUR]}):
        with pytest.raises(InvalidRecord, match="symbol= for all rows, or symbols="):
            hub.publish(ROWS, **options)
    with pytest.raises(InvalidRecord, match="expected also instrument"):
        hub.publish(ROWS, symbols=[EUR])


def test_an_index_beyond_the_symbols_is_refused(hub: DataHub) -> None:
    rows = np.zeros(3, [*ROWS.dtype.descr, ("instrument", "<u2")])
    rows["ts_event"], rows["bid"], rows["ask"], rows["instrument"] = NINE, 1.1, 1.2, [0, 1, 2]
    with pytest.raises(InvalidRecord, match="row 2 of 3: symbol index is 2, expected below 2") as caught:
        hub.publish(rows, symbols=[EUR, "GBP_USD"])
    assert caught.value.published == 2


def test_an_instrument_that_cannot_be_an_index_is_refused(hub: DataHub) -> None:
    for bad in (-1, 65_536, 1 << 40):
        rows = np.zeros(1, [*ROWS.dtype.descr, ("instrument", "<i8")])
        rows["ts_event"], rows["bid"], rows["ask"], rows["instrument"] = NINE, 1.1, 1.2, bad
        with pytest.raises(InvalidRecord):
            hub.publish(rows, symbols=[EUR])
    assert hub.get_latest_tick(EUR) is None


@pytest.mark.parametrize(
    ("dtype", "value"), [("<u8", np.uint64(2**63 + 5)), ("M8[ns]", np.datetime64("NaT"))], ids=["uint64", "NaT"]
)
def test_a_time_that_no_int64_holds_is_refused(hub: DataHub, dtype: str, value: Any) -> None:
    rows = np.zeros(1, [("ts_event", dtype), ("bid", "<f8"), ("ask", "<f8")])
    rows["ts_event"], rows["bid"], rows["ask"] = value, 1.1, 1.2
    with pytest.raises(InvalidRecord):
        hub.publish(rows, symbol=EUR)
    assert hub.get_latest_tick(EUR) is None


def test_an_empty_array_publishes_nothing(hub: DataHub) -> None:
    assert hub.publish(quotes([]), symbol=EUR) == 0
    assert hub.get_latest_tick(EUR) is None


@pytest.mark.parametrize("thing", [None, 3, "tick", object(), {"symbol": EUR}, {"symbol": EUR, "bid": 1.0}])
def test_what_is_no_tick_is_refused(hub: DataHub, thing: Any) -> None:
    before = counters(hub)
    with pytest.raises((TypeError, ValueError)):
        hub.update_tick(thing)
    with pytest.raises((TypeError, ValueError)):
        hub.update_candle_1m(thing)
    with pytest.raises((TypeError, ValueError)):
        hub.update_order_flow(thing)
    assert counters(hub) == before


def test_reads_refuse_what_they_cannot_mean(hub: DataHub) -> None:
    hub.update_tick(tick(0))
    for call in (
        lambda: hub.get_latest_candles(EUR, -1),
        lambda: hub.ticks(EUR, -1),
        lambda: hub.candles(EUR, "1m", -1),
        lambda: hub.history(EUR, "1m", limit=-1),
    ):
        with pytest.raises(InvalidRecord, match="limit is -1, expected 0 or more"):
            call()
    for call in (
        lambda: hub.history(EUR, "2w"),
        lambda: hub.snapshot(EUR, timeframe="fortnight"),
        lambda: hub.stream(kinds="interval", timeframes="3m"),
    ):
        with pytest.raises(UnknownTimeframe, match="1m"):
            call()
    for call in (lambda: hub.get_latest_candles(EUR, 5, "7m"), lambda: hub.candles(EUR, "7m")):
        with pytest.raises(ValueError, match=r"'7m'.*1m"):
            call()
    for number in (3, None, b"EUR_USD"):
        with pytest.raises(TypeError):
            hub.get_latest_tick(number)  # type: ignore[arg-type]


def test_every_error_is_one_of_tapehubs_own(hub: DataHub) -> None:
    with pytest.raises(TapehubError):
        hub.set_clock("sundial")
    with pytest.raises(TapehubError):
        hub.set_clock("virtual")
    with pytest.raises(TapehubError):
        hub.set_clock("virtual", anchor_ns=NINE, rate=0.0)
    with pytest.raises(TapehubError):
        hub.stream(kinds="gossip")
    with pytest.raises(TapehubError):
        hub.stream(start="yesterday")
