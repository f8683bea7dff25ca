"""The feeds there are: one row each here, or an entry point of group ``tapehub.feeds`` in any installed package.

An entry point names a `FeedRow`; a row names the class by text, so that looking a feed up imports none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points

from tapehub.errors import ConfigError, MissingExtra
from tapehub.feeds.feed import Feed

__all__ = ["GROUP", "ROWS", "FeedRow", "feeds", "find", "load"]

GROUP = "tapehub.feeds"


@dataclass(frozen=True, slots=True)
class FeedRow:
    """Describe a feed without importing it.

    Attributes:
        target: ``module:Class``, a subclass of `Feed`.
        extra: the extra of tapehub that brings its libraries; empty when it needs none.
        live: it speaks to a venue.
        made_up: ``SIMULATED`` or ``REPLAY`` where no market is like that now; whoever shows its quotes says so.
    """

    name: str
    summary: str
    target: str
    extra: str = ""
    live: bool = True
    made_up: str = ""


ROWS: tuple[FeedRow, ...] = (
    FeedRow("ig", "IG: forex, indices, commodities, by REST and Lightstreamer", "tapehub.feeds.ig:IgFeed", extra="ig"),
    FeedRow(
        "replay",
        "recorded files of several venues, merged in time",
        "tapehub.feeds.replay:Replay",
        live=False,
        made_up="REPLAY",
    ),
    FeedRow(
        "synthetic",
        "seeded FX quotes without a file or a network",
        "tapehub.feeds.synthetic:Synthetic",
        live=False,
        made_up="SIMULATED",
    ),
    FeedRow(
        "kraken",
        "Kraken's ticker, keyless: EUR/USD, GBP/USD, USD/JPY, BTC/USD",
        "tapehub.feeds.kraken:KrakenFeed",
        extra="kraken",
    ),
)


def feeds() -> Mapping[str, FeedRow]:
    """List every feed by name, installed ones included.

    Raises:
        ConfigError: an entry point is no row, or takes a name that is taken.
    """
    rows = {row.name: row for row in ROWS}
    for point in entry_points(group=GROUP):
        row = point.load()
        if not isinstance(row, FeedRow):
            raise ConfigError(
                f"entry point {point.name} = {point.value} of {GROUP} is {type(row).__name__}, expected FeedRow"
            )
        if row.name in rows:
            raise ConfigError(
                f"feed name {row.name!r} of entry point {point.value} is taken; rename it or uninstall the package"
            )
        rows[row.name] = row
    return rows


def find(name: str) -> FeedRow:
    """Look a feed up.

    Raises:
        ConfigError: there is none of that name.
    """
    rows = feeds()
    if name not in rows:
        raise ConfigError(f"feed {name!r} is not one of {', '.join(sorted(rows))}")
    return rows[name]


def load(name: str) -> type[Feed]:
    """Import a feed's class.

    Raises:
        ConfigError: there is no such feed.
        MissingExtra: its libraries are not installed.
    """
    row = find(name)
    module, _, attribute = row.target.partition(":")
    try:
        loaded = getattr(import_module(module), attribute, None)
    except MissingExtra:
        raise
    except ImportError as error:
        if not row.extra:
            raise
        raise MissingExtra(error.name or module, row.extra, f"the feed {name}") from error
    if not (isinstance(loaded, type) and issubclass(loaded, Feed)):
        raise ConfigError(f"feed {name!r}: {row.target} is no Feed class")
    return loaded
