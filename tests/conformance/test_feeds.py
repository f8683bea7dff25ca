"""One suite over every feed: each is held to the interface and to what it says it guarantees.

A new row in `feeds/table.py` needs a sample here: a finite, offline instance.
"""

import asyncio
import lzma
import struct
import time
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import numpy as np
import pytest

from tapehub.feeds import (
    QUOTE,
    Event,
    Feed,
    Malformed,
    MarketStatus,
    Quotes,
    RecordedFeed,
    Status,
    StatusKind,
    VenueCandle,
)
from tapehub.feeds.ig import IgFeed, Settings
from tapehub.feeds.replay import Replay, open_recording
from tapehub.feeds.sim import Simulator
from tapehub.feeds.sim.clock import VirtualClock
from tapehub.feeds.sim.source import SyntheticSource
from tapehub.feeds.synthetic import Synthetic
from tapehub.feeds.table import ROWS, load
from tapehub.model.instruments import normalise
from tests.servers.ig import CREDENTIALS, TUESDAY


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


class IgForAWhile(IgFeed):
    """The IG feed at the simulated venue, until it has given some quotes."""

    async def events(self) -> AsyncGenerator[Event, None]:
        self.now = clock = VirtualClock(TUESDAY)
        async with Simulator(clock=clock, source=SyntheticSource(self.symbols, 1, 200.0)) as sim:
            self.base_url = sim.rest_url
            stream = super().events()
            count = 0
            try:
                async for event in stream:
                    yield event
                    count += len(event.records) if isinstance(event, Quotes) else 0
                    if count >= 60:
                        break
            finally:
                await stream.aclose()
        yield Status(StatusKind.ENDED, self.symbols)


def ig(folder: Path) -> Feed:
    settings = Settings(lend_at=folder / "ig.sock")
    return IgForAWhile(("EURUSD", "USD/JPY"), credentials=CREDENTIALS, now=time.time_ns, settings=settings)


SAMPLES: dict[str, Callable[[Path], Feed]] = {"ig": ig, "replay": replay, "synthetic": synthetic}
NAMES = [row.name for row in ROWS]


@pytest.fixture(params=NAMES)
def feed(request: pytest.FixtureRequest, tmp_path: Path) -> Feed:
    return SAMPLES[request.param](tmp_path)


def events(feed: Feed) -> list[Event]:
    async def collect() -> list[Event]:
        return [event async for event in feed.events()]

    return asyncio.run(collect())


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
    assert isinstance(SAMPLES[name](tmp_path), load(name))


def test_events_are_of_the_known_kinds_and_the_end_is_announced(feed: Feed) -> None:
    seen = events(feed)
    assert all(isinstance(event, Quotes | Status | Malformed | MarketStatus | VenueCandle) for event in seen)
    last = seen[-1]
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


def test_a_repeatable_feed_repeats_itself(feed: Feed) -> None:
    if not feed.guarantees.repeatable:
        pytest.skip(f"{feed.name} does not promise to repeat itself")
    assert by_channel(quotes(feed)) == by_channel(quotes(feed))


def test_a_recorded_feed_gives_the_same_without_a_loop(feed: Feed) -> None:
    if not isinstance(feed, RecordedFeed):
        pytest.skip(f"{feed.name} is live")
    assert by_channel(list(feed.batches())) == by_channel(quotes(feed))


def test_a_consumer_may_leave_early(feed: Feed) -> None:
    async def leave() -> None:
        stream = feed.events()
        async for event in stream:
            if isinstance(event, Quotes):
                break
        await stream.aclose()

    asyncio.run(leave())


def test_runs_by_source_lose_nothing_and_keep_order(feed: Feed) -> None:
    for batch in quotes(feed):
        runs = list(batch.by_source())
        assert np.concatenate([run for _, run in runs]).tolist() == batch.records.tolist()
        for source, run in runs:
            assert {batch.sources[i] for i in run["instrument"].tolist()} == {source}
