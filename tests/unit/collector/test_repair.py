"""Repairs in proportion: the mildest first, each with time to work, few in an hour, none when nothing is wrong."""

import random
from collections import Counter
from itertools import pairwise

import pytest

from tapehub.collector.repair import PER_HOUR, Ladder, Request
from tapehub.feeds.feed import Repair
from tests.models.intervals import HOUR, MINUTE, SECOND

MUTE = ("GBP_USD",)


def run(
    ladder: Ladder, begin: int, end: int, mute: tuple[str, ...] = MUTE, *, whole: bool = False, dead: bool = False
) -> list[tuple[int, Request]]:
    out = []
    for now in range(begin, end, SECOND // 4):
        request = ladder.look(now, mute, whole=whole, dead=dead)
        if request is not None:
            out.append((now, request))
    return out


@pytest.fixture
def ladder() -> Ladder:
    return Ladder(random.Random(1))


def test_a_mute_item_is_subscribed_anew_twice_then_the_stream_then_the_login(ladder: Ladder) -> None:
    asked = run(ladder, 0, 260 * SECOND)
    assert [request.step for _, request in asked] == [
        Repair.RESUBSCRIBE,
        Repair.RESUBSCRIBE,
        Repair.RECONNECT,
        Repair.RELOGIN,
    ]
    assert [request.symbols for _, request in asked] == [MUTE, MUTE, (), ()]
    assert asked[0][0] <= SECOND
    waits = [(b - a) / SECOND for (a, _), (b, _) in pairwise(asked)]
    assert 11 <= waits[0] <= 19.5
    assert 44 <= waits[1] <= 76.5
    assert 89 <= waits[2] <= 151.5


def test_items_that_fall_mute_one_after_the_other_do_not_add_up_to_a_reconnection(ladder: Ladder) -> None:
    """Each is silent for ten seconds, and there is always one: the others' flow must not be cut for that."""
    asked = []
    for turn in range(180):
        asked += run(ladder, 10 * turn * SECOND, 10 * (turn + 1) * SECOND, mute=(f"NO_{turn % 7}",))
    assert {request.step for _, request in asked} == {Repair.RESUBSCRIBE}


def test_an_item_that_waits_for_its_first_tick_after_a_repair_goes_on_where_it_was(ladder: Ladder) -> None:
    assert ladder.look(0, MUTE, whole=False) is None
    assert ladder.look(SECOND, MUTE, whole=False) is not None
    assert (
        ladder.look(2 * SECOND, (), whole=False, out=MUTE) is None
    )  # subscribed anew, silent for less than its threshold
    again = run(ladder, 30 * SECOND, 150 * SECOND)
    assert [request.step for _, request in again] == [Repair.RESUBSCRIBE, Repair.RECONNECT]


def test_the_waits_grow_and_an_hour_has_a_ceiling(ladder: Ladder) -> None:
    for hour in range(6):
        asked = run(ladder, hour * HOUR, (hour + 1) * HOUR)
        counts = Counter(request.step for _, request in asked)
        assert all(counts[step] <= PER_HOUR[step] for step in Repair)
        assert sum(counts.values()) < 12
    assert counts[Repair.RELOGIN] >= 1, "it does not give up either"


def test_items_that_fall_mute_and_come_back_time_and_again_reach_the_ceiling(ladder: Ladder) -> None:
    steps: Counter[Repair] = Counter()
    for minute in range(59):
        steps.update(request.step for _, request in run(ladder, minute * MINUTE, minute * MINUTE + 5 * SECOND))
        run(ladder, minute * MINUTE + 5 * SECOND, (minute + 1) * MINUTE, mute=())
    assert steps == {Repair.RESUBSCRIBE: PER_HOUR[Repair.RESUBSCRIBE]}
    assert ladder.withheld > 0
    assert run(ladder, 2 * HOUR, 2 * HOUR + 5 * SECOND)[0][1].step is Repair.RESUBSCRIBE


def test_it_starts_at_its_foot_again_when_all_ticks(ladder: Ladder) -> None:
    assert run(ladder, 0, 110 * SECOND)[-1][1].step is Repair.RECONNECT
    assert run(ladder, 110 * SECOND, 111 * SECOND, mute=()) == []
    assert run(ladder, 140 * SECOND, 142 * SECOND)[0][1].step is Repair.RESUBSCRIBE


def test_nothing_wrong_asks_for_nothing(ladder: Ladder) -> None:
    assert run(ladder, 0, HOUR, mute=()) == []


def test_where_nothing_flows_at_all_subscribing_anew_is_passed_over(ladder: Ladder) -> None:
    assert run(ladder, 0, 10 * SECOND, whole=True)[0][1].step is Repair.RECONNECT


def test_a_dead_transport_is_left_to_the_feed_for_a_while(ladder: Ladder) -> None:
    asked = run(ladder, 0, 2 * MINUTE, mute=(), dead=True)
    assert asked[0][0] >= 45 * SECOND
    assert asked[0][1].step is Repair.RECONNECT


def test_two_ladders_of_different_seeds_do_not_knock_in_step() -> None:
    first, second = ([at for at, _ in run(Ladder(random.Random(seed)), 0, HOUR)] for seed in (1, 2))
    assert not set(first) & set(second)
    assert first == [at for at, _ in run(Ladder(random.Random(1)), 0, HOUR)]
