"""A hub whose memory-backed files vanish under the processes that are attached, as when someone tidies /dev/shm."""

import shutil
import time
from pathlib import Path

from tapehub import DataHub


def lose_memory(root: Path, hub: DataHub) -> None:
    """Remove a hub's memory below its own ``memory_root``, and wait until this process has attached anew."""
    before = hub._incarnation
    for folder in root.iterdir():
        shutil.rmtree(folder)
    deadline = time.monotonic() + 20
    while hub.head < 0 or hub._incarnation == before:
        assert time.monotonic() < deadline, "the loss was not noticed"
        time.sleep(0.05)
