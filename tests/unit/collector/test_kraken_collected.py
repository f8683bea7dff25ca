"""A live feed through the collector into a hub: every quote accounted for, also across a cut."""

import asyncio
from datetime import UTC, datetime, timedelta
from random import Random

import numpy as np

from tapehub import DataHub
from tapehub.collector.collector import Collector
from tapehub.feeds.backoff import Backoff
from tapehub.feeds.kraken import KrakenFeed
from tests.models.silent import Silent
from tests.models.waiting import until_async
from tests.servers.kraken import KrakenVenue, made_up

COUNT = 50


def test_every_quote_of_kraken_reaches_the_hub_once_and_a_cut_loses_none_of_them(hub: DataHub) -> None:
    tops = made_up(["BTC/USD", "EUR/USD"], COUNT, datetime.now(UTC) - timedelta(seconds=2))

    async def run(venue: KrakenVenue) -> Collector:
        feed = KrakenFeed(["BTC_USD", "EUR_USD", "GBP_USD"], url=venue.url, backoff=Backoff(Random(1), 0.01, 0.05))
        collector = Collector(hub, feed, random=Random(1), log=Silent())
        total = lambda: collector.core.publisher.total  # noqa: E731
        task = asyncio.create_task(collector.run())
        await until_async(lambda: total().published == 2 * COUNT, "every quote published")
        assert hub.state("BTC_USD", "kraken") == "live"
        venue.cut()
        await until_async(lambda: total().duplicates == 2 * COUNT, "every quote again")  # the venue says it all again
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return collector

    with KrakenVenue(tops, unlisted=["GBP/USD"]) as venue:
        collector = asyncio.run(run(venue))
        assert len(venue.requests) == 2
    assert collector.exceptions == {}
    for symbol in ("BTC_USD", "EUR_USD"):
        count = collector.core.publisher.counts[symbol]
        assert (count.received, count.published, count.duplicates, count.balance) == (2 * COUNT, COUNT, COUNT, 0)
        ticks = hub.ticks(symbol).numpy()
        wanted = [top for top in tops if top.symbol.replace("/", "_") == symbol]
        assert ticks["bid"].tolist() == [float(top.bid) for top in wanted]
        assert np.allclose(ticks["ask_size"], [float(top.ask_qty) for top in wanted])
        assert {hub.sources[source] for source in ticks["source"].tolist()} == {"kraken"}
