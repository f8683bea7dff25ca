"""A writer that is stopped in mid-write, alive: readers go on, writers are told who it is, and it may go on itself."""

import mmap
import os
import random
import signal
import struct
import time
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tapehub import DataHub, HubStalled
from tapehub.collector.collector import Collector
from tapehub.feeds.feed import Event, Feed, Guarantees
from tapehub.hub import marks
from tapehub.model.states import GapStatus
from tests.models.market import EUR, GBP, quotes, tick
from tests.models.silent import Silent
from tests.models.waiting import until
from tests.servers.processes import Process

LOCK_OFFSET = 4096  # the hot page is the views file's second; its first word is the writer lock: 0, or owner slot + 1
SETTINGS: dict[str, Any] = {"create": True, "segment_lines": 1 << 16, "sync": "none", "lock_timeout_s": 0.3}


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[DataHub]:
    with DataHub.open(tmp_path / "hub", **SETTINGS) as one:
        one.set_clock("event")
        one.publish(quotes([1, 61, 121]), symbol=EUR)
        yield one


def lock_word(hub: DataHub) -> int:
    """Read the writer lock out of the shared memory."""
    with (
        (Path(hub._hub_state()["memory_dir"]) / "views").open("rb") as file,
        mmap.mmap(file.fileno(), LOCK_OFFSET + 4096, access=mmap.ACCESS_READ) as views,
    ):
        return int(struct.unpack_from("<Q", views, LOCK_OFFSET)[0])


def slot_of(hub: DataHub, pid: int) -> int:
    return next(row["slot"] for row in hub.processes() if row["pid"] == pid and row["alive"])


def stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "Tt"


def stop_in_mid_write(hub: DataHub, writer: Process) -> None:
    """Stop it again and again, until it happens to hold the lock."""
    mine = slot_of(hub, writer.pid) + 1
    for _ in range(2_000):
        writer.kill(signal.SIGSTOP)
        until(lambda: stopped(writer.pid), "a stopped writer", every_s=0.0005)
        if lock_word(hub) & 0xFFFF == mine:
            return
        writer.kill(signal.SIGCONT)
        time.sleep(0.0003)
    raise AssertionError("the writer was never caught in its lock")


@pytest.fixture
def writer(hub: DataHub) -> Iterator[Process]:
    """Start a process that publishes batches without end."""
    with Process(hub.path, **{**SETTINGS, "name": "stopped one"}) as one:
        one.tell("publish_for_ever", symbol=GBP)
        until(lambda: hub.get_latest_tick(GBP) is not None, "a tick of the writer")
        yield one
        one.kill()


def test_readers_go_on_and_writers_are_told_who_is_stopped(hub: DataHub, writer: Process) -> None:
    stop_in_mid_write(hub, writer)
    head = hub.head
    with hub.stream(start="oldest") as stream:
        seen = 0
        while len(batch := stream.poll(1 << 16)):
            seen += len(batch)
    assert seen >= 3
    assert hub.get_latest_tick(EUR) == tick(121)
    assert [one.volume for one in hub.get_latest_candles(EUR)] == [1.0, 1.0]
    assert hub.snapshot(GBP).tick is not None
    assert len(hub.ticks(GBP, 100)) == 100
    assert hub.verify().ok
    assert hub.ledger()["balanced"]
    with DataHub.open(hub.path, **SETTINGS) as newcomer:
        assert newcomer.get_latest_tick(EUR) == tick(121)
    for write in (
        lambda: hub.update_tick(tick(130)),
        lambda: hub.publish(quotes([130]), symbol=EUR),
        lambda: hub.clear_symbol(EUR),
        lambda: hub.advance(tick(130).ts_event),
    ):
        with pytest.raises(HubStalled, match=rf"process {writer.pid} \(stopped one\) holds the writer lock.*resume it"):
            write()
    assert hub.head == head, "nothing was published"
    assert os.getpid() != writer.pid


def test_a_stopped_writer_that_is_continued_heals_the_hub(hub: DataHub, writer: Process) -> None:
    for n in range(3):
        stop_in_mid_write(hub, writer)
        with pytest.raises(HubStalled):
            hub.update_tick(tick(200 + n))
        writer.kill(signal.SIGCONT)
        until(lambda n=n: attempt(hub, 200 + n), f"tick {200 + n} published")  # type: ignore[misc]
    writer.kill()
    assert hub.update_tick(tick(300)) == hub.head - 1
    assert [one.ts_event for one in hub.ticks(EUR, 4)] == [tick(200 + n).ts_event for n in range(3)] + [
        tick(300).ts_event
    ]
    assert hub.get_status()["repairs"] <= 1
    assert hub.verify().ok
    assert hub.ledger()["balanced"]


def test_a_stopped_writer_that_is_killed_is_repaired_by_the_next(hub: DataHub, writer: Process) -> None:
    stop_in_mid_write(hub, writer)
    before = len(hub.ticks(GBP, 1 << 20))
    writer.kill()
    hub.update_tick(tick(200))
    assert hub.get_status()["repairs"] == 1
    assert len(hub.ticks(GBP, 1 << 20)) >= before
    assert hub.get_latest_tick(EUR) == tick(200)
    assert hub.epoch == 1
    assert hub.verify().ok
    assert hub.ledger()["balanced"]


def test_a_collector_after_one_that_died_in_mid_write_begins_its_gap_at_the_last_tick(hub: DataHub) -> None:
    causes = []
    for round_ in range(3):
        with Process(hub.path, **{**SETTINGS, "name": "the one before"}) as writer:
            before = hub.get_latest_tick(GBP)
            writer.tell("publish_for_ever", symbol=GBP, from_s=1e5 * round_)
            until(lambda before=before: hub.get_latest_tick(GBP) != before, "another tick of the writer")  # type: ignore[misc]
            stop_in_mid_write(hub, writer)
            writer.kill()
        Collector(hub, Mute(), random=random.Random(1), log=Silent())
        last = hub.get_latest_tick(GBP)
        assert last is not None
        causes.append([gap["cause"] for gap in hub.gaps(GBP) if gap["start"] == last.ts_event])
        marks.gap(hub, GBP, "direct", last.ts_event, last.ts_event + 1, "over", GapStatus.OPEN, at_ns=hub.now())
    assert causes == [["collector restarted"]] * 3


class Mute(Feed):
    """Take over from the writer, and say nothing."""

    name = "direct"
    symbols = (GBP,)
    guarantees = Guarantees()

    async def events(self) -> AsyncGenerator[Event, None]:
        return
        yield


def attempt(hub: DataHub, second: float) -> bool:
    try:
        hub.update_tick(tick(second))
    except HubStalled:
        return False
    return True
