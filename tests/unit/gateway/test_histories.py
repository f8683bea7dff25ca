"""What becomes of clients when the log is dropped behind them, cut off, or replaced by another."""

import itertools
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tapehub import DataHub
from tapehub.gateway.encoding import text_of
from tests.models.gateway import served
from tests.models.market import EUR, drained, quotes, tick

TINY: dict[str, Any] = {
    "create": True, "segment_lines": 1 << 10, "retention_bytes": 4 * (1 << 10) * 64, "segments_ahead": 1,
    "sync": "none",
}  # fmt: skip
SMALL: dict[str, Any] = {"create": True, "segment_lines": 1 << 10, "sync": "none"}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "hub"


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    """Make a place for what is memory-backed that goes with the test."""
    folder = tmp_path / "memory"
    folder.mkdir()
    return folder


def publish(hub: DataHub, first: int, count: int) -> None:
    hub.publish(quotes(((first + np.arange(count)) / 1000).tolist()), symbol=EUR)


def drop(place: Path, hub: DataHub) -> int:
    """Let the upkeep of a new writer drop what is over the bounds, and give the oldest line.

    Segments that are made ahead count too, so it has not ended before they are there.
    """
    lines, kept = TINY["segment_lines"], TINY["retention_bytes"] // TINY["segment_lines"] // 64
    hub._checkpoint()
    with DataHub.open(place, **TINY):
        while True:
            time.sleep(0.01)
            state = hub._hub_state()
            made_ahead = int(state["ready"]) >= (int(state["head"]) // lines + 1 + TINY["segments_ahead"]) * lines
            if made_ahead and len(list((place / "log").glob("*.tape"))) <= kept:
                return int(state["oldest"])


def ticks_of(hub: DataHub) -> list[dict[str, Any]]:
    with hub.stream(start="oldest") as stream:
        return [json.loads(text_of(item)) for item in drained(stream)]


def up_to(seq: int) -> Callable[[list[dict[str, Any]]], bool]:
    return lambda records: bool(records) and records[-1]["seq"] >= seq


def test_who_asks_for_what_was_dropped_is_told_how_much(place: Path) -> None:
    with DataHub.open(place, **TINY) as hub:
        hub.set_clock("event")
        publish(hub, 0, 10_000)
        oldest = drop(place, hub)
        with served(hub) as web, web.stream() as client:
            granted = client.subscribe(policy="lossless", start=100)
            assert (granted["resumed"], granted["position"]) == (False, oldest)
            assert hub._records_before(oldest) - 36 <= granted["lost"] <= oldest - 100
            expected = ticks_of(hub)
            assert client.records(1, up_to(expected[-1]["seq"])) == expected
            # From the very beginning, the records are counted that there were.
            granted = client.subscribe(2, policy="lossless", start=0)
            assert granted["lost"] == min(oldest, hub._records_before(oldest))


def test_a_client_that_is_lapped_is_told_in_the_batch_behind_the_hole(place: Path) -> None:
    with DataHub.open(place, **TINY) as hub:
        hub.set_clock("event")
        publish(hub, 0, 30_000)
        # A handle of its own maps segments when they are read, not when they are written.
        with (
            DataHub.open(place, read_only=True) as reader,
            served(reader) as web,
            web.stream(room_bytes=4096) as client,
        ):
            client.subscribe(policy="lossless", start="oldest", kinds=["tick"])
            web.until(lambda: all(one.stalled_s(1e12) for one in web.broadcast.sessions), "the client to stall")
            drop(place, hub)
            publish(hub, 200_000, 1)
            left = [row["seq"] for row in ticks_of(hub)]
            batches = client.batches(1, up_to(left[-1]))
            sequences = [[record["seq"] for record in batch["records"]] for batch in batches]
            (hole,) = [number for number, batch in enumerate(batches) if batch["lost"]]
            before, behind = ([*itertools.chain(*part)] for part in (sequences[:hole], sequences[hole:]))
            assert behind == left
            assert before == sorted(set(before))
            records = reader._records_before(left[0]) - 5 - len(before)  # five define the instrument and the clock
            assert abs(batches[hole]["lost"] - records) <= 5
            assert web.broadcast.sent["lost", "lossless"] == batches[hole]["lost"]


def test_after_a_recovery_that_cut_the_tail_clients_go_on_where_the_histories_part(place: Path, tmp_path: Path) -> None:
    with DataHub.open(place, **SMALL) as hub:
        hub.set_clock("event")
        seqs = [hub.update_tick(tick(n)) for n in range(10)]
        hub_id, epoch, end = hub.hub_id, hub.epoch, hub.head
    cut_at = seqs[6]
    log = place / "log" / "000000000000.tape"
    with log.open("r+b") as file:  # the seventh tick and all behind it are torn
        file.seek(cut_at * 64 + 16)
        file.write(b"\xff" * (64 * 4))
    for name in ("checkpoint", "checkpoint.old"):
        (place / name).unlink(missing_ok=True)
    with DataHub.open(place, **SMALL) as hub:
        hub.set_clock("event")
        assert hub.epoch == epoch + 1, "this test needs a recovery that cut the tail"
        parted = next(record["seq"] for record in _all(hub) if record["kind"] == "epoch")
        assert parted <= cut_at
        hub.update_tick(tick(100, 1.5))
        with served(hub) as web, web.stream() as client:
            under = {"epoch": epoch, "hub_id": hub_id, "policy": "lossless", "kinds": ["all"]}
            granted = client.subscribe(1, start=end, **under)
            assert granted["epoch"] == epoch + 1
            assert (granted["resumed"], granted["position"], granted["lost"]) == (False, parted, end - parted)
            expected = [record for record in _all(hub) if record["seq"] >= parted]
            assert client.records(1, up_to(expected[-1]["seq"])) == expected
            # Who stood before the cut lost nothing.
            granted = client.subscribe(2, start=seqs[3], **under)
            assert (granted["resumed"], granted["position"], granted["lost"]) == (True, seqs[3], 0)
            got = client.records(2, up_to(expected[-1]["seq"]))
            assert got == [record for record in _all(hub) if record["seq"] >= seqs[3]]


def _all(hub: DataHub) -> list[dict[str, Any]]:
    with hub.stream(start="oldest", kinds="all") as stream:
        return [json.loads(text_of(item)) for item in drained(stream)]


def test_clients_are_told_that_the_hub_is_gone_and_go_on_with_the_one_in_its_place(
    place: Path, memory: Path, tmp_path: Path
) -> None:
    with DataHub.open(place, memory_root=memory, **SMALL) as hub:
        hub.set_clock("event")
        hub.update_tick(tick(1, 1.25))
        old_id = hub.hub_id
        tokens = tmp_path / "tokens"
        tokens.mkdir()
        with served(hub, tokens=tokens) as web, web.stream() as client:
            client.subscribe(1, kinds=["tick"])
            client.subscribe(2, kinds=["tick"], policy="lossless", start="oldest")
            assert client.records(1, bool)[0]["bid"] == client.records(2, bool)[0]["bid"] == 1.25
            shutil.rmtree(place)
            gone = client.next("hub")
            assert gone["state"] == "gone"
            assert web.get("/status", status=503)["type"] == "urn:tapehub:hub-gone"
            assert web.http.get("/healthz").status_code == 200
            assert web.http.get("/readyz").status_code == 503
            assert "tapehub_up 0.0" in web.http.get("/metrics").text
            assert client.refused(op="subscribe", id=3)["type"] == "urn:tapehub:hub-gone"
            with DataHub.open(place, memory_root=memory, **SMALL) as made:
                made.set_clock("event")
                made.update_tick(tick(2, 1.5))
                replaced = client.next("hub")
                assert (replaced["state"], replaced["hub_id"]) == ("replaced", made.hub_id)
                assert made.hub_id != old_id
                made.update_tick(tick(3, 1.75))
                got = client.records(2, lambda records: records[-1]["bid"] == 1.75)
                assert [record["bid"] for record in got] == [1.25, 1.5, 1.75]
                batches = client.batches(1, lambda records: records[-1]["bid"] == 1.75)
                assert [bool(batch.get("snapshot")) for batch in batches].count(True) == 2
                assert web.get("/ticks/EUR_USD/latest")["bid"] == 1.75
                granted = client.subscribe(4, policy="lossless", start=70, epoch=1, hub_id=old_id)
                assert not granted["resumed"]
                assert granted["position"] == int(made._hub_state()["oldest"])


# ---------------------------------------------------------------- clients that take nothing


def test_a_client_that_takes_nothing_holds_little_and_is_closed_with_the_reason(place: Path) -> None:
    with DataHub.open(place, create=True, sync="none") as hub:
        hub.set_clock("event")
        publish(hub, 0, 100)
        with served(hub, stall_s=1.5, batch_bytes=32 << 10) as web, web.stream() as other:
            other.subscribe(kinds=["tick"], rate_hz=50)
            clients = [web.stream(room_bytes=4096) for _ in range(2)]
            clients[0].subscribe(kinds=["tick", "note"], rate_hz=50)
            clients[1].subscribe(kinds=["tick", "note"], policy="lossless", start="oldest")
            held = []
            text = "x" * 4000
            for turn in range(400):
                publish(hub, 1000 + turn * 500, 500)
                for _ in range(5):
                    hub.note(text)
                time.sleep(0.002)
                held.append(web.gateway.call(lambda: _held(web.gateway)))
                if web.broadcast.sent["stalled", ""] == 2:
                    break
            web.until(lambda: web.broadcast.sent["stalled", ""] == 2, "both to be closed")
            # What waits for a client is one message beyond the buffer, however much was published meanwhile.
            assert max(held) < 2 * ((256 << 10) + (32 << 10) * 30)
            assert max(held) > 0
            for client in clients:
                assert client.closed()[0] in (4408, 1006)
            # The other one never noticed.
            hub.update_tick(tick(10_000, 1.9))
            other.records(1, lambda records: any(record["bid"] == 1.9 for record in records))
            web.until(lambda: len(web.broadcast.sessions) == 1, "the others to be forgotten")
            for client in clients:
                client.close()


def _held(gateway: Any) -> int:
    """Add up what waits in the connections' buffers."""
    connections = gateway._server.server_state.connections
    return sum(one.transport.get_write_buffer_size() for one in connections if not one.transport.is_closing())
