"""Exactly one end of every interval, on time, also when no tick came; and the share of it that the feed was live."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from tapehub import DataHub, Stream
from tapehub.hub import clock
from tapehub.model.records import Kind
from tests.models.intervals import HOUR, MINUTE, NEW_YORK, SECOND, TIMEFRAMES, at, interval_of, ns, starts_of
from tests.models.market import EUR, GBP, NINE, QUOTE, candle, drained, moment, quotes, tick
from tests.unit.hub.conftest import OpenHub


def ends(stream: Stream) -> list[Any]:
    """Read the interval ends there are."""
    return [one for one in drained(stream) if hasattr(one, "outcome")]


def record_gap(hub: DataHub, start: int, end: int, cause: str = "test") -> None:
    """Log a span without a live feed, as a collector does."""
    hub._publish_record(int(Kind.GAP), start, fixed1=start, fixed2=end, instrument=0, source=0, payload=cause.encode())


def published(hub: DataHub, instants: list[int] | np.ndarray, symbol: str = EUR) -> None:
    rows = np.zeros(len(instants), QUOTE)
    rows["ts_event"], rows["bid"], rows["ask"] = instants, 1.1, 1.1002
    hub.publish(rows, symbol=symbol)


def test_each_interval_ends_once_with_its_candle_or_the_reason_there_is_none(hub: DataHub) -> None:
    with hub.stream(EUR, kinds="interval") as stream:
        hub.publish(quotes([10, 70, 250]), symbol=EUR)
        hub.advance(moment(400))
        got = ends(stream)
    assert [(one.start, one.end) for one in got] == [(NINE + n * MINUTE, NINE + (n + 1) * MINUTE) for n in range(6)]
    assert [one.outcome for one in got] == ["final", "final", "no_ticks", "no_ticks", "final", "no_ticks"]
    assert {(one.symbol, one.source, one.timeframe) for one in got} == {(EUR, "direct", "1m")}
    assert [one.candle.timestamp for one in got if one.candle] == [moment(0), moment(60), moment(240)]
    assert all(one.candle.status == "final" for one in got if one.candle)


def test_reading_bit_by_bit_gives_the_same_events(hub: DataHub) -> None:
    with hub.stream(EUR, kinds="interval") as stream, hub.stream(EUR, kinds="interval") as slow:
        got = []
        for second in range(5, 600, 35):
            hub.update_tick(tick(second))
            got += ends(stream)
            hub.advance(moment(second + 10))
            got += ends(stream)
        assert got == ends(slow)
        assert [one.end for one in got] == [NINE + (n + 1) * MINUTE for n in range(len(got))]
        assert len(got) == 9


def test_an_event_waits_for_the_grace(hub: DataHub) -> None:
    with hub.stream(EUR, kinds="interval") as stream:
        hub.publish(quotes([10, 60.3]), symbol=EUR)
        assert ends(stream) == []
        hub.advance(moment(60.4))
        assert ends(stream) == []
        hub.advance(moment(60.5))
        assert [one.end for one in ends(stream)] == [NINE + MINUTE]


def test_several_timeframes_and_symbols_each_have_their_own(hub: DataHub) -> None:
    with hub.stream(kinds="interval", timeframes=["1m", "5m"]) as stream:
        for symbol in (EUR, GBP):
            hub.publish(quotes([10, 290]), symbol=symbol)
        hub.advance(moment(301))
        got = ends(stream)
    for symbol in (EUR, GBP):
        for timeframe, count in (("1m", 5), ("5m", 1)):
            mine = [one for one in got if (one.symbol, one.timeframe) == (symbol, timeframe)]
            assert len(mine) == count
            assert all(a.end == b.start for a, b in pairwise(mine))


def test_a_symbol_nobody_asked_for_stays_out(hub: DataHub) -> None:
    with hub.stream(EUR, kinds="interval") as stream:
        hub.publish(quotes([10, 290]), symbol=GBP)
        hub.advance(moment(301))
        assert ends(stream) == []


def test_a_known_gap_is_named(hub: DataHub) -> None:
    with hub.stream(EUR, kinds="interval") as stream:
        hub.update_tick(tick(10))
        record_gap(hub, NINE + 60 * SECOND, NINE + 180 * SECOND, "reconnecting")
        hub.update_tick(tick(190))
        hub.advance(moment(241))
        assert [one.outcome for one in ends(stream)] == ["final", "gap", "gap", "final"]
    (gap,) = hub.gaps(EUR)
    assert (gap["start"], gap["end"], gap["cause"]) == (NINE + 60 * SECOND, NINE + 180 * SECOND, "reconnecting")


def test_ticks_of_intervals_ends_can_be_asked_for_too(hub: DataHub) -> None:
    with hub.stream(EUR, kinds=["tick", "interval"]) as stream:
        hub.publish(quotes([10, 70]), symbol=EUR)
        hub.advance(moment(130))
        got = drained(stream)
    assert [type(one).__name__ for one in got].count("Tick") == 2
    assert len([one for one in got if hasattr(one, "outcome")]) == 2


def test_only_intervals_come_when_only_they_were_asked_for(hub: DataHub) -> None:
    with hub.stream(EUR, kinds="interval") as stream:
        hub.publish(quotes([10, 70]), symbol=EUR)
        hub.advance(moment(130))
        assert all(hasattr(one, "outcome") for one in drained(stream))


def test_a_reader_slower_than_the_rings_still_gets_every_candle(open_hub: OpenHub) -> None:
    hub = open_hub(segment_lines=1 << 14)
    hub.set_clock("event")
    hub.publish(quotes([float(n) for n in range(9_000) if n % 3]), symbol=EUR)
    hub.advance(moment(9_001))
    hub.clear_symbol(EUR)
    with hub.stream(EUR, kinds="interval", start="oldest", timeframes=["1s", "5m"]) as stream:
        got = ends(stream)
    for timeframe, count in (("1s", 9_000 - 1), ("5m", 30)):
        mine = [one for one in got if one.timeframe == timeframe]
        assert len(mine) == count
        assert all(a.end == b.start for a, b in pairwise(mine))
    assert [one.outcome for one in got if one.timeframe == "1s"] == (["final", "final", "no_ticks"] * 3_000)[:-1]
    assert {one.candle.volume for one in got if one.timeframe == "5m"} == {200.0}


def test_an_interval_is_not_forgotten_when_a_server_comes_or_goes(open_hub: OpenHub) -> None:
    from tapehub.hub.server import HubServer

    hub = open_hub()
    hub.set_clock("event")
    with hub.stream(EUR, kinds="interval") as stream, hub.stream(EUR, kinds="interval") as slow:
        hub.update_tick(tick(10))
        got = ends(stream)
        with HubServer(hub.path) as server:
            hub.update_tick(tick(70))
            got += ends(stream)
            assert got == [], "the server has not said so yet"
            server.beat()
            got += ends(stream)
        hub.update_tick(tick(190))
        got += ends(stream)
        assert [(one.start - NINE) // MINUTE for one in got] == [0, 1, 2]
        assert [one.outcome for one in got] == ["final", "final", "no_ticks"]
        assert ends(slow) == got


# ---------------------------------------------------------------- a function of the log


def outcomes(events: list[Any]) -> list[tuple[str, int]]:
    return [(one.outcome, (one.start - NINE) // MINUTE) for one in events]


def test_the_candle_is_that_of_the_close_whatever_came_since(hub: DataHub) -> None:
    hub.set_clock("event")
    with hub.stream(EUR, kinds="interval", start="oldest") as stream:
        hub.publish(quotes([10, 20, 30], [1.1, 1.2, 1.3]), symbol=EUR)
        middle = hub.head
        hub.publish(quotes([40], 1.4), symbol=EUR)
        closing = hub.advance(moment(61))
        hub.update_tick(tick(15, 1.9))  # late: it revises
        hub.update_candle_1m(candle(0, 1.5))
        hub.clear_symbol(EUR)
        (event,) = ends(stream)
    made = event.candle
    assert (made.volume, made.high, made.revision, made.status, made.seq) == (4.0, 1.4001, 1, "final", closing)
    for start in (middle, "oldest", closing):
        with hub.stream(EUR, kinds="interval", start=start) as later:
            (same,) = ends(later)
            assert same == event
            assert same.candle.to_dict() == made.to_dict()
    with hub.stream(EUR, kinds="interval", start=closing + 1) as after:
        assert ends(after) == []


def test_a_clear_before_the_close_leaves_what_came_after_it(hub: DataHub) -> None:
    hub.set_clock("event")
    with hub.stream(EUR, kinds="interval") as stream:
        hub.publish(quotes([10, 20]), symbol=EUR)
        hub.clear_symbol(EUR)
        hub.publish(quotes([30, 70]), symbol=EUR)
        hub.clear_symbol(EUR)
        hub.advance(moment(121))
        first, second = ends(stream)
    assert (first.outcome, first.candle.volume, second.outcome) == ("final", 1.0, "no_ticks")


def test_an_instrument_that_is_quiet_since_the_stream_began_is_reported(hub: DataHub) -> None:
    hub.set_clock("event")
    hub.update_tick(tick(10))
    hub.update_tick(tick(15, symbol=GBP))
    with hub.stream(EUR, kinds="interval") as stream:
        hub.advance(moment(61))
        hub.advance(moment(181))
        assert outcomes(ends(stream)) == [("final", 0), ("no_ticks", 1), ("no_ticks", 2)]


def test_a_channel_that_comes_up_is_reported_from_there_on(hub: DataHub) -> None:
    hub.advance(moment(30))
    with hub.stream(kinds="interval") as stream:
        hub._names.channel(EUR, "feed")
        hub.advance(moment(121))
        hub._names.channel(GBP, "feed")
        hub.advance(moment(181))
        got = ends(stream)
    assert [(one.symbol, *outcomes([one])[0]) for one in got] == [
        (EUR, "no_ticks", 0), (EUR, "no_ticks", 1), (EUR, "no_ticks", 2), (GBP, "no_ticks", 2),
    ]  # fmt: skip


def test_a_late_reader_tells_the_gaps_that_were_known_then(hub: DataHub) -> None:
    hub.set_clock("event")
    hub.update_tick(tick(1))
    with hub.stream(EUR, kinds="interval", start="oldest") as live:
        record_gap(hub, NINE + 60 * SECOND, NINE + 180 * SECOND)
        hub.update_tick(tick(181))
        hub.advance(moment(301))
        got = ends(live)
        record_gap(hub, NINE + 360 * SECOND, NINE + 480 * SECOND)
        hub.update_tick(tick(481))
        hub.advance(moment(601))
        got += ends(live)
    assert [one.outcome for one in got] == [
        "final", "gap", "gap", "final", "no_ticks", "no_ticks", "gap", "gap", "final", "no_ticks",
    ]  # fmt: skip
    with hub.stream(EUR, kinds="interval", start="oldest") as late:
        assert ends(late) == got


def test_a_stream_begun_before_a_servers_first_word_tells_every_end(hub: DataHub) -> None:
    hub.publish(quotes([1, 100]), symbol=EUR)
    clock.set_watermark_mode(hub, clock.WATERMARK_SERVER)
    with hub.stream(EUR, kinds="interval") as seeded, hub.stream(EUR, kinds="interval", start="oldest") as whole:
        hub.advance(moment(300))
        expected = ends(whole)
        assert [one.start for one in expected] == [NINE + n * MINUTE for n in range(4)]
        assert ends(seeded) == expected[1:]  # the first one ended with a tick, before it began


def test_who_closes_intervals_is_not_guessed_from_a_correction_of_the_clock(open_hub: OpenHub) -> None:
    """The first segment may be gone, and the first word on the clock that is left say how far it is corrected."""
    from tapehub.hub.server import HubServer

    hub = open_hub(segment_lines=1 << 10)
    with HubServer(hub.path):  # it closes them; and does not beat here, so that one watermark ends them all
        hub.set_clock("event")
        hub.publish(quotes([float(second) for second in range(1_500)]), symbol=EUR)
        clock.set_skew(hub, 5)
        mark = hub.advance(moment(1_501))
        second_segment = (1 << 10) + 64
        with hub.stream(EUR, kinds="interval", start=second_segment) as stream:
            stream._watch._begun(stream._channels()).replay(second_segment, second_segment)  # type: ignore[union-attr]
            got = ends(stream)
    assert len(got) > 5
    assert {one.candle.seq for one in got} == {mark}


# ---------------------------------------------------------------- weekends

FRIDAY_CLOSE = ns("2024-03-08T22:00")  # 17:00 New York, on standard time
SUNDAY_OPEN = ns("2024-03-10T21:00")  # 17:00 New York, on summer time since that morning


def test_fridays_last_bar_does_not_wait_for_sunday(hub: DataHub) -> None:
    frames = ("1m", "1h", "4h", "1d", "1w")
    with hub.stream(EUR, kinds="interval", timeframes=frames) as stream:
        published(hub, [FRIDAY_CLOSE - 30 * SECOND])
        assert ends(stream) == []
        hub.advance(FRIDAY_CLOSE + 500_000_000)
        got = {one.timeframe: one for one in ends(stream)}
        assert set(got) == set(frames)
        for frame in frames:
            start, end = interval_of(frame, FRIDAY_CLOSE - 30 * SECOND)
            assert (got[frame].start, got[frame].end, got[frame].outcome) == (start, end, "final"), frame
            assert end == FRIDAY_CLOSE
    assert [len(hub.get_latest_candles(EUR, 9, frame)) for frame in frames] == [1] * 5


def test_a_weekend_is_closed_interval_by_interval(hub: DataHub) -> None:
    with hub.stream(EUR, kinds="interval", timeframes=["1m", "1h", "1d", "1w"]) as stream:
        published(hub, [FRIDAY_CLOSE - 90 * SECOND])
        hub.advance(FRIDAY_CLOSE + 3 * HOUR)
        published(hub, [SUNDAY_OPEN + 30 * SECOND])
        hub.advance(SUNDAY_OPEN + 2 * HOUR + SECOND)
        got = ends(stream)
    minutes = [one for one in got if one.timeframe == "1m"]
    assert all(a.end == b.start for a, b in pairwise(minutes))
    assert len(minutes) == (SUNDAY_OPEN + 2 * HOUR - (FRIDAY_CLOSE - 2 * MINUTE)) // MINUTE
    assert [one.outcome for one in minutes[:2]] == ["final", "no_ticks"]
    weekend = [one for one in minutes if FRIDAY_CLOSE <= one.start < SUNDAY_OPEN]
    assert {one.outcome for one in weekend} == {"closed"}
    assert len(weekend) == 47 * 60, "an hour is missing that Sunday"
    after = [one.outcome for one in minutes if one.start >= SUNDAY_OPEN]
    assert (after[0], set(after[1:])) == ("final", {"no_ticks"})
    days = [(one.outcome, at(one.end).astimezone(NEW_YORK).hour) for one in got if one.timeframe == "1d"]
    assert days == [("final", 17), ("closed", 17), ("closed", 17)]
    assert [one.outcome for one in got if one.timeframe == "1w"] == ["final"]


def test_weeks_follow_each_other_without_their_weekends(hub: DataHub) -> None:
    with hub.stream(EUR, kinds="interval", timeframes="1w") as stream:
        published(hub, [SUNDAY_OPEN + HOUR])
        hub.advance(SUNDAY_OPEN + 33 * 24 * HOUR + SECOND)
        got = ends(stream)
    assert [one.outcome for one in got] == ["final", "no_ticks", "no_ticks", "no_ticks", "no_ticks"]
    assert all(b.start - a.end == 48 * HOUR for a, b in pairwise(got))
    assert {at(one.start).astimezone(NEW_YORK).strftime("%a %H:%M") for one in got} == {"Sun 17:00"}


def test_a_market_that_never_closes_has_no_closed_intervals(hub: DataHub) -> None:
    with hub.stream("BTC_USD", kinds="interval", timeframes=["1h", "1w"]) as stream:
        published(hub, [FRIDAY_CLOSE - 90 * SECOND], "BTC_USD")
        hub.advance(SUNDAY_OPEN + HOUR + SECOND)
        got = ends(stream)
    assert [one.outcome for one in got if one.timeframe == "1h"] == ["final"] + ["no_ticks"] * 48
    (week,) = [one for one in got if one.timeframe == "1w"]
    assert (week.end, week.outcome) == (SUNDAY_OPEN, "final"), "its week runs through"


# ---------------------------------------------------------------- New York's clock


@pytest.mark.parametrize("change", ["2024-03-10", "2024-11-03", "2019-03-10", "2030-11-03"])
def test_days_weeks_and_four_hours_are_cut_at_17_new_york_across_summer_time(open_hub: OpenHub, change: str) -> None:
    hub = open_hub(segment_lines=1 << 12)
    hub.set_clock("event")
    first = ns(change) - 10 * 24 * HOUR
    instants = np.arange(first, first + 21 * 24 * HOUR, 31 * MINUTE, dtype=np.int64)
    published(hub, instants, "BTC_USD")
    hub.advance(int(instants[-1]) + 8 * 24 * HOUR)
    for frame in TIMEFRAMES[3:]:
        starts, counts = np.unique(starts_of(frame, instants), return_counts=True)
        for rows in (hub.candles("BTC_USD", frame, limit=5000).numpy(), hub.history("BTC_USD", frame).numpy()):
            assert rows["timestamp"].tolist() == starts.tolist(), frame
            assert rows["ticks"].tolist() == counts.tolist(), frame
    (four,) = [one for one in np.unique(starts_of("4h", instants)) if at(int(one)).date().isoformat() == change][-1:]
    assert at(int(four)).astimezone(NEW_YORK).hour in (17, 16, 13)


def test_the_end_of_every_interval_is_the_start_of_the_next_across_summer_time(hub: DataHub) -> None:
    first = ns("2024-10-25T12:00")
    with hub.stream("BTC_USD", kinds="interval", timeframes=["4h", "1d"]) as stream:
        published(hub, [first], "BTC_USD")
        hub.advance(ns("2024-11-12T12:00"))
        got = ends(stream)
    for frame in ("4h", "1d"):
        mine = [one for one in got if one.timeframe == frame]
        assert all(a.end == b.start for a, b in pairwise(mine)), frame
        assert [(one.start, one.end) for one in mine] == [interval_of(frame, one.start) for one in mine]
    assert [at(one.end).hour for one in got if one.timeframe == "1d"][8:11] == [21, 22, 22]


# ---------------------------------------------------------------- coverage


def test_coverage_is_the_share_of_the_interval_with_a_live_feed(hub: DataHub) -> None:
    hub.publish(quotes([15, 70, 130]), symbol=EUR)
    hub.advance(moment(200))
    assert hub.candles(EUR)["coverage"].tolist() == pytest.approx([0.75, 1.0, 1.0])
    assert hub.snapshot(EUR).completeness == 1.0
    record_gap(hub, NINE + 90 * SECOND, NINE + 126 * SECOND)
    assert hub.candles(EUR)["coverage"].tolist() == pytest.approx([0.75, 0.5, 0.9])
    (hour,) = hub.candles(EUR, "1h", forming=True)["coverage"].tolist()
    assert hour == pytest.approx(1 - (15 + 36) / 3600)
    assert hub.snapshot(EUR).completeness == pytest.approx(0.9)


def test_a_gap_covers_candles_that_come_after_it_was_known(hub: DataHub) -> None:
    hub.update_tick(tick(1))
    record_gap(hub, NINE + 30 * SECOND, NINE + 90 * SECOND)
    hub.publish(quotes([95, 130, 200]), symbol=EUR)
    assert hub.candles(EUR)["coverage"].tolist() == pytest.approx([29 / 60, 0.5, 1.0])


def test_a_pushed_candle_has_the_coverage_it_came_with(hub: DataHub) -> None:
    hub.update_candle_1m(candle(0, coverage=0.25))
    assert hub.get_latest_candles(EUR)[0].coverage == 0.25
