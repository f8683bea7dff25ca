"""When a candle is final, what a late tick does to it, and who decides: the order of the log."""

import pytest

from tapehub import DataHub
from tests.models.market import EUR, GBP, NINE, drained, moment, quotes, tick
from tests.unit.hub.conftest import OpenHub


def minute(hub: DataHub) -> object:
    """Give the nine o'clock minute as a tuple, or None while it is not final."""
    rows = [one for one in hub.get_latest_candles(EUR) if one.timestamp == moment(0)]
    return (rows[0].volume, rows[0].revision, rows[0].status) if rows else None


def test_an_interval_closes_a_grace_after_its_end(hub: DataHub) -> None:
    hub.update_tick(tick(10))
    hub.update_tick(tick(60.4))
    assert minute(hub) is None
    hub.update_tick(tick(59))
    hub.update_tick(tick(60.5))
    assert minute(hub) == (2.0, 1, "final")


@pytest.mark.parametrize("grace_s", [0.0, 3.0])
def test_the_grace_is_the_hubs(open_hub: OpenHub, grace_s: float) -> None:
    hub = open_hub(grace_s=grace_s)
    hub.set_clock("event")
    hub.update_tick(tick(10))
    hub.update_tick(tick(59.999 + grace_s))
    assert minute(hub) is None
    hub.update_tick(tick(60 + grace_s))
    assert minute(hub) == (1.0 if grace_s else 2.0, 1, "final")


def test_a_late_tick_revises_every_closed_candle_it_belongs_to(hub: DataHub) -> None:
    hub.publish(quotes([1, 59, 61, 70], [1.10, 1.11, 1.12, 1.13]), symbol=EUR)
    with hub.stream(EUR, kinds="candle") as stream:
        hub.update_tick(tick(30, 1.50))
        announced = drained(stream)
    assert minute(hub) == (3.0, 2, "revised")
    (bar,) = hub.get_latest_candles(EUR)
    assert (bar.high, bar.close) == (pytest.approx(1.5001), pytest.approx(1.1101))
    assert [(one.timeframe, one.timestamp, one.revision, one.status) for one in announced] == [
        ("1s", moment(30), 2, "revised"),
        ("5s", moment(30), 2, "revised"),
        ("15s", moment(30), 2, "revised"),
        ("1m", moment(0), 2, "revised"),
    ]
    stats = hub.get_status()["stats"]
    assert (stats["late_applied"], stats["late_unapplied"]) == (1, 0)
    five = hub.candles(EUR, "5m", forming=True)
    assert (five["ticks"].tolist(), five["revision"].tolist()) == ([5], [1]), "it was open all the time"
    hub.update_tick(tick(31, 1.0))
    assert minute(hub) == (4.0, 3, "revised")


def test_a_late_tick_may_be_the_first_of_its_minute(hub: DataHub) -> None:
    hub.publish(quotes([1, 200]), symbol=EUR)
    hub.update_tick(tick(100))
    assert [(one.timestamp, one.revision, one.status) for one in hub.get_latest_candles(EUR)] == [
        (moment(0), 1, "final"),
        (moment(60), 2, "revised"),
    ]


def test_open_and_close_go_by_event_time_then_sequence(hub: DataHub) -> None:
    hub.publish(quotes([30, 20, 20, 30, 25, 61], [1.1, 1.2, 1.3, 1.4, 1.5, 1.6]), symbol=EUR)
    (bar,) = hub.get_latest_candles(EUR)
    assert (bar.open, bar.close) == (pytest.approx(1.2001), pytest.approx(1.4001))
    (again,) = hub.history(EUR)
    assert (again.open, again.close) == (bar.open, bar.close)


def test_a_tick_whose_candle_has_left_the_ring_is_kept_and_counted(open_hub: OpenHub) -> None:
    hub = open_hub(segment_lines=1 << 14)
    hub.set_clock("event")
    hub.publish(quotes([60.0 * n for n in range(4200)]), symbol=EUR)
    with hub.stream(EUR) as stream:
        hub.update_tick(tick(30, 1.5))
        assert len(stream.poll()) == 1
    stats = hub.get_status()["stats"]
    assert stats["late_unapplied"] == 1
    assert hub.ledger()["instruments"]["EUR_USD from direct"]["late_unapplied"] == 1
    assert len(hub.ticks(EUR, start=moment(30), end=moment(31))) == 1
    assert hub.history(EUR, "1m", limit=1 << 20)["ticks"][0] == 2, "history has it"
    assert hub.candles(EUR, "1d", forming=True)["ticks"].sum() == 4201


def test_lateness_is_of_one_instrument_when_ticks_close_its_intervals(hub: DataHub) -> None:
    hub.update_tick(tick(10))
    hub.update_tick(tick(3600, symbol=GBP))
    assert minute(hub) is None
    hub.update_tick(tick(20))
    assert hub.get_status()["stats"]["late_applied"] == 0


def test_advance_closes_what_ended_a_grace_before(hub: DataHub) -> None:
    hub.publish(quotes([10, 30]), symbol=EUR)
    hub.advance(NINE + 60 * 10**9)
    assert minute(hub) is None
    seq = hub.advance(moment(60.5))
    assert minute(hub) == (2.0, 1, "final")
    assert seq == hub.head - 1
    assert hub.get_status()["clock"]["watermark_ns"] == NINE + 60 * 10**9
    hub.update_tick(tick(40))
    assert minute(hub) == (3.0, 2, "revised")


def test_the_watermark_never_goes_back(hub: DataHub) -> None:
    hub.publish(quotes([10, 30]), symbol=EUR)
    hub.advance(moment(120))
    mark = hub.get_status()["clock"]["watermark_ns"]
    hub.advance(moment(20))
    assert hub.get_status()["clock"]["watermark_ns"] == mark
    assert minute(hub) == (2.0, 1, "final")


def test_a_new_clock_starts_lateness_afresh(hub: DataHub) -> None:
    hub.publish(quotes([3600, 7200]), symbol=EUR)
    hub.update_tick(tick(1))
    assert hub.get_status()["stats"]["late_applied"] == 1
    hub.set_clock("event")
    hub.publish(quotes([1800, 1860, 1921]), symbol=GBP)
    hub.publish(quotes([1800, 1860, 1921]), symbol=EUR)
    assert hub.get_status()["stats"]["late_applied"] == 1
    assert [one.revision for one in hub.get_latest_candles(GBP)] == [1, 1]


def test_reading_again_gives_the_same_candles(open_hub: OpenHub) -> None:
    hub = open_hub()
    hub.set_clock("event")
    hub.publish(quotes([1, 61, 62, 30, 130, 59, 190, 119, 260]), symbol=EUR)
    before = {name: hub.candles(EUR, name, forming=True).numpy().copy() for name in ("1s", "1m", "1h")}
    hub.close()
    again = open_hub()
    for name, rows in before.items():
        assert again.candles(EUR, name, forming=True).numpy().tolist() == rows.tolist(), name
