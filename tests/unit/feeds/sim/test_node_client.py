"""The official Node client (TLCP 2.5.0) against the simulator: another code base, another version of the protocol.

It is fetched from the npm registry with `npm pack`, as one of its dependencies is named by a git address that an
offline install cannot follow; so this test is slow, and skipped where node or the registry is absent.
"""

import json
import queue
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tapehub.feeds.sim import ManualClock, Settings, SimulatorThread
from tests.models.venue import MONDAY, TICK, source, stream_password

SCRIPT = Path(__file__).parents[3] / "servers" / "lightstreamer_client.js"
PACKAGES = ("lightstreamer-client-node@9.2.2", "ws@8", "jsonpatch@3", "cookiejar@2", "xmlhttprequest@1")
WAIT_S = 20.0

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fetch the client and what it needs, or skip."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("needs node and npm, which are absent")
    folder = tmp_path_factory.mktemp("node")
    try:
        command = ["npm", "pack", "--silent", *PACKAGES]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=45)
    except (subprocess.SubprocessError, OSError) as error:
        pytest.skip(f"needs the official Node client, which npm could not fetch: {error}")
    for archive in folder.glob("*.tgz"):
        name = archive.name.rpartition("-")[0]
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
        (folder / "node_modules").mkdir(exist_ok=True)
        (folder / "package").rename(folder / "node_modules" / name)
    return folder


class Node:
    """The client in a process of its own, and what it said."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        shutil.copy(SCRIPT, folder / "client.js")
        self.process = subprocess.Popen(
            ["node", "client.js", *arguments],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said: list[Any] = []
        self._lines: queue.Queue[str] = queue.Queue()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)

    def until(self, reached: Callable[[], bool]) -> None:
        while not reached():
            self.said.append(json.loads(self._lines.get(timeout=WAIT_S)))

    @property
    def updates(self) -> list[Any]:
        return [row[1:] for row in self.said if row[0] == "update"]

    def end(self) -> None:
        self.process.communicate("end\n", timeout=WAIT_S)
        self._thread.join(WAIT_S)


@pytest.fixture
def market() -> Iterator[tuple[SimulatorThread, ManualClock]]:
    clock = ManualClock(MONDAY + 500_000_000)
    with SimulatorThread(Settings(keepalive_ms=500), source=source(), clock=clock) as sim:
        yield sim, clock


def test_it_follows_an_item_and_recovers_after_a_cut(
    packages: Path, market: tuple[SimulatorThread, ManualClock]
) -> None:
    sim, clock = market
    password = sim.call(lambda one: stream_password(one.venue))
    node = Node(packages, sim.stream_url, "SIM01", password, TICK)
    try:
        node.until(lambda: ["snapshot ended"] in node.said)
        assert node.updates == [[True, "1.1", "1.10006", "1780315200000", None]]
        sim.call(lambda one: (clock.advance(3), one.venue.advance()))
        sim.inject("cut", how="reset")
        sim.call(lambda one: (clock.advance(3), one.venue.advance()))
        node.until(lambda: len(node.updates) == 7)
        assert [row[1] for row in node.updates] == ["1.1"] + [f"1.100{i}" for i in range(1, 7)]
        assert node.updates[-1] == [False, "1.1006", "1.10066", "1780315206000", None]
        assert (sim.log.counts["session created"], sim.log.counts["session recovered"]) == (1, 1)
    finally:
        node.end()
