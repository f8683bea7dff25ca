"""The raw tape without a copy, the account of every record, and checksums."""

import gc
from pathlib import Path

import numpy as np
import pytest

from tapehub import TICK, DataHub, HubClosed, HubError, HubNotRunning, InvalidRecord
from tapehub.hub.integrity import Report
from tests.models.market import EUR, GBP, candle, flow, moment, quotes, tick
from tests.unit.hub.conftest import OpenHub


def test_the_log_shows_each_tick_at_its_sequence(hub: DataHub) -> None:
    seqs = [hub.update_tick(tick(n, 1 + n / 100)) for n in range(5)]
    lines = hub.log()
    assert lines.dtype == TICK
    first = int(hub.get_status()["oldest"])
    assert len(lines) == hub.head - first
    assert lines["bid"][[seq - first for seq in seqs]].tolist() == [1 + n / 100 for n in range(5)]
    numbers = first + np.arange(len(lines))
    assert numbers[lines["seq"] == numbers].tolist() == seqs
    assert hub.log(seqs[2], 2)["seq"].tolist() == seqs[2:4]
    assert len(hub.log(seqs[0], 0)) == len(hub.log(hub.head)) == len(hub.log(1 << 40, 5)) == 0
    assert hub.log(seqs[-1], 1 << 40)["seq"].tolist() == seqs[-1:]


