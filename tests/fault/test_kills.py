"""Producers killed at random moments under load: what was acknowledged is there, nobody blocked, nothing torn."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tapehub import DataHub
from tests.models.market import NINE
from tests.servers.farm import Farm

SETTINGS: dict[str, Any] = {"create": True, "segment_lines": 1 << 16}
BLOCKED_MS_MAX = 100


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with DataHub.open(tmp_path / "hub", **SETTINGS) as hub:
        hub.set_clock("event")
    return tmp_path / "hub"


@pytest.fixture
def farm(path: Path) -> Iterator[Callable[..., Farm]]:
    """Start farms; whatever of them is left is killed afterwards."""
    started: list[Farm] = []

    def start(**options: int) -> Farm:
        started.append(Farm(path, **options))
        return started[-1]

    yield start
    for one in started:
        one.end()


def test_killed_producers_lose_nothing_that_was_acknowledged(path: Path, farm: Callable[..., Farm]) -> None:
    _kill_producers(path, farm(producers=2, readers=1), kills=25, seed=1)


@pytest.mark.chaos
@pytest.mark.timeout(1800)
def test_five_hundred_kills_under_load(
    path: Path, farm: Callable[..., Farm], record_property: Callable[[str, object], None]
) -> None:
    figures = _kill_producers(path, farm(producers=2, readers=3), kills=520, seed=2)
    for name, value in figures.items():
        record_property(name, value)
    assert figures["kills"] >= 500
    assert figures["longest_blocked_ms"] < BLOCKED_MS_MAX, "a producer was blocked"


def _kill_producers(path: Path, farm: Farm, *, kills: int, seed: int) -> dict[str, Any]:
    chance = random.Random(seed)
    for _ in range(kills):
        farm.kill_one(chance, within_s=0.03)
    farm.stop_producers()
    with DataHub.open(path) as hub:
        hub._repair()  # as the next writer would: the last ones were killed too
        assert hub.epoch == 1
        figures = farm.check(hub, producers=2)
        reports = farm.stop_readers()
        assert len(reports) > 0
        for report in reports:
            assert (report["torn"], report["bad_order"], report["lost"]) == (0, 0, 0)
            assert report["seen"] == figures["ticks"]
        figures["readers"] = len(reports)
    farm.end()
    with DataHub.open(path) as again:
        assert farm.check(again, producers=2)["ticks"] == figures["ticks"]
    return figures


def test_all_processes_killed_at_once_and_the_hub_opened_again(path: Path, farm: Callable[..., Farm]) -> None:
    _kill_everything(path, farm, rounds=3, seed=3)


@pytest.mark.chaos
@pytest.mark.timeout(1800)
def test_fifty_times_all_processes_killed_at_once(
    path: Path, farm: Callable[..., Farm], record_property: Callable[[str, object], None]
) -> None:
    for name, value in _kill_everything(path, farm, rounds=50, seed=4).items():
        record_property(name, value)


def _kill_everything(path: Path, farm: Callable[..., Farm], *, rounds: int, seed: int) -> dict[str, Any]:
    chance = random.Random(seed)
    one = farm(producers=2, readers=1)
    figures: dict[str, Any] = {}
    for n in range(rounds):
        one.kill_one(chance, within_s=0.02)
        one.kill_one(chance, within_s=0.02)
        one.kill_everything()
        one.kills += 2
        with DataHub.open(path) as hub:
            assert hub.epoch == 1, "nothing was cut"
            figures = one.check(hub, producers=2)
            assert hub.now() > NINE
        if n + 1 < rounds:
            one.restart(producers=2, readers=1)
    return {**figures, "rounds": rounds}
