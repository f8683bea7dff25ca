"""The one interface that every venue meets.

A feed is an ordered series of events: `Quotes`, `Status` (the transport's own word: connected, heartbeat, …),
`Malformed` (a message that could not be read, kept and counted), and where the venue gives them `MarketStatus` and
`VenueCandle`. Whoever consumes it (the collector) needs nothing
else; what a venue promises, or does not, stands in its `Guarantees`, and the conformance suite holds it to them.

A live feed is a sans-I/O protocol (bytes and clock readings in, events and bytes to send out) under a session that
owns the socket; only the session is asynchronous. A recording has no I/O worth waiting for, so it is a plain
iterator, and `RecordedFeed` makes the events of it.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from tapehub.feeds.quotes import QUOTE, Quotes, Records, empty_quotes, in_time, joined

__all__ = [
    "QUOTE",
    "Event",
    "Feed",
    "Guarantees",
    "LiveFeed",
    "Malformed",
    "MarketStatus",
    "Quotes",
    "RecordedFeed",
    "Records",
    "Repair",
    "Stage",
    "Status",
    "StatusKind",
    "VenueCandle",
    "empty_quotes",
    "in_time",
    "joined",
]


class StatusKind(Enum):
    """What a transport can say about itself."""

    CONNECTED = "connected"
    SUBSCRIBED = "subscribed"  # the venue confirmed: silence now means something
    HEARTBEAT = "heartbeat"
    REFUSED = "refused"  # a login or subscription
    DISCONNECTED = "disconnected"
    ENDED = "ended"  # nothing more will come, by design


class Stage(Enum):
    """How far a feed was on its way to data when something happened: the links of the doctor's chain."""

    CREDENTIALS = "credentials"
    LOGIN = "login"
    MARKETS = "markets"  # finding out what the symbols mean
    ALLOWANCE = "allowance"  # a request waits until the venue permits it: nothing was refused
    STREAM = "stream"
    SUBSCRIPTION = "subscription"


@dataclass(frozen=True, slots=True)
class Status:
    """Say what happened to the transport.

    Attributes:
        symbols: those concerned; empty for all.
        ts_recv: ns UTC, 0 where no clock was read.
        detail: for people; no secrets, since it is logged in the hub.
        stage: None where the feed does not tell.
        code: the venue's own word for why.
        where: the address that was spoken to.
        subscriptions: how many the feed has, and how many the venue permits; None where it sets no limit.
        wait_s: how long what is held up (`Stage.ALLOWANCE`) waits; 0 where that is not known.
    """

    kind: StatusKind
    symbols: tuple[str, ...] = ()
    ts_recv: int = 0
    detail: str = ""
    stage: Stage | None = None
    code: str = ""
    where: str = ""
    subscriptions: tuple[int, int] | None = None
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Malformed:
    """Keep a message that could not be read; it counts as received.

    Attributes:
        symbol: whose quote it would have been; empty where the message tells none. With it, the instrument's own
            account balances, and it is not taken for mute.
        count: how many quotes it stands for, such as those that found no room.
    """

    raw: bytes
    why: str
    ts_recv: int = 0
    symbol: str = ""
    count: int = 1


@dataclass(frozen=True, slots=True)
class MarketStatus:
    """Pass on what the venue says of its markets.

    Attributes:
        is_open: None when the venue's word says neither.
        detail: the venue's own word, such as ``TRADEABLE``.
        halted: open or not, no quote need come (an auction): silence means nothing, and no repair helps.
    """

    symbols: tuple[str, ...]
    is_open: bool | None
    ts_recv: int = 0
    detail: str = ""
    halted: bool = False


@dataclass(frozen=True, slots=True)
class VenueCandle:
    """Hand over a finished candle that the venue built itself, to compare with the hub's.

    Attributes:
        start: open time, ns UTC.
        bid, ask: open, high, low, close in market units.
        ticks: as the venue counts them, 0 where it does not say.
        confirmed: False when the venue's mark of the last update was lost, and the next candle's beginning showed that
            this one is over: an update of it may be missing.
    """

    symbol: str
    source: str
    timeframe: str
    start: int
    bid: tuple[float, float, float, float]
    ask: tuple[float, float, float, float]
    ticks: int = 0
    ts_recv: int = 0
    confirmed: bool = True


