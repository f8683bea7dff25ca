"""The feeds that a command line can name, made ready for a hub: `make` gives the one that a `Wanted` describes.

They are those of `feeds.table`, and ``sim``: the feed ig with a simulated venue. A feed needs no line here unless it is
made of more than symbols, a clock and a random generator.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tapehub.app.clocks import change_clock, clock_of
from tapehub.app.recordings import find_recordings, first_quote_ns
from tapehub.errors import ConfigError, MissingExtra, RecordingError
from tapehub.feeds import table
from tapehub.feeds.feed import Feed, Quotes, RecordedFeed
from tapehub.feeds.paced import Paced
from tapehub.feeds.replay.pacing import rebase
from tapehub.hub.remote.address import is_loopback
from tapehub.model.policies import ClockMode

if TYPE_CHECKING:
    from tapehub.app.config import Config
    from tapehub.hub import DataHub

__all__ = ["SYMBOLS", "Wanted", "is_live", "made_up_by", "make", "names", "set_clock_for", "symbols_of"]

SYMBOLS = ("EUR_USD", "USD_JPY", "GBP_USD")
"""What is collected when nothing else is asked for."""
_SIM = "sim"
_DAY = 86_400 * 1_000_000_000
_YEARS = 3650 * _DAY


@dataclass(frozen=True, slots=True)
class Wanted:
    """Say what to collect; plain values, so that it can be handed to another process.

    Attributes:
        feed: one of `names`.
        symbols: in any spelling; empty for what is configured, else for what the feed or `SYMBOLS` says.
        paths: what to replay, absolute.
        url: REST address of the simulator.
        rate: made-up ticks a second of each instrument.
    """

    feed: str
    symbols: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    url: str = ""
    seed: int = 1
    rate: float = 1.0

    def __post_init__(self) -> None:
        if self.feed not in (known := names()):
            raise ConfigError(
                f"feed is {self.feed!r}, expected one of {', '.join(known)}; one that a package brings "
                "is known when that is installed beside tapehub"
            )
        if bool(self.paths) != (self.feed == "replay"):
            said = f"{len(self.paths)} paths" if self.paths else "no path"
            raise ConfigError(
                f"feed {self.feed} with {said}: expected recorded files for replay, and for no other feed"
            )
        if self.url and self.feed != _SIM:
            raise ConfigError(f"feed {self.feed} with --sim {self.url}: expected --sim with the feed sim alone")
        if self.symbols and self.feed == "replay":
            raise ConfigError("feed replay with --symbols: the recordings tell their instruments; drop them")

    def plain(self) -> dict[str, Any]:
        """Give it as JSON takes it."""
        return asdict(self)

    @classmethod
    def read(cls, plain: Mapping[str, Any]) -> Wanted:
        """Take up what `plain` gave."""
        return cls(**{**plain, "symbols": tuple(plain["symbols"]), "paths": tuple(plain["paths"])})


def names() -> tuple[str, ...]:
    """List the feeds that can be named, those of installed packages included."""
    return (*table.names(), _SIM)


def is_live(feed: str) -> bool:
    """Tell whether a feed speaks to a venue, which is at the present whatever the hub clock says."""
    return feed != _SIM and table.find(feed).live


def make(wanted: Wanted, hub: DataHub, config: Config, rng: random.Random) -> Feed:
    """Make a feed.

    Raises:
        ConfigError: it cannot be as wanted, or is not made as `Feed` says; for IG also when credentials are missing.
        MissingExtra: its libraries are.
        RecordingError: nothing can be replayed.
    """
    return _MAKERS.get(wanted.feed, _from_table)(wanted, hub, config, rng)


def made_up_by(wanted: Wanted, config: Config) -> str:
    """Say what its quotes are, where no market is like that now: ``SIMULATED`` or ``REPLAY``; empty for a venue's."""
    if wanted.feed == _SIM:
        return "SIMULATED"
    if wanted.feed == "ig":  # an IG of this machine is a simulator, whatever it is called
        host = urlsplit(config.ig.base_url or "").hostname or ""
        return "SIMULATED" if is_loopback(host) else ""
    return table.find(wanted.feed).made_up


def symbols_of(words: list[str] | None) -> tuple[str, ...]:
    """Read ``--symbols``: given several times, or with commas."""
    return tuple(part for word in words or () for part in word.replace(",", " ").split())


