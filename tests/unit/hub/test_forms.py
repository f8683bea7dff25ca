"""What callers may hand over: their own objects, dicts, aliases of symbols and timeframes, arrays of many kinds."""

from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace

import numpy as np
import pytest

from tapehub import DataHub
from tapehub.model.instruments import InstrumentBook
from tests.models.market import EUR, NINE, candle, flow, moment, quotes, tick
from tests.unit.hub.conftest import OpenHub


@dataclass
class OwnTick:
    """A caller's own class, from before there was a package."""

    symbol: str
    bid: float
    ask: float
    mid: float
    spread: float
    timestamp: datetime


def test_any_object_with_the_attributes_of_a_tick_is_a_tick(hub: DataHub) -> None:
    hub.update_tick(OwnTick(EUR, 1.1, 1.1002, 1.1001, 2.0, moment(1)))  # type: ignore[arg-type]
    assert hub.get_latest_tick(EUR) == tick(1)
    hub.update_tick({"symbol": EUR, "bid": 1.2, "ask": 1.2002, "timestamp": moment(2)})  # type: ignore[arg-type]
    assert hub.get_latest_tick(EUR) == tick(2, 1.2)
    hub.update_tick(tick(3).to_dict())  # type: ignore[arg-type]
    assert hub.get_latest_tick(EUR) == tick(3)


def test_a_naive_datetime_is_utc_and_what_comes_out_is_aware(hub: DataHub) -> None:
    hub.update_tick(OwnTick(EUR, 1.1, 1.1002, 0.0, 0.0, moment(1).replace(tzinfo=None)))  # type: ignore[arg-type]
    got = hub.get_latest_tick(EUR).timestamp
    assert got == moment(1)
    assert got.utcoffset().total_seconds() == 0


def test_any_object_with_the_attributes_of_a_candle_or_order_flow_will_do(hub: DataHub) -> None:
    given = candle(0)
    hub.update_candle_1m(SimpleNamespace(**{name: getattr(given, name) for name in given.to_dict()}))
    assert hub.get_latest_candles(EUR) == [given]
    hub.update_candle_1m(candle(1).to_dict())  # type: ignore[arg-type]
    assert hub.warm_start_candles(EUR, [candle(2).to_dict(), candle(3)]) == 2  # type: ignore[list-item]
    assert len(hub.get_latest_candles(EUR)) == 4
    hub.update_order_flow(flow(1, ofi_60s=2.0).to_dict())  # type: ignore[arg-type]
    assert hub.get_latest_order_flow(EUR) == flow(1, ofi_60s=2.0)


@pytest.mark.parametrize("alias", ["EURUSD", "EUR/USD", "eur_usd", "EUR-USD", "eurusd"])
def test_a_symbol_has_many_names(hub: DataHub, alias: str) -> None:
    hub.update_tick({**tick(1).to_dict(), "symbol": alias})  # type: ignore[arg-type]
    assert list(hub.instruments) == [EUR]
    assert hub.get_latest_tick(EUR).symbol == hub.get_latest_tick(alias).symbol == EUR
    assert hub.publish(quotes([2, 70]), symbol=alias) == 2
    assert len(hub.ticks(alias)) == len(hub.ticks(EUR)) == 3
    assert len(hub.get_latest_candles(alias)) == len(hub.candles(alias, "1m")) == len(hub.history(alias)) == 1
    assert hub.snapshot(alias).symbol == EUR
    with hub.stream(alias, start="oldest") as stream:
        assert len(stream.poll()) == 3
    hub.clear_symbol(alias)
    assert hub.get_latest_tick(EUR) is None


def test_a_known_epic_stands_for_its_symbol(open_hub: OpenHub) -> None:
    book = InstrumentBook()
    book.alias("CS.D.EURUSD.MINI.IP", EUR)
    hub = open_hub(instruments=book)
    hub.update_tick({**tick(1).to_dict(), "symbol": "CS.D.EURUSD.MINI.IP"})  # type: ignore[arg-type]
    assert hub.get_latest_tick("CS.D.EURUSD.MINI.IP").symbol == EUR
    assert list(hub.instruments) == [EUR]


@pytest.mark.parametrize("alias", ["5m", "5min", "M5", "MINUTE_5", "5T", "300s"])
def test_a_timeframe_has_many_names(hub: DataHub, alias: str) -> None:
    hub.publish(quotes([1, 301, 602]), symbol=EUR)
    assert len(hub.get_latest_candles(EUR, 10, alias)) == 2
    assert [len(hub.candles(EUR, alias)), len(hub.candles(EUR, alias, forming=True)), len(hub.history(EUR, alias))] == [
        2,
        3,
        2,
    ]
    assert hub.snapshot(EUR, alias).timeframe == "5m"


