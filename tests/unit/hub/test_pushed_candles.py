"""One author per candle: a pushed minute supersedes the built one."""

import pytest

from tapehub import DataHub
from tests.models.market import EUR, candle, drained, moment, quotes, tick
from tests.unit.hub.conftest import OpenHub


def only(hub: DataHub, timeframe: str = "1m") -> object:
    (bar,) = hub.candles(EUR, timeframe, forming=True).objects()
    return bar


def test_a_pushed_minute_is_final_as_given_at_once(hub: DataHub) -> None:
    hub.update_tick(tick(5))
    hub.update_candle_1m(candle(0, 1.3, volume=99.0))
    bar = only(hub)
    assert (bar.close, bar.volume, bar.status) == (1.3, 99.0, "revised")


def test_the_built_minute_is_kept_as_a_superseded_record(hub: DataHub) -> None:
    hub.publish(quotes([5, 6], [1.1, 1.2]), symbol=EUR)
    with hub.stream(EUR, kinds="candle") as stream:
        hub.update_candle_1m(candle(0, 1.3))
        pushed, built = drained(stream)
    assert (pushed.close, pushed.status) == (1.3, "final")
    assert (built.close, built.volume, built.status) == (pytest.approx(1.2001), 2.0, "superseded")
    assert built.timestamp == pushed.timestamp == moment(0)
    assert built.symbol == pushed.symbol == EUR


def test_later_ticks_of_a_pushed_minute_are_counted_and_not_applied(hub: DataHub) -> None:
    hub.update_candle_1m(candle(0, 1.3))
    for second in (5, 6, 7):
        hub.update_tick(tick(second, 9.0))
    assert only(hub).close == 1.3
    hub.publish(quotes([61, 130], 9.0), symbol=EUR)
    assert hub.get_latest_candles(EUR)[0].high == pytest.approx(1.3001)
    assert hub.get_status()["stats"]["superseded_ticks"] == 3
    assert hub.get_latest_tick(EUR).bid == 9.0, "they are real ticks all the same"
    assert len(hub.ticks(EUR)) == 5
    assert hub.candles(EUR, "1s")["close"].max() == pytest.approx(9.0001), "seconds have no other author"


def test_higher_timeframes_roll_up_from_the_pushed_minute(hub: DataHub) -> None:
    hub.publish(quotes([1, 61, 121], [1.10, 1.20, 1.30]), symbol=EUR)
    hub.update_candle_1m(candle(1, 1.50, volume=50.0, low=1.0))
    for name in ("5m", "15m", "30m", "1h", "4h", "1d", "1w"):
        bar = hub.candles(EUR, name, forming=True).objects()[-1]
        assert (bar.open, bar.close) == (pytest.approx(1.1001), pytest.approx(1.3001)), name
        assert (bar.high, bar.low, bar.volume) == (pytest.approx(1.5001), 1.0, 52.0), name
    hub.update_tick(tick(70, 9.0))
    assert hub.candles(EUR, "5m", forming=True)["high"].tolist() == [pytest.approx(1.5001)]
    rows = hub.history(EUR, "5m", limit=9)
    assert len(rows) == 0
    hub.update_tick(tick(301, 1.4))
    (five,) = hub.history(EUR, "5m")
    assert (five.high, five.low, five.volume) == (pytest.approx(1.5001), 1.0, 52.0)


def test_a_pushed_minute_takes_its_place_between_built_ones(hub: DataHub) -> None:
    hub.publish(quotes([1, 181, 250], [1.1, 1.2, 1.3]), symbol=EUR)
    hub.update_candle_1m(candle(1, 1.5))
    hub.update_candle_1m(candle(-2, 1.6))
    assert [(one.timestamp, round(one.close, 4)) for one in hub.get_latest_candles(EUR)] == [
        (moment(-120), 1.6),
        (moment(0), 1.1001),
        (moment(60), 1.5),
        (moment(180), 1.2001),
    ]
    assert len(hub.candles(EUR, "5m", forming=True)) == 2


def test_pushing_again_is_a_revision(hub: DataHub) -> None:
    for close in (1.1, 1.2, 1.3):
        hub.update_candle_1m(candle(0, close, volume=1.0))
    bar = only(hub)
    assert (bar.close, bar.revision) == (1.3, 3)
    assert only(hub, "1h").volume == 1.0
    assert hub.get_status()["stats"]["candles_received"] == 3


def test_a_warm_start_supersedes_too_and_says_so(hub: DataHub) -> None:
    hub.publish(quotes([1, 61, 130]), symbol=EUR)
    assert hub.warm_start_candles(EUR, [candle(n, 1.7) for n in range(2)]) == 2
    assert [one.close for one in hub.get_latest_candles(EUR)] == [1.7, 1.7]
    stats = hub.get_status()["stats"]
    assert (stats["candles_received"], stats["candles_warm_started"]) == (0, 2)


def test_a_pushed_candle_older_than_the_ring_stays_in_the_log(open_hub: OpenHub) -> None:
    hub = open_hub(segment_lines=1 << 14)
    hub.set_clock("event")
    hub.publish(quotes([60.0 * n for n in range(4200)]), symbol=EUR)
    hub.update_candle_1m(candle(0, 1.9))
    assert hub.candles(EUR, "1m", limit=1 << 20)["timestamp"].min() > candle(0).ts_event
    assert hub.history(EUR, "1m", limit=1 << 20)["close"][0] == 1.9


def test_pushed_candles_survive_reopening(open_hub: OpenHub) -> None:
    hub = open_hub()
    hub.set_clock("event")
    hub.publish(quotes([1, 61, 121]), symbol=EUR)
    hub.update_candle_1m(candle(1, 1.5))
    hub.update_tick(tick(80, 9.0))
    before = {name: hub.candles(EUR, name, forming=True).numpy().tolist() for name in ("1m", "5m", "1d")}
    superseded = hub.get_status()["stats"]["superseded_ticks"]
    hub.close()
    again = open_hub()
    assert {name: again.candles(EUR, name, forming=True).numpy().tolist() for name in before} == before
    assert again.get_status()["stats"]["superseded_ticks"] == superseded


def test_a_pushed_minute_announces_the_longer_candles_it_revises(hub: DataHub) -> None:
    hub.set_clock("event")
    hub.publish(quotes([1, 400]), EUR)
    hub.advance(moment(401))
    with hub.stream(EUR, kinds="candle") as stream:
        hub.update_candle_1m(candle(0, 1.5))
        told = stream.poll(100).records
        assert [(one.timeframe, one.status, one.revision) for one in told] == [
            ("1m", "final", 1), ("1m", "superseded", 1), ("5m", "revised", 2),
        ]  # fmt: skip
        (five,) = hub.get_latest_candles(EUR, 5, "5m")
        assert (told[2].close, told[2].volume) == (five.close, five.volume) == (1.5, 10.0)
        hub.update_candle_1m(candle(6, 1.6))
        assert [(one.timeframe, one.status) for one in stream.poll(100).records] == [
            ("1m", "final"),
            ("1m", "superseded"),
        ]
