"""A door to knock at."""

from pathlib import Path

import pytest

from tapehub.gateway.access import Hosts, Limits
from tests.models.door import Door


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path, Limits(body_bytes_max=1000), Hosts(["hub.example"]))
