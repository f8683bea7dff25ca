"""The gate lets good quotes through untouched and accounts for every other one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapehub.feeds.feed import Records, empty_quotes
from tapehub.quality import Gate, Reason

NOW = 1_700_000_000_000_000_000
SYMBOLS = ("EUR_USD", "USD_JPY")
SECOND = 1_000_000_000


def quotes(*rows: tuple[float, float, float, int]) -> Records:
    """Make quotes of (seconds after NOW, bid, ask, instrument)."""
    records = empty_quotes(len(rows))
    for i, (seconds, bid, ask, instrument) in enumerate(rows):
        records[i] = (NOW + int(seconds * SECOND), 0, bid, ask, 1, 1, instrument)
    return records


GOOD = (0.0, 1.1, 1.1001, 0)
JPY = 150.0


def test_a_good_batch_is_returned_itself() -> None:
    records = quotes(GOOD, (1, JPY, JPY, 1))
    verdict = Gate().check(records, SYMBOLS, "x", NOW)
    assert verdict.accepted is records
    assert len(verdict.quarantined) == verdict.duplicates == 0


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ((0, 1.1002, 1.1001, 0), Reason.CROSSED),
        ((0, 0.0, 1.1, 0), Reason.NON_POSITIVE),
        ((0, -1.0, 1.1, 0), Reason.NON_POSITIVE),
        ((0, 1.1, np.nan, 0), Reason.NON_FINITE),
        ((0, np.inf, 1.1, 0), Reason.NON_FINITE),
        ((6, 1.1, 1.1001, 0), Reason.FUTURE),
        ((-NOW / SECOND, 1.1, 1.1001, 0), Reason.ANCIENT),
        ((0, 1.1, 1.1001, 2), Reason.UNKNOWN_INSTRUMENT),
        ((6, -1.1, -1.2, 0), Reason.NON_POSITIVE),
    ],
)
def test_a_bad_quote_is_quarantined_with_its_reason(row: tuple[float, float, float, int], reason: Reason) -> None:
    records = quotes(GOOD, row, (1, 1.101, 1.1011, 0))
    verdict = Gate().check(records, SYMBOLS, "x", NOW)
    assert verdict.accepted["bid"].tolist() == [1.1, 1.101]
    assert verdict.quarantined.tobytes() == records[1:2].tobytes()
    assert verdict.reasons.tolist() == [reason]


def test_without_a_clock_nothing_is_ahead_of_it() -> None:
    assert len(Gate().check(quotes((9e5, 1.1, 1.1001, 0)), SYMBOLS, "x").accepted) == 1


def test_a_quote_sent_again_is_a_duplicate_across_batches_too() -> None:
    gate = Gate()
    first = gate.check(quotes(GOOD, (1, 1.1, 1.1001, 0), GOOD), SYMBOLS, "x")
    second = gate.check(quotes(GOOD, (2, 1.1, 1.1001, 0)), SYMBOLS, "x")
    assert (len(first.accepted), first.duplicates) == (2, 1)
    assert (len(second.accepted), second.duplicates) == (1, 1)


def test_equal_prices_at_other_times_are_real() -> None:
    assert Gate().check(quotes(*((i, 1.1, 1.1001, 0) for i in range(50))), SYMBOLS, "x").duplicates == 0


def test_other_instruments_sources_and_prices_are_no_duplicates() -> None:
    gate = Gate()
    first = quotes(GOOD, (0, JPY, JPY, 1), (0, 1.1, 1.1002, 0), (0, 1.0999, 1.1001, 0))
    assert gate.check(first, SYMBOLS, "x").duplicates == 0
    assert gate.check(quotes(GOOD), SYMBOLS, "y").duplicates == 0
    assert gate.check(quotes((0, 1.1, 1.1001, 1)), ("USD_JPY", "EUR_USD"), "x").duplicates == 1


@pytest.mark.parametrize(("between", "duplicates"), [(1023, 1), (1024, 0)])
@pytest.mark.parametrize("together", [True, False])
def test_the_window_is_1024_ticks_of_the_instrument(between: int, duplicates: int, together: bool) -> None:
    others = [(1 + i, 1.101, 1.1011, 0) for i in range(between)]
    noise = [(1 + i, JPY, JPY, 1) for i in range(500)]
    parts = [quotes(GOOD), quotes(*others, *noise), quotes(GOOD)]
    gate = Gate()
    verdicts = [gate.check(part, SYMBOLS, "x") for part in ([np.concatenate(parts)] if together else parts)]
    assert sum(verdict.duplicates for verdict in verdicts) == duplicates


@given(
    st.lists(
        st.lists(
            st.tuples(
                st.integers(-2, 9),
                st.sampled_from([1.1, 1.1002, -1.0, np.nan]),
                st.sampled_from([1.1, 1.1003]),
                st.sampled_from([0, 0, 2]),
            ),
            max_size=30,
        ),
        max_size=5,
    )
)
def test_every_quote_is_counted_once_and_duplicates_equal_the_slow_way(
    batches: list[list[tuple[int, float, float, int]]],
) -> None:
    gate = Gate()
    seen: set[tuple[int, float, float, int]] = set()
    for rows in batches:
        records = quotes(*rows)
        verdict = gate.check(records, SYMBOLS, "x", NOW)
        expected = []
        for row in rows:
            ts, bid, ask, instrument = row
            if ts <= 5 and bid > 0 and ask >= bid and instrument < 2 and row not in seen:
                seen.add(row)
                expected.append(row)
        got = verdict.accepted
        seconds = (got["ts_event"] - NOW) // SECOND
        columns = (seconds.tolist(), got["bid"].tolist(), got["ask"].tolist(), got["instrument"].tolist())
        assert list(zip(*columns, strict=True)) == expected
        assert len(records) == len(got) + len(verdict.quarantined) + verdict.duplicates
    tallies = gate.tallies.values()
    assert sum(tally.received for tally in tallies) == sum(map(len, batches))
    for tally in tallies:
        assert tally.received == tally.accepted + tally.duplicates + sum(tally.quarantined.values())


def test_a_plain_array_of_one_instrument_is_enough() -> None:
    plain = np.array([(NOW, 1.1, 1.1001)], dtype=[("ts_event", "i8"), ("bid", "f8"), ("ask", "f8")])
    assert Gate().check(plain, ("EUR_USD",), "x").accepted is plain


def test_reasons_have_names_for_people() -> None:
    assert Reason.NON_POSITIVE.label == "non-positive"
    assert len({reason.value for reason in Reason}) == len(Reason)
