"""A file beside the log is the old one or the new one, whoever writes it at the same time, dies or fails."""

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tapehub import DataHub
from tapehub.agents.halts import halt
from tapehub.collector.allowance import Ledger
from tapehub.hub import blobs, cursors
from tapehub.hub.home import home_of
from tapehub.hub.lineage import identity_of
from tapehub.hub.paths import replace_file
from tests.models.market import NINE


def test_many_writers_of_one_name_never_mix_what_they_write(tmp_path: Path) -> None:
    path, whole = tmp_path / "told", {letter * 200_000 for letter in "abcd"}
    replace_file(path, "a" * 200_000, durable=False)
    seen: set[str] = set()
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            seen.add(path.read_text())

    def write(text: str) -> None:
        for _ in range(50):
            replace_file(path, text, durable=False)

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write, args=(text,)) for text in whole]
    for one in (reader, *writers):
        one.start()
    for one in writers:
        one.join()
    ended.set()
    reader.join()
    assert seen <= whole
    assert [one.name for one in tmp_path.iterdir()] == ["told"]


def test_what_cannot_be_written_leaves_the_old_one_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "told"
    replace_file(path, b"old", durable=True)

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        replace_file(path, b"new", durable=True)
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == {"told": b"old"}


@pytest.mark.parametrize(("folder", "expected"), [(0o700, 0o600), (0o2770, 0o660)])
def test_a_file_is_for_whoever_may_read_its_folder(tmp_path: Path, folder: int, expected: int) -> None:
    tmp_path.chmod(folder)
    replace_file(tmp_path / "told", "x", durable=False)
    assert stat.S_IMODE((tmp_path / "told").stat().st_mode) == expected


WRITERS: dict[str, Callable[[DataHub], object]] = {
    "halt": lambda hub: halt(hub, "a test"),
    "cursor": lambda hub: cursors.keep(home_of(hub), "archive", 64, identity_of(hub)),
    "allowance": lambda hub: Ledger(hub.path / "allowance-ig.json", lambda: NINE).book(1),
    "blob": lambda hub: blobs.store(hub, b"text"),
}


@pytest.mark.parametrize("what", WRITERS)
def test_what_must_survive_a_power_loss_is_synced_with_its_name(
    hub: DataHub, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    synced: list[bool] = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(stat.S_ISDIR(os.fstat(handle).st_mode)))
    WRITERS[what](hub)
    assert synced == [False, True]