def test_spread_is_in_pips_of_the_instrument_and_in_price_units_of_an_undeclared_one(hub: DataHub) -> None:
    hub.update_tick(tick(0, 150.0, "USD_JPY", width=0.02))
    hub.update_tick(tick(0, 150.0, "WIDGETS", width=0.5))
    hub.update_tick(tick(0, 18.0, "USD_ABC", width=0.0003))
    assert hub.get_latest_tick("USD_JPY").spread == pytest.approx(2.0)
    assert hub.get_latest_tick("WIDGETS").spread == pytest.approx(0.5)
    assert hub.get_latest_tick("USD_ABC").spread == pytest.approx(3.0)
    assert hub.instruments["WIDGETS"]["pip_size"] is None
    assert not hub.instruments["WIDGETS"]["declared"]


def test_a_symbol_of_31_bytes_fits(hub: DataHub) -> None:
    name = "Ä" * 15 + "x"
    hub.update_tick(tick(0, symbol=name))
    assert hub.get_latest_tick(name).symbol == name


DTYPES = {
    "packed": [("bid", "<f8"), ("x", "u1"), ("ts_event", "<i8"), ("ask", "<f8")],
    "datetime64": [("ts_event", "M8[ns]"), ("bid", "<f8"), ("ask", "<f8")],
    "datetime64 of milliseconds": [("ts_event", "M8[ms]"), ("bid", "<f8"), ("ask", "<f8")],
    "float32 prices": [("ts_event", "<i8"), ("bid", "<f4"), ("ask", "<f4")],
    "big-endian": [("ts_event", ">i8"), ("bid", ">f8"), ("ask", ">f8")],
    "unsigned times": [("ts_event", "<u8"), ("bid", "<f8"), ("ask", "<f8")],
    "whole prices": [("ts_event", "<i8"), ("bid", "<i4"), ("ask", "<i4")],
}


@pytest.mark.parametrize("name", DTYPES)
def test_publish_takes_what_converts_without_loss(hub: DataHub, name: str) -> None:
    rows = np.zeros(3, DTYPES[name])
    times = NINE + np.array([0, 1, 2]) * 10**9
    rows["ts_event"] = times.astype("M8[ns]") if "datetime" in name else times
    rows["bid"], rows["ask"] = [1, 2, 3], [2, 3, 4]
    assert hub.publish(rows, symbol=EUR) == 3
    got = hub.ticks(EUR).numpy()
    assert got["ts_event"].tolist() == times.tolist()
    assert (got["bid"].tolist(), got["ask"].tolist()) == ([1, 2, 3], [2, 3, 4])


def test_publish_takes_every_slice_and_order_of_an_array(hub: DataHub) -> None:
    rows = quotes([*range(10)])
    assert hub.publish(rows[::3], symbol=EUR) == 4
    assert hub.publish(rows[::-1][:2], symbol="GBP_USD") == 2
    assert hub.ticks(EUR)["ts_event"].tolist() == rows["ts_event"][::3].tolist()
    assert hub.ticks("GBP_USD")["ts_event"].tolist() == rows["ts_event"][:-3:-1].tolist()
    rows.setflags(write=False)
    assert hub.publish(rows, symbol="USD_JPY") == 10


def test_sizes_and_receive_times_are_kept(hub: DataHub) -> None:
    rows = np.zeros(2, [*quotes([]).dtype.descr, ("bid_size", "<f4"), ("ask_size", "<f4"), ("ts_recv", "<i8")])
    rows["ts_event"], rows["bid"], rows["ask"] = NINE, 1.1, 1.2
    rows["bid_size"], rows["ask_size"], rows["ts_recv"] = [1.5, 2.5], [3.5, 4.5], [NINE + 7, 0]
    hub.publish(rows, symbol=EUR, source="oanda", verified=True)
    got = hub.ticks(EUR).numpy()
    assert got["bid_size"].tolist() == [1.5, 2.5]
    assert got["ask_size"].tolist() == [3.5, 4.5]
    assert got["ts_recv"][0] == NINE + 7
    assert got["ts_recv"][1] == got["ts_publish"][1], "0 means: as published"
    assert got["flags"].tolist() == [0, 0]
    assert hub.get_latest_tick(EUR).source == "oanda"


def test_sources_of_one_symbol_stand_side_by_side_and_reads_answer_from_the_first(hub: DataHub) -> None:
    hub.publish(quotes([0, 60, 121], 1.1), symbol=EUR, source="oanda")
    hub.publish(quotes([0, 60, 121], 1.2), symbol=EUR, source="fxcm")
    hub.update_tick(tick(130, 1.3))
    assert hub.sources == ["oanda", "fxcm", "direct"]
    assert hub.instruments[EUR]["sources"] == ["oanda", "fxcm", "direct"]
    assert hub.instruments[EUR]["primary_source"] == "oanda"
    assert hub.get_latest_tick(EUR).bid == 1.1
    assert hub.candles(EUR, "1m", source="fxcm")["close"].tolist() == [pytest.approx(1.2001)] * 2
    assert hub.candles(EUR, "1m")["close"].tolist() == [pytest.approx(1.1001)] * 2
    assert hub.history(EUR, "1m", source="fxcm")["close"].tolist() == [pytest.approx(1.2001)] * 2
    assert len(hub.candles(EUR, "1m", source="nobody")) == 0
