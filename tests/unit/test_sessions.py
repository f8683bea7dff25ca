"""A table of sessions says the same as the calendar it was made of, in memory and from its bytes."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapehub.model.calendars import Calendar, CalendarId, Closure, calendar_of, is_holiday
from tapehub.model.sessions import Sessions
from tests.models.intervals import HOUR, SECOND, ns

FX = Calendar(CalendarId.FX)
FIRST, LAST = ns("1990-01-08"), ns("2061-12-01")
CHRISTMAS = ns("2024-12-25T15:00")

moments = st.integers(FIRST, LAST)
closures = st.lists(
    st.builds(
        lambda start, hours: Closure(start // SECOND * SECOND, start // SECOND * SECOND + hours * HOUR),
        moments,
        st.integers(1, 24 * 40),
    ),
    max_size=6,
)


def inside(calendar: CalendarId, cut: list[Closure], ts: int) -> bool:
    """Say by the rule, without any table, whether a market with these closures is open."""
    return bool(Calendar(calendar).is_open(ts)) and not any(one.start_ns <= ts < one.end_ns for one in cut)


@given(st.sampled_from(list(CalendarId)), closures, st.lists(moments, min_size=1, max_size=20))
def test_a_table_read_from_bytes_opens_and_closes_as_its_calendar(
    identifier: CalendarId, cut: list[Closure], instants: list[int]
) -> None:
    calendar = Calendar(identifier, tuple(sorted(cut, key=lambda one: one.start_ns)))
    table = Sessions.from_bytes(identifier, calendar.to_bytes())
    instants += [edge + step for one in cut for edge in (one.start_ns, one.end_ns) for step in (-1, 0, 1)]
    expected = [inside(identifier, cut, ts) for ts in instants]
    assert [table.is_open(ts) for ts in instants] == expected
    assert table.is_open(np.array(instants, dtype=np.int64)).tolist() == expected
    for ts in instants:
        assert table.next_open(ts) == calendar.next_open(ts)
        assert table.next_close(ts) == calendar.next_close(ts)
    assert (table.id, table.name, table.week_days) == (calendar.id, calendar.name, calendar.week_days)


@given(moments)
def test_the_next_turn_is_where_the_answer_changes(ts: int) -> None:
    turn = FX.next_close(ts) if FX.is_open(ts) else FX.next_open(ts)
    assert turn is not None
    assert FX.is_open(turn - 1) is FX.is_open(ts)
    assert FX.is_open(turn) is not FX.is_open(ts)


def test_sessions_of_a_span_are_those_that_reach_into_it() -> None:
    friday, sunday = ns("2024-03-08T22:00"), ns("2024-03-10T21:00")
    opens, closes = FX.sessions(friday - 1, sunday + 1)
    assert (closes.tolist()[0], opens.tolist()[1], len(opens)) == (friday, sunday, 2)
    assert len(FX.sessions(friday, sunday)[0]) == 0
    assert len(FX.sessions(ns("2024-01-08"), ns("2025-01-01"))[0]) == 52


def test_datetimes_are_instants_too_and_naive_ones_are_utc() -> None:
    saturday = datetime(2024, 3, 9, 12, tzinfo=UTC)
    assert FX.is_open(saturday) is FX.is_open(saturday.replace(tzinfo=None)) is False
    assert FX.next_open(saturday) == ns("2024-03-10T21:00")
    assert FX.sessions(saturday)[0][0] == ns("2024-03-10T21:00")


def test_a_market_that_never_closes_survives_its_bytes() -> None:
    always = Sessions.from_bytes(CalendarId.ALWAYS, Calendar(CalendarId.ALWAYS).to_bytes())
    assert always.is_open(0)
    assert always.next_close(0) is None
    assert len(always.to_bytes()) == 16


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([(5, 5)], "out of order"),
        ([(5, 3)], "out of order"),
        ([(1, 4), (3, 8)], "out of order"),
        ([(5, 8), (1, 2)], "out of order"),
    ],
)
def test_a_table_whose_rows_contradict_each_other_is_refused(rows: list[tuple[int, int]], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Sessions.from_bytes(CalendarId.FX, np.array(rows, dtype="<i8").tobytes())


def test_a_table_that_was_cut_short_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a multiple of 16"):
        Sessions.from_bytes(CalendarId.FX, FX.to_bytes()[:-8])


def test_a_holiday_is_an_hour_at_which_other_weeks_are_open() -> None:
    market = calendar_of("fx", ["2024-12-25"])
    assert is_holiday(market, CHRISTMAS)
    assert not is_holiday(market, CHRISTMAS + 24 * HOUR)
    assert not is_holiday(market, ns("2024-12-28T15:00")), "a Saturday"
    assert not is_holiday(FX, CHRISTMAS)
