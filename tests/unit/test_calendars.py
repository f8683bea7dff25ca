"""Sessions and intervals follow New York's clock; the oracle is `datetime`, one instant at a time."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapehub.errors import ConfigError
from tapehub.model import calendars
from tapehub.model.calendars import (
    Calendar,
    CalendarId,
    calendar_of,
    closure_of,
    interval_of,
    intervals_of,
    local_ns,
    utc_ns,
    zone_transitions,
)

NEW_YORK = ZoneInfo("America/New_York")
FX, METALS, ALWAYS = (Calendar(calendar) for calendar in CalendarId)
HOUR = 3_600_000_000_000


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000_000


def new_york(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).timestamp()) * 1_000_000_000


moments = st.integers(ns("1990-01-08"), ns("2061-12-01"))


def test_transitions_fit_the_native_table() -> None:
    from_ns, offset_ns = zone_transitions()
    assert len(from_ns) == len(offset_ns) == 145 <= 192
    assert from_ns.dtype == offset_ns.dtype == np.int64
    assert from_ns[0] < ns("1970-01-01")
    assert (np.diff(from_ns.astype(object)) > 0).all()
    assert set(offset_ns.tolist()) == {-5 * HOUR, -4 * HOUR}
    assert ns("2024-03-10T07:00") in from_ns
    assert ns("2024-11-03T06:00") in from_ns


@given(moments)
def test_local_time_is_that_of_the_zone_database(ts: int) -> None:
    offset = datetime.fromtimestamp(ts // 10**9, NEW_YORK).utcoffset()
    assert offset is not None
    assert int(local_ns(ts)) - ts == int(offset.total_seconds()) * 10**9


@given(moments)
def test_utc_of_local_time_is_where_it_came_from_but_in_the_repeated_hour(ts: int) -> None:
    assert int(utc_ns(local_ns(ts))) in (ts, ts + HOUR)


def test_a_missing_zone_names_the_remedy() -> None:
    with pytest.raises(ConfigError, match="pip install tzdata"):
        zone_transitions(zone="Atlantis/Capital")


# ---------------------------------------------------------------- intervals


def day_start(moment: datetime) -> datetime:
    local = moment.astimezone(NEW_YORK)
    start = datetime(local.year, local.month, local.day, 17, tzinfo=NEW_YORK)
    return (
        start
        if local.hour >= 17
        else datetime(*(start.date() - timedelta(days=1)).timetuple()[:3], 17, tzinfo=NEW_YORK)
    )


def next_day(moment: datetime, days: int = 1) -> datetime:
    return datetime(*(moment.date() + timedelta(days=days)).timetuple()[:3], 17, tzinfo=NEW_YORK)


def stamp(moment: datetime) -> int:
    return int(moment.timestamp()) * 10**9


def slow_interval(timeframe: str, ts: int, week_days: int) -> tuple[int, int]:
    moment = datetime.fromtimestamp(ts // 10**9, UTC)
    day = day_start(moment)
    if timeframe == "1d":
        return stamp(day), stamp(next_day(day))
    if timeframe == "1w":
        sunday = next_day(day, -((day.weekday() + 1) % 7))
        return stamp(sunday), stamp(next_day(sunday, 5 if week_days == 5 else 7))
    start = stamp(day)
    while start + 4 * HOUR <= ts:
        start += 4 * HOUR
    return start, min(start + 4 * HOUR, stamp(next_day(day)))


@given(moments, st.sampled_from(["4h", "1d", "1w"]), st.sampled_from([5, 7]))
def test_anchored_intervals_equal_the_slow_way(ts: int, timeframe: str, week_days: int) -> None:
    assert interval_of(timeframe, ts, week_days) == slow_interval(timeframe, ts, week_days)


@pytest.mark.parametrize("day", ["2024-03-09", "2024-03-10", "2024-03-11", "2024-11-02", "2024-11-03", "2024-11-04"])
def test_every_half_hour_around_a_clock_change_equals_the_slow_way(day: str) -> None:
    instants = ns(day) + np.arange(48, dtype=np.int64) * HOUR // 2
    for timeframe in ("4h", "1d", "1w"):
        starts, ends = intervals_of(timeframe, instants)
        slow = [slow_interval(timeframe, ts, 5) for ts in instants.tolist()]
        assert list(zip(starts.tolist(), ends.tolist(), strict=True)) == slow


def test_short_intervals_are_multiples_of_the_span() -> None:
    ts = ns("2024-03-10T06:59:59") + 999_999_999
    assert interval_of("1m", ts) == (ns("2024-03-10T06:59"), ns("2024-03-10T07:00"))
    assert interval_of("1h", ts + 1) == (ns("2024-03-10T07:00"), ns("2024-03-10T08:00"))


def test_day_of_23_hours_ends_with_a_short_bar_and_one_of_25_with_a_seventh() -> None:
    def bars(day: str) -> list[int]:
        first = new_york(day + "T17:00")
        ends = [first]
        while ends[-1] < interval_of("1d", first)[1]:
            ends.append(interval_of("4h", ends[-1])[1])
        return [(b - a) // HOUR for a, b in pairwise(ends)]

    assert bars("2024-03-09") == [4, 4, 4, 4, 4, 3]
    assert bars("2024-11-02") == [4, 4, 4, 4, 4, 4, 1]
    assert bars("2024-06-05") == [4] * 6


def test_week_of_five_days_ends_on_friday_and_one_of_seven_runs_through() -> None:
    ts = new_york("2024-06-05T12:00")
    assert interval_of("1w", ts, 5) == (new_york("2024-06-02T17:00"), new_york("2024-06-07T17:00"))
    assert interval_of("1w", ts, 7) == (new_york("2024-06-02T17:00"), new_york("2024-06-09T17:00"))


def test_shape_is_kept() -> None:
    start, end = intervals_of("4h", np.full((2, 3), ns("2024-06-05T12:00")))
    assert start.shape == end.shape == (2, 3)


# ---------------------------------------------------------------- sessions


def slow_is_open(calendar: CalendarId, ts: int) -> bool:
    local = datetime.fromtimestamp(ts // 10**9, NEW_YORK)
    if calendar is CalendarId.ALWAYS:
        return True
    minute = local.weekday() * 1440 + local.hour * 60 + local.minute  # Monday is 0
    is_open = minute < 4 * 1440 + 17 * 60 or minute >= 6 * 1440 + 17 * 60
    if calendar is CalendarId.METALS:
        return is_open and local.hour != 17
    return is_open


@given(moments, st.sampled_from(list(CalendarId)))
def test_open_hours_equal_the_slow_way(ts: int, calendar: CalendarId) -> None:
    assert bool(Calendar(calendar).is_open(ts)) == slow_is_open(calendar, ts)


@pytest.mark.parametrize(
    ("calendar", "after", "opens", "closes"),
    [
        (FX, "2024-03-08T12:00", "2024-03-10T17:00", "2024-03-08T17:00"),
        (FX, "2024-03-09T12:00", "2024-03-10T17:00", "2024-03-15T17:00"),
        (METALS, "2024-03-06T12:00", "2024-03-06T18:00", "2024-03-06T17:00"),
        (METALS, "2024-03-08T16:59", "2024-03-10T18:00", "2024-03-08T17:00"),
    ],
)
def test_next_opening_and_closing(calendar: Calendar, after: str, opens: str, closes: str) -> None:
    assert calendar.next_open(new_york(after)) == new_york(opens)
    assert calendar.next_close(new_york(after)) == new_york(closes)


def test_a_market_that_never_closes_has_no_next_opening() -> None:
    assert ALWAYS.next_open(0) is None
    assert ALWAYS.next_close(0) is None
    assert bool(ALWAYS.is_open(0))


def test_opening_is_inclusive_and_closing_exclusive() -> None:
    friday, sunday = new_york("2024-03-08T17:00"), new_york("2024-03-10T17:00")
    assert FX.is_open([friday - 1, friday, sunday - 1, sunday]).tolist() == [True, False, False, True]


def test_sessions_are_disjoint_and_ascending() -> None:
    for calendar in (FX, METALS):
        opens, closes = calendar.sessions(ns("2000-01-01"), ns("2002-01-01"))
        assert (opens < closes).all()
        assert (closes[:-1] <= opens[1:]).all()
        assert opens[0] <= ns("2000-01-03")
        assert closes[-1] >= ns("2001-12-31")
        assert closes[0] > ns("2000-01-01")
        assert opens[-1] < ns("2002-01-01")


def test_a_holiday_closes_its_trading_day() -> None:
    calendar = calendar_of("fx", ["2024-12-25", date(2025, 1, 1)])
    assert not calendar.is_open(new_york("2024-12-24T17:00"))
    assert not calendar.is_open(new_york("2024-12-25T16:59"))
    assert calendar.is_open(new_york("2024-12-25T17:00"))
    assert calendar.next_close(new_york("2024-12-24T12:00")) == new_york("2024-12-24T17:00")
    assert calendar.next_open(new_york("2024-12-24T18:00")) == new_york("2024-12-25T17:00")
    assert not calendar.is_open(new_york("2025-01-01T10:00"))


def test_a_span_of_wall_time_closes_early_and_leaves_the_rest() -> None:
    calendar = calendar_of("metals", ["2024-12-24T13:00/2024-12-25T18:00"])
    assert calendar.next_close(new_york("2024-12-24T12:00")) == new_york("2024-12-24T13:00")
    assert calendar.next_open(new_york("2024-12-24T14:00")) == new_york("2024-12-25T18:00")
    plain, cut = METALS.sessions(), calendar.sessions()
    assert len(cut[0]) == len(plain[0]) - 1


def test_a_holiday_also_closes_a_market_that_never_closes() -> None:
    calendar = calendar_of(CalendarId.ALWAYS, ["2024-12-25"])
    assert not calendar.is_open(new_york("2024-12-25T10:00"))
    assert calendar.is_open(new_york("2024-12-26T10:00"))


@pytest.mark.parametrize(
    "holiday", ["christmas", "2024-13-01", "2024-12-25/2024-12-24", "2024-12-25T10:00Z/2024-12-26", ""]
)
def test_a_holiday_that_cannot_be_read_is_refused(holiday: str) -> None:
    with pytest.raises(ConfigError, match="New York wall time"):
        closure_of(holiday)


def test_an_unknown_calendar_is_refused() -> None:
    with pytest.raises(ConfigError, match="fx, metals or always"):
        calendar_of("lunar")


def test_tables_are_shared_and_read_only() -> None:
    for table in (*calendars.zone_transitions(), *FX.sessions()):
        assert not table.flags.writeable
