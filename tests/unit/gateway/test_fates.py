"""Every quote that was received has one fate, counted and not inferred."""

import multiprocessing
import os
from pathlib import Path

import numpy as np

from tapehub import DataHub, Tick
from tapehub.gateway.fates import fates

TUESDAY = 1_780_401_600_000_000_000


def receive(hub: DataHub, received: int, published: int, **others: int) -> None:
    hub._count(received=received, **others)
    rows = np.zeros(published, [("ts_event", "i8"), ("bid", "f8"), ("ask", "f8")])
    rows["ts_event"], rows["bid"], rows["ask"] = TUESDAY + np.arange(published), 1.1, 1.2
    hub.publish(rows, "EUR_USD", source="feed", verified=True)


def test_what_is_not_yet_published_is_in_flight(hub: DataHub) -> None:
    receive(hub, 10, 4, duplicates=2, refused=1, quarantined=1)
    found = fates(hub)
    assert (found.received, found.accepted, found.in_flight, found.lost_in_producer) == (10, 4, 2, 0)
    assert (found.duplicates, found.refused, found.quarantined) == (2, 1, 1)


def test_other_records_are_not_taken_for_quotes(hub: DataHub) -> None:
    hub.note("a remark")
    receive(hub, 1, 1)
    found = fates(hub)
    assert (found.accepted, found.in_flight) == (1, 0)


def test_who_received_nothing_does_not_count(hub: DataHub) -> None:
    hub.update_tick(Tick("EUR_USD", 1.1, 1.2, timestamp=TUESDAY))
    assert fates(hub).received == fates(hub).accepted == 0


def die_with_quotes_in_hand(path: str) -> None:
    hub = DataHub.open(path, name="feed")
    receive(hub, 5, 3)
    os._exit(0)  # as if killed: nothing is detached


def test_what_a_dead_process_held_is_lost(hub: DataHub, hub_dir: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=die_with_quotes_in_hand, args=(str(hub_dir),))
    process.start()
    process.join(30)
    process.close()
    found = fates(hub)
    assert (found.received, found.accepted, found.in_flight, found.lost_in_producer) == (5, 3, 0, 2)
