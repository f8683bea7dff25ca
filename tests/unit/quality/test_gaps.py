"""Gaps are open market without a feed: cut at closings, ended by the first tick, never in a weekend."""

from tapehub.model.calendars import Calendar, CalendarId
from tapehub.quality import Gap, GapBook
from tests.models.intervals import HOUR, MINUTE, SECOND, ns

NINE = ns("2024-03-05T09:00")
CLOSE, OPEN = ns("2024-03-08T17:00-05:00"), ns("2024-03-10T17:00-04:00")
EUR = ("EUR_USD", "x")


def book(calendar: CalendarId = CalendarId.FX) -> GapBook:
    return GapBook(lambda symbol: Calendar(calendar))


def spans(gaps: list[Gap]) -> list[tuple[int, int | None]]:
    return [(gap.start, gap.end) for gap in gaps]


def test_a_gap_runs_from_the_last_tick_to_the_first_after_it() -> None:
    one = book()
    assert spans(one.begin(EUR, NINE, NINE + 30 * SECOND, "mute")) == [(NINE, None)]
    assert EUR in one
    assert one.begin(EUR, NINE, NINE + MINUTE, "dead") == [], "it lasts already"
    (gap,) = one.end(EUR, NINE + 5 * MINUTE)
    assert (gap.start, gap.end, gap.cause, gap.symbol, gap.source) == (NINE, NINE + 5 * MINUTE, "mute", "EUR_USD", "x")
    assert one.end(EUR, NINE + 6 * MINUTE) == []


def test_a_late_tick_from_before_ends_nothing() -> None:
    one = book()
    one.begin(EUR, NINE, NINE + 30 * SECOND, "mute")
    assert one.end(EUR, NINE - SECOND) == []
    assert EUR in one


def test_an_outage_over_a_weekend_is_two_gaps_and_neither_is_in_it() -> None:
    one = book()
    one.begin(EUR, CLOSE - 10 * MINUTE, CLOSE - 9 * MINUTE, "dead")
    assert spans(one.on_time(CLOSE - SECOND)) == []
    assert spans(one.on_time(CLOSE)) == [(CLOSE - 10 * MINUTE, CLOSE)]
    assert spans(one.begin(EUR, CLOSE - 10 * MINUTE, OPEN + MINUTE, "dead"))[-1] == (OPEN, None)
    assert spans(one.end(EUR, OPEN + 2 * MINUTE)) == [(OPEN, OPEN + 2 * MINUTE)]


def test_a_restart_after_a_weekend_finds_what_is_missing_on_both_sides() -> None:
    one = book()
    found = one.begin(EUR, CLOSE - HOUR, OPEN + HOUR, "collector restarted")
    assert spans(found) == [(CLOSE - HOUR, CLOSE), (OPEN, None)]
    assert spans(one.end(EUR, OPEN + HOUR + SECOND)) == [(OPEN, OPEN + HOUR + SECOND)]


def test_a_restart_within_a_weekend_finds_only_what_is_missing_before_it() -> None:
    one = book()
    assert spans(one.begin(EUR, CLOSE - 2 * SECOND, CLOSE + 10 * HOUR, "restart")) == [(CLOSE - 2 * SECOND, CLOSE)]
    assert one.begin(EUR, CLOSE + HOUR, CLOSE + 10 * HOUR, "restart") == []
    assert len(one) == 0


def test_an_ended_gap_that_nobody_watched_is_cut_at_the_closing() -> None:
    one = book()
    one.begin(EUR, CLOSE - MINUTE, CLOSE - 30 * SECOND, "mute")
    assert spans(one.end(EUR, OPEN + SECOND)) == [(CLOSE - MINUTE, CLOSE), (OPEN, OPEN + SECOND)]


def test_a_gap_of_an_earlier_process_is_gone_on_with_under_its_start() -> None:
    one = book()
    one.resume(Gap(*EUR, NINE, None, "mute"))
    (gap,) = one.end(EUR, NINE + HOUR)
    assert (gap.start, gap.end, gap.cause) == (NINE, NINE + HOUR, "mute")


def test_what_never_closes_has_one_gap_over_a_weekend() -> None:
    one = book(CalendarId.ALWAYS)
    one.begin(EUR, CLOSE - HOUR, CLOSE, "dead")
    assert one.on_time(OPEN) == []
    assert spans(one.end(EUR, OPEN)) == [(CLOSE - HOUR, OPEN)]


def test_metals_break_daily() -> None:
    one = book(CalendarId.METALS)
    five = ns("2024-03-05T17:00-05:00")
    one.begin(EUR, five - MINUTE, five - SECOND, "dead")
    assert spans(one.end(EUR, five + HOUR + MINUTE)) == [
        (five - MINUTE, five), (five + HOUR, five + HOUR + MINUTE),
    ]  # fmt: skip
