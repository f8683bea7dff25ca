"""The plan asks for the missing minutes, each once, and for nothing else; never for more than may be spent."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapehub.collector.allowance import Allowance
from tapehub.collector.backfill import MINUTE, GapSpan, Minutes, missing_minutes, plan_requests, spans_of
from tapehub.errors import AllowanceExceeded, ConfigError
from tapehub.model.calendars import calendar_of

FX, ALWAYS = calendar_of("fx"), calendar_of("always")
FRIDAY = 1_780_693_200_000_000_000  # 2026-06-05 17:00 New York
NONE = np.empty(0, np.int64)
WEEK = 7 * 24 * 60


def minutes(*numbers: int) -> Minutes:
    return FRIDAY + np.array(numbers, np.int64) * MINUTE


def allowance(remaining: int, reserve: int = 0) -> Allowance:
    return Allowance(remaining, 10_000, FRIDAY, reserve)


def lacking(first: int, last: int, built: Minutes = NONE, pushed: Minutes = NONE, *gaps: GapSpan) -> list[int]:
    found = missing_minutes(ALWAYS, FRIDAY + first * MINUTE, FRIDAY + last * MINUTE, built, pushed, gaps)
    return ((found - FRIDAY) // MINUTE).tolist()


def span(first: float, last: float, status: str = "open") -> GapSpan:
    return GapSpan(FRIDAY + round(first * MINUTE), FRIDAY + round(last * MINUTE), status)


def test_minutes_without_a_candle_are_missing_if_they_lie_wholly_in_the_span() -> None:
    assert lacking(0, 5, minutes(1), minutes(3)) == [0, 2, 4]
    assert missing_minutes(ALWAYS, FRIDAY + 1, FRIDAY + 3 * MINUTE - 1, NONE, NONE).tolist() == minutes(1).tolist()


def test_a_minute_that_a_gap_reaches_into_is_missing_though_ticks_made_a_candle() -> None:
    whole = minutes(*range(10))
    assert lacking(0, 10, whole, NONE, span(2.5, 4.1)) == [2, 3, 4]
    assert lacking(0, 10, whole, NONE, span(2, 4)) == [2, 3]
    assert lacking(0, 10, whole, minutes(3), span(2.5, 4.1)) == [2, 4]
    assert lacking(0, 10, whole, NONE, GapSpan(FRIDAY + 8 * MINUTE, (1 << 63) - 1)) == [8, 9]


@pytest.mark.parametrize("status", ["filled", "unfillable", "closed_market"])
def test_what_became_of_a_gap_holds_whichever_was_written_first(status: str) -> None:
    assert lacking(0, 6, NONE, NONE, span(1, 5), span(2, 4, status)) == [0, 1, 4, 5]
    assert lacking(0, 6, NONE, NONE, span(2, 4, status), span(1, 5)) == [0, 1, 4, 5]


def test_what_the_venue_did_not_have_can_be_asked_for_again() -> None:
    gaps = [span(0, 3, "unfillable"), span(4, 6, "closed_market")]
    found = missing_minutes(ALWAYS, FRIDAY, FRIDAY + 7 * MINUTE, NONE, NONE, gaps, again=True)
    assert ((found - FRIDAY) // MINUTE).tolist() == [0, 1, 2, 3, 6]


def test_a_closed_market_misses_nothing() -> None:
    found = missing_minutes(FX, FRIDAY - 3 * MINUTE, FRIDAY + 2 * 1440 * MINUTE + 2 * MINUTE, NONE, NONE)
    assert found.tolist() == minutes(-3, -2, -1, 2880, 2881).tolist()
    assert spans_of(found) == [(FRIDAY - 3 * MINUTE, FRIDAY), (FRIDAY + 2880 * MINUTE, FRIDAY + 2882 * MINUTE)]


def test_twelve_thousand_points_against_ten_thousand_are_split_with_the_numbers() -> None:
    plan = plan_requests({"EUR_USD": minutes(*range(12_000))}, allowance(10_000, reserve=500), page_minutes=1000)
    assert (plan.points_now, plan.points_later) == (9_500, 2_500)
    assert plan.now[0].end_ns == FRIDAY + 12_000 * MINUTE  # the newest first
    assert all(request.points <= 1000 for request in plan.now + plan.later)
    text = plan.shortage()
    for number in ("12,000", "10,000", "500 are reserved", "9,500", "2,500", "2026-06-05 21:00 UTC"):
        assert number in text


@pytest.mark.parametrize(("whole", "remaining"), [(True, 10_000), (False, 0), (False, 500)])
def test_or_refused_before_the_first_request_with_the_numbers(whole: bool, remaining: int) -> None:
    with pytest.raises(AllowanceExceeded, match=r"needs 12,000 points.*nothing was asked for") as caught:
        plan_requests({"EUR_USD": minutes(*range(12_000))}, allowance(remaining, reserve=500), whole=whole)
    assert (caught.value.needed, caught.value.available) == (12_000, max(0, remaining - 500))


def test_what_fits_is_asked_for_as_a_whole_and_nothing_is_said() -> None:
    plan = plan_requests({"EUR_USD": minutes(1, 2, 5), "USD_JPY": minutes(3)}, allowance(4), whole=True)
    assert [(request.symbol, request.points) for request in plan.now] == [
        ("EUR_USD", 1), ("USD_JPY", 1), ("EUR_USD", 2),
    ]  # fmt: skip
    assert plan.shortage() == ""
    assert plan_requests({}, allowance(0)).now == ()


def test_a_page_below_one_minute_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected 1 or more"):
        plan_requests({}, allowance(1), page_minutes=0)


SETS = st.sets(st.integers(0, 3 * 24 * 60), max_size=60)


@given(
    st.dictionaries(st.sampled_from(["EUR_USD", "USD_JPY", "GBP_USD"]), SETS),
    st.integers(0, 150), st.integers(0, 40), st.integers(1, 20),
)  # fmt: skip
def test_a_plan_covers_exactly_the_missing_minutes_once_and_stays_within_the_allowance(
    wanted: dict[str, set[int]], remaining: int, reserve: int, page: int
) -> None:
    missing = {symbol: minutes(*sorted(numbers)) for symbol, numbers in wanted.items()}
    have = allowance(remaining, reserve)
    needed = sum(map(len, missing.values()))
    try:
        plan = plan_requests(missing, have, page_minutes=page)
    except AllowanceExceeded:
        assert have.available == 0 < needed
        return
    assert plan.points_now == min(needed, have.available)
    assert plan.points_now + plan.points_later == needed
    covered: dict[str, list[int]] = {symbol: [] for symbol in missing}
    for request in plan.now + plan.later:
        assert 1 <= request.points <= page
        covered[request.symbol] += range(request.start_ns, request.end_ns, MINUTE)
    assert {symbol: sorted(found) for symbol, found in covered.items()} == {
        symbol: found.tolist() for symbol, found in missing.items()
    }
    assert all(late.end_ns <= soon.end_ns for soon, late in zip(plan.now, plan.now[1:], strict=False))


@given(
    SETS, SETS, st.integers(0, WEEK), st.integers(0, 3 * 24 * 60),
    st.lists(
        st.tuples(st.integers(0, 4000), st.integers(0, 90), st.sampled_from(["open", "filled", "unfillable"])),
        max_size=4,
    ),
)  # fmt: skip
def test_missing_is_what_a_plain_loop_over_every_minute_finds(
    built: set[int], pushed: set[int], first: int, length: int, spans: list[tuple[int, int, str]]
) -> None:
    start, end = FRIDAY + first * MINUTE, FRIDAY + (first + length) * MINUTE
    have, author = minutes(*sorted(built)), minutes(*sorted(pushed))
    gaps = [span(at + first + 0.25, at + first + 0.25 + long * 0.5, status) for at, long, status in spans]
    found = missing_minutes(FX, start, end, have, author, gaps).tolist()

    def touches(gap: GapSpan, minute: int) -> bool:
        return gap.start_ns < minute + MINUTE and minute < gap.end_ns

    expected = []
    opens, closes = FX.sessions()
    for minute in range(start, end, MINUTE):
        at = int(np.searchsorted(opens, minute, side="right")) - 1
        marks = {gap.status for gap in gaps if touches(gap, minute)}
        if not minute < closes[at] or minute in author.tolist() or marks - {"open"}:
            continue
        if "open" in marks or minute not in set(have.tolist()):
            expected.append(minute)
    assert found == expected
