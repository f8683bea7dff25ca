"""The feeds there are: one row each here, or an entry point of group ``tapehub.feeds`` in any installed package.

An entry point is called as its feed is and names a `FeedRow`; a row names the class by text. So the feeds are listed
without importing any, and a package that is broken is in the way of its own feed alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from tapehub.errors import ConfigError, MissingExtra
from tapehub.feeds.feed import Feed

__all__ = ["GROUP", "ROWS", "FeedRow", "find", "load", "names"]

GROUP = "tapehub.feeds"


@dataclass(frozen=True, slots=True)
class FeedRow:
    """Describe a feed without importing it.

    Attributes:
        target: ``module:Class``, a subclass of `Feed`, made as ``Class(symbols, now=, rng=)``: see `Feed`.
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


def names() -> tuple[str, ...]:
    """List the feeds there are, those of installed packages last; what the packages hold is not looked at."""
    return tuple(dict.fromkeys([*(row.name for row in ROWS), *(point.name for point in entry_points(group=GROUP))]))


def find(name: str) -> FeedRow:
    """Look a feed up.

    Raises:
        ConfigError: there is none of that name, there are several, or what a package brings is no row.
    """
    rows = [row for row in ROWS if row.name == name]
    points = list(entry_points(group=GROUP, name=name))
    if not rows and not points:
        raise ConfigError(f"feed {name!r} is not one of {', '.join(sorted(names()))}")
    for point in points[1 - len(rows) :]:
        raise ConfigError(
            f"feed name {name!r} of entry point {point.value} is taken; rename it or uninstall the package"
        )
    return rows[0] if rows else _row_of(points[0])


def _row_of(point: EntryPoint) -> FeedRow:
    where = f"entry point {point.name} = {point.value} of {GROUP}"
    try:
        row = point.load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"{where} cannot be loaded, expected a FeedRow: {type(error).__name__}: {error}; "
            "mend the package or uninstall it"
        ) from error
    if not isinstance(row, FeedRow):
        raise ConfigError(f"{where} is {type(row).__name__}, expected FeedRow; mend the package or uninstall it")
    if row.name != point.name:
        raise ConfigError(f"{where} is a row of the name {row.name!r}, expected {point.name!r}; call both the same")
    return row


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