def set_clock_for(wanted: Wanted, hub: DataHub, config: Config) -> bool:
    """See that the hub clock suits a feed; tell whether it was changed.

    What a venue says now needs the wall clock. Where the simulator or a series follows the hub, a virtual clock is
    fine; one that only events move would wait for them for ever.

    Raises:
        HubHeld: others publish under the present clock.
    """
    mode = clock_of(hub).mode
    follows = not is_live(wanted.feed) or (wanted.feed == "ig" and config.ig.base_url is not None)
    if mode is ClockMode.WALL or (follows and mode is ClockMode.VIRTUAL):
        return False
    return change_clock(hub, ClockMode.WALL)


# ---------------------------------------------------------------- how they are made


def _from_table(wanted: Wanted, hub: DataHub, config: Config, rng: random.Random) -> Feed:
    """Make a feed of which nothing is known but its row."""
    kind: Callable[..., Feed] = table.load(wanted.feed)
    try:
        inspect.signature(kind).bind(wanted.symbols, now=hub.now, rng=rng)
    except TypeError as error:
        raise ConfigError(
            f"feed {wanted.feed}: {table.find(wanted.feed).target} cannot be made ({error}): expected "
            "Class(symbols, *, now, rng), as docs/howto/add-a-feed.md says; change its __init__"
        ) from error
    made = kind(wanted.symbols, now=hub.now, rng=rng)
    if not isinstance(made, RecordedFeed):
        return made
    recorded = made
    # What lies in the past would be refused as late: it is moved to the present, as the recordings of replay are.
    return Paced(made.name, made.symbols, lambda start_ns: rebase(recorded.batches(), start_ns), hub.now)


def _ig(wanted: Wanted, hub: DataHub, config: Config, rng: random.Random) -> Feed:
    feed, settings = _ig_classes()
    chosen = config.ig
    made: Feed = feed(
        wanted.symbols or (() if chosen.epics else SYMBOLS),
        now=hub.now,
        rng=rng,
        base_url=chosen.base_url,
        epics=chosen.epics,
        book=hub._names.book,
        form=chosen.form,
        settings=settings(
            session_version=str(chosen.session_version),
            reserved_share=chosen.reserved_share,
            subscriptions_max=chosen.subscriptions_max,
        ),
    )
    return made


def _sim(wanted: Wanted, hub: DataHub, config: Config, rng: random.Random) -> Feed:
    from tapehub.feeds.ig.credentials import Credentials
    from tapehub.feeds.sim.settings import Settings as Venue

    if not wanted.url:
        raise ConfigError("feed sim without a simulator: expected its address, as --sim http://127.0.0.1:PORT")
    feed, settings = _ig_classes()
    venue = Venue()
    # Never the user's credentials, and never lent: order code must not take a simulator for IG. A source of its own
    # name, so that made-up quotes are never mistaken for IG's either.
    made: Feed = feed(
        wanted.symbols or SYMBOLS,
        credentials=Credentials(venue.username, venue.password, venue.api_key),
        now=hub.now,
        rng=rng,
        base_url=wanted.url,
        book=hub._names.book,
        settings=settings(lend=False, reserved_share=0.0),
        name="sim",
    )
    return made


def _ig_classes() -> tuple[Any, Any]:
    try:
        from tapehub.feeds.ig import IgFeed, Settings
    except MissingExtra:
        raise
    except ImportError as error:
        raise MissingExtra(error.name or "trading-ig", "ig", "the feed ig") from error
    return IgFeed, Settings


def _synthetic(wanted: Wanted, hub: DataHub, config: Config, rng: random.Random) -> Feed:
    from tapehub.feeds.synthetic import Synthetic

    symbols, book = wanted.symbols or SYMBOLS, hub._names.book

    def begin(start_ns: int) -> Iterator[Quotes]:
        return Synthetic(symbols, start_ns, start_ns + _YEARS, wanted.seed, wanted.rate, book).batches()

    named = Synthetic(symbols, 0, 0, wanted.seed, wanted.rate, book)
    return Paced(named.name, named.symbols, begin, hub.now)


def _replay(wanted: Wanted, hub: DataHub, config: Config, rng: random.Random) -> Feed:
    from tapehub.feeds.replay import Replay

    found = find_recordings([Path(path) for path in wanted.paths])
    if first_quote_ns(found.recordings) is None:
        raise RecordingError(f"{', '.join(wanted.paths)}: no tick: expected at least one to replay")
    feed = Replay(found.recordings)
    # No symbols: the quotes name their own sources, and nothing will ever come of an instrument from "replay" itself.
    return Paced(feed.name, (), lambda start_ns: rebase(feed.batches(), start_ns), hub.now)


_MAKERS: Mapping[str, Callable[[Wanted, DataHub, Config, random.Random], Feed]] = {
    "ig": _ig,
    _SIM: _sim,
    "synthetic": _synthetic,
    "replay": _replay,
}
"""What makes the feeds that need more than their row says; `_from_table` makes the others."""
