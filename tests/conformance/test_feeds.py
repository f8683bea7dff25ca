"""One suite over every feed: each is held to the interface and to what it says it guarantees.

A new row in `feeds/table.py` needs a sample here: an offline instance. That of a recorded feed is finite; that of a
live feed has a venue on the loopback behind it, which sends at least `LIVE_QUOTES` quotes and then stays connected.
"""

import asyncio
import lzma
import struct
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from random import Random

import numpy as np
import pytest

from tapehub.feeds import (
    QUOTE,
    Event,
    Feed,
    LiveFeed,
    Malformed,
    MarketStatus,
    Quotes,
    RecordedFeed,
    Repair,
    Status,
    StatusKind,
    VenueCandle,
)
from tapehub.feeds.backoff import Backoff
from tapehub.feeds.ig import IgFeed, Settings
from tapehub.feeds.kraken import KrakenFeed
from tapehub.feeds.replay import Replay, open_recording
from tapehub.feeds.sim.clock import VirtualClock
from tapehub.feeds.sim.simulator import SimulatorThread
from tapehub.feeds.sim.source import SyntheticSource
from tapehub.feeds.synthetic import Synthetic
from tapehub.feeds.table import ROWS, load
from tapehub.model.instruments import normalise
from tests.servers.ig import CREDENTIALS, TUESDAY
from tests.servers.kraken import KrakenVenue, made_up

LIVE_QUOTES = 60
HOUR = 3_600_000_000_000
ENOUGH_S = 25.0  # for what a live feed is waited for


def replay(folder: Path) -> Feed:
    """Two venues' files of the same hour, overlapping."""
    hour = folder / "EURUSD/2014/04/06/13h_ticks.bi5"
    hour.parent.mkdir(parents=True)
    rows = (struct.pack(">IIIff", 7 * i, 138700 + i % 9, 138690 + i % 9, 1.0, 2.0) for i in range(2000))
    hour.write_bytes(lzma.compress(b"".join(rows), format=lzma.FORMAT_ALONE))
    month = folder / "GBPUSD.csv"
    month.write_text("".join(f"GBP/USD,20140506 13:00:{i // 10:02}.{i % 10}00,1.6985,1.6986\n" for i in range(300)))
    return Replay([open_recording(month), hour])


def synthetic(folder: Path) -> Feed:
    return Synthetic(["EURUSD", "USD/JPY", "BTC_USD"], "2024-03-08T21:00", "2024-03-08T23:00", ticks_per_s=2.0)


@contextmanager
def kraken(folder: Path) -> Iterator[Feed]:
    """Start a venue whose messages are shaped as Kraken's, and which does not list one of the symbols."""
    with KrakenVenue(made_up(("EUR/USD", "BTC/USD"), LIVE_QUOTES), unlisted=["GBP/USD"]) as venue:
        yield KrakenFeed(["EURUSD", "XBT/USD", "GBP_USD"], url=venue.url, backoff=Backoff(Random(1), 0.01, 0.05))


@contextmanager
def ig(folder: Path) -> Iterator[Feed]:
    """Start the simulated venue, with the official client between it and the feed."""
    clock = VirtualClock(TUESDAY - 14 * HOUR)  # early in the trading day, of which the venue gives high and low
    source = SyntheticSource(("EUR_USD", "USD_JPY"), 1, 50.0)
    with SimulatorThread(clock=clock, source=source) as venue:
        yield IgFeed(
            ("EURUSD", "USD/JPY"),
            credentials=CREDENTIALS,
            now=clock,
            base_url=venue.rest_url,
            settings=Settings(lend_at=folder / "ig.sock"),
        )


# Each gives a context whose value is a feed; a live feed's venue lives as long as the context.
SAMPLES: dict[str, Callable[[Path], AbstractContextManager[Feed]]] = {
    "replay": lambda folder: nullcontext(replay(folder)),
    "synthetic": lambda folder: nullcontext(synthetic(folder)),
    "kraken": kraken,
    "ig": ig,
}
NAMES = [row.name for row in ROWS]
LIVE = [row.name for row in ROWS if row.live]


@pytest.fixture(params=NAMES)
def feed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Feed]:
    with SAMPLES[request.param](tmp_path) as made:
        yield made


@pytest.fixture(params=LIVE)
def live(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LiveFeed]:
    with SAMPLES[request.param](tmp_path) as made:
        assert isinstance(made, LiveFeed)
        yield made


