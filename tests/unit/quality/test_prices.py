"""Prices are judged by those before them: rubbish stays out, and a market that really moves gets through."""

import math
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapehub.feeds.feed import Records, empty_quotes
from tapehub.feeds.quotes import records_of
from tapehub.model.instruments import InstrumentBook
from tapehub.quality import Gate, Reason
from tapehub.quality.prices import ACCEPTED, CONFIRMATIONS, Channel, likely_factor

NOW = 1_700_000_000_000_000_000
SECOND = 1_000_000_000
EUR, JPY = "EUR_USD", "USD_JPY"
SPREAD = 0.00006


def channel(symbol: str = EUR, **fields: float) -> Channel:
    book = InstrumentBook({symbol: fields} if fields else None)
    return Channel(book.find(symbol))


def judge(one: Channel, *quotes: tuple[float, float] | tuple[float, float, float]) -> list[int]:
    """Judge quotes of (seconds, bid), or (seconds, bid, spread)."""
    out = []
    for seconds, bid, *spread in quotes:
        out.append(one.judge(NOW + round(seconds * SECOND), bid, bid + (spread[0] if spread else SPREAD)))
    return out


# ---------------------------------------------------------------- scale


@pytest.mark.parametrize(("bid", "fate"), [(1.1, ACCEPTED), (11_000.0, Reason.SCALE), (0.011, Reason.SCALE)])
def test_the_first_price_is_held_to_the_plausible_band(bid: float, fate: int) -> None:
    assert judge(channel(), (0, bid)) == [fate]


@pytest.mark.parametrize("times", [100, 10_000, 1 / 100])
def test_a_price_of_another_scale_never_gets_through_however_often_it_comes(times: float) -> None:
    one = channel("ACME", pip_size=0.01)  # no band is known
    assert judge(one, (0, 50.0, 0.01)) == [ACCEPTED]
    assert set(judge(one, *((i, 50.0 * times, 0.01 * times) for i in range(1, 50)))) == {Reason.SCALE}
    assert judge(one, (60, 50.1, 0.01)) == [ACCEPTED]


def test_the_likely_factor_is_a_power_of_ten() -> None:
    assert likely_factor(11515.4, 1.15) == pytest.approx(0.0001)
    assert likely_factor(1.5, 150.0) == pytest.approx(100)
    assert likely_factor(1.5, 0.0) == 1.0


def test_a_configured_scale_converts_before_anything_is_judged() -> None:
    gate = Gate(book=InstrumentBook({EUR: {"input_scale": 0.0001}}))
    records = empty_quotes(2)
    records["ts_event"], records["bid"], records["ask"] = [NOW, NOW + SECOND], 11514.9, 11515.5
    verdict = gate.check(records, (EUR,), "x", NOW)
    assert verdict.accepted["bid"].tolist() == pytest.approx([1.15149] * 2)
    assert (verdict.accepted["ask"] - verdict.accepted["bid"]).tolist() == pytest.approx([0.00006] * 2)
    assert records["bid"].tolist() == [11514.9] * 2, "the caller's array is left alone"


# ---------------------------------------------------------------- spikes


def test_a_lone_spike_is_set_aside_and_changes_nothing() -> None:
    one = channel()
    assert judge(one, (0, 1.1), (1, 1.14), (2, 1.1001)) == [ACCEPTED, Reason.SPIKE, ACCEPTED]
    assert judge(one, (3, 1.06), (4, 1.1002), (5, 1.06), (6, 1.1), (7, 1.06)) == [
        Reason.SPIKE, ACCEPTED, Reason.SPIKE, ACCEPTED, Reason.SPIKE,
    ]  # fmt: skip


def test_a_jump_that_persists_gets_through_at_the_third_quote() -> None:
    one = channel()
    fates = judge(one, (0, 1.1), *((1 + i, 1.14 + i * 1e-5) for i in range(CONFIRMATIONS + 2)))
    assert fates == [ACCEPTED] + [Reason.SPIKE] * (CONFIRMATIONS - 1) + [ACCEPTED] * 3


