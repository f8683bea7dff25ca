"""What becomes of a hub's files when the power is lost, or somebody deletes them."""

import shutil
import time
from pathlib import Path

LINE = 64


def lose_lines(place: Path, begin: int, end: int) -> None:
    """Do what a power loss does: pages that were never stored read as zeros, and no checkpoint tells of them."""
    with (place / "log" / "000000000000.tape").open("r+b") as file:
        file.seek(begin * LINE)
        file.write(bytes((end - begin) * LINE))
    for name in ("checkpoint", "checkpoint.old"):
        (place / name).unlink(missing_ok=True)


def delete(place: Path) -> None:
    """Delete a hub that others have open: its helper makes segments meanwhile, so by another name."""
    away = place.with_name(f"deleted-{time.monotonic_ns()}")
    place.rename(away)
    for _ in range(500):
        shutil.rmtree(away, ignore_errors=True)
        if not away.exists():
            return
        time.sleep(0.01)
    raise AssertionError("the hub could not be deleted")
