"""Clean up behind the dead: a killed process cannot take its memory files along, and these tests kill on purpose."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _memory_of_the_dead(tmp_path: Path) -> Iterator[None]:
    """Remove what hubs below this test's own directory left in shared memory, as the next new hub would."""
    yield
    shared = Path("/dev/shm")
    for folder in shared.glob("tapehub-*") if shared.is_dir() else ():
        origin = folder / "hub"
        with suppress(OSError):  # of another test, whose hub goes at this moment; or of the native tests, and no hub's
            if Path(origin.read_text()).is_relative_to(tmp_path):
                shutil.rmtree(folder, ignore_errors=True)
