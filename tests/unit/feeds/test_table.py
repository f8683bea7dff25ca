"""Feeds are found by name, built in or brought by an installed package, and a missing library names its extra."""

from importlib.metadata import EntryPoint, EntryPoints

import pytest

from tapehub.errors import ConfigError, MissingExtra
from tapehub.feeds import Feed, table
from tapehub.feeds.table import FeedRow, feeds, find, load

MINE = FeedRow("mine", "a test", "tapehub.feeds.synthetic:Synthetic")
TAKEN = FeedRow("replay", "a test", "tapehub.feeds.synthetic:Synthetic")
NO_ROW = 42


def install(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    point = EntryPoint(name, f"{__name__}:{name}", table.GROUP)
    monkeypatch.setattr(EntryPoint, "load", lambda self: globals()[self.name])
    monkeypatch.setattr(
        table, "entry_points", lambda group: EntryPoints([point]) if group == table.GROUP else EntryPoints([])
    )


def test_every_built_in_row_loads_a_feed() -> None:
    for row in table.ROWS:
        assert issubclass(load(row.name), Feed)
        assert row.summary


def test_an_installed_package_brings_a_feed(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "MINE")
    assert find("mine") is MINE
    assert "replay" in feeds()


@pytest.mark.parametrize(("name", "why"), [("TAKEN", "is taken"), ("NO_ROW", "is int, expected FeedRow")])
def test_an_entry_point_that_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, why: str) -> None:
    install(monkeypatch, name)
    with pytest.raises(ConfigError, match=why):
        feeds()


def test_an_unknown_feed_is_refused_with_the_list() -> None:
    with pytest.raises(ConfigError, match=r"'reply' is not one of .*replay, synthetic"):
        load("reply")


def test_a_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = (FeedRow("far", "a test", "no_such_library_at_all:Feed", extra="ig"), FeedRow("odd", "a test", "math:pi"))
    monkeypatch.setattr(table, "ROWS", rows)
    with pytest.raises(MissingExtra, match=r"pip install 'tapehub\[ig\]'"):
        load("far")
    with pytest.raises(ConfigError, match="math:pi is no Feed class"):
        load("odd")
