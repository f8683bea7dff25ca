"""What silence is usual, by hour of the week; and how far the venue's clock is off."""

import json

import numpy as np
import pytest

from tapehub.quality import Rhythm, Skew
from tests.models.intervals import HOUR, MINUTE, SECOND, ns

NINE = ns("2024-03-05T09:00")


def every(gap_s: float, begin: int, count: int) -> np.ndarray:
    return begin + (np.arange(count) * gap_s * SECOND).astype(np.int64)


def test_until_an_hour_is_learnt_its_threshold_is_thirty_seconds() -> None:
    rhythm = Rhythm()
    assert rhythm.threshold_ns("EUR_USD", NINE) == 30 * SECOND
    rhythm.ticks("EUR_USD", every(1.0, NINE, 150))
    assert rhythm.threshold_ns("EUR_USD", NINE) == 30 * SECOND
    rhythm.ticks("EUR_USD", every(1.0, NINE + 150 * SECOND, 150))
    assert rhythm.threshold_ns("EUR_USD", NINE) == 5 * SECOND
    assert rhythm.threshold_ns("EUR_USD", NINE + HOUR) == 30 * SECOND
    assert rhythm.threshold_ns("GBP_USD", NINE) == 30 * SECOND


@pytest.mark.parametrize("batched", [True, False])
def test_the_threshold_is_four_times_the_p99_gap_of_that_hour(batched: bool) -> None:
    gaps = np.random.default_rng(3).exponential(3.0, 1000)
    ts = NINE + (np.cumsum(gaps) * SECOND).astype(np.int64)
    rhythm = Rhythm()
    if batched:
        for part in np.array_split(ts, 7):
            rhythm.ticks("EUR_USD", part)
    else:
        for one in ts.tolist():
            rhythm.tick("EUR_USD", one)
    exact = 4 * np.percentile(np.diff(ts[ts < NINE + HOUR]), 99)
    assert exact <= rhythm.threshold_ns("EUR_USD", NINE) <= exact * 1.3  # bins are a quarter wide


def test_one_by_one_and_in_batches_learn_the_same() -> None:
    ts = NINE + np.cumsum(np.random.default_rng(4).integers(0, 9 * SECOND, 3000))
    ts[100:200] -= MINUTE  # late ones are no gaps
    one, many = Rhythm(), Rhythm()
    for row in ts.tolist():
        one.tick("EUR_USD", row)
    for part in np.array_split(ts, 11):
        many.ticks("EUR_USD", part)
    assert one.to_json() == many.to_json()


def test_habits_go_by_the_new_york_week_and_so_survive_the_change_of_its_clocks() -> None:
    rhythm = Rhythm()
    rhythm.ticks("EUR_USD", every(2.0, ns("2024-03-05T09:00-05:00"), 1000))
    assert rhythm.threshold_ns("EUR_USD", ns("2024-03-12T09:10-04:00")) < 30 * SECOND
    assert rhythm.threshold_ns("EUR_USD", ns("2024-03-12T10:10-04:00")) == 30 * SECOND


def test_what_spans_an_outage_is_not_counted() -> None:
    rhythm = Rhythm()
    for start in range(0, 30 * MINUTE, MINUTE):  # twenty seconds of ticks, forty of outage
        rhythm.forget_last("EUR_USD")
        rhythm.ticks("EUR_USD", every(1.0, NINE + start, 20))
    assert rhythm.threshold_ns("EUR_USD", NINE) == 5 * SECOND


def test_a_sparse_instrument_is_given_an_hour_at_the_most() -> None:
    rhythm = Rhythm()
    for _ in range(300):  # always the same hour of the week
        rhythm.forget_last("EUR_USD")
        rhythm.ticks("EUR_USD", np.array([NINE, NINE + 50 * MINUTE]))
    assert rhythm.threshold_ns("EUR_USD", NINE) == HOUR


def test_what_was_learnt_is_kept_as_json_and_rubbish_in_it_is_passed_over() -> None:
    rhythm = Rhythm()
    rhythm.ticks("EUR_USD", every(2.0, NINE, 1000))
    kept = json.loads(json.dumps(rhythm.to_json()))
    assert Rhythm.from_json(kept).to_json() == rhythm.to_json()
    assert Rhythm.from_json(kept).threshold_ns("EUR_USD", NINE) == rhythm.threshold_ns("EUR_USD", NINE)
    assert Rhythm.from_json({"EUR_USD": {"999": [[0, 5]], "3": [[500, 1], [2, -1]]}}).to_json() == {"EUR_USD": {}}


def test_old_habits_fade() -> None:
    rhythm = Rhythm()
    for gap_s, weeks in ((1.0, 60), (10.0, 10)):
        for _ in range(weeks):  # always the same hour of the week
            rhythm.ticks("EUR_USD", every(gap_s, NINE, round(3600 / gap_s)))
            rhythm.forget_last("EUR_USD")
    assert rhythm.threshold_ns("EUR_USD", NINE) > 40 * SECOND


# ---------------------------------------------------------------- skew


def test_skew_is_the_least_difference_of_the_last_ten_minutes() -> None:
    skew = Skew()
    assert skew.estimate_ns(NINE) is None
    random = np.random.default_rng(1)
    for second in range(1200):
        delay = int(random.exponential(0.05) * SECOND) + (0 if second % 10 else 3 * SECOND)
        skew.observe(NINE + second * SECOND + 250_000_000, NINE + second * SECOND + delay)
    estimate = skew.estimate_ns(NINE + 1200 * SECOND)
    assert estimate == pytest.approx(-250_000_000, abs=2_000_000)


def test_skew_follows_a_clock_that_was_set() -> None:
    skew = Skew()
    for second in range(3600):
        offset = 0 if second < 1800 else 2 * SECOND
        skew.observe(NINE + second * SECOND, NINE + second * SECOND + offset + 5_000_000)
    assert skew.estimate_ns(NINE + 3600 * SECOND) == 2_005_000_000


def test_after_silence_the_last_known_skew_stands() -> None:
    skew = Skew()
    skew.observe(NINE, NINE + 7)
    assert skew.estimate_ns(NINE + 5 * HOUR) == 7
