"""Three pairs at once through the official client: spreads as the venue quotes them, candles on time, one truth."""

import asyncio
import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tapehub import DataHub
from tapehub.collector.collector import Collector
from tapehub.feeds.ig import IgFeed
from tapehub.feeds.ig import Settings as FeedSettings
from tapehub.feeds.sim import Settings, Simulator
from tapehub.hub.server import HubServer
from tests.models.intervals import MINUTE, SECOND
from tests.models.silent import Silent
from tests.models.venue import MONDAY, Ticks, source
from tests.servers.ig import CREDENTIALS
from tests.servers.processes import processes

PAIRS = {"EUR_USD": (1.1, 1e-5, 0.6), "USD_JPY": (147.0, 1e-3, 0.7), "GBP_USD": (1.285, 1e-5, 0.9)}
START = MONDAY + 45 * SECOND
BOUNDARIES = [MONDAY + minute * MINUTE for minute in (1, 2)]
LATE_MS_MAX = 2_000  # of real time; the promise is 250, but this is no quiet machine


def quotes(seconds: int) -> Ticks:
    """Make two quotes a second of each pair, as wide as their spreads say."""
    rows = []
    for symbol, (price, step, pips) in PAIRS.items():
        digits = 5 if step < 1e-4 else 3
        for n in range(2 * seconds):
            bid = round(price + n % 50 * step, digits)
            rows.append((symbol, n / 2 + 0.1, bid, round(bid + pips * 10 * step, digits)))
    return Ticks(rows)


async def collect(hub: DataHub, until: int, rate: float) -> None:
    async with Simulator(Settings(), clock=hub.now, source=source(quotes(200))) as sim:
        feed = IgFeed(
            tuple(PAIRS), credentials=CREDENTIALS, now=hub.now, rng=random.Random(1), base_url=sim.rest_url,
            settings=FeedSettings(lend=False),
        )  # fmt: skip
        collector = Collector(hub, feed, random=random.Random(1), log=Silent())
        collecting = asyncio.create_task(collector.run())
        while sim.log.counts["subscribed"] < len(PAIRS):
            await asyncio.sleep(0.02)
        hub.set_clock("virtual", anchor_ns=hub.now(), rate=rate)
        while hub.now() < until:
            assert not collecting.done(), collecting.exception()
            await asyncio.sleep(0.05)
        collecting.cancel()
        await asyncio.gather(collecting, return_exceptions=True)


def three_pairs(path: Path, rate: float) -> float:
    """Play two minutes for three readers, compare what they saw with the venue, and give the worst delay in ms."""
    end = BOUNDARIES[-1] + round(1.5 * rate * SECOND)
    stop = threading.Event()
    with HubServer(path) as server:
        server.set_clock("virtual", anchor_ns=START, rate=0.001)  # it stands until the collector is connected
        serving = threading.Thread(target=server.run, args=(stop,))
        serving.start()
        try:
            with DataHub.open(path) as hub, processes(path, 3, role="watching") as readers:
                for reader in readers:
                    reader.tell("watch", until=end, told_until=BOUNDARIES[-1])
                asyncio.run(collect(hub, end, rate))
                reports = [reader.answer() for reader in readers]
        finally:
            stop.set()
            serving.join()
    first = reports[0]
    assert first["pips"] == {symbol: [pips] for symbol, (_, _, pips) in sorted(PAIRS.items())}
    assert first["ticks"] > 300
    assert {report["hash"] for report in reports} == {first["hash"]}
    lates_ms = []
    for report in reports:
        assert report["latest"] == dict.fromkeys(sorted(PAIRS), True)
        ends = [(one, at) for one, at, outcome, _ in report["ends"] if outcome == "final"]
        assert sorted(ends) == sorted((symbol, at) for symbol in PAIRS for at in BOUNDARIES)
        lates_ms += [late_ns / 1e6 / rate for *_, late_ns in report["ends"]]
    assert min(lates_ms) >= 0, "no candle is final before its grace is over"
    return max(lates_ms)


def test_three_readers_see_the_same_spreads_and_a_candle_at_each_minute(
    hub_dir: Path, record_property: Callable[[str, object], None]
) -> None:
    late_ms = three_pairs(hub_dir, rate=10.0)
    record_property("late_ms_max", round(late_ms, 1))
    assert late_ms < LATE_MS_MAX


@pytest.mark.chaos
@pytest.mark.timeout(300)
def test_candles_at_market_pace(hub_dir: Path, record_property: Callable[[str, object], None]) -> None:
    late_ms = three_pairs(hub_dir, rate=1.0)
    record_property("late_ms_max", round(late_ms, 1))
    record_property("promised_ms", 250)
    assert late_ms < LATE_MS_MAX