Event: TypeAlias = Quotes | Status | Malformed | MarketStatus | VenueCandle


class Repair(Enum):
    """What a live feed can be asked to do about silence, from the mildest."""

    RESUBSCRIBE = "resubscribe"
    RECONNECT = "reconnect"
    RELOGIN = "relogin"


@dataclass(frozen=True, slots=True)
class Guarantees:
    """State what a feed promises about its quotes.

    Attributes:
        ordered: `ts_event` never goes back within an instrument and source.
        merged: nor across them.
        repeatable: iterating again gives the same quotes.
        complete: loss cannot happen silently: the venue numbers its messages, or the data are at rest.
        heartbeat: a dead connection shows within seconds, though the market be quiet.
        receive_times: `ts_recv` is real.
        sizes: sizes are real.
    """

    ordered: bool = False
    merged: bool = False
    repeatable: bool = False
    complete: bool = False
    heartbeat: bool = False
    receive_times: bool = False
    sizes: bool = False


class Feed(ABC):
    """A venue's quotes for some instruments. One consumer at a time.

    A class that a row of `feeds.table` names is made as ``Class(symbols, now=now, rng=rng)``: the symbols as they were
    asked for, in any spelling, none for the feed's own choice; the hub clock, ns UTC; a `random.Random`. Other
    arguments have defaults.
    """

    name: str
    symbols: tuple[str, ...]
    guarantees: Guarantees

    @abstractmethod
    def events(self) -> AsyncGenerator[Event, None]:
        """Iterate over what the venue says, until it ends or the consumer closes the iterator.

        Closing the iterator (or cancelling the task that iterates) releases the transport.

        Raises:
            FeedError: the feed cannot go on; what a reconnection cures, a live feed cures itself.
        """


class RecordedFeed(Feed):
    """A feed whose data are at rest, so that a plain loop can read it."""

    @abstractmethod
    def batches(self) -> Iterator[Quotes]:
        """Iterate over the quotes from the beginning.

        Raises:
            FeedError: the data cannot be read.
        """

    async def events(self) -> AsyncGenerator[Event, None]:
        """Iterate over the batches, then say ENDED."""
        yield Status(StatusKind.CONNECTED, self.symbols)
        for batch in self.batches():
            yield batch
            await asyncio.sleep(0)  # lets other tasks run, and a cancellation in
        yield Status(StatusKind.ENDED, self.symbols)


class LiveFeed(Feed):
    """A feed with a transport under it, which reconnects by itself and can be asked to do so.

    Attributes:
        counts_received: it tells `on_received` of each quote when it comes, before anything of it is looked at; one
            that does not is counted by whoever publishes. The quotes are those of `Quotes`, of every `Malformed` that
            names a symbol, and of `take_left`.
        on_received: takes a number of quotes, in any thread; None where nobody counts.
    """

    counts_received: bool = False
    on_received: Callable[[int], None] | None = None

    def take_left(self) -> dict[str, int]:
        """Give, by symbol, the quotes that came and that nobody took before the iterator was closed; once."""
        return {}

    @abstractmethod
    def repair(self, step: Repair, symbols: tuple[str, ...] = ()) -> None:
        """Ask for a repair; returns at once, what comes of it shows as `Status` events.

        Args:
            symbols: those to resubscribe; empty for all.
        """

    @property
    def remarks(self) -> Mapping[str, str]:
        """Say what the feed goes on without, and why, by its name for it: nothing of it ends a quote."""
        return {}

    def ask_markets(self, symbols: tuple[str, ...]) -> None:
        """Ask for the venue's word on markets that opened by their calendars; what it says comes as `MarketStatus`.

        Returns at once. A venue that tells each change of itself need not be asked, which is the default.
        """
