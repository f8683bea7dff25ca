"""A hub is its owner's alone, or a group's too."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tapehub import ConfigError, DataHub, Tick
from tapehub.agents.halts import halt
from tapehub.agents.runner import only_one
from tapehub.collector.allowance import Ledger
from tapehub.collector.collector import save_rhythm
from tapehub.hub import cursors
from tapehub.hub.home import home_of
from tapehub.hub.lineage import identity_of
from tapehub.quality import Rhythm
from tests.models.market import NINE

STRANGER = 65_432  # a user and a group that nobody has

READ_AND_PUBLISH = """
import os, sys
from tapehub import DataHub, Tick
from tapehub.hub import blobs
from tapehub.model.calendars import zone_transitions
zone_transitions()  # all that is read from this installation is read before this user may not any more
os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[3]))
with DataHub.open(sys.argv[1]) as hub:
    print(hub.get_latest_tick("EUR_USD").bid)
    hub.update_tick(Tick("EUR_USD", 1.2, 1.2001))
    hub.note("from another user" * 1000)
"""


def modes(folder: Path) -> dict[str, int]:
    return {str(one.relative_to(folder)): stat.S_IMODE(one.stat().st_mode) for one in folder.rglob("*")}


def test_a_hub_is_its_owners_alone(tmp_path: Path) -> None:
    with DataHub.open(tmp_path / "hub", create=True) as hub:
        hub.update_tick(Tick("EUR_USD", 1.1, 1.1001))
        for folder in (hub.path, Path(hub._hub_state()["memory_dir"])):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            assert {mode & 0o077 for mode in modes(folder).values()} == {0}, modes(folder)


def test_a_shared_hub_belongs_to_its_group_with_all_that_comes_later(tmp_path: Path) -> None:
    with DataHub.open(tmp_path / "hub", create=True, group=os.getgid(), segment_lines=1024) as hub:
        for number in range(3000):
            hub.update_tick(Tick("EUR_USD", 1.1 + number * 1e-6, 1.2))
        hub.note("too long for a record" * 1000)
        for folder in (hub.path, Path(hub._hub_state()["memory_dir"])):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o2770
            for name, mode in modes(folder).items():
                assert mode in (0o660, 0o2770) or (mode == 0o640 and "blobs/" in name), (name, oct(mode))


def test_what_is_replaced_in_a_shared_hub_is_the_groups_too(tmp_path: Path) -> None:
    with DataHub.open(tmp_path / "hub", create=True, group=os.getgid(), segment_lines=1024) as hub:
        before = os.umask(0o077)
        try:
            halt(hub, "a test")
            cursors.keep(home_of(hub), "archive", 64, identity_of(hub))
            save_rhythm(hub, "feed", Rhythm())
            Ledger(hub.path / "allowance-ig.json", lambda: NINE).book(1)
            with only_one(hub, "agent"):
                pass
        finally:
            os.umask(before)
        found = modes(hub.path)
        written = {"agents/halt.json", "cursors/archive", "rhythm/feed.json", "allowance-ig.json"}
        assert found.keys() >= written | {"agents/agent.lock", "allowance-ig.lock"}
        assert set(found.values()) == {0o660, 0o2770}, found


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_another_user_of_the_group_reads_and_publishes_and_one_outside_does_neither(tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents[:3]):
        if folder.stat().st_uid == os.getuid() and folder != Path("/tmp"):
            folder.chmod(folder.stat().st_mode | 0o711)
    with DataHub.open(tmp_path / "hub", create=True, group=STRANGER) as hub:
        hub.update_tick(Tick("EUR_USD", 1.1, 1.1001))
        inside = _as_user(hub.path, group=STRANGER)
        assert inside.stdout == "1.1\n", inside.stderr
        tick = hub.get_latest_tick("EUR_USD")
        assert tick is not None
        assert tick.bid == 1.2
        outside = _as_user(hub.path, group=STRANGER + 1)
        assert outside.returncode != 0
        assert "hub" in outside.stderr


def _as_user(hub: Path, *, group: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", READ_AND_PUBLISH, str(hub), str(group), str(STRANGER)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_a_group_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no-such-group"):
        DataHub.open(tmp_path / "hub", create=True, group="no-such-group")
