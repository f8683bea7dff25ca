"""A feed that another package brings: no line of tapehub knows it, and every command does."""

import re
from pathlib import Path

import pytest

from tapehub import DataHub
from tests.servers.commands import TUESDAY, running, tapehub

FEED = """
import asyncio

from tapehub.feeds import {base}, Guarantees, Quotes, QUOTE, Status, StatusKind
from tapehub.feeds.table import FeedRow

import numpy as np

ROW = FeedRow("myvenue", "a test", "my_package:MyFeed", live={live})


def made(ts):
    rows = np.zeros(1, QUOTE)
    rows["ts_event"], rows["bid"], rows["ask"] = ts, 1.1, 1.1001
    return Quotes(rows, ("EUR_USD",), ("myvenue",))


class MyFeed({base}):
    name = "myvenue"
    guarantees = Guarantees()

    def __init__(self, {parameters}):
        self.symbols = ("EUR_USD",)
        self.now = now

    {body}
"""
LIVE = """
    def repair(self, step, symbols=()):
        pass

    async def events(self):
        yield Status(StatusKind.CONNECTED, self.symbols)
        yield Status(StatusKind.SUBSCRIBED, self.symbols)
        while True:
            yield made(self.now())
            await asyncio.sleep(0.05)
"""
RECORDED = """
    def batches(self):
        for number in range(1_000):
            yield made(1_577_934_000_000_000_000 + number * 50_000_000)
"""


def install(folder: Path, base: str, body: str, parameters: str = "symbols, *, now, rng") -> str:
    """Install a package where the path is looked for; give the path."""
    told = folder / "my_package-1.0.dist-info"
    told.mkdir(parents=True)
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    (told / "entry_points.txt").write_text("[tapehub.feeds]\nmyvenue = my_package:ROW\n")
    code = FEED.format(base=base, live=base == "LiveFeed", parameters=parameters, body=body)
    (folder / "my_package.py").write_text(code)
    return str(folder)


@pytest.mark.parametrize(("base", "body"), [("LiveFeed", LIVE), ("RecordedFeed", RECORDED)])
def test_a_feed_of_an_entry_point_publishes_ticks(tmp_path: Path, base: str, body: str) -> None:
    path = install(tmp_path / "site", base, body)
    where = str(tmp_path / "hub")
    with (
        running("collect", "myvenue", "--hub", where, PYTHONPATH=path) as run,
        DataHub.open(where, create=True) as hub,
    ):
        run.until(lambda: len(hub.ticks("EUR_USD", limit=3)) == 3, "three ticks")
        assert hub.get_latest_tick("EUR_USD").bid == 1.1
        assert "myvenue" in hub.sources
        assert run.end() == 0


def test_the_commands_list_it_and_hold_it_to_what_its_row_says(tmp_path: Path) -> None:
    path = install(tmp_path / "site", "LiveFeed", LIVE)
    assert "myvenue" in tapehub("collect", "--help", PYTHONPATH=path, COLUMNS="200").stdout
    late = tapehub("up", "--feed", "myvenue", "--at", TUESDAY, "--hub", str(tmp_path / "hub"), PYTHONPATH=path)
    assert late.returncode != 0
    assert "--at with the feed myvenue" in late.stderr


def test_a_feed_that_is_not_made_as_stated_is_refused_with_what_is_expected(tmp_path: Path) -> None:
    path = install(tmp_path / "site", "LiveFeed", LIVE, parameters="symbols, now")
    done = tapehub("collect", "myvenue", "--hub", str(tmp_path / "hub"), PYTHONPATH=path, COLUMNS="400")
    assert done.returncode != 0
    assert re.search(r"my_package:MyFeed cannot be made \(.*'rng'\): expected Class\(symbols, ", done.stderr)
