"""An IG feed at the simulated venue, watched: what it says is kept, and waited for."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

import numpy as np

from tapehub.feeds import Event, Malformed, Quotes, Status, StatusKind
from tapehub.feeds.ig import Credentials, IgFeed
from tapehub.feeds.ig import Settings as FeedSettings
from tapehub.feeds.sim.clock import VirtualClock
from tapehub.feeds.sim.settings import Settings as VenueSettings
from tapehub.feeds.sim.simulator import Simulator
from tapehub.feeds.sim.source import SyntheticSource

TUESDAY = int(datetime(2026, 6, 2, 12, tzinfo=UTC).timestamp()) * 1_000_000_000
CREDENTIALS = Credentials("demo", "demo", "demo-key")
SYMBOLS = ("EUR_USD", "USD_JPY", "GBP_USD")
QUICK = {"retry_first_s": 0.05, "item_retry_first_s": 0.2, "lend": False}
WITHIN_S = 15.0

Kind = TypeVar("Kind")


class Watched:
    """Keep what a feed says."""

    def __init__(self, sim: Simulator, feed: IgFeed, clock: Callable[[], int]) -> None:
        self.sim = sim
        self.feed = feed
        self.clock = clock
        self.events: list[Event] = []
        self.consuming: asyncio.Task[None] | None = None
        self._more = asyncio.Event()

    def of(self, kind: type[Kind]) -> list[Kind]:
        return [event for event in self.events if isinstance(event, kind)]

    def statuses(self, kind: StatusKind, symbol: str = "") -> list[Status]:
        found = [event for event in self.of(Status) if event.kind is kind]
        return [event for event in found if not symbol or symbol in event.symbols]

    def quotes(self, symbol: str = "") -> list[tuple[str, int, float, float]]:
        """List (symbol, ts_event, bid, ask) of all quotes so far, or of one symbol's."""
        rows = []
        for event in self.of(Quotes):
            for row in event.records.tolist():
                name = event.symbols[row[6]]
                if symbol in ("", name):
                    rows.append((name, row[0], row[2], row[3]))
        return rows

    async def until(self, done: Callable[[], object]) -> None:
        """Wait for a condition, looking whenever the feed says something.

        Raises:
            AssertionError: it is not met in time; what was said stands in the message.
        """
        deadline = asyncio.get_running_loop().time() + WITHIN_S
        while not done():
            left_s = deadline - asyncio.get_running_loop().time()
            if self.ended:
                assert self.consuming is not None
                self.consuming.result()
            if left_s <= 0:
                said = [event for event in self.events if not isinstance(event, Quotes)][-12:]
                raise AssertionError(f"not within {WITHIN_S} s; {len(self.quotes())} quotes, last said: {said}")
            self._more.clear()
            try:
                await asyncio.wait_for(self._more.wait(), min(left_s, 0.1))
            except TimeoutError:
                continue

    @property
    def ended(self) -> bool:
        return self.consuming is not None and self.consuming.done()

    async def flowing(self, symbols: Iterable[str], more: int = 3) -> None:
        """Wait until each of these has that many more quotes."""
        have = {symbol: len(self.quotes(symbol)) for symbol in symbols}
        await self.until(lambda: all(len(self.quotes(symbol)) >= count + more for symbol, count in have.items()))

    def note(self, event: Event) -> None:
        self.events.append(event)
        self._more.set()

    def oracle(self, symbol: str, decimals: int) -> list[tuple[int, float, float]]:
        """List what the venue's source quoted: (time, bid, ask) as printed, so in whole ms and rounded."""
        records = self.sim.venue.source.window(symbol, TUESDAY - 10**9, self.clock() + 10**9)
        return [
            (
                int(row["ts_event"]) // 1_000_000 * 1_000_000,
                float(f"{row['bid']:.{decimals}f}"),
                float(f"{row['ask']:.{decimals}f}"),
            )
            for row in np.asarray(records)
        ]

    def assert_as_quoted(self, symbol: str, decimals: int) -> None:
        """Compare every quote with what the venue's source said at that time."""
        quoted = set(self.oracle(symbol, decimals))
        quotes = self.quotes(symbol)
        assert quotes
        assert not [row for row in quotes if row[1:] not in quoted]

    def assert_complete(self, symbol: str, decimals: int) -> None:
        """Compare the quotes with all that the venue's source said from the first to the last of them."""
        quotes = [row[1:] for row in self.quotes(symbol)]
        quoted = self.oracle(symbol, decimals)
        begin = quoted.index(quotes[0])
        assert quotes == quoted[begin : begin + len(quotes)]

    def requests(self, what: str = "") -> list[str]:
        """List the REST requests that came, such as ``GET /session 200``."""
        return [one.detail for one in self.sim.log.entries if one.event == "request" and what in one.detail]

    def unread(self) -> list[Malformed]:
        return self.of(Malformed)


@asynccontextmanager
async def watching(
    symbols: tuple[str, ...] = SYMBOLS,
    *,
    venue: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    before: Callable[[Simulator], None] | None = None,
    rate: float = 1.0,
    ticks_per_s: float = 25.0,
    now: Callable[[Callable[[], int]], Callable[[], int]] = lambda clock: clock,
    on_received: Callable[[int], None] | None = None,
    **options: Any,
) -> AsyncIterator[Watched]:
    """Run venue and feed on one virtual clock, from a Tuesday noon on.

    Args:
        venue: the simulator's settings.
        settings: the feed's, beside `QUICK`.
        before: what to do to the venue before the feed comes.
        now: wraps the feed's clock.
        on_received: told of each quote as it comes.
    """
    clock = VirtualClock(TUESDAY, rate)
    source = SyntheticSource(symbols, 1, ticks_per_s)
    async with Simulator(VenueSettings(**(venue or {})), clock=clock, source=source) as sim:
        if before is not None:
            before(sim)
        feed = IgFeed(
            symbols,
            **{"credentials": CREDENTIALS, "now": now(clock), "rng": random.Random(1), "base_url": sim.rest_url}
            | {"settings": FeedSettings(**QUICK | dict(settings or {}))}
            | options,
        )
        feed.on_received = on_received
        watched = Watched(sim, feed, clock)

        async def consume() -> None:
            stream = feed.events()
            try:
                async for event in stream:
                    watched.note(event)
            finally:
                await stream.aclose()

        consuming = watched.consuming = asyncio.create_task(consume())
        try:
            yield watched
            if consuming.done():
                consuming.result()
        finally:
            consuming.cancel()
            await asyncio.gather(consuming, return_exceptions=True)
