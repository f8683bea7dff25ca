"""Damage to the last records of a closed hub, at every byte: repaired or refused, never silently other data."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tapehub import DataHub, HubError
from tapehub.errors import HubFormatError
from tests.models.market import EUR, candle, quotes, tick

SETTINGS: dict[str, Any] = {"create": True, "segment_lines": 1 << 10, "sync": "none"}
LINE = 64


def closed_hub(path: Path, *, ends_with: str) -> list[int]:
    """Make a small hub; give the sequences of its last two records."""
    with DataHub.open(path, **SETTINGS) as hub:
        hub.set_clock("event")
        hub.publish(quotes([1, 30, 61, 95, 130]), symbol=EUR)
        last = [hub.update_tick(tick(131, 1.5))]
        last.append(hub.update_candle_1m(candle(9, 1.7)) if ends_with == "candle" else hub.update_tick(tick(190, 1.6)))
    return last


def content(hub: DataHub) -> dict[str, Any]:
    """Give what a caller sees, without what an opening stamps itself."""
    return {
        "ticks": [(one.ts_event, one.bid, one.ask) for one in hub.ticks(EUR, start=0)],
        "candles": [
            tuple(one)[:6]
            for name in ("1s", "1m", "1h")
            for one in hub.candles(EUR, name, limit=99, forming=True).numpy()
        ],
        "latest": (one := hub.get_latest_tick(EUR)) and (one.ts_event, one.bid),
    }


class Copies:
    """Copies of one closed hub, each damaged in its own way and opened again."""

    def __init__(self, tmp_path: Path, *, ends_with: str, checkpoint: bool) -> None:
        self.original = tmp_path / "original"
        self.first, self.last = closed_hub(self.original, ends_with=ends_with)
        if not checkpoint:
            for name in ("checkpoint", "checkpoint.old"):
                (self.original / name).unlink(missing_ok=True)
        self.work = tmp_path / "work"
        with self._copied() as hub:
            self.whole = content(hub)
            self.end = hub.head
            self.epoch = hub.epoch
        self.prefixes = [self.whole["ticks"][:n] for n in range(len(self.whole["ticks"]) + 1)]
        self.repaired = self.refused = self.unharmed = 0

    def _copied(self, damage: Callable[[Path], object] = lambda _: None) -> DataHub:
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(self.original, self.work)
        damage(self.work / "log" / "000000000000.tape")
        return DataHub.open(self.work, **SETTINGS)

    def check(self, damage: Callable[[Path], object], what: str) -> None:
        """Open a damaged copy: the same data under the same epoch, a beginning of them under a new one, or an error."""
        try:
            hub = self._copied(damage)
        except HubError as error:
            assert str(self.work) in str(error), what  # noqa: PT017 - one of the outcomes that are allowed
            self.refused += 1
            return
        with hub:
            seen = content(hub)
            if hub.epoch == self.epoch:
                assert seen == self.whole, what
                self.unharmed += 1
            else:
                assert hub.epoch == self.epoch + 1, what
                assert seen["ticks"] in self.prefixes, what
                self.repaired += 1
            report = hub.verify()
            assert report.ok, what
            assert report.records == report.expected_records, what
            assert hub.update_tick(tick(900)) == hub.head - 1, what
            assert hub.get_latest_tick(EUR) == tick(900), what


def flip(offset: int, bit: int) -> Callable[[Path], None]:
    def damage(tape: Path) -> None:
        with tape.open("r+b") as file:
            file.seek(offset)
            (byte,) = file.read(1)
            file.seek(offset)
            file.write(bytes([byte ^ (1 << bit)]))

    return damage


def truncate(size: int) -> Callable[[Path], None]:
    def damage(tape: Path) -> None:
        with tape.open("r+b") as file:
            file.truncate(size)

    return damage


@pytest.mark.parametrize("checkpoint", [True, False], ids=["checkpoint", "no-checkpoint"])
def test_a_flipped_bit_among_the_bytes_of_the_last_two_ticks(tmp_path: Path, checkpoint: bool) -> None:
    copies = Copies(tmp_path, ends_with="tick", checkpoint=checkpoint)
    chance = random.Random(1)
    for offset in range(copies.first * LINE, copies.end * LINE, 5 if checkpoint else 7):
        copies.check(flip(offset, chance.randrange(8)), f"bit flipped at byte {offset}")
    assert copies.unharmed == 0
    assert copies.repaired + copies.refused >= 18


def test_a_tape_cut_short_within_its_last_two_ticks(tmp_path: Path) -> None:
    copies = Copies(tmp_path, ends_with="tick", checkpoint=True)
    for size in range(copies.first * LINE, copies.end * LINE + 1, 11):
        copies.check(truncate(size), f"cut to {size} bytes")
    assert copies.repaired + copies.refused > 10


@pytest.mark.chaos
@pytest.mark.timeout(900)
@pytest.mark.parametrize("ends_with", ["tick", "candle"])
@pytest.mark.parametrize("checkpoint", [True, False], ids=["checkpoint", "no-checkpoint"])
def test_every_bit_and_every_length_of_the_last_two_records(
    tmp_path: Path, ends_with: str, checkpoint: bool, record_property: Callable[[str, object], None]
) -> None:
    copies = Copies(tmp_path, ends_with=ends_with, checkpoint=checkpoint)
    for offset in range(copies.first * LINE, copies.end * LINE):
        for bit in (0, 3, 7):
            copies.check(flip(offset, bit), f"bit {bit} flipped at byte {offset}")
    assert copies.unharmed == 0
    for size in range(copies.first * LINE, copies.end * LINE + 1):
        copies.check(truncate(size), f"cut to {size} bytes")
    for name in ("repaired", "refused", "unharmed"):
        record_property(name, getattr(copies, name))


def test_a_checkpoint_damaged_anywhere_costs_nothing(tmp_path: Path) -> None:
    closed_hub(tmp_path / "hub", ends_with="candle")
    with DataHub.open(tmp_path / "hub") as hub:
        whole = content(hub)
    checkpoint = tmp_path / "hub" / "checkpoint"
    sound = checkpoint.read_bytes()
    (tmp_path / "hub" / "checkpoint.old").unlink(missing_ok=True)
    chance = random.Random(2)
    for _ in range(8):
        damaged = bytearray(sound)
        damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        checkpoint.write_bytes(damaged if chance.random() < 0.7 else damaged[: chance.randrange(len(damaged))])
        with DataHub.open(tmp_path / "hub") as hub:
            assert content(hub) == whole
            assert hub.epoch == 1


def test_a_flipped_bit_in_the_control_file_is_refused(tmp_path: Path) -> None:
    closed_hub(tmp_path / "hub", ends_with="tick")
    control = tmp_path / "hub" / "control"
    sound = control.read_bytes()
    for offset in range(0, len(sound) - 4, 61):
        damaged = bytearray(sound)
        damaged[offset] ^= 16
        control.write_bytes(damaged)
        with pytest.raises(HubFormatError, match=r"control|hub format is"):
            DataHub.open(tmp_path / "hub")
    control.write_bytes(sound[:100])
    with pytest.raises(HubFormatError, match="control file has 100 bytes, expected"):
        DataHub.open(tmp_path / "hub")
    control.write_bytes(sound)
    with DataHub.open(tmp_path / "hub") as hub:
        assert len(hub.ticks(EUR)) == 7
