"""A weekend with the official client in the loop: collector, IG feed and hub server against the simulated venue.

The hub's virtual clock runs the open hours at a pace the client takes and races through the closed ones. What
`tests/unit/collector/test_simulated_weekend.py` proves line by line is proved here with logins, sockets and threads.
"""

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tapehub import DataHub, Record
from tapehub.collector.collector import Collector
from tapehub.feeds.ig import IgFeed
from tapehub.feeds.ig import Settings as FeedSettings
from tapehub.feeds.sim import RecordedSource, Settings, Simulator, fault_from
from tapehub.feeds.sim.faults import Fault
from tapehub.hub.server import HubServer
from tapehub.model.states import State
from tests.models.accepted import batch_candles, built_candles, published, quoted, unexplained
from tests.models.intervals import SECOND
from tests.models.lively import Lively
from tests.models.market import drained
from tests.models.weekend import CLOSE, OPEN
from tests.servers.ig import CREDENTIALS

SYMBOLS = ("EUR_USD", "GBP_USD", "USD_JPY")
TICKS = {symbol: f"CHART:CS.D.{symbol.replace('_', '')}.CFD.IP:TICK" for symbol in SYMBOLS}
HOUR_S = 3600.0
BAD = {"crossed": 2, "non-positive": 1, "scale": 1}
RACE = 30_000.0
STANDING = 0.001  # until the collector is connected, however long that takes here


@dataclass(frozen=True)
class Plan:
    """Say how long before the close to begin and after the opening to end, at which pace, and where the faults lie.

    Faults are told in seconds of the venue's clock after the beginning, or before and after the close and the opening.
    """

    before_s: float
    after_s: float
    rate: float
    race: float
    forgotten_s: float
    bad_s: float
    mute_s: float
    cut_s: float
    mute_for_s: float

    @property
    def start(self) -> int:
        return CLOSE - round(self.before_s * SECOND)

    @property
    def end(self) -> int:
        return OPEN + round(self.after_s * SECOND)

    @property
    def cuts(self) -> tuple[int, int]:
        return self.start + round(self.forgotten_s * SECOND), OPEN + round(self.cut_s * SECOND)

    @property
    def mute(self) -> int:
        return self.start + round(self.mute_s * SECOND)

    def script(self) -> list[tuple[str, Fault]]:
        opening_s = (OPEN - self.start) / SECOND
        lines: list[tuple[float, dict[str, Any]]] = [
            (5, {"kind": "duplicate", "item": "CHART:*:TICK", "share": 0.2, "for": "60s"}),
            (self.forgotten_s - 1, {"kind": "expire_tokens"}),
            (self.forgotten_s, {"kind": "forget_sessions"}),
            (self.bad_s, {"kind": "crossed", "item": TICKS["EUR_USD"], "count": 2}),
            (self.bad_s + 8, {"kind": "zero", "item": TICKS["EUR_USD"], "count": 1}),
            (self.bad_s + 8, {"kind": "scaled", "item": TICKS["USD_JPY"], "count": 1}),
            (self.mute_s, {"kind": "mute", "item": TICKS["GBP_USD"], "for": f"{self.mute_for_s:g}s"}),
            (self.before_s + 20 * HOUR_S, {"kind": "expire_tokens"}),
            (opening_s + self.cut_s, {"kind": "cut", "how": "reset"}),
        ]
        return [(f"+{at:g}s", fault_from(dict(fields))) for at, fields in lines]


BRIEF = Plan(
    before_s=165, after_s=100, rate=12, race=RACE, forgotten_s=30, bad_s=80, mute_s=100, cut_s=40, mute_for_s=38
)
WHOLE = Plan(
    before_s=1800, after_s=1800, rate=10, race=RACE / 4, forgotten_s=600, bad_s=900, mute_s=1200, cut_s=720,
    mute_for_s=28,
)  # fmt: skip