def test_quotes_that_disagree_or_repeat_confirm_nothing() -> None:
    one = channel()
    wild = ((0, 1.1), (1, 1.14), (2, 1.2), (3, 1.05), (4, 1.16), (5, 1.3), (6, 1.24))
    assert judge(one, *wild) == [ACCEPTED] + [Reason.SPIKE] * 6
    again = [one.judge(NOW + 7 * SECOND, 1.14, 1.14 + SPREAD) for _ in range(9)]
    assert again == [Reason.SPIKE] + [255] * 8


def test_time_that_passed_grants_a_wider_move() -> None:
    assert judge(channel(), (0, 1.1), (1, 1.12))[1] == Reason.SPIKE
    assert judge(channel(), (0, 1.1), (49 * 3600, 1.12))[1] == ACCEPTED  # over a weekend
    assert judge(channel("BTC_USD"), (0, 60_000, 5), (1, 60_900, 5))[1] == ACCEPTED  # 1.5 %: crypto may


# ---------------------------------------------------------------- spreads


def test_the_widening_at_the_roll_passes_and_a_blown_spread_does_not() -> None:
    one = channel()
    assert set(judge(one, *((i, 1.1) for i in range(300)))) == {ACCEPTED}
    assert one.spread_learnt == pytest.approx(SPREAD)
    assert judge(one, (301, 1.1, 0.002), (302, 1.1, 0.005)) == [ACCEPTED, ACCEPTED]  # 20 and 50 pips
    assert judge(one, (303, 1.098, 0.0066)) == [Reason.BLOWN_SPREAD]


def test_a_market_that_is_wide_by_nature_is_learnt() -> None:
    one = channel("USD_TRY")
    assert set(judge(one, *((i, 30.0, 0.3) for i in range(300)))) == {ACCEPTED}  # 1 %
    assert judge(one, (301, 29.4, 1.5)) == [ACCEPTED]


def test_until_it_is_learnt_only_an_absurd_spread_is_blown() -> None:
    assert judge(channel(), (0, 1.1, 0.05), (1, 1.09, 0.06)) == [ACCEPTED, Reason.BLOWN_SPREAD]


def test_a_market_that_stays_wide_is_believed_at_last() -> None:
    one = channel()
    judge(one, *((i, 1.1) for i in range(256)))
    wide = judge(one, *((300 + i, 1.0967, 0.0066) for i in range(1024)))
    assert wide[0] == Reason.BLOWN_SPREAD
    assert wide[-1] == ACCEPTED
    flips = [a != b for a, b in pairwise(wide)]
    assert sum(flips) == 1


# ---------------------------------------------------------------- unknown instruments


@pytest.mark.parametrize("count", [1, 500])
def test_an_undeclared_instrument_of_a_feed_is_quarantined(count: int) -> None:
    records = empty_quotes(count)
    records["ts_event"], records["bid"], records["ask"] = NOW + np.arange(count), 5.0, 5.1
    gate = Gate()
    verdict = gate.check(records, ("MYSTERY",), "x", NOW)
    assert set(verdict.reasons.tolist()) == {Reason.UNKNOWN_INSTRUMENT}
    assert gate.tallies["MYSTERY", "x"].quarantined[Reason.UNKNOWN_INSTRUMENT] == count
    declared = Gate(book=InstrumentBook({"MYSTERY": {"pip_size": 0.1}}))
    assert len(declared.check(records, ("MYSTERY",), "x", NOW).accepted) == count


# ---------------------------------------------------------------- two paths, one meaning

steps = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 1, 1, 1, 5, 600, -3]),  # seconds since the one before
        st.sampled_from([0.0, 0.0, 1e-5, -1e-5, 0.004, 0.0061, -0.0061, 0.03, -0.03]),  # of the price, for good
        st.sampled_from([1.0] * 12 + [100.0, 1.02, 0.98, math.nan, 0.0, -1.0]),  # this quote alone
        st.sampled_from([SPREAD] * 8 + [0.0, 0.004, 0.0065, 0.06, -0.001]),
        st.sampled_from([0, 0, 0, 1, 2, 3]),
        st.sampled_from([False] * 6 + [True]),  # the quote before it again
    ),
    max_size=90,
)


