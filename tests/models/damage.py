"""What becomes of a hub's files when the power is lost."""

from pathlib import Path

LINE = 64


def lose_lines(place: Path, begin: int, end: int) -> None:
    """Do what a power loss does: pages that were never stored read as zeros, and no checkpoint tells of them."""
    with (place / "log" / "000000000000.tape").open("r+b") as file:
        file.seek(begin * LINE)
        file.write(bytes((end - begin) * LINE))
    for name in ("checkpoint", "checkpoint.old"):
        (place / name).unlink(missing_ok=True)
