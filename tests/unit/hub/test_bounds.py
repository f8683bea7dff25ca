"""Which ticks and candles lie between two bounds: an int is a sequence, a datetime is event time."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from tapehub import DataHub
from tests.models.market import EUR, GBP, moment, quotes, tick
from tests.unit.hub.conftest import OpenHub


@pytest.fixture
def sequences(hub: DataHub) -> list[int]:
    """Publish twelve ticks of one symbol, ten seconds apart, another symbol's between them."""
    out = []
    for n in range(12):
        out.append(hub.update_tick(tick(10 * n, 1 + n / 100)))
        hub.update_tick(tick(10 * n, symbol=GBP))
    return out


def test_ticks_without_bounds_are_the_newest(hub: DataHub, sequences: list[int]) -> None:
    assert hub.ticks(EUR)["seq"].tolist() == sequences
    assert hub.ticks(EUR, 5)["seq"].tolist() == sequences[-5:]
    assert hub.ticks(EUR, limit=0)["seq"].tolist() == []


def test_int_bounds_are_sequences_and_the_end_is_not_included(hub: DataHub, sequences: list[int]) -> None:
    assert hub.ticks(EUR, start=sequences[3])["seq"].tolist() == sequences[3:]
    assert hub.ticks(EUR, end=sequences[3])["seq"].tolist() == sequences[:3]
    assert hub.ticks(EUR, start=sequences[3], end=sequences[7])["seq"].tolist() == sequences[3:7]
    assert hub.ticks(EUR, 2, start=sequences[3], end=sequences[7])["seq"].tolist() == sequences[5:7]
    assert hub.ticks(EUR, start=sequences[3] + 1, end=sequences[4])["seq"].tolist() == []
    assert hub.ticks(EUR, start=hub.head)["seq"].tolist() == []
    assert hub.ticks(EUR, start=0, end=1 << 40)["seq"].tolist() == sequences
    assert hub.ticks(EUR, start=sequences[7], end=sequences[3])["seq"].tolist() == []


def test_datetime_bounds_are_event_times(hub: DataHub, sequences: list[int]) -> None:
    assert hub.ticks(EUR, start=moment(50))["seq"].tolist() == sequences[5:]
    assert hub.ticks(EUR, end=moment(50))["seq"].tolist() == sequences[:5]
    assert hub.ticks(EUR, start=moment(20), end=moment(50))["seq"].tolist() == sequences[2:5]
    assert hub.ticks(EUR, start=moment(20).replace(tzinfo=None), end=moment(50))["seq"].tolist() == sequences[2:5]
    assert hub.ticks(EUR, start=sequences[2], end=moment(50))["seq"].tolist() == sequences[2:5], "they mix"
    assert hub.ticks(EUR, limit=1, start=moment(20), end=moment(50))["seq"].tolist() == sequences[4:5]
    just_after = moment(20) + timedelta(microseconds=1)
    assert hub.ticks(EUR, start=just_after, end=moment(50))["seq"].tolist() == sequences[3:5]


def test_nanoseconds_of_a_bound_count() -> None:
    from tapehub.hub.reading import to_ns

    assert to_ns(datetime(2024, 3, 5, 9, 0, 0, 123456)) % 10**9 == 123_456_000
    pandas = pytest.importorskip("pandas")
    assert to_ns(pandas.Timestamp("2024-03-05T09:00:00.123456789")) % 10**9 == 123_456_789
    assert to_ns(datetime(1999, 12, 31, 23, 59, 59, 999_999)) == 946_684_799_999_999_000


def test_ticks_are_in_log_order_whatever_their_times(hub: DataHub) -> None:
    seqs = [hub.update_tick(tick(second)) for second in (5, 3, 9, 1)]
    assert hub.ticks(EUR)["seq"].tolist() == seqs
    assert hub.ticks(EUR, start=moment(3))["seq"].tolist() == seqs[:3]


def test_more_ticks_than_the_index_holds_are_found_in_the_log(open_hub: OpenHub) -> None:
    hub = open_hub(segment_lines=1 << 12)
    hub.set_clock("event")
    first = hub.head
    hub.publish(quotes((np.arange(20_000) / 100).tolist()), symbol=EUR)
    for limit in (1, 999, 8_000, 9_000, 19_999, 20_000, 30_000):
        rows = hub.ticks(EUR, limit).numpy()
        assert len(rows) == min(limit, 20_000)
        assert rows["ts_event"].tolist() == sorted(rows["ts_event"].tolist())
        assert rows["ts_event"][-1] == hub.get_latest_tick(EUR).ts_event
    assert len(hub.ticks(EUR, start=first)) == 20_000
    assert len(hub.ticks(EUR, start=moment(50), end=moment(150))) == 10_000