def quotes_of(rows: list[tuple[float, float, float, float, int, bool]]) -> Records:
    records = empty_quotes(len(rows))
    now, prices = NOW, [1.1, 150.0, 1.0, 1.0]
    for i, (seconds, move, factor, spread, index, again) in enumerate(rows):
        if again and i:
            records[i] = records[i - 1]
            continue
        now += seconds * SECOND
        prices[index] *= 1 + move
        bid = prices[index] * factor
        records[i] = (now, 0, bid, bid + spread * prices[index], 1, 1, index)
    return records


def outcome(gate: Gate, records: Records, sizes: npt.NDArray[np.int64], *, as_rows: bool = False) -> list[object]:
    out: list[object] = []
    begin = 0
    for size in sizes.tolist():
        part = records[begin : begin + size]
        batch = part.tolist() if as_rows else part
        verdict = gate.check(batch, (EUR, JPY, "MYSTERY"), "x", NOW + 900 * SECOND)
        assert isinstance(verdict.accepted, list) is as_rows
        accepted, quarantined = (
            records_of(one) if isinstance(one, list) else one for one in (verdict.accepted, verdict.quarantined)
        )
        out.append((
            accepted.tolist(), quarantined.tolist(), verdict.reasons.tolist(), verdict.duplicates,
            sorted(verdict.arrivals),
        ))  # fmt: skip
        begin += size
    out.append({key: (one.received, one.accepted, one.duplicates, sorted(one.quarantined.items()))
                for key, one in gate.tallies.items()})  # fmt: skip
    out.append([(c.mid, c.spread_learnt, c._ts_last, c._agreeing * 0) for c, _ in gate._channels.values()])
    return out


@settings(max_examples=60)
@given(parts=st.lists(steps, min_size=1, max_size=4))
def test_row_by_row_and_by_columns_judge_alike(
    parts: list[list[tuple[float, float, float, float, int, bool]]],
) -> None:
    records = np.concatenate([quotes_of(rows) for rows in parts])
    sizes = np.array([len(rows) for rows in parts])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tapehub.quality.gate.FEW", 10**9)
        few = outcome(Gate(), records, sizes)
        patch.setattr("tapehub.quality.gate.FEW", 0)
        many = outcome(Gate(), records, sizes)
        patch.setattr("tapehub.quality.gate.FEW", 20)
        mixed = outcome(Gate(), records, sizes)
    rows = outcome(Gate(), records, sizes, as_rows=True)
    one_by_one = outcome(Gate(), records, np.ones(len(records), dtype=np.int64), as_rows=True)
    by_column = outcome(Gate(), records, np.ones(len(records), dtype=np.int64))
    assert repr(few) == repr(many) == repr(mixed) == repr(rows)
    assert repr(one_by_one) == repr(by_column)
    assert not len(records) or repr(one_by_one[-2:]) == repr(rows[-2:])


def test_the_two_paths_agree_over_a_long_run_that_teaches_spreads() -> None:
    random = np.random.default_rng(5)
    count = 3_000
    records = empty_quotes(count)
    records["ts_event"] = NOW + np.arange(count) // 2 * SECOND
    records["instrument"] = random.integers(0, 2, count)
    base = np.where(records["instrument"] == 0, 1.1, 150.0)
    records["bid"] = base * (1 + np.cumsum(random.normal(0, 1e-6, count)))
    records["bid"][random.integers(0, count, 20)] *= 1.02
    records["ask"] = records["bid"] + base * random.choice([5e-5, 1e-4, 6e-3], count, p=[0.7, 0.29, 0.01])
    results = []
    for few in (10**9, 0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tapehub.quality.gate.FEW", few)
            results.append(repr(outcome(Gate(), records, np.full(30, 100))))
    results.append(repr(outcome(Gate(), records, np.full(30, 100), as_rows=True)))
    assert results[0] == results[1] == results[2]
