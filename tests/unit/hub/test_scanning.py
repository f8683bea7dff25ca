"""Whoever walks the log for its marks goes on at what is left when retention drops segments under the walk."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tapehub import DataHub
from tapehub.agents.journal import between as found_between
from tapehub.hub import marks, scanning
from tapehub.hub.latest import Latest
from tapehub.hub.retention import set_retention
from tapehub.model.records import Kind
from tests.models.intervals import SECOND
from tests.models.market import EUR, NINE, quotes

LINES = 1 << 10
GAPS = 1 << Kind.GAP


@pytest.fixture
def hub(hub_dir: Path) -> Iterator[DataHub]:
    """Fill ten segments: in each some quarantine, a signal and a gap."""
    with DataHub.open(hub_dir, create=True, segment_lines=LINES, segments_ahead=1, sync="none") as one:
        one.set_clock("event")
        for n in range(12):
            one.publish(quotes((n + np.arange(900) / 1000).tolist()), symbol=EUR, source="ig")
            marks.gap(one, EUR, "ig", NINE + n * SECOND, NINE + (n + 1) * SECOND, f"no. {n}")
            marks.quarantine(one, EUR, "ig", 5, NINE, raw=b"x", detail=f"no. {n}")
            one._publish_record(int(Kind.SIGNAL), NINE, payload=str(n).encode())
        yield one


@pytest.fixture
def reader(hub: DataHub) -> Iterator[DataHub]:
    """Open a hub that maps a segment when it comes to it, and so has none of those that were dropped before."""
    with DataHub.open(hub.path, read_only=True) as one:
        yield one


def drop(hub: DataHub) -> int:
    """Let the upkeep of a new writer drop all but the last segments, and give the oldest line that is left."""
    hub._checkpoint()
    set_retention(hub, bytes_max=4 * LINES * 64)
    with DataHub.open(hub.path):
        for _ in range(1500):
            if len(list((hub.path / "log").glob("*.tape"))) <= 4:
                return int(hub._hub_state()["oldest"])
            time.sleep(0.01)
    raise AssertionError("nothing was dropped")


def in_the_middle(hub: DataHub, reader: DataHub, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Drop segments when a walk has looked at the log once; the list says where it began after that."""
    scan: Callable[..., Any] = reader._scan
    oldest: list[int] = []

    def dropping(*asked: Any) -> Any:
        found = scan(*asked)
        if not oldest:
            oldest.append(drop(hub))
        return found

    monkeypatch.setattr(reader, "_scan", dropping)
    return oldest


def test_a_walk_goes_on_at_the_oldest_line_that_is_left(hub: DataHub, reader: DataHub) -> None:
    every = [seq for seq, _ in scanning.between(hub, GAPS, 0, hub.head)]
    assert len(every) == 12
    walk = scanning.between(reader, GAPS, 0, reader.head)
    first = next(walk)[0]
    oldest = drop(hub)
    kept = [seq for seq in every if seq >= oldest]
    assert len(kept) > 1
    assert [first, *(seq for seq, _ in walk)][-len(kept) :] == kept


def test_a_walk_from_the_newest_on_ends_where_the_log_does(hub: DataHub, reader: DataHub) -> None:
    every = [seq for seq, _ in scanning.newest(hub, GAPS)]
    assert every == sorted(every, reverse=True)
    walk = scanning.newest(reader, GAPS)
    first = next(walk)[0]
    oldest = drop(hub)
    found = [first, *(seq for seq, _ in walk)]
    assert [seq for seq in found if seq >= oldest] == [seq for seq in every if seq >= oldest]


def test_gaps_that_the_log_still_holds_are_told_while_others_are_dropped(
    hub: DataHub, reader: DataHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    oldest = in_the_middle(hub, reader, monkeypatch)
    found = [row["cause"] for row in reader.gaps(EUR, "ig")]
    kept = [row["cause"] for row in hub.gaps(EUR, "ig")]
    assert oldest
    assert len(kept) > 1
    assert found[-len(kept) :] == kept


def test_agents_and_feeds_read_on_by_the_same_rule(
    hub: DataHub, reader: DataHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    oldest = in_the_middle(hub, reader, monkeypatch)
    found = [int(one.payload) for one in found_between(reader, [Kind.SIGNAL], 0, reader.head)]
    kept = [int(one.payload) for one in found_between(hub, [Kind.SIGNAL], oldest[0], hub.head)]
    assert found[-len(kept) :] == kept == list(range(kept[0], 12))
    assert Latest(reader).quarantined()[EUR][2] == "no. 11"
