"""One gateway for all tests of a module that only ask it something."""

from collections.abc import Iterator

import pytest

from tapehub import DataHub
from tests.models.gateway import Served, served


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve a new hub under an event clock; its instruments are those that a test defines."""
    place = tmp_path_factory.mktemp("gateway") / "hub"
    with DataHub.open(place, create=True, sync="none") as hub:
        hub.set_clock("event")
        with served(hub) as made:
            yield made
