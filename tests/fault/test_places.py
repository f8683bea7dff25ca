"""Places where no hub can be, or not now: a full disk, a read-only directory, foreign files, another format."""

import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tapehub import DataHub, HubError, HubNotRunning
from tapehub.errors import HubFormatError
from tapehub.hub.server import HubServer
from tests.models.market import EUR, GBP, NINE, quotes, tick

SETTINGS: dict[str, Any] = {"create": True, "segment_lines": 1 << 12, "sync": "none"}  # a segment is 256 KiB


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 2 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"needs the right to mount a tmpfs: {mounted.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Leave no byte free."""
    filler = disk / "filler"
    file = os.open(filler, os.O_WRONLY | os.O_CREAT)
    with suppress(OSError):
        while True:
            os.write(file, b"\0" * 4096)
    os.close(file)
    return filler


def publish_until_full(hub: DataHub, start: float) -> tuple[int, HubError]:
    """Publish one by one; give how many were acknowledged before the error."""
    for done in range(100_000):
        try:
            hub.update_tick(tick(start + done / 100))
        except HubError as error:
            return done, error
    raise AssertionError("the disk never became full")


def test_a_full_disk_fails_the_publish_and_nothing_else(small_disk: Path) -> None:
    with DataHub.open(small_disk / "hub", **SETTINGS) as hub:
        hub.set_clock("event")
        hub.publish(quotes([1, 2, 3]), symbol=EUR)
        filler = fill(small_disk)
        done, error = publish_until_full(hub, 10)
        for part in ("space", str(small_disk / "hub")):
            assert part in str(error)
        assert done > 1_000
        assert len(hub.ticks(EUR, 1 << 20)) == done + 3
        assert hub.get_latest_tick(EUR) == tick(10 + (done - 1) / 100)
        assert hub.verify().ok
        assert hub.ledger()["balanced"]
        for _ in range(3):
            with pytest.raises(HubError, match="space"):
                hub.update_tick(tick(5_000, symbol=GBP))
        with pytest.raises(HubError, match="space") as caught:
            hub.publish(quotes([5_000.0]), symbol=EUR)
        assert caught.value.published == 0
        assert hub.get_latest_tick(EUR) == tick(10 + (done - 1) / 100)
        filler.unlink()
        assert hub.update_tick(tick(6_000)) == hub.head - 1
        assert hub.publish(quotes((6_001 + np.arange(9_000) / 100).tolist()), symbol=EUR) == 9_000
        assert hub.verify().ok
        count = len(hub.ticks(EUR, 1 << 20))
        assert count == done + 3 + 1 + 9_000
    with DataHub.open(small_disk / "hub") as again:
        assert len(again.ticks(EUR, 1 << 20)) == count
        assert again.epoch == 1


def test_a_batch_that_meets_a_full_disk_says_how_much_of_it_is_there(small_disk: Path) -> None:
    with DataHub.open(small_disk / "hub", **SETTINGS) as hub:
        hub.set_clock("event")
        fill(small_disk)
        rows = quotes((np.arange(60_000) / 100).tolist())
        with pytest.raises(HubError, match="space") as caught:
            hub.publish(rows, symbol=EUR)
        there = len(hub.ticks(EUR, 1 << 20))
        assert there > 1_000
        assert caught.value.published == there
        assert hub.ticks(EUR, 1 << 20)["ts_event"].tolist() == rows["ts_event"][:there].tolist()


def test_a_server_outlives_a_full_disk(small_disk: Path) -> None:
    with HubServer(small_disk / "hub", segment_lines=1 << 12, sync="none") as server:
        server.set_clock("virtual", anchor_ns=NINE, rate=1000.0)
        filler = fill(small_disk)
        with suppress(HubError):
            while True:
                server.hub.publish(quotes([1.0] * 500), symbol=EUR)
        filler.unlink()
        server.beat()
        seq = server.hub.update_tick(tick(1, symbol=GBP))
        assert server.hub.get_latest_tick(GBP).seq == seq
        assert server.hub.verify().ok


def test_a_disk_that_is_full_from_the_start_makes_no_half_hub(small_disk: Path) -> None:
    filler = fill(small_disk)
    with pytest.raises(HubError), DataHub.open(small_disk / "hub", **SETTINGS) as hub:
        hub.update_tick(tick(0))
    filler.unlink()
    with DataHub.open(small_disk / "hub", **SETTINGS) as hub:
        hub.update_tick(tick(0))
        assert hub.verify().ok


