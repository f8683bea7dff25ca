"""The runner: a feed's faults end nothing, repairs reach it, and it stops leaving the truth in the hub."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest

from tapehub import ConfigError, DataHub, FeedError, HubError
from tapehub.collector.collector import Collector, load_rhythm, save_rhythm
from tapehub.collector.repair import Request
from tapehub.feeds.feed import (
    Event,
    Feed,
    Guarantees,
    LiveFeed,
    Malformed,
    Quotes,
    Repair,
    Status,
    StatusKind,
    empty_quotes,
)  # fmt: skip
from tapehub.feeds.synthetic import Synthetic
from tapehub.hub.latest import latest
from tests.models.intervals import SECOND, at, ns
from tests.models.waiting import until_async

NINE = ns("2024-03-05T09:00")
ROOT = Path(__file__).resolve().parents[3]


class Log:
    """Keep what is logged."""

    def __init__(self, lines: list[tuple[str, str, dict[str, Any]]] | None = None) -> None:
        self.lines = [] if lines is None else lines

    def bind(self, **_: Any) -> "Log":
        return Log(self.lines)

    def __getattr__(self, level: str) -> Callable[..., None]:
        return lambda event, **told: self.lines.append((level, event, told))


class Scripted(LiveFeed):
    """Play one list of events for each start; an exception in it is raised, `...` waits for ever."""

    def __init__(self, *runs: list[Any]) -> None:
        self.name, self.symbols, self.guarantees = "venue", ("EUR_USD",), Guarantees(heartbeat=True)
        self._runs = list(runs)
        self.repairs: list[tuple[Repair, tuple[str, ...]]] = []
        self.closed = 0

    async def events(self) -> AsyncGenerator[Event, None]:
        try:
            for event in self._runs.pop(0):
                if isinstance(event, Exception):
                    raise event
                if event is ...:
                    await asyncio.Event().wait()
                yield event
        finally:
            self.closed += 1

    def repair(self, step: Repair, symbols: tuple[str, ...] = ()) -> None:
        self.repairs.append((step, symbols))


def quote(second: int, bid: float = 1.1) -> Quotes:
    records = empty_quotes(1)
    records[0] = (NINE + second * SECOND, 0, bid, bid + 1e-4, 0, 0, 0)
    return Quotes(records, ("EUR_USD",), ("venue",))


UP = Status(StatusKind.CONNECTED, ("EUR_USD",))


@pytest.fixture
def hub(hub: DataHub) -> DataHub:
    hub.set_clock("event", anchor_ns=NINE)
    return hub


def collector(hub: DataHub, feed: Feed, **options: Any) -> tuple[Collector, list[float]]:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await asyncio.sleep(0)

    return Collector(hub, feed, random=random.Random(1), sleep=sleep, log=Log(), **options), waits


def test_a_feed_that_ends_ends_the_collector(hub: DataHub) -> None:
    feed = Synthetic(["EUR_USD"], "2024-03-05T09:00", "2024-03-05T09:30")
    one, _ = collector(hub, feed)
    asyncio.run(one.run())
    total = one.core.publisher.total
    assert total.received == total.published == hub.ledger()["ticks"] > 1000
    assert hub.state("EUR_USD") == "dead"
    assert hub.gaps("EUR_USD", "synthetic") == [], "what ended by design is missing nothing"


def test_a_failed_feed_is_started_again_with_growing_waits(hub: DataHub) -> None:
    feed = Scripted(
        [UP, quote(1), FeedError("cut")], [FeedError("refused")], [ValueError("a bug")], [UP, quote(2), ...]
    )
    one, waits = collector(hub, feed)

    async def run() -> None:
        task = asyncio.create_task(one.run())
        await until_async(lambda: hub.ledger()["ticks"] == 2, "two ticks", every_s=0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert one.exceptions == {"FeedError": 2, "ValueError": 1}
    assert one.restarts == 3
    restarts = [wait for wait in waits if wait != 0.25]
    assert [1 <= restarts[0] <= 2, 2 <= restarts[1] <= 4, 4 <= restarts[2] <= 8] == [True] * 3
    assert feed.closed == 4
    causes = [gap["cause"] for gap in hub.gaps("EUR_USD")]
    assert causes == ["FeedError: cut", "collector stopped"]


def test_a_transport_that_connects_and_gives_nothing_does_not_make_the_waits_short_again(hub: DataHub) -> None:
    feed = Scripted(*[[UP, FeedError("refused")]] * 5, [UP, quote(1), ...])
    one, waits = collector(hub, feed)

    async def run() -> None:
        task = asyncio.create_task(one.run())
        await until_async(lambda: hub.ledger()["ticks"] == 1, "one tick", every_s=0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    restarts = [wait for wait in waits if wait != 0.25]
    assert all(2**n <= wait <= 2 ** (n + 1) for n, wait in enumerate(restarts)), restarts


def test_a_feed_that_is_set_up_wrong_is_not_tried_again(hub: DataHub) -> None:
    one, _ = collector(hub, Scripted([ConfigError("no credentials")]))
    with pytest.raises(ConfigError, match="no credentials"):
        asyncio.run(one.run())
    assert one.restarts == 0


def test_an_event_that_cannot_be_worked_off_is_counted_and_the_next_goes_on(hub: DataHub) -> None:
    feed = Scripted([UP, object(), quote(1), Malformed(b"?", "no"), Status(StatusKind.ENDED)])
    one, _ = collector(hub, feed)
    asyncio.run(one.run())
    assert one.exceptions == {"TypeError": 1}
    assert hub.ledger()["ticks"] == 1
    assert hub.ledger()["quarantined"] == 1
    assert one.core.publisher.counts[""].quarantined == {"malformed": 1}


def test_what_the_core_asks_for_reaches_the_feed(hub: DataHub, monkeypatch: pytest.MonkeyPatch) -> None:
    feed = Scripted([UP, quote(1), ...])
    one, _ = collector(hub, feed)
    request = Request(Repair.RESUBSCRIBE, ("EUR_USD",), "mute")
    asked = iter([[request]])
    monkeypatch.setattr(one.core, "on_time", lambda now: next(asked, []))

    async def run() -> None:
        task = asyncio.create_task(one.run())
        await until_async(lambda: bool(feed.repairs), "a repair", every_s=0.001)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())
    assert feed.repairs == [(Repair.RESUBSCRIBE, ("EUR_USD",))]


def test_cancelling_closes_the_feed_and_says_so_in_the_hub(hub: DataHub) -> None:
    feed = Scripted([UP, quote(1), ...])
    one, _ = collector(hub, feed)

    async def run() -> None:
        task = asyncio.create_task(one.run())
        await until_async(lambda: hub.state("EUR_USD") == "live", "a live EUR_USD", every_s=0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())
    assert feed.closed == 1
    assert hub.state("EUR_USD") == "dead"
    with hub.stream(kinds="state", start="oldest") as stream:
        assert stream.poll().records[-1].payload == b"collector stopped"
    (gap,) = hub.gaps("EUR_USD")
    assert (gap["start"], gap["end"], gap["cause"]) == (NINE + SECOND, None, "collector stopped")


def test_a_hub_that_can_take_no_more_ends_the_collector(hub: DataHub, monkeypatch: pytest.MonkeyPatch) -> None:
    feed = Scripted([UP, quote(1), quote(2), ...])
    one, _ = collector(hub, feed)

    def full(*_: Any) -> None:
        raise HubError("no space left")

    monkeypatch.setattr(one.core.publisher, "publish", full)
    with pytest.raises(HubError, match="no space left"):
        asyncio.run(one.run())
    assert feed.closed == 1


def test_what_was_learnt_of_the_rhythm_outlives_the_collector(hub: DataHub) -> None:
    one, _ = collector(hub, Synthetic(["EUR_USD"], "2024-03-05T09:00", "2024-03-05T09:30"))
    asyncio.run(one.run())
    again, _ = collector(hub, Synthetic(["EUR_USD"], "2024-03-05T09:30", "2024-03-05T09:31"))
    assert again.core.rhythm.to_json() == one.core.rhythm.to_json() != {}
    (hub.path / "rhythm" / "synthetic.json").write_text("{broken")
    assert load_rhythm(hub, "synthetic").to_json() == {}
    save_rhythm(hub, "synthetic", one.core.rhythm)
    assert load_rhythm(hub, "synthetic").to_json() == one.core.rhythm.to_json()


def test_a_killed_collector_leaves_a_gap_from_its_last_tick_and_owes_what_it_had_in_hand(tmp_path: Path) -> None:
    wednesday = ns("2024-03-06T09:00")
    with DataHub.open(tmp_path / "hub", create=True, sync="none") as hub:
        hub.set_clock("event", anchor_ns=wednesday)
        chance = random.Random(3)
        for round_ in range(2):
            before = hub.ledger()["ticks"]
            command = [
                sys.executable, "-m", "tests.servers.collecting", str(hub.path), str(wednesday), str(10**6 * round_)
            ]  # fmt: skip
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
                assert child.stdout is not None
                assert child.stdout.readline() == "ready\n"
                target = before + chance.randrange(50, 2000)
                while hub.ledger()["ticks"] < target and child.poll() is None:
                    time.sleep(0.002)
                os.kill(child.pid, signal.SIGKILL)
            ledger = hub.ledger()
            accounted = ledger["ticks"] + ledger["duplicates"] + ledger["refused"] + ledger["quarantined"]
            # A kill between a commit and its count leaves ticks in the log that count as lost too: a batch at the most.
            assert 0 <= accounted + ledger["lost_in_producer"] - ledger["received"] <= 7 * (round_ + 1)
            assert ledger["balanced"]
            for symbol in ("EUR_USD", "USD_JPY"):
                assert hub.state(symbol) == "dead"
                gaps = hub.gaps(symbol)
                assert len(gaps) == round_
                for gap in gaps:
                    assert gap["cause"] == "collector restarted"
                    assert len(hub.ticks(symbol, start=at(gap["start"]), end=at(gap["end"]))) <= 1
                    assert gap["end"] - gap["start"] > 10**6 * 1_000_000 * 0.5


class Asked(Scripted):
    """Keeps what it is asked for, goes on without something, and has quotes in hand when it is closed."""

    counts_received = True

    def __init__(self, *runs: list[Any]) -> None:
        super().__init__(*runs)
        self.asked: list[tuple[str, ...]] = []

    @property
    def remarks(self) -> dict[str, str]:
        return {"ladder": "no place for the ladder"}

    def ask_markets(self, symbols: tuple[str, ...]) -> None:
        self.asked.append(symbols)

    def take_left(self) -> dict[str, int]:
        return {"EUR_USD": 2} if self.closed == 1 else {}


def test_a_feed_is_asked_when_calendars_open_heard_when_it_remarks_and_settled_when_it_is_closed(hub: DataHub) -> None:
    opens = ns("2024-03-10T17:00-04:00")
    hub.set_clock("virtual", anchor_ns=opens - SECOND // 2, rate=20.0)
    feed = Asked([UP, ...], [UP])
    one, _ = collector(hub, feed)
    assert feed.on_received is not None

    async def run() -> None:
        task = asyncio.create_task(one.run())
        await until_async(lambda: bool(feed.asked), "a question for the markets", every_s=0.001)
        feed.on_received(2)  # type: ignore[misc]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())
    assert feed.asked[0] == ("EUR_USD",)
    assert latest(hub).links(hub)["venue"]["remarks"] == ["no place for the ladder"]
    count = one.core.publisher.counts["EUR_USD"]
    assert (count.received, count.refused, count.published, count.balance) == (2, 2, 0, 0)
    assert (hub.ledger()["received"], hub.ledger()["refused"]) == (2, 2)