class Lines:
    """A collector's log, kept."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def bind(self, **_: Any) -> "Lines":
        return self

    def __getattr__(self, level: str) -> Callable[..., None]:
        return lambda event, **told: self.lines.append((level, event, told))


@dataclass
class Seen:
    """What came of a weekend."""

    plan: Plan
    sim: Simulator
    collector: Collector
    log: Lines
    received: Counter[str] = field(default_factory=Counter)
    last_bars: dict[str, int] = field(default_factory=dict)
    logins: list[int] = field(default_factory=list)

    def said(self, event: str) -> list[int]:
        return [one.ts_ns for one in self.sim.log.entries if one.event == event]


async def weekend(hub: DataHub, plan: Plan) -> Seen:
    hub.set_clock("virtual", anchor_ns=plan.start, rate=STANDING)
    venue = Settings(heartbeat_s=60.0, token_life_s=40 * HOUR_S, distinct_snapshot=False)
    source = RecordedSource(Lively([(plan.start - 60 * SECOND, CLOSE), (OPEN, plan.end + 60 * SECOND)], 5))
    log = Lines()
    async with Simulator(venue, clock=hub.now, source=source, script=plan.script(), seed=5) as sim:
        settings = FeedSettings(retry_first_s=0.05, lend=False, assumed_life_s=10 * HOUR_S)
        feed = IgFeed(
            SYMBOLS, credentials=CREDENTIALS, now=hub.now, rng=random.Random(5), base_url=sim.rest_url,
            settings=settings,
        )  # fmt: skip
        collector = Collector(hub, feed, random=random.Random(5), log=log)
        seen = Seen(plan, sim, collector, log)
        collecting = asyncio.create_task(collector.run())
        with hub.stream(kinds="interval", start="oldest") as ends:

            async def until(ts_ns: int) -> None:
                while (now := hub.now()) < ts_ns:
                    for one in drained(ends):
                        if getattr(one, "end", 0) == CLOSE and one.outcome == "final":
                            seen.last_bars.setdefault(one.symbol, now)
                    assert not collecting.done(), collecting.exception()
                    await asyncio.sleep(0.02)

            while sim.log.counts["subscribed"] < len(SYMBOLS):
                await asyncio.sleep(0.02)
            hub.set_clock("virtual", anchor_ns=hub.now(), rate=plan.rate)
            await until(CLOSE + 20 * SECOND)
            hub.set_clock("virtual", anchor_ns=hub.now(), rate=plan.race)
            await until(OPEN - 7200 * SECOND)
            hub.set_clock("virtual", anchor_ns=max(hub.now(), OPEN - 40 * SECOND), rate=plan.rate)
            await until(plan.end)
        assert feed._keeper is not None
        protocol = feed._keeper._protocol
        collecting.cancel()
        await asyncio.gather(collecting, return_exceptions=True)
        seen.received = Counter(protocol.received)  # with what came and was not handed over any more
        seen.logins = seen.said("login")
    return seen


def check(hub: DataHub, seen: Seen) -> None:
    plan = seen.plan
    forgotten, cut = plan.cuts

    # One login to begin with, one for each time that tokens were found expired, and none else.
    first, friday, saturday = seen.logins
    assert first < forgotten <= friday < CLOSE
    assert CLOSE + round(20 * HOUR_S) * SECOND <= saturday < OPEN

    # No connection but those that the cuts made necessary.
    created, recovered = seen.said("session created"), seen.said("session recovered")
    assert len(created) == 2
    assert created[1] >= forgotten
    assert [at for at in recovered if at < cut] == []
    assert len(recovered) >= 1
    assert [at for at in (*created, *recovered, *seen.said("session bound")) if CLOSE <= at < OPEN] == []

    with hub.stream(kinds="state", start="oldest") as stream:
        states = [one for one in drained(stream) if isinstance(one, Record)]
    told = [(one.symbol, State(one.fixed[0] & 0xFF), one.ts_event, one.payload.decode()) for one in states]
    stale = [(symbol, at, why) for symbol, state, at, why in told if state is State.STALE]
    assert {symbol for symbol, *_ in stale} == {"GBP_USD"}, stale
    assert plan.mute < stale[0][1] < plan.mute + round(plan.mute_for_s + 15) * SECOND
    for at in plan.cuts:
        dead = {symbol for symbol, state, when, _ in told if state is State.DEAD and at <= when <= at + 60 * SECOND}
        assert dead == set(SYMBOLS)
    alarms = [one for one in told if CLOSE + 10 * SECOND < one[2] < OPEN]
    assert alarms == []
    repairs = [one for level, event, one in seen.log.lines if event == "repair"]
    assert repairs
    assert {(one["step"], tuple(one["symbols"])) for one in repairs} == {("resubscribe", ("GBP_USD",))}
    assert not seen.collector.exceptions

    # Friday's last bars did not wait for Sunday: two seconds of real time, whatever this machine does.
    assert set(seen.last_bars) == set(SYMBOLS)
    assert all(CLOSE < at <= CLOSE + 2 * plan.rate * SECOND for at in seen.last_bars.values())

    counts = seen.collector.core.publisher.counts
    total, ledger = seen.collector.core.publisher.total, hub.ledger()
    for symbol in SYMBOLS:
        rows = published(hub, symbol)
        assert counts[symbol].received == seen.received[symbol]
        assert counts[symbol].published == len(rows)
        assert counts[symbol].balance == 0
        assert built_candles(hub, symbol) == batch_candles(rows)
        venue = Counter(quoted(seen.sim.venue.source, symbol, plan.start - 3600 * SECOND, plan.end + 60 * SECOND))
        got = Counter(rows)
        assert max(got.values()) == 1
        assert not got - venue, "the venue never said that"
        newest = max(row[0] for row in got)
        began = min(row[0] for row in got if row[0] >= plan.start)
        missing = [row for row in sorted(venue - got) if began < row[0] < newest]
        assert len(unexplained(hub, symbol, missing)) <= {"EUR_USD": 3, "USD_JPY": 1}.get(symbol, 0)
        assert not [gap for gap in hub.gaps(symbol)[:-1] if gap["start"] < CLOSE < gap["end"]]
    assert dict(total.quarantined) == BAD
    assert total.duplicates > 10
    assert (ledger["received"], ledger["ticks"]) == (total.received, total.published)
    assert (ledger["duplicates"], ledger["quarantined"]) == (total.duplicates, sum(BAD.values()))
    assert ledger["balanced"]


def run(path: Path, plan: Plan) -> None:
    stop = threading.Event()
    with HubServer(path) as server:
        serving = threading.Thread(target=server.run, args=(stop,))
        serving.start()
        try:
            with DataHub.open(path) as hub:
                seen = asyncio.run(weekend(hub, plan))
                check(hub, seen)
        finally:
            stop.set()
            serving.join()


@pytest.mark.timeout(120)
def test_a_weekend_costs_one_login_for_each_renewal_and_raises_no_false_alarm(hub_dir: Path) -> None:
    run(hub_dir, BRIEF)


@pytest.mark.chaos
@pytest.mark.timeout(1800)
def test_the_whole_weekend_from_half_past_four_to_half_past_five(hub_dir: Path) -> None:
    run(hub_dir, WHOLE)
