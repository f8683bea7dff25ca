"""Everything of one instrument in one consistent read, and what a clear takes away."""

import threading

import numpy as np
import pytest

from tapehub import DataHub
from tests.models.market import EUR, GBP, NINE, candle, drained, flow, moment, quotes, tick
from tests.unit.hub.conftest import OpenHub


def test_a_snapshot_says_everything_of_one_instrument(hub: DataHub) -> None:
    hub.set_clock("virtual", anchor_ns=NINE + 70 * 10**9, rate=1e-6)
    hub.publish(quotes([1, 2, 61, 69]), symbol=EUR)
    hub.update_order_flow(flow(65, ofi_60s=1.0))
    got = hub.snapshot(EUR)
    assert (got.symbol, got.source, got.timeframe) == (EUR, "direct", "1m")
    assert got.tick == tick(69)
    assert [(one.timestamp, one.status, one.volume) for one in got.candles] == [
        (moment(0), "final", 2.0),
        (moment(60), "forming", 2.0),
    ]
    assert got.order_flow == flow(65, ofi_60s=1.0)
    assert got.age_s == pytest.approx(1.0, abs=0.01)
    assert got.completeness == pytest.approx(59 / 60)
    assert got.seq == hub.head - 4, "the order flow's record"
    assert abs(got.now_ns - hub.now()) < 10**9
    assert [one.timestamp for one in hub.snapshot(EUR, "1h", 5).candles] == [moment(0)]
    assert hub.snapshot(EUR, limit=0).candles == []


def test_a_snapshot_of_nothing_is_empty(hub: DataHub) -> None:
    got = hub.snapshot("EURUSD")
    assert (got.symbol, got.state, got.tick, got.candles, got.order_flow) == (EUR, "empty", None, [], None)
    assert (got.age_s, got.completeness, got.seq) == (None, None, 0)
    hub.update_order_flow(flow(0))
    assert hub.snapshot(EUR).state == "empty"
    assert hub.snapshot(EUR).order_flow == flow(0)


def test_a_snapshot_is_of_one_state_whatever_a_writer_does(open_hub: OpenHub) -> None:
    """Each second one tick more, at a price that is the count: tick and candles must tell the same count."""
    hub = open_hub(segment_lines=1 << 16)
    hub.set_clock("event")
    rows = quotes((np.arange(40_000) * 0.01).tolist(), (1.0 + np.arange(40_000)).tolist())
    hub.publish(rows[:1], symbol=EUR)

    def write() -> None:
        for n in range(1, len(rows), 50):
            hub.publish(rows[n : n + 50], symbol=EUR)

    writer = threading.Thread(target=write)
    writer.start()
    seen = 0
    while writer.is_alive():
        got = hub.snapshot(EUR, "1d", 2)
        (day,) = got.candles
        assert got.tick is not None
        assert day.close == pytest.approx(got.tick.mid)
        assert day.volume == got.tick.bid
        assert day.high == day.close
        seen += 1
    writer.join()
    assert seen > 10


def test_views_start_after_a_clear(hub: DataHub) -> None:
    hub.publish(quotes([1, 61, 121]), symbol=EUR)
    hub.update_order_flow(flow(2))
    cleared = hub.clear_symbol(EUR)
    assert len(hub.ticks(EUR)) == len(hub.ticks(EUR, start=0)) == 0
    assert len(hub.candles(EUR)) == len(hub.candles(EUR, forming=True)) == 0
    got = hub.snapshot(EUR)
    assert (got.tick, got.candles, got.order_flow, got.state) == (None, [], None, "empty")
    hub.publish(quotes([130, 190, 260], 2.0), symbol=EUR)
    assert hub.ticks(EUR)["seq"].min() > cleared
    assert len(hub.ticks(EUR)) == len(hub.ticks(EUR, start=moment(0))) == 3
    assert [(one.timestamp, one.volume) for one in hub.candles(EUR)] == [(moment(120), 1.0), (moment(180), 1.0)]
    assert hub.snapshot(EUR).candles[0].open == pytest.approx(2.0001)


def test_the_log_its_streams_and_history_ignore_a_clear(hub: DataHub) -> None:
    with hub.stream(EUR, start="oldest") as stream, hub.stream(kinds="clear", start="oldest") as clears:
        hub.publish(quotes([1, 61, 121]), symbol=EUR)
        hub.clear_symbol(EUR)
        hub.publish(quotes([130, 200]), symbol=EUR)
        assert len(drained(stream)) == 5
        (record,) = drained(clears)
        assert (record.kind, record.symbol) == ("clear", EUR)
    assert [one.volume for one in hub.history(EUR)] == [1.0, 1.0, 2.0]
    assert hub.get_status()["stats"]["ticks_received"] == 5
    assert hub.ledger()["ticks"] == 5


def test_a_clear_of_one_symbol_leaves_the_others(hub: DataHub) -> None:
    hub.publish(quotes([1, 61]), symbol=EUR)
    hub.publish(quotes([1, 61]), symbol=GBP)
    hub.clear_symbol(EUR)
    assert len(hub.ticks(GBP)) == 2
    assert len(hub.get_latest_candles(GBP)) == 1
    hub.clear_all()
    assert len(hub.ticks(GBP)) == len(hub.get_latest_candles(GBP)) == 0


def test_every_source_of_a_symbol_is_cleared(hub: DataHub) -> None:
    hub.publish(quotes([1, 61, 121]), symbol=EUR, source="oanda")
    hub.publish(quotes([1, 61, 121]), symbol=EUR, source="fxcm")
    hub.clear_symbol(EUR)
    assert len(hub.candles(EUR, source="oanda")) == len(hub.candles(EUR, source="fxcm")) == 0


def test_a_clear_survives_reopening(open_hub: OpenHub) -> None:
    hub = open_hub()
    hub.publish(quotes([1, 61, 121]), symbol=EUR)
    hub.update_candle_1m(candle(10))
    hub.clear_all()
    hub.publish(quotes([700]), symbol=EUR)
    hub.close()
    again = open_hub()
    assert len(again.ticks(EUR)) == 1
    assert len(again.candles(EUR)) == 0
    assert [(one.symbol, one.volume) for one in again.history(EUR)] == [(EUR, 1.0)] * 3 + [(EUR, 10.0)]


def test_a_clear_of_an_unknown_symbol_is_nothing(hub: DataHub) -> None:
    head = hub.head
    hub.clear_symbol("USD_JPY")
    assert hub.head == head
    hub.clear_all()
    assert hub.head == head + 1
