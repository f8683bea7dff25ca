"""What is kept of the log is the hub's to know, whichever process drops the rest."""

import os
import time
from pathlib import Path

import numpy as np
import pytest

from tapehub import ConfigError, DataHub
from tapehub.hub.retention import Retention, retention_of, set_retention
from tapehub.hub.server import HubServer
from tests.models.market import EUR, quotes

SEGMENT = (1 << 10) * 64
DEFAULTS = Retention(10 << 30, 14)
SMALL = {"create": True, "segment_lines": 1 << 10, "segments_ahead": 1}


def test_a_new_hub_keeps_ten_gibibytes_and_fourteen_days(hub_dir: Path) -> None:
    with DataHub.open(hub_dir, **SMALL) as hub:  # type: ignore[arg-type]
        assert retention_of(hub) == DEFAULTS


def test_retention_is_that_of_the_hub_whoever_opens_it(hub_dir: Path) -> None:
    with (
        DataHub.open(hub_dir, retention_bytes=1 << 40, retention_days=3650, **SMALL) as hub,  # type: ignore[arg-type]
        DataHub.open(hub_dir, retention_bytes=2 * SEGMENT) as other,
    ):
        assert retention_of(hub) == retention_of(other) == Retention(1 << 40, 3650)
    with DataHub.open(hub_dir) as again:
        assert retention_of(again) == Retention(1 << 40, 3650)


def test_retention_changes_for_all_at_once_and_for_good(hub_dir: Path) -> None:
    with DataHub.open(hub_dir, **SMALL) as hub, DataHub.open(hub_dir) as other:  # type: ignore[arg-type]
        assert set_retention(other, bytes_max=1 << 30) == Retention(1 << 30, 14)
        assert set_retention(hub, days_max=0.5) == Retention(1 << 30, 0.5)
        assert retention_of(hub) == retention_of(other)
        assert set_retention(hub) == Retention(1 << 30, 0.5)
        assert other._lost() == 0, "nobody takes it for another hub"
    with DataHub.open(hub_dir) as again:
        assert retention_of(again) == Retention(1 << 30, 0.5)


@pytest.mark.parametrize("bounds", [{"bytes_max": 0}, {"bytes_max": -1}, {"days_max": 0.0}, {"days_max": 1e9}])
def test_bounds_that_cannot_be_are_refused(hub_dir: Path, bounds: dict[str, float]) -> None:
    with DataHub.open(hub_dir, **SMALL) as hub:  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="expected above 0"):
            set_retention(hub, **bounds)  # type: ignore[arg-type]
        assert retention_of(hub) == DEFAULTS
    with pytest.raises(ConfigError, match="expected above 0"):
        DataHub.open(hub_dir, retention_bytes=-5)


def test_a_maintainer_drops_what_the_hub_does_not_keep(hub_dir: Path) -> None:
    """The process that drops segments opened the hub before the bounds were changed, and never named any."""
    with DataHub.open(hub_dir, **SMALL) as hub:  # type: ignore[arg-type]
        hub.set_clock("event")
        hub.publish(quotes((np.arange(10_000) / 1000).tolist()), symbol=EUR)
        hub._checkpoint()
        assert len(hub._segments()) >= 10
        set_retention(hub, bytes_max=4 * SEGMENT)
        for _ in range(1500):
            if len(hub._segments()) <= 6:
                return
            time.sleep(0.01)
    raise AssertionError("nothing was dropped")


def test_a_server_sets_retention_and_leaves_it_where_it_is_told_nothing(hub_dir: Path) -> None:
    with HubServer(hub_dir, retention_bytes=1 << 31, retention_days=2, segment_lines=1 << 10) as server:
        assert retention_of(server.hub) == Retention(1 << 31, 2)
    with HubServer(hub_dir) as server:
        assert retention_of(server.hub) == Retention(1 << 31, 2)
    with HubServer(hub_dir, retention_days=3) as server:
        assert retention_of(server.hub) == Retention(1 << 31, 3)


def test_days_left_go_by_size_and_by_age(hub_dir: Path) -> None:
    day_s = 86_400
    with DataHub.open(hub_dir, **SMALL) as hub:  # type: ignore[arg-type]
        hub.set_clock("event")
        assert hub.get_status()["days_left"] is None, "too young to tell a pace"
        hub.publish(quotes((np.arange(5_000) / 1000).tolist()), symbol=EUR)
        state = hub._hub_state()
        state["created_ns"] = time.time_ns() - 10 * day_s * 10**9
        from tapehub.hub.retention import days_left

        assert days_left(hub, state) == pytest.approx(14, abs=0.1), "by age, long before the size"
        written = time.time() - 4 * day_s
        os.utime(hub_dir / "log" / "000000000000.tape", (written, written))
        assert days_left(hub, state) == pytest.approx(10, abs=0.1)
        held = (int(state["head"]) - int(state["oldest"])) * 64
        set_retention(hub, bytes_max=int(held * 1.5))
        assert days_left(hub, state) == pytest.approx(5, abs=0.3), "half as much again, at the pace of ten days"
        set_retention(hub, bytes_max=held // 2)
        assert days_left(hub, state) == 0
