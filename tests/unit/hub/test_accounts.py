"""Every quote that was received has one fate, also when the process that had it, or the machine, is gone."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tapehub import DataHub, InvalidRecord
from tapehub.hub import marks
from tests.models.market import EUR, quotes, tick
from tests.models.waiting import until

FEED = """
import os, sys, time
import numpy as np
from tapehub import DataHub
hub = DataHub.open(sys.argv[1], create=True, segment_lines=1 << 10, name="feed")
hub.set_clock("event")
rows = np.zeros(int(sys.argv[3]), [("ts_event", "i8"), ("bid", "f8"), ("ask", "f8")])
rows["ts_event"] = 1_780_401_600_000_000_000 + np.arange(len(rows)); rows["bid"] = rows["ask"] = 1.1
hub._count(received=int(sys.argv[2]), duplicates=1, quarantined=1)
hub.publish(rows, symbol="EUR_USD", source="ig", verified=True)
if sys.argv[4] == "killed":
    os.kill(os.getpid(), 9)
hub.close()
"""
HOPS = ("received", "published", "duplicates", "refused", "quarantined", "in_flight", "lost_in_producer", "balanced")


def feed(place: Path, received: int, published: int, end: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FEED, str(place), str(received), str(published), end], check=False, timeout=60
    )
    assert done.returncode == (-signal.SIGKILL if end == "killed" else 0)


def hops(place: Path) -> tuple[Any, ...]:
    with DataHub.open(place) as hub:
        return told(hub)


def told(hub: DataHub) -> tuple[Any, ...]:
    ledger = hub.ledger()
    return tuple(ledger[hop] for hop in HOPS)


def losses(hub: DataHub) -> list[dict[str, Any]]:
    with hub.stream(start="oldest", kinds="ledger") as stream:
        return [
            {"count": record.fixed[1], **json.loads(record.payload)}
            for record in stream.poll(1000).records
            if record.fixed[0] == marks.LOSS
        ]


def test_what_a_killed_feed_had_in_hand_stays_lost_when_all_have_left(hub_dir: Path) -> None:
    feed(hub_dir, 10, 3, "killed")
    expected = (10, 3, 1, 0, 1, 0, 5, True)
    for _ in range(3):
        assert hops(hub_dir) == expected
    with DataHub.open(hub_dir) as hub:
        (loss,) = losses(hub)
        assert (loss["process"], loss["lost"], loss["count"], loss["received"], loss["published"]) == (
            "feed",
            5,
            5,
            10,
            3,
        )


def test_counts_of_every_life_add_up(hub_dir: Path) -> None:
    feed(hub_dir, 10, 3, "killed")
    feed(hub_dir, 5, 3, "closed")
    feed(hub_dir, 6, 3, "closed")  # it left with one in hand
    assert hops(hub_dir) == (21, 9, 3, 0, 3, 0, 6, True)
    with DataHub.open(hub_dir) as hub:
        assert hub.ledger()["acknowledged"] >= 9
        assert [loss["lost"] for loss in losses(hub)] == [5, 1]
        assert hub.verify().ok


def test_who_stays_attached_settles_the_account_of_who_died(hub: DataHub) -> None:
    for number in (1, 2):
        feed(hub.path, 10, 3, "killed")
        until(lambda number=number: len(losses(hub)) == number, f"loss {number}")  # type: ignore[misc]
        assert told(hub) == (10 * number, 3 * number, number, 0, number, 0, 5 * number, True)


def test_counts_stay_when_the_machine_starts_again(hub_dir: Path, tmp_path: Path) -> None:
    with DataHub.open(hub_dir, create=True, segment_lines=1 << 10) as hub:
        feed(hub_dir, 10, 3, "killed")
        until(lambda: len(losses(hub)) == 1, "a loss")
        hub._count(received=4)  # in hand, when the machine goes down
        until(lambda: saved(hub_dir) == 4, "four saved, which is done every ten seconds")
        after_power_loss = tmp_path / "copy"
        shutil.copytree(hub_dir, after_power_loss, ignore=shutil.ignore_patterns("locks"))
        assert told(hub) == (14, 3, 1, 0, 1, 4, 5, True)
    for _ in range(2):
        assert hops(after_power_loss) == (14, 3, 1, 0, 1, 0, 9, True)
    with DataHub.open(after_power_loss) as hub:
        assert [loss["lost"] for loss in losses(hub)] == [5, 4]


def saved(place: Path) -> int:
    """Read what was in flight when the counts were last put on disk."""
    file = place / "accounts"
    return int.from_bytes(file.read_bytes()[120:128], "little") if file.exists() else -1


def test_counts_stay_when_the_memory_is_lost(hub_dir: Path) -> None:
    feed(hub_dir, 10, 3, "closed")
    with DataHub.open(hub_dir) as hub:
        memory = Path(hub._hub_state()["memory_dir"])
        shutil.rmtree(memory)
        assert told(hub)[0] == 10
    assert hops(hub_dir) == (10, 3, 1, 0, 1, 0, 5, True)


def test_damaged_counts_cost_nothing_else(hub_dir: Path) -> None:
    feed(hub_dir, 10, 3, "closed")
    (hub_dir / "accounts").write_bytes(b"\xff" * 136)
    assert hops(hub_dir) == (0, 0, 0, 0, 0, 0, 0, True)


def test_what_is_in_hand_is_in_flight_and_balanced(hub: DataHub) -> None:
    hub._receive(10)
    hub._count(duplicates=2, refused=1, quarantined=1)
    hub.publish(quotes([0, 1, 2]), EUR, source="ig", verified=True)
    assert told(hub) == (10, 3, 2, 1, 1, 3, 0, True)


def test_other_records_are_not_taken_for_quotes(hub: DataHub) -> None:
    hub.note("a remark")
    hub._receive(1)
    hub.publish(quotes([0]), EUR, source="ig", verified=True)
    assert told(hub) == (1, 1, 0, 0, 0, 0, 0, True)


def test_more_fates_than_quotes_do_not_balance(hub: DataHub) -> None:
    hub._receive(2)
    hub._count(duplicates=3)
    assert told(hub) == (2, 0, 3, 0, 0, -1, 0, False)


def test_callers_owe_nothing(hub: DataHub) -> None:
    hub.update_tick(tick(1))
    with pytest.raises(InvalidRecord):
        hub.update_tick(tick(0, -1.0))
    assert told(hub) == (0, 0, 0, 1, 0, 0, 0, True)
    assert hub.ledger()["acknowledged"] > 0


def test_place_of_a_dead_feed_taken_by_a_caller_balances(hub: DataHub) -> None:
    feed(hub.path, 10, 3, "killed")
    with DataHub.open(hub.path) as other:
        for n in range(20):
            other.update_tick(tick(n))
        assert told(other) == (10, 3, 1, 0, 1, 0, 5, True)
        assert other.ledger()["acknowledged"] >= 23


def test_what_a_feeds_process_pushes_itself_is_no_quote_of_the_feed(hub: DataHub) -> None:
    hub.set_clock("event")
    for second in range(3):
        hub.update_tick(tick(second))
    hub.publish(quotes([4, 5]), EUR)
    hub._count(received=2)
    assert told(hub)[:2] + told(hub)[5:] == (2, 0, 2, 0, True)
    hub.publish(quotes([6, 7]), EUR, source="ig", verified=True)
    assert told(hub)[:2] + told(hub)[5:] == (2, 2, 0, 0, True)