def collected(feed: Feed, enough: Callable[[list[Event]], bool]) -> list[Event]:
    """Collect events until they are enough, or the feed ends."""

    async def collect() -> list[Event]:
        seen: list[Event] = []
        stream = feed.events()
        async for event in stream:
            seen.append(event)
            if enough(seen):
                break
        await stream.aclose()
        return seen

    async def limited() -> list[Event]:
        return await asyncio.wait_for(collect(), None if isinstance(feed, RecordedFeed) else ENOUGH_S)

    return asyncio.run(limited())


def has(seen: list[Event], kind: StatusKind, times: int = 1) -> bool:
    return sum(isinstance(event, Status) and event.kind is kind for event in seen) >= times


def row_count(seen: list[Event]) -> int:
    return sum(len(event.records) for event in seen if isinstance(event, Quotes))


def events(feed: Feed) -> list[Event]:
    """Everything a recorded feed says; of a live one, some quotes, and a heartbeat if it promises any."""

    def enough(seen: list[Event]) -> bool:
        beating = has(seen, StatusKind.HEARTBEAT) or not feed.guarantees.heartbeat
        return isinstance(feed, LiveFeed) and beating and row_count(seen) >= LIVE_QUOTES

    return collected(feed, enough)


def quotes(feed: Feed) -> list[Quotes]:
    return [event for event in events(feed) if isinstance(event, Quotes)]


def by_channel(batches: list[Quotes]) -> dict[tuple[str, str], list[tuple[float, ...]]]:
    out: dict[tuple[str, str], list[tuple[float, ...]]] = {}
    for batch in batches:
        for record in batch.records.tolist():
            out.setdefault((batch.symbols[record[-1]], batch.sources[record[-1]]), []).append(record[:-1])
    return out


@pytest.mark.parametrize("name", NAMES)
def test_every_row_of_the_table_has_a_sample_of_its_class(name: str, tmp_path: Path) -> None:
    with SAMPLES[name](tmp_path) as made:
        assert isinstance(made, load(name))
        assert isinstance(made, LiveFeed) == (name in LIVE)


def test_events_are_of_the_known_kinds_and_a_recording_says_that_it_ended(feed: Feed) -> None:
    seen = events(feed)
    assert all(isinstance(event, Quotes | Status | Malformed | MarketStatus | VenueCandle) for event in seen)
    for event in seen:
        if not isinstance(event, Quotes | Malformed | VenueCandle):
            assert set(event.symbols) <= set(feed.symbols)
    said, last = [event for event in seen if not isinstance(event, MarketStatus)], seen[-1]
    assert isinstance(said[0], Status)  # of its markets a venue may speak before it streams
    assert said[0].kind is StatusKind.CONNECTED
    if isinstance(feed, LiveFeed):
        assert not has(seen, StatusKind.ENDED)
        return
    assert isinstance(last, Status)
    assert last.kind is StatusKind.ENDED


def test_batches_are_quotes_of_known_instruments(feed: Feed) -> None:
    batches = quotes(feed)
    assert batches
    for batch in batches:
        assert batch.records.dtype == QUOTE
        assert batch.records.ndim == 1
        assert len(batch.records)
        assert len(batch.symbols) == len(batch.sources)
        assert batch.records["instrument"].max() < len(batch.symbols)
        assert set(batch.symbols) <= set(feed.symbols)
        assert all(symbol == normalise(symbol) for symbol in batch.symbols)
        assert all(0 < len(source.encode()) <= 31 and source == source.lower() for source in batch.sources)


def test_prices_are_market_prices(feed: Feed) -> None:
    for batch in quotes(feed):
        bid, ask = batch.records["bid"], batch.records["ask"]
        assert np.isfinite(bid).all()
        assert np.isfinite(ask).all()
        assert (bid > 0).all()
        assert (ask >= bid).all()
        assert (batch.records["bid_size"] >= 0).all()
        assert (batch.records["ask_size"] >= 0).all()


def test_order_is_as_guaranteed(feed: Feed) -> None:
    batches = quotes(feed)
    if feed.guarantees.ordered:
        for records in by_channel(batches).values():
            times = [record[0] for record in records]
            assert times == sorted(times)
    if feed.guarantees.merged:
        whole = np.concatenate([batch.records["ts_event"] for batch in batches])
        assert (np.diff(whole) >= 0).all()