def test_a_quiet_symbol_is_found_below_a_busy_one(open_hub: OpenHub) -> None:
    hub = open_hub()
    hub.set_clock("event")
    hub.publish(quotes([0, 1, 2]), symbol=GBP)
    hub.publish(quotes((3 + np.arange(30_000) / 100).tolist()), symbol=EUR)
    assert len(hub.ticks(GBP)) == len(hub.ticks(GBP, start=moment(0))) == 3


def test_candles_open_within_their_bounds(hub: DataHub) -> None:
    hub.publish(quotes([1, 61, 121, 181, 300]), symbol=EUR)
    opens = [moment(0), moment(60), moment(120), moment(180)]

    def minutes(**bounds: object) -> list[datetime]:
        return [one.timestamp for one in hub.candles(EUR, "1m", **bounds)]  # type: ignore[arg-type,union-attr]

    assert minutes() == opens
    assert minutes(limit=2) == opens[2:]
    assert minutes(start=moment(60)) == opens[1:]
    assert minutes(start=moment(61)) == opens[2:]
    assert minutes(end=moment(120)) == opens[:2]
    assert minutes(start=moment(60), end=moment(180)) == opens[1:3]
    assert minutes(start=moment(60), end=moment(180), limit=1) == opens[2:3]
    assert minutes(start=moment(60), forming=True) == [*opens[1:], moment(300)]
    assert minutes(start=moment(600)) == []
    assert minutes(limit=1, forming=True) == [moment(300)]


def test_a_sequence_bounds_candles_by_the_time_of_that_record(hub: DataHub, sequences: list[int]) -> None:
    hub.update_tick(tick(600))
    assert [one.timestamp for one in hub.candles(EUR, "1m", start=sequences[6])] == [moment(60)]
    assert [one.timestamp for one in hub.candles(EUR, "1m", end=sequences[6])] == [moment(0)]


def test_history_takes_the_same_bounds_and_goes_beyond_the_rings(open_hub: OpenHub) -> None:
    hub = open_hub()
    hub.set_clock("event")
    hub.publish(quotes(np.arange(0, 6000, 1.0).tolist()), symbol=EUR)
    assert len(hub.candles(EUR, "1s", limit=1 << 20)) < 2100 < len(hub.history(EUR, "1s")) == 5998
    rows = hub.history(EUR, "1s", start=moment(100), end=moment(103))
    assert [one.timestamp for one in rows] == [moment(100), moment(101), moment(102)]
    assert len(hub.history(EUR, "1s", limit=7)) == 7
    assert hub.history(EUR, "1s", limit=7)["timestamp"].tolist() == hub.history(EUR, "1s")["timestamp"][-7:].tolist()
    assert len(hub.history(GBP)) == 0


def test_history_between_bounds_has_whole_bars(hub: DataHub) -> None:
    hub.publish(quotes([1, 30, 59, 61, 200], [1.1, 1.3, 1.2, 1.5, 1.6]), symbol=EUR)
    (bar,) = hub.history(EUR, "1m", start=moment(0), end=moment(60))
    assert (bar.high, bar.volume) == (pytest.approx(1.3001), 3)
    assert [one.timestamp for one in hub.history(EUR, "1m", start=moment(30), end=moment(120))] == [moment(60)]


def test_bounds_reach_across_segments_and_reopening(open_hub: OpenHub, tmp_path: Path) -> None:
    hub = open_hub(segment_lines=1 << 10)
    hub.set_clock("event")
    hub.publish(quotes((np.arange(5_000) / 10).tolist()), symbol=EUR)
    middle = int(hub.ticks(EUR, 2_500)["seq"][0])
    hub.close()
    with DataHub.open(tmp_path / "hub") as again:
        assert len(again.ticks(EUR, start=middle)) == 2_500
        assert len(again.ticks(EUR, end=middle)) == 2_500
        assert len(again.ticks(EUR, start=moment(100), end=moment(200))) == 1_000
