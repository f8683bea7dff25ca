"""Faults of the simulated venue, through the official client and the real collector: the hub alone names each."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from tapehub import DataHub
from tapehub.app import why
from tapehub.collector.collector import Collector
from tapehub.feeds.ig import IgFeed
from tapehub.feeds.ig import Settings as FeedSettings
from tapehub.feeds.sim.settings import Settings as VenueSettings
from tapehub.feeds.sim.simulator import Simulator
from tapehub.feeds.sim.source import SyntheticSource
from tests.servers.ig import CREDENTIALS, QUICK, TUESDAY
from tests.unit.collector.test_collector import Log

SYMBOLS = ("EUR_USD", "GBP_USD")
WITHIN_S = 20.0

Ask = Callable[..., Awaitable[str]]


@asynccontextmanager
async def collecting(
    hub: DataHub,
    *,
    before: Callable[[Simulator], None] = lambda sim: None,
    symbols: tuple[str, ...] = SYMBOLS,
    rate: float = 1.0,
    **venue: Any,
) -> AsyncIterator[tuple[Simulator, Ask]]:
    """Run venue, feed and collector on the hub's clock, from a Tuesday noon on."""
    hub.set_clock("virtual", anchor_ns=TUESDAY, rate=rate)
    async with Simulator(VenueSettings(**venue), clock=hub.now, source=SyntheticSource(SYMBOLS, 1, 5.0)) as sim:
        before(sim)
        feed = IgFeed(
            symbols, credentials=CREDENTIALS, now=hub.now, rng=random.Random(1), base_url=sim.rest_url,
            settings=FeedSettings(**QUICK),  # type: ignore[arg-type]
        )  # fmt: skip
        collector = Collector(hub, feed, random=random.Random(1), log=Log())
        running = asyncio.create_task(collector.run())

        async def ask(*parts: str, of: tuple[str, ...] = ()) -> str:
            """Ask until the answer holds all parts."""
            end = asyncio.get_running_loop().time() + WITHIN_S
            while not all(part in (said := why.sentence(hub, of)) for part in parts):
                assert asyncio.get_running_loop().time() < end, said
                await asyncio.sleep(0.05)
            return said

        try:
            yield sim, ask
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


def test_a_mute_item_and_its_return(hub: DataHub) -> None:
    async def test() -> None:
        async with collecting(hub, rate=20.0) as (sim, ask):
            await ask("All is well: 2 instruments have data")
            sim.inject("mute", item="CHART:CS.D.EURUSD.CFD.IP:TICK")
            said = await ask("EUR_USD has had no tick for", "resubscribed it")
            assert "because its item is mute: other items flow and the heartbeat is fine" in said
            assert (await ask("All is well", of=("GBP_USD",))).startswith("All is well: GBP_USD ticked")
            sim.inject("unmute", item="CHART:CS.D.EURUSD.CFD.IP:TICK")
            await ask("All is well: 2 instruments have data")

    asyncio.run(test())


def test_a_login_that_is_refused(hub: DataHub) -> None:
    def refuse(sim: Simulator) -> None:
        sim.inject("refuse_login", code="error.security.invalid-details")

    async def test() -> None:
        async with collecting(hub, before=refuse) as (_, ask):
            said = await ask(
                "The login was refused with error.security.invalid-details: user name or password is wrong"
            )
            assert "demo" not in said

    asyncio.run(test())


def test_a_streaming_server_that_refuses_the_clients_protocol(hub: DataHub) -> None:
    def refuse(sim: Simulator) -> None:
        sim.inject("refuse_protocol", item="TLCP-2.4.0")

    async def test() -> None:
        async with collecting(hub, before=refuse) as (sim, ask):
            await ask(f"The streaming server {sim.stream_url} refused with 65 ", "lightstreamer-client-lib 1.0.3")

    asyncio.run(test())


def test_a_bad_epic_and_a_limit_of_subscriptions_take_the_others_not_down(hub: DataHub) -> None:
    def spoil(sim: Simulator) -> None:
        sim.inject("bad_epic", item="CS.D.GBPUSD.CFD.IP")

    async def test() -> None:
        async with collecting(hub, before=spoil) as (_, ask):
            await ask("GBP_USD is refused: ", "the others flow")
            await ask("All is well: EUR_USD ticked", of=("EUR_USD",))

    asyncio.run(test())


def test_one_subscription_beyond_the_limit(hub: DataHub) -> None:
    async def test() -> None:
        async with collecting(hub, subscription_limit=1) as (_, ask):
            await ask("GBP_USD is refused: ", "subscription beyond the 1 that IG allows", "the others flow")

    asyncio.run(test())
