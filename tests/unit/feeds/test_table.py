"""Feeds are found by name, built in or brought by an installed package, and a missing library names its extra."""

from collections.abc import Callable
from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import pytest

from tapehub.errors import ConfigError, MissingExtra
from tapehub.feeds import Feed, table
from tapehub.feeds.table import FeedRow, find, load, names

MINE = FeedRow("mine", "a test", "tapehub.feeds.synthetic:Synthetic")


def raising(error: Exception) -> Callable[[], Any]:
    def load() -> Any:
        raise error

    return load


def install(monkeypatch: pytest.MonkeyPatch, *names: str, load: Callable[[], Any] = lambda: MINE) -> None:
    """Let packages bring feeds of these names; what each holds is what `load` gives."""
    points = EntryPoints(EntryPoint(name, "my_package:ROW", table.GROUP) for name in names)
    monkeypatch.setattr(EntryPoint, "load", lambda self: load())
    monkeypatch.setattr(table, "entry_points", points.select)


def test_every_built_in_row_loads_a_feed() -> None:
    for row in table.ROWS:
        assert issubclass(load(row.name), Feed)
        assert row.summary


def test_an_installed_package_brings_a_feed(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "mine")
    assert find("mine") is MINE
    assert names() == (*(row.name for row in table.ROWS), "mine")


@pytest.mark.parametrize(
    ("names", "held", "why"),
    [
        (["replay"], lambda: FeedRow("replay", "", "a:B"), "'replay' of entry point my_package:ROW is taken"),
        (["mine", "mine"], lambda: MINE, "'mine' of entry point my_package:ROW is taken"),
        (["mine"], lambda: 42, "is int, expected FeedRow"),
        (["mine"], lambda: FeedRow("other", "", "a:B"), "name 'other', expected 'mine'"),
        (["mine"], raising(ImportError("no websockets")), "ImportError: no websockets; mend the package"),
        (["mine"], raising(AttributeError("no ROW")), "AttributeError: no ROW; mend the package"),
    ],
)
def test_an_entry_point_that_cannot_be_is_refused(
    monkeypatch: pytest.MonkeyPatch, names: list[str], held: Callable[[], Any], why: str
) -> None:
    install(monkeypatch, *names, load=held)
    with pytest.raises(ConfigError, match=why):
        find(names[0])


def test_a_package_that_is_broken_is_in_the_way_of_its_own_feed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "mine", load=raising(ImportError("no such thing")))
    assert "mine" in names()
    assert find("kraken").live


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
