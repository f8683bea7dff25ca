"""Two feeds on one hub for hours of looks: whatever their clocks and the machine's do, the hub's settles."""

import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest

from tapehub.collector import timing
from tapehub.collector.timing import Timing
from tapehub.model.policies import ClockMode
from tapehub.quality import Skew
from tests.models.intervals import SECOND

HOUR_S = 3600
FUTURE_NS = 5 * SECOND


class World:
    """A machine, a hub and two collectors, by simulated seconds since the start."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *ahead: Callable[[int], float | None], seed: int) -> None:
        """Take, of each feed, how far the unshifted clock is behind it at a time, in s; None while it is silent."""
        self.shift_ns = 0
        self.moves: list[tuple[int, int]] = []
        self.second = 0
        self._ahead = ahead
        self._random = random.Random(seed)
        for name in ("set_skew", "set_clock"):
            monkeypatch.setattr(timing, name, self._move)
        monkeypatch.setattr(timing, "others", self._others)
        self.skews = [Skew() for _ in ahead]
        self.timings = [Timing(self, str(number), skew, 0) for number, skew in enumerate(self.skews)]  # type: ignore[arg-type]
        self._told: list[int | None] = [None] * len(ahead)

    def _hub_state(self) -> dict[str, int]:
        return {"clock_mode": int(ClockMode.WALL), "skew_ns": self.shift_ns}

    def _move(self, hub: Any, *shift: Any, skew_ns: int = 0, **_: Any) -> None:
        self.shift_ns = shift[0] if isinstance(shift[0], int) and not isinstance(shift[0], ClockMode) else skew_ns
        self.moves.append((self.second, self.shift_ns))

    def _others(self, hub: Any, feed: str, now_ns: int) -> list[int]:
        return [one for number, one in enumerate(self._told) if str(number) != feed and one is not None]

    def run(self, seconds: int, rate: int = 2) -> None:
        """Let quotes come, each collector look once a second, and tell four times a minute."""
        for _ in range(seconds):
            self.second += 1
            for number, ahead in enumerate(self._ahead):
                ahead_s = ahead(self.second)
                for part in range(rate):
                    now = self.second * SECOND + part * SECOND // rate + self.shift_ns
                    if ahead_s is None:
                        continue
                    journey = int(self._random.expovariate(25) * SECOND)
                    event = now - self.shift_ns + int(ahead_s * SECOND) - journey
                    seen = self.skews[number].observe_ahead if event > now + FUTURE_NS else self.skews[number].observe
                    seen(event, now)
                self.timings[number].on_time(self.second * SECOND + 9 * SECOND // 10 + self.shift_ns)
                if self.second % 15 == number:
                    self._told[number] = None if ahead_s is None else self.timings[number].tell()["unshifted_ns"]

    @property
    def shift_s(self) -> float:
        return float(self.shift_ns / SECOND)


@pytest.mark.parametrize("seed", range(12))
def test_two_feeds_of_any_offsets_settle_within_minutes_and_stay(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    offsets = random.Random(seed)
    first, second = (offsets.choice([0.0, 0.0, 2.5, offsets.uniform(-20, 320)]) for _ in range(2))
    world = World(monkeypatch, lambda _: first, lambda _: second, seed=seed)
    world.run(300)
    settled = len(world.moves)
    world.run(HOUR_S)
    assert len(world.moves) == settled <= 2, world.moves
    assert all(0 <= shift <= timing.FURTHEST_NS for _, shift in world.moves)
    least = min(first, second)
    if -timing.LATE_NS / SECOND + 1 < least < 0.4:  # one is right: nothing is done on the other's word
        assert world.shift_s == 0


@pytest.mark.parametrize("behind", [3.0, 100.0])
def test_two_feeds_correct_a_machine_that_is_behind_once(monkeypatch: pytest.MonkeyPatch, behind: float) -> None:
    world = World(monkeypatch, lambda _: behind, lambda _: behind, seed=1)
    world.run(HOUR_S)
    assert len(world.moves) == 1
    assert world.shift_s == pytest.approx(behind, abs=0.2)


def test_a_repaired_machine_is_followed_within_two_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, lambda at: 60.0 if at < 600 else 0.0, lambda at: 60.0 if at < 600 else 0.0, seed=2)
    world.run(590)
    assert world.shift_s == pytest.approx(60, abs=0.2)
    world.run(130)
    assert world.shift_s == 0
    world.run(HOUR_S)
    assert len(world.moves) == 2


@pytest.mark.parametrize("seed", range(8))
def test_feeds_that_lag_fall_silent_and_return_throw_the_clock_to_and_fro_once_an_hour_at_most(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    draw = random.Random(seed)

    def feed(offset: float, silent: int, lag: float) -> Callable[[int], float | None]:
        return lambda at: None if silent and at // silent % 3 == 0 else offset - lag * (at // 40 % 7 == 0)

    feeds = [feed(draw.choice([0, 5, 30]), draw.choice([0, 200, 900]), draw.choice([0, 3, 30])) for _ in range(3)]
    world = World(monkeypatch, *feeds, seed=seed)
    world.run(3 * HOUR_S)
    back = [at for (_, before), (at, shift) in itertools.pairwise([(0, 0), *world.moves]) if shift < before]
    assert len(back) <= 2, world.moves
    assert all(later - sooner >= HOUR_S for sooner, later in itertools.pairwise(back)), world.moves


def test_another_feed_has_the_clock_taken_back_when_the_one_that_moved_it_is_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def machine(at: int) -> float:
        return 60.0 if at < 600 else 0.0

    world = World(monkeypatch, lambda at: machine(at) if at < 500 else None, machine, seed=5)
    world.run(720)
    assert world.shift_s == 0
    assert len(world.moves) == 2


def test_a_wrong_feed_alone_is_given_up_when_a_right_one_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    def now_and_then(at: int) -> float | None:
        return None if (at // 300) % 2 == 0 else 0.0

    world = World(monkeypatch, lambda _: 100.0, now_and_then, seed=3)
    world.run(3 * HOUR_S)
    moves = [shift // SECOND for _, shift in world.moves]
    assert moves[:2] == [pytest.approx(100, abs=1), 0]
    assert len(moves) <= 4, "held for an hour, then for two"


def test_a_clock_that_wanders_makes_no_more_than_a_record_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, lambda at: 0.05 * at, lambda at: -5.0, seed=4)
    world.run(HOUR_S)
    times = [at for at, _ in world.moves]
    assert all(later - sooner >= 60 for sooner, later in itertools.pairwise(times))
    assert times
    assert world.shift_ns <= timing.FURTHEST_NS