def test_a_read_only_file_system_is_named(small_disk: Path, tmp_path: Path) -> None:
    DataHub.open(small_disk / "hub", **SETTINGS).close()
    other = tmp_path / "read-only"
    other.mkdir()
    subprocess.run(["mount", "--bind", str(small_disk), str(other)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(other)], check=True)
        with pytest.raises(HubError, match=rf"Read-only file system: {other}/hub"):
            DataHub.open(other / "hub", **SETTINGS)
        with pytest.raises(HubError, match=rf"Read-only file system: {other}/new"):
            DataHub.open(other / "new", **SETTINGS)
    finally:
        subprocess.run(["umount", "-l", str(other)], check=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="needs a user whom permissions hold back: this one is root")
def test_a_directory_of_others_is_named(tmp_path: Path) -> None:
    DataHub.open(tmp_path / "hub", **SETTINGS).close()
    (tmp_path / "hub").chmod(0o500)
    with pytest.raises(HubError, match="hub"):
        DataHub.open(tmp_path / "hub", **SETTINGS)
    (tmp_path / "hub").chmod(0o700)


def test_a_directory_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"cat")
    with pytest.raises(HubFormatError, match=r"holds other files and no hub: .*photos; choose an empty one"):
        DataHub.open(tmp_path / "photos", **SETTINGS)
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["cat.jpg"]
    with pytest.raises(HubNotRunning):
        DataHub.open(tmp_path / "photos")


def test_a_file_in_the_place_of_the_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "hub").write_text("not a directory")
    with pytest.raises(HubError, match="hub"):
        DataHub.open(tmp_path / "hub", **SETTINGS)
    assert (tmp_path / "hub").read_text() == "not a directory"


def test_a_foreign_control_file_is_refused(tmp_path: Path) -> None:
    DataHub.open(tmp_path / "hub", **SETTINGS).close()
    (tmp_path / "hub" / "control").write_bytes(b"something else altogether" * 40)
    with pytest.raises(HubFormatError, match=r"not a tapehub control file: .*control; choose another directory"):
        DataHub.open(tmp_path / "hub", **SETTINGS)


def test_another_format_version_is_refused_by_number(tmp_path: Path) -> None:
    DataHub.open(tmp_path / "hub", **SETTINGS).close()
    control = tmp_path / "hub" / "control"
    data = bytearray(control.read_bytes())
    struct.pack_into("<I", data, 8, 7)
    control.write_bytes(data)
    with pytest.raises(
        HubFormatError, match=r"hub format is 7, this tapehub reads \d+: .*hub; install the tapehub that wrote it"
    ):
        DataHub.open(tmp_path / "hub", **SETTINGS)


def test_a_segment_of_another_size_is_refused(tmp_path: Path) -> None:
    with DataHub.open(tmp_path / "hub", **SETTINGS) as hub:
        hub.update_tick(tick(0))
    tape = tmp_path / "hub" / "log" / "000000000000.tape"
    with tape.open("ab") as file:
        file.write(b"\0" * 64)
    for name in ("checkpoint", "checkpoint.old"):
        (tmp_path / "hub" / name).unlink(missing_ok=True)
    with pytest.raises(HubFormatError, match=r"segment has \d+ bytes, expected 262144: .*tape"):
        DataHub.open(tmp_path / "hub", **SETTINGS)


def test_a_segment_of_another_hub_is_not_taken_for_ones_own(tmp_path: Path) -> None:
    for name, bid in (("one", 1.25), ("two", 1.75)):
        with DataHub.open(tmp_path / name, **SETTINGS) as hub:
            hub.set_clock("event")
            hub.publish(quotes([1, 2, 3], bid), symbol=EUR)
    tape = "log/000000000000.tape"
    (tmp_path / "one" / tape).write_bytes((tmp_path / "two" / tape).read_bytes())
    try:
        hub = DataHub.open(tmp_path / "one", **SETTINGS)
    except HubError as error:
        assert str(tmp_path / "one") in str(error)  # noqa: PT017 - one of the outcomes that are allowed
        return
    with hub:
        assert hub.epoch > 1, "what was there is gone, and it says so"
        assert hub.get_latest_tick(EUR) is None, "another hub's ticks are not ours"
