"""Names of processes, streams and sources are cut to what a place holds, and read by everyone."""

import pytest

from tapehub import DataHub
from tests.unit.hub.conftest import OpenHub


@pytest.mark.parametrize(
    ("name", "shown"),
    [("é" * 16, "é" * 15), ("a" + "é" * 16, "a" + "é" * 15), ("数" * 11, "数" * 10), ("x" * 40, "x" * 31)],
)
def test_a_long_name_is_cut_between_two_characters(open_hub: OpenHub, name: str, shown: str) -> None:
    hub, other = open_hub(name="hub"), DataHub.open(open_hub().path, name=name)
    with other, other.stream(name=name):
        other._define_source(name)
        assert shown in [row["name"] for row in hub.processes()]
        assert [row["name"] for row in hub.readers()] == [shown]
        assert hub.sources[-1] == shown
        assert shown in [row["name"] for row in hub.get_status()["processes"]]
        assert other._try_serve()
        assert (hub.server() or (0, 0, ""))[2] == shown
    assert shown in [row["name"] for row in hub.processes()], "also after it has left"
    hub.ledger()
