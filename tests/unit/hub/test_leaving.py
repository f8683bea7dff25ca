"""What is let go of gives its place back, closed or not."""

import asyncio
import gc
import weakref
from pathlib import Path

import pytest

from tapehub import ConfigError, DataHub, HubNotRunning
from tests.models.market import tick
from tests.unit.hub.conftest import OpenHub


def test_a_stream_that_is_let_go_of_gives_its_place_back(hub: DataHub) -> None:
    hub.update_tick(tick(0))
    for _ in range(1_100):  # more than there are places
        for first in hub.stream(start="oldest"):
            assert first.seq
            break
    assert hub.readers() == []


def test_a_stream_that_was_refused_is_collected_in_silence(hub: DataHub) -> None:
    with pytest.raises(ConfigError, match="durable"):
        hub.stream(durable=True)
    gc.collect()


def test_a_hub_that_is_let_go_of_is_closed_and_says_so(open_hub: OpenHub) -> None:
    hub = open_hub()
    hub.update_tick(tick(0))
    for _ in range(300):  # more than there are places
        with pytest.warns(ResourceWarning, match="hub was not closed: .*hub"):
            DataHub.open(hub.path).get_latest_tick("EUR_USD")
    assert sum(row["alive"] for row in hub.processes()) == 1


def test_a_hub_that_was_not_there_is_collected_in_silence(tmp_path: Path) -> None:
    with pytest.raises(HubNotRunning):
        DataHub.open(tmp_path / "none")
    gc.collect()


def test_a_closed_hub_that_was_read_with_async_for_is_not_kept(tmp_path: Path) -> None:
    async def read(hub: DataHub) -> None:
        async with hub.astream() as stream:
            await stream.poll(10, timeout_s=0.05)

    hub = DataHub.open(tmp_path / "hub", create=True, segment_lines=1 << 12)
    asyncio.run(read(hub))
    hub.close()
    kept = weakref.ref(hub)
    del hub
    for _ in range(100):  # the thread that waited ends within a slice
        gc.collect()
        if kept() is None:
            return
        asyncio.run(asyncio.sleep(0.01))
    raise AssertionError("the hub is kept")