def test_a_view_is_no_copy_and_read_only(hub: DataHub) -> None:
    hub.publish(quotes([1, 2, 3]), symbol=EUR)
    view = hub.log()
    assert not view.flags.writeable
    assert not view.flags.owndata
    assert np.shares_memory(view, hub.log())
    with pytest.raises(ValueError, match="read-only"):
        view["bid"][0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        view.setflags(write=True)


def test_a_view_outlives_its_hub(open_hub: OpenHub) -> None:
    hub = open_hub(segment_lines=1 << 10)
    hub.set_clock("event")
    hub.publish(quotes((np.arange(5_000) / 100).tolist()), symbol=EUR)
    view, kept = hub.log(), hub.log().tobytes()
    part = view[100:200]["bid"]
    hub.close()
    del hub
    gc.collect()
    assert view.tobytes() == kept
    assert part.tolist() == np.frombuffer(kept, TICK)["bid"][100:200].tolist()


def test_a_view_does_not_move_when_the_hub_goes_on(hub: DataHub) -> None:
    hub.publish(quotes([1, 2, 3]), symbol=EUR)
    view, kept = hub.log(), hub.log().tobytes()
    hub.publish(quotes((4 + np.arange(9_000) / 100).tolist()), symbol=EUR)
    assert view.tobytes() == kept


def test_a_closed_handle_says_so_and_may_be_closed_again(open_hub: OpenHub) -> None:
    hub = open_hub()
    assert not hub.closed
    hub.close()
    hub.close()
    assert hub.closed
    for call in (hub.log, hub.get_status, lambda: hub.get_latest_tick(EUR), lambda: hub.update_tick(tick(0)), hub.now):
        with pytest.raises(HubClosed, match="was closed"):
            call()
    assert "closed" in repr(hub)


# ---------------------------------------------------------------- the ledger


def test_the_ledger_balances_and_counts_every_record(hub: DataHub) -> None:
    hub.publish(quotes([1, 61, 121, 30]), symbol=EUR, source="oanda")
    hub.publish(quotes([1, 2]), symbol=EUR)
    hub.update_tick(tick(5, symbol=GBP))
    hub.update_candle_1m(candle(7))
    hub.update_order_flow(flow(8))
    hub.clear_symbol(GBP)
    hub.advance(moment(900))
    ledger = hub.ledger()
    assert ledger["balanced"]
    assert ledger["ticks"] == 7
    assert ledger["by_kind"]["order_flow"] == ledger["by_kind"]["clear"] == ledger["by_kind"]["watermark"] == 1
    assert ledger["records"] == ledger["ticks"] + sum(ledger["by_kind"].values())
    assert {name: row["ticks"] for name, row in ledger["instruments"].items()} == {
        "EUR_USD from oanda": 4,
        "EUR_USD from direct": 2,
        "GBP_USD from direct": 1,
    }
    assert ledger["instruments"]["EUR_USD from oanda"]["late_applied"] == 1
    with hub.stream(kinds="all", start="oldest") as stream:
        count = 0
        while len(batch := stream.poll(100)) or batch.records:
            count += len(batch) + len(batch.records)
    assert count == ledger["records"]


def test_what_is_refused_is_counted_as_such(hub: DataHub) -> None:
    for _ in range(3):
        with pytest.raises(InvalidRecord):
            hub.update_tick(tick(0, -1.0))
    assert hub.ledger()["refused"] == 3
    assert hub.ledger()["balanced"]


def test_a_refused_first_tick_defines_nothing(hub: DataHub) -> None:
    with pytest.raises(InvalidRecord):
        hub.update_tick(tick(0, -1.0))
    assert hub.instruments == {}


def test_every_counter_survives_reopening(open_hub: OpenHub) -> None:
    hub = open_hub()
    hub.set_clock("event")
    hub.publish(quotes([1, 61, 121, 30]), symbol=EUR)
    hub.update_candle_1m(candle(0))
    hub.update_tick(tick(5))
    hub.clear_symbol(EUR)
    hub.publish(quotes([200]), symbol=EUR)
    before, stats, epoch, head = hub.ledger(), hub.get_status()["stats"], hub.epoch, hub.head
    hub_id = hub.hub_id
    hub.close()
    again = open_hub()
    after = again.ledger()
    for key in ("records", "ticks", "by_kind", "instruments", "balanced"):
        assert after[key] == before[key], key
    assert {k: v for k, v in again.get_status()["stats"].items() if "get" not in k} == {
        k: v for k, v in stats.items() if "get" not in k
    }
    assert (again.epoch, again.head, again.hub_id) == (epoch, head, hub_id)


# ---------------------------------------------------------------- verify


def test_verify_walks_every_record_and_reports_progress(open_hub: OpenHub) -> None:
    hub = open_hub(segment_lines=1 << 10)
    hub.set_clock("event")
    hub.publish(quotes((np.arange(5_000) / 100).tolist()), symbol=EUR)
    seen: list[tuple[int, int]] = []
    report = hub.verify(lambda done, of: seen.append((done, of)))
    assert report.ok
    assert report.records == report.expected_records == hub.get_status()["records"]
    assert report.segments == len(seen) == hub.head // (1 << 10) + 1
    assert seen[-1] == (hub.head, hub.head)


def test_a_log_that_ends_with_its_segment_verifies(open_hub: OpenHub) -> None:
    hub = open_hub(segment_lines=1 << 10)
    hub.set_clock("event")
    while hub.head % (1 << 10):
        hub.update_tick(tick(hub.head / 10))
    for one in (hub, open_hub()):
        report = one.verify()
        assert report.ok
        assert report.records == report.expected_records == one.get_status()["records"]
    hub.update_tick(tick(1_000))
    assert hub.verify().records == hub.verify().expected_records == hub.get_status()["records"]


def test_verify_finds_a_damaged_byte(open_hub: OpenHub, tmp_path: Path) -> None:
    """One bit of a running hub's tape, behind the hub's back."""
    hub = open_hub(segment_lines=1 << 10)
    hub.set_clock("event")
    hub.publish(quotes((np.arange(3_000) / 100).tolist()), symbol=EUR)
    victim = int(hub.ticks(EUR, end=1_500)["seq"][-1])
    with (tmp_path / "hub" / "log" / "000000000001.tape").open("r+b") as tape:
        tape.seek((victim - 1024) * 64 + 33)
        byte = tape.read(1)
        tape.seek(-1, 1)
        tape.write(bytes([byte[0] ^ 4]))
    report = hub.verify()
    assert not report.ok
    assert report.bad == [(victim, "the checksum does not match")]
    assert report.records < report.expected_records


# ---------------------------------------------------------------- opening


def test_there_is_no_hub_until_somebody_makes_one(tmp_path: Path) -> None:
    with pytest.raises(HubNotRunning, match=r"no hub there: .*nothing; start one with \"tapehub up --hub .*nothing\""):
        DataHub.open(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_the_hub_and_its_files_are_their_owners_alone(open_hub: OpenHub, tmp_path: Path) -> None:
    hub = open_hub()
    hub.update_tick(tick(0))
    for path in (tmp_path / "hub", *(tmp_path / "hub").rglob("*")):
        mode = path.stat().st_mode & 0o777
        assert mode == (0o700 if path.is_dir() else 0o600), path


def test_a_read_only_handle_reads_everything_and_writes_nothing(hub: DataHub) -> None:
    hub.publish(quotes([1, 61, 121]), symbol=EUR)
    with DataHub.open(hub.path, read_only=True) as reader:
        assert reader.get_latest_tick(EUR) == hub.get_latest_tick(EUR)
        assert len(reader.get_latest_candles(EUR)) == 2
        hub.update_tick(tick(200))
        assert reader.get_latest_tick(EUR).timestamp == moment(200)
        with pytest.raises(HubError, match="read-only"):
            reader.update_tick(tick(201))
        with pytest.raises(HubError, match="read-only"):
            reader.publish(quotes([201]), symbol=EUR)
    assert len(hub.ticks(EUR)) == 4


def test_two_handles_of_one_process_are_one_hub(hub: DataHub) -> None:
    with DataHub.open(hub.path) as other:
        hub.update_tick(tick(1))
        other.update_tick(tick(2))
        assert hub.get_latest_tick(EUR) == other.get_latest_tick(EUR) == tick(2)
        assert (hub.hub_id, hub.epoch, hub.head) == (other.hub_id, other.epoch, other.head)
    assert hub.update_tick(tick(3)) == hub.head - 1


@pytest.mark.parametrize("sync", ["always", "interval", "none"])
def test_flush_waits_for_stable_storage(open_hub: OpenHub, sync: str) -> None:
    hub = open_hub(sync=sync)
    hub.set_clock("event")
    hub.publish(quotes([1, 2]), symbol=EUR)
    hub.update_tick(tick(3))
    if sync == "always":
        assert hub.get_status()["synced"] >= hub.head
    assert hub.flush() == hub.head


def test_a_report_is_sound_when_nothing_is_damaged_and_nothing_is_missing() -> None:
    assert (Report(10, 1, 10).ok, Report(12, 1, 10).ok) == (True, True), "a live hub grows while it is walked"
    assert (Report(9, 1, 10).ok, Report(9, 1, 10).missing) == (False, 1)
    assert (Report(9, 1, 10, [(64, "checksum")]).ok, Report(9, 1, 10, [(64, "checksum")]).missing) == (False, 0)
