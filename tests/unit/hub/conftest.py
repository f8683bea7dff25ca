"""A small hub that opens fast, and what most tests of the hub need."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tapehub import DataHub

OpenHub = Callable[..., DataHub]


@pytest.fixture
def open_hub(tmp_path: Path) -> Iterator[OpenHub]:
    """Open hubs with small segments; all of them are closed afterwards."""
    opened: list[DataHub] = []

    def open_one(name: str = "hub", **options: object) -> DataHub:
        settings: dict[str, object] = {"create": True, "segment_lines": 1 << 12, "sync": "none", **options}
        opened.append(DataHub.open(tmp_path / name, **settings))  # type: ignore[arg-type]
        return opened[-1]

    yield open_one
    for one in reversed(opened):
        one.close()


@pytest.fixture
def hub(open_hub: OpenHub) -> DataHub:
    """Open a new hub on an event clock: what is published is neither late nor ahead of its time."""
    one = open_hub()
    one.set_clock("event")
    return one
