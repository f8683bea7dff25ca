"""Collectors and servers killed at random moments: no accepted tick is lost, and the hub says what was."""

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tapehub import DataHub, HubError
from tests.models.intervals import ns
from tests.models.waiting import until
from tests.servers.collecting import ACK, BATCH, numbered
from tests.servers.processes import Process

WEDNESDAY = ns("2024-03-06T09:00")
SYMBOLS = ("EUR_USD", "USD_JPY")
JUMP = 700_000  # numbers between one collector and the next: 700 s of event time that nobody collected
SERVER_DIES_EVERY = 4


def test_ten_collectors_killed_one_after_the_other_lose_no_accepted_tick(tmp_path: Path) -> None:
    kill_collectors(tmp_path, kills=10, seed=1)


@pytest.mark.chaos
@pytest.mark.timeout(1800)
def test_a_hundred_collectors_killed(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    figures = kill_collectors(tmp_path, kills=100, seed=2)
    for name, value in figures.items():
        record_property(name, value)
    assert figures["kills"] == 100


def kill_collectors(folder: Path, *, kills: int, seed: int) -> dict[str, Any]:
    chance = random.Random(seed)
    path, acks = folder / "hub", folder / "acks"
    acks.touch()
    seen: list[np.ndarray] = []
    firsts: list[int] = []
    server = 0
    servers_killed = 0
    with DataHub.open(path, create=True, segment_lines=1 << 16) as hub, Process(path, role="nursery") as nursery:
        hub.set_clock("event", anchor_ns=WEDNESDAY)
        with hub.stream(start="oldest") as stream:
            for round_ in range(kills):
                if not server:
                    server = nursery.ask("serve", path=str(path))
                noted = acks.stat().st_size
                firsts.append(JUMP * round_ + chance.randrange(1000))
                collector = nursery.ask("collect", path=str(path), began_ns=WEDNESDAY, first=firsts[-1], acks=str(acks))
                until(lambda noted=noted: acks.stat().st_size > noted, "an acknowledgement", every_s=0.0005)  # type: ignore[misc]
                time.sleep(chance.random() * 0.05)
                if round_ % SERVER_DIES_EVERY == 1:  # just before, or with the collector still at work
                    kill(server)
                    server, servers_killed = 0, servers_killed + 1
                    time.sleep(chance.random() * 0.01)
                kill(collector)
                while len(batch := stream.poll(1 << 14)):
                    seen.append(batch.numpy())
            assert stream.lost == 0
        if server:
            kill(server)
        hub._repair()  # as the next writer would: the last one was killed too
        rows = whole_log(hub)
        figures = check(hub, rows, np.concatenate(seen), acks, firsts)
    with DataHub.open(path) as again:
        assert (whole_log(again) == rows).all(), "opened again, the hub is the same"
    return {"kills": kills, "servers_killed": servers_killed, **figures}


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{pid}").exists(), f"the end of process {pid}")


def whole_log(hub: DataHub) -> np.ndarray:
    parts = []
    with hub.stream(start="oldest") as stream:
        while len(batch := stream.poll(1 << 18)):
            parts.append(batch.numpy())
    return np.concatenate(parts)


def check(hub: DataHub, rows: np.ndarray, seen: np.ndarray, acks: Path, firsts: list[int]) -> dict[str, Any]:
    """Hold what was acknowledged and what a reader saw against the log, and the log against what was sent."""
    assert hub.epoch == 1, "nothing was cut"
    at = np.searchsorted(rows["seq"], seen["seq"])
    assert (rows[at] == seen).all(), "what a reader saw is gone"

    numbers = (rows["ts_event"] - WEDNESDAY) // 1_000_000
    assert (np.diff(numbers) > 0).all(), "a tick stands twice, or out of order"
    data = acks.read_bytes()
    worked_off = np.frombuffer(data[: len(data) // ACK.size * ACK.size], "<i8").tolist()
    in_log = dict(zip(numbers.tolist(), zip(rows["bid"].tolist(), rows["ask"].tolist(), strict=True), strict=True))
    acknowledged = refused = 0
    for first in worked_off:
        for ts_event, _, bid, ask, *_ in numbered(first, WEDNESDAY).tolist():
            number = (ts_event - WEDNESDAY) // 1_000_000
            if ask:
                assert in_log[number] == (bid, ask), "an acknowledged tick is gone"
                acknowledged += 1
            else:
                assert number not in in_log
                refused += 1
    assert 0 <= len(rows) - acknowledged <= len(firsts) * BATCH, "more came into the log than was in flight"

    ledger = hub.ledger()
    assert ledger["balanced"]
    assert ledger["ticks"] == len(rows)
    assert ledger["quarantined"] >= refused
    accounted = ledger["ticks"] + ledger["duplicates"] + ledger["refused"] + ledger["quarantined"]
    # A kill between a commit and its count leaves ticks in the log that count as lost too: a batch at the most.
    assert 0 <= accounted + ledger["lost_in_producer"] - ledger["received"] <= BATCH * len(firsts)

    for symbol in SYMBOLS:
        mine = numbers[rows["instrument"] == hub.instruments[symbol]["id"]]
        gaps = hub.gaps(symbol)
        assert len(gaps) == len(firsts) - 1, "each restart is one gap"
        for gap, first in zip(gaps, firsts[1:], strict=True):
            after = int(np.searchsorted(mine, first))
            assert gap["cause"] == "collector restarted"
            # From the last tick before the kill to the first one after it, exactly.
            assert gap["start"] == WEDNESDAY + int(mine[after - 1]) * 1_000_000
            assert gap["end"] == WEDNESDAY + int(mine[after]) * 1_000_000
    report = hub.verify()
    assert report.ok
    return {
        "ticks": len(rows),
        "acknowledged": acknowledged,
        "seen_by_the_reader": len(seen),
        "lost_in_producer": ledger["lost_in_producer"],
        "repairs": hub.get_status()["repairs"],
    }


def test_a_hub_whose_server_is_killed_is_read_and_written_on(tmp_path: Path) -> None:
    path, acks = tmp_path / "hub", tmp_path / "acks"
    acks.touch()
    with DataHub.open(path, create=True, segment_lines=1 << 16) as hub, Process(path, role="nursery") as nursery:
        hub.set_clock("event", anchor_ns=WEDNESDAY)
        server = nursery.ask("serve", path=str(path))
        collector = nursery.ask("collect", path=str(path), began_ns=WEDNESDAY, first=0, acks=str(acks))
        until(lambda: acks.stat().st_size > 0, "an acknowledgement")
        kill(server)
        noted = acks.stat().st_size
        until(lambda: acks.stat().st_size > noted + 10 * ACK.size, "ten acknowledgements more")
        assert hub.get_latest_tick("EUR_USD") is not None
        again = nursery.ask("serve", path=str(path))
        until(lambda: hub.server() is not None and hub.server()[0] == again, "the second server")  # type: ignore[index]
        kill(again)
        kill(collector)
        try:
            hub._repair()
        except HubError as error:  # pragma: no cover - a message worth reading
            raise AssertionError(str(error)) from error
        assert hub.ledger()["balanced"]