def test_receive_times_are_as_guaranteed(feed: Feed) -> None:
    for batch in quotes(feed):
        ts_recv = batch.records["ts_recv"]
        assert (ts_recv > 0).all() if feed.guarantees.receive_times else (ts_recv >= 0).all()


def test_sizes_are_as_guaranteed(feed: Feed) -> None:
    if feed.guarantees.sizes:
        for batch in quotes(feed):
            assert (batch.records["bid_size"] > 0).all()
            assert (batch.records["ask_size"] > 0).all()


def test_a_repeatable_feed_repeats_itself(feed: Feed) -> None:
    if not feed.guarantees.repeatable:
        pytest.skip(f"{feed.name} does not promise to repeat itself")
    assert by_channel(quotes(feed)) == by_channel(quotes(feed))


def test_a_recorded_feed_gives_the_same_without_a_loop(feed: Feed) -> None:
    if not isinstance(feed, RecordedFeed):
        pytest.skip(f"{feed.name} is live")
    assert by_channel(list(feed.batches())) == by_channel(quotes(feed))


def test_a_consumer_may_leave_early(feed: Feed) -> None:
    async def leave() -> tuple[list[Event], set[asyncio.Task[None]]]:
        stream = feed.events()
        async with asyncio.timeout(ENOUGH_S):
            async for event in stream:
                if isinstance(event, Quotes):
                    break
            await stream.aclose()
        left = {one for one in asyncio.all_tasks() if one is not asyncio.current_task()}
        return [event async for event in stream], left

    more, left = asyncio.run(leave())
    assert more == []
    assert not left, "closing the iterator releases the transport, and what reads it"
    assert row_count(events(feed)) > 0  # it can be begun again


def test_runs_by_source_lose_nothing_and_keep_order(feed: Feed) -> None:
    for batch in quotes(feed):
        runs = list(batch.by_source())
        assert np.concatenate([run for _, run in runs]).tolist() == batch.records.tolist()
        for source, run in runs:
            assert {batch.sources[i] for i in run["instrument"].tolist()} == {source}


def test_a_live_feed_promises_nothing_that_only_data_at_rest_can(live: LiveFeed) -> None:
    assert not live.guarantees.repeatable


def test_a_live_feed_confirms_or_refuses_every_symbol(live: LiveFeed) -> None:
    def spoken(seen: list[Event]) -> set[str]:
        return {
            symbol
            for event in seen
            if isinstance(event, Status) and event.kind in (StatusKind.SUBSCRIBED, StatusKind.REFUSED)
            for symbol in event.symbols
        }

    seen = collected(live, lambda seen: spoken(seen) == set(live.symbols))
    assert spoken(seen) == set(live.symbols)
    refused = {
        symbol
        for event in seen
        if isinstance(event, Status) and event.kind is StatusKind.REFUSED
        for symbol in event.symbols
    }
    assert {batch.symbols[i] for batch in quotes(live) for i in batch.records["instrument"].tolist()}.isdisjoint(
        refused
    )


def test_a_live_feed_stamps_what_its_transport_says(live: LiveFeed) -> None:
    seen = events(live)
    assert all(event.ts_recv > 0 for event in seen if not isinstance(event, Quotes))


@pytest.mark.parametrize("step", list(Repair))
def test_a_live_feed_repairs_itself_when_asked_and_goes_on(live: LiveFeed, step: Repair) -> None:
    reopens = step is not Repair.RESUBSCRIBE
    asked_at: list[int] = []

    def enough(seen: list[Event]) -> bool:
        if not asked_at and row_count(seen) >= LIVE_QUOTES:
            asked_at.append(len(seen))
            live.repair(step)
        after = seen[asked_at[0] :] if asked_at else []
        return has(after, StatusKind.SUBSCRIBED) and row_count(after) > 0

    seen = collected(live, enough)
    after = seen[asked_at[0] :]
    assert has(after, StatusKind.DISCONNECTED) == has(after, StatusKind.CONNECTED) == reopens


def test_a_live_feed_can_be_cancelled_and_iterated_again(live: LiveFeed) -> None:
    async def cancelled() -> None:
        async def consume() -> None:
            async for event in live.events():
                if isinstance(event, Quotes):
                    flowing.set()

        flowing = asyncio.Event()
        task = asyncio.create_task(consume())
        await asyncio.wait_for(flowing.wait(), ENOUGH_S)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()

    asyncio.run(cancelled())
    assert row_count(events(live)) >= LIVE_QUOTES
