"""The twelve methods that existing callers use: their names, arguments and meaning."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tapehub import DataHub, InvalidRecord
from tapehub.hub import reading
from tests.models.market import EUR, GBP, JPY, NINE, candle, flow, moment, quotes, tick


def test_nothing_is_known_of_an_unknown_symbol(hub: DataHub) -> None:
    assert hub.get_latest_tick(EUR) is None
    assert hub.get_latest_candles(EUR) == []
    assert hub.get_latest_order_flow(EUR) is None
    assert hub.snapshot(EUR).state == "empty"
    assert hub.get_status()["symbols_tracked"] == []


def test_update_returns_the_sequence_of_the_record(hub: DataHub) -> None:
    first = hub.update_tick(tick(0))
    second = hub.update_tick(tick(1))
    third = hub.update_candle_1m(candle(5))
    fourth = hub.update_order_flow(flow(2))
    assert first < second < third < fourth < hub.head
    assert [row["seq"] for row in hub.ticks(EUR).numpy()] == [first, second]
    assert hub.get_latest_tick(EUR).seq == second


def test_latest_tick_is_the_one_with_the_greatest_event_time(hub: DataHub) -> None:
    hub.update_tick(tick(10, 1.10))
    hub.update_tick(tick(5, 1.20))
    assert hub.get_latest_tick(EUR).bid == 1.10
    hub.update_tick(tick(10, 1.30))  # an equal time: the later record
    assert hub.get_latest_tick(EUR).bid == 1.30


def test_a_tick_comes_back_as_it_went_in(hub: DataHub) -> None:
    sent = tick(1.5, 1.15154, bid_size=3.0, ask_size=4.0)
    hub.update_tick(sent)
    got = hub.get_latest_tick(EUR)
    assert got == sent
    assert (got.timestamp, got.bid_size, got.ask_size, got.source) == (moment(1.5), 3.0, 4.0, "direct")
    assert got.mid == pytest.approx(1.15164)
    assert got.spread == pytest.approx(2.0)


def test_mid_and_spread_that_contradict_the_prices_are_recomputed_and_counted(hub: DataHub) -> None:
    hub.update_tick(tick(1, 1.1, mid=1.1001, spread=2.0))
    assert hub.get_status()["stats"]["corrected"] == 0
    hub.update_tick(tick(2, 1.1, mid=1.2))
    hub.update_tick(tick(3, 1.1, spread=9.0))
    assert hub.get_status()["stats"]["corrected"] == 2
    assert hub.get_latest_tick(EUR).mid == pytest.approx(1.1001)
    assert hub.get_latest_tick(EUR).spread == pytest.approx(2.0)


def test_a_direct_tick_is_never_taken_for_a_duplicate(hub: DataHub) -> None:
    for _ in range(3):
        hub.update_tick(tick(1))
    assert len(hub.ticks(EUR)) == 3
    assert hub.get_status()["stats"]["ticks_received"] == 3


def test_latest_candles_are_final_and_oldest_first_without_empty_bars(hub: DataHub) -> None:
    for seconds in (1, 61, 300, 301):
        hub.update_tick(tick(seconds))
    hub.update_tick(tick(420))
    got = hub.get_latest_candles(EUR)
    assert [one.timestamp for one in got] == [moment(0), moment(60), moment(300)]
    assert [one.volume for one in got] == [1.0, 1.0, 2.0]
    assert {one.status for one in got} == {"final"}
    assert [one.timestamp for one in hub.get_latest_candles(EUR, 2)] == [moment(60), moment(300)]
    assert hub.get_latest_candles(EUR, limit=0) == []
    assert [one.timestamp for one in hub.get_latest_candles(EUR, limit=1, timeframe="5m")] == [moment(0)]


def test_a_candle_comes_back_as_it_went_in(hub: DataHub) -> None:
    sent = candle(0, 1.1, volume=37.0, source="IG", volume_type="real")
    hub.update_candle_1m(sent)
    (got,) = hub.get_latest_candles(EUR)
    assert got == sent
    assert (got.source, got.volume_type, got.status, got.timeframe) == ("IG", "real", "final", "1m")


def test_a_pushed_candle_is_floored_to_its_minute_and_replaces_the_one_before(hub: DataHub) -> None:
    hub.update_candle_1m(candle(3.5, 1.1))
    hub.update_candle_1m(candle(3.9, 1.2))
    (got,) = hub.get_latest_candles(EUR)
    assert got.timestamp == moment(180)
    assert (got.close, got.revision, got.status) == (1.2, 2, "revised")


def test_order_flow_comes_back_as_it_went_in(hub: DataHub) -> None:
    sent = flow(
        1, ofi_60s=-12.5, net_volume_delta=3.0, buy_volume=7.0, sell_volume=4.0, total_volume=11.0, best_bid=1.1,
        best_ask=1.1002, bid_size=5.0, ask_size=6.0, top_of_book_imbalance=-0.1, buy_sweep_count=2, sell_sweep_count=1,
        vwap_60s=1.1001, order_flow_bias="bullish", toxicity_score=0.25, updates_count=9, is_stale=True,
    )  # fmt: skip
    hub.update_order_flow(sent)
    got = hub.get_latest_order_flow(EUR)
    assert got == sent
    assert (got.futures_symbol, got.order_flow_bias, got.is_stale) == ("6E", "bullish", True)
    hub.update_order_flow(flow(2))
    assert hub.get_latest_order_flow(EUR) == flow(2)


def test_warm_start_counts_what_it_loaded_and_sorts_it(hub: DataHub) -> None:
    assert hub.warm_start_candles(EUR, [candle(2), candle(0), candle(1)]) == 3
    assert [one.timestamp for one in hub.get_latest_candles(EUR)] == [moment(0), moment(60), moment(120)]
    stats = hub.get_status()["stats"]
    assert (stats["candles_received"], stats["candles_warm_started"], stats["candles_built"]) == (0, 3, 0)
    assert hub.warm_start_candles(EUR, []) == 0


def test_one_failing_symbol_stops_no_other_warm_start(hub: DataHub) -> None:
    asked = []

    def fetch(symbol: str, limit: int) -> list[object] | None:
        asked.append((symbol, limit))
        if symbol == GBP:
            raise ConnectionError("database is down")
        return None if symbol == "AUD_USD" else [candle(n, symbol=symbol) for n in range(3)]

    assert hub.warm_start_all([EUR, GBP, "AUD_USD", JPY], fetch, limit=50) == 6  # type: ignore[arg-type]
    assert asked == [(EUR, 50), (GBP, 50), ("AUD_USD", 50), (JPY, 50)]
    status = hub.get_status()
    assert status["candles_by_symbol"] == {EUR: 3, JPY: 3}
    assert status["warm_start_errors"] == {GBP: "ConnectionError: database is down"}


def test_a_warm_start_that_breaks_off_says_so_and_counts_what_it_loaded(hub: DataHub) -> None:
    with pytest.raises(InvalidRecord, match="GBP_USD") as caught:
        hub.warm_start_candles(EUR, [candle(0), candle(1, symbol=GBP), candle(2)])
    assert caught.value.published == 1
    assert len(hub.get_latest_candles(EUR)) == 1
    assert hub.warm_start_all([EUR, JPY], lambda symbol, _: [candle(5, symbol=JPY)]) == 1
    assert list(hub.get_status()["warm_start_errors"]) == [EUR]


def test_status_has_the_keys_and_meanings_callers_know(hub: DataHub) -> None:
    for seconds in (1, 2, 61):
        hub.update_tick(tick(seconds))
    hub.update_tick(tick(3, 1.3, GBP))
    hub.update_candle_1m(candle(1, symbol=JPY, close=150.0))
    hub.update_order_flow(flow(5, "XAU_USD"))
    hub.get_latest_tick(EUR), hub.get_latest_tick(EUR), hub.get_latest_tick("nobody")
    hub.get_latest_candles(EUR), hub.get_latest_order_flow(EUR), hub.get_latest_order_flow(EUR)
    hub.update_tick(tick(121))
    status = hub.get_status()
    assert sorted(status["symbols_tracked"]) == [EUR, GBP, JPY, "XAU_USD"]
    assert isinstance(status["symbols_tracked"], list)
    assert status["ticks_count"] == 2, "symbols that have a tick"
    assert status["candles_by_symbol"] == {EUR: 2, GBP: 0, JPY: 1, "XAU_USD": 0}
    assert status["order_flow_count"] == 1
    stats = status["stats"]
    assert stats["ticks_received"] == 5
    assert stats["candles_received"] == 1
    assert stats["order_flow_updates"] == 1
    assert (stats["get_tick_calls"], stats["get_candles_calls"], stats["get_flow_calls"]) == (3, 1, 2)
    assert set(status["last_updates"]) == {EUR, GBP, JPY, "XAU_USD"}
    assert set(status["last_updates"]["XAU_USD"]) == {"order_flow"}
    assert all(isinstance(one, datetime) and one.tzinfo is UTC for one in status["last_updates"][EUR].values())


def test_candles_built_counts_minutes_that_ticks_opened(hub: DataHub) -> None:
    for seconds in (1, 59, 61, 62, 200):
        hub.update_tick(tick(seconds))
    hub.update_tick(tick(205))
    assert hub.get_status()["stats"]["candles_built"] == 3


def test_staleness_is_flagged_by_kind_with_the_known_limits(hub: DataHub) -> None:
    assert hub.check_staleness(EUR) == {"tick": True, "candle": True, "order_flow": True}
    hub.set_clock("virtual", anchor_ns=NINE, rate=1e-6)
    hub.update_tick(tick(0))
    hub.update_candle_1m(candle(0))
    hub.update_order_flow(flow(0))
    assert hub.check_staleness(EUR) == {"tick": False, "candle": False, "order_flow": False}
    assert hub.check_staleness(EUR, {"tick": 1.0}) == {"tick": False}


def test_clear_symbol_forgets_one_and_clear_all_forgets_every_symbol(hub: DataHub) -> None:
    for symbol in (EUR, GBP):
        hub.update_tick(tick(0, symbol=symbol))
        hub.update_candle_1m(candle(0, symbol=symbol))
        hub.update_order_flow(flow(0, symbol))
    hub.clear_symbol(EUR)
    assert hub.get_latest_tick(EUR) is None
    assert hub.get_latest_candles(EUR) == []
    assert hub.get_latest_order_flow(EUR) is None
    assert hub.get_latest_tick(GBP) is not None
    assert hub.get_status()["symbols_tracked"] == [GBP]
    hub.clear_all()
    assert hub.get_status()["symbols_tracked"] == []
    assert hub.get_latest_candles(GBP) == []
    hub.update_tick(tick(9))
    assert hub.get_latest_tick(EUR).ts_event == NINE + 9 * 10**9
    hub.clear_symbol("nobody")


def test_status_adds_up_all_sources_and_looks_at_each_once(hub: DataHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.publish(quotes([0, 60, 120]), symbol=EUR, source="ig", verified=True)
    hub.publish(quotes([0, 1]), symbol=EUR, source="other")
    hub.publish(quotes([5]), symbol=GBP, source="other")
    hub.update_order_flow(flow(6, JPY))
    looked: list[int] = []
    read = reading.channel_state

    def noted(of: DataHub, channel: int) -> Any:
        looked.append(channel)
        return read(of, channel)

    monkeypatch.setattr(reading, "channel_state", noted)
    told = hub.get_status()
    assert sorted(looked) == list(range(len(hub._channels())))
    assert told["stats"]["ticks_received"] == 6
    assert (told["symbols_tracked"], told["ticks_count"], told["order_flow_count"]) == ([EUR, GBP, JPY], 2, 1)
    assert told["candles_by_symbol"] == {EUR: 1, GBP: 0, JPY: 0}
    assert {symbol: list(kinds) for symbol, kinds in told["last_updates"].items()} == {
        EUR: ["tick", "candle"], GBP: ["tick", "candle"], JPY: ["order_flow"],
    }  # fmt: skip
    assert hub.instruments[EUR]["sources"] == ["ig", "other"]
