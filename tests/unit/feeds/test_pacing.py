"""Pacing goes by event time and the given clock alone; rebasing moves times and changes nothing else."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapehub.errors import ConfigError
from tapehub.feeds import Quotes
from tapehub.feeds.feed import empty_quotes
from tapehub.feeds.replay import pace, rebase
from tapehub.feeds.replay.pacing import speed_of

SECOND = 1_000_000_000


def quotes(*times_s: float) -> Quotes:
    records = empty_quotes(len(times_s))
    records["ts_event"] = [int(t * SECOND) for t in times_s]
    return Quotes(records, ("EUR_USD",), ("test",))


class Clock:
    """A clock that only moves when somebody sleeps, or works."""

    def __init__(self, work_ns: int = 0) -> None:
        self.now = 10**15
        self.work_ns = work_ns

    def __call__(self) -> int:
        self.now += self.work_ns
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += max(round(seconds * SECOND), 1)


def schedule(
    batches: list[Quotes], speed: float | str, clock: Clock, skip_ns: int | None = None
) -> list[tuple[float, list[float]]]:
    start = clock.now
    return [
        ((clock.now - start) / SECOND, (batch.records["ts_event"] / SECOND).tolist())
        for batch in pace(batches, speed, clock, clock.sleep, skip_ns)
    ]


def test_each_goes_when_its_time_has_come() -> None:
    got = schedule([quotes(100, 100, 101), quotes(103, 103.5)], 1, Clock())
    assert got == [(0.0, [100, 100]), (1.0, [101]), (3.0, [103]), (3.5, [103.5])]


def test_speed_divides_the_waits() -> None:
    assert [when for when, _ in schedule([quotes(0, 10, 20)], 10, Clock())] == [0.0, 1.0, 2.0]
    assert [when for when, _ in schedule([quotes(0, 1)], "0.5x", Clock())] == [0.0, 2.0]


def test_max_does_not_wait_and_does_not_cut() -> None:
    clock = Clock()
    batches = [quotes(0, 100), quotes(10_000)]
    assert list(pace(batches, "max", clock, clock.sleep)) == batches
    assert clock.now == 10**15


def test_delays_do_not_add_up() -> None:
    got = schedule([quotes(*range(20))], 1, Clock(work_ns=SECOND // 4))
    assert [times for _, times in got][-1] == [19]
    assert got[-1][0] < 20


def test_what_a_slow_consumer_missed_goes_together() -> None:
    clock = Clock()
    stream = pace([quotes(0, 1, 2, 3, 9)], 1, clock, clock.sleep)
    next(stream)
    clock.now += 5 * SECOND
    assert next(stream).records["ts_event"].tolist() == [SECOND, 2 * SECOND, 3 * SECOND]


def test_long_silences_can_be_cut_down() -> None:
    got = schedule([quotes(0, 1, 5000), quotes(5001, 9000, 9000.5)], 1, Clock(), skip_ns=2 * SECOND)
    assert [when for when, _ in got] == [0.0, 1.0, 3.0, 4.0, 6.0, 6.5]


@given(st.lists(st.lists(st.integers(0, 50), min_size=1, max_size=9), max_size=6), st.floats(0.1, 100))
def test_pacing_conserves_quotes_and_never_goes_early(gaps: list[list[int]], speed: float) -> None:
    now, batches = 0, []
    for some in gaps:
        times = (now + np.cumsum(some)).tolist()
        now = times[-1]
        batches.append(quotes(*times))
    got = schedule(batches, speed, Clock())
    flat = [ts for _, times in got for ts in times]
    assert flat == [ts for batch in batches for ts in (batch.records["ts_event"] / SECOND).tolist()]
    assert all(when >= (ts - flat[0]) / speed - 1e-6 for when, times in got for ts in times)


@pytest.mark.parametrize(("text", "speed"), [("max", math.inf), ("10x", 10.0), ("1", 1.0), (2.5, 2.5)])
def test_speeds_are_read(text: str | float, speed: float) -> None:
    assert speed_of(text) == speed


@pytest.mark.parametrize("text", ["0", "-1x", "fast", "nan", ""])
def test_speeds_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected a positive number"):
        speed_of(text)


def test_rebasing_moves_all_times_alike_and_leaves_the_original() -> None:
    first = quotes(100, 101)
    first.records["ts_recv"][1] = 102 * SECOND
    got = list(rebase([quotes(), first, quotes(105)], 7 * SECOND))
    assert [batch.records["ts_event"].tolist() for batch in got] == [[7 * SECOND, 8 * SECOND], [12 * SECOND]]
    assert got[0].records["ts_recv"].tolist() == [0, 9 * SECOND]
    assert first.records["ts_event"].tolist() == [100 * SECOND, 101 * SECOND]
