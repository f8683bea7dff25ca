"""Indicators see every candle once, also those that a backfill brought behind their back."""

from tapehub._native import Candle
from tapehub.agents import Agent, Context
from tapehub.agents.entries import Entry
from tapehub.agents.gauges import Gauges
from tapehub.model.records import CandleFlag, Kind
from tests.models.paper import MINUTE, TUESDAY, Desktop


class Seen:
    """Remembers what it was fed."""

    def __init__(self) -> None:
        self.times: list[int] = []

    def add(self, candle: Candle) -> None:
        self.times.append(candle.ts_event)


class Watcher(Agent):
    symbols = ("EUR_USD",)

    def on_start(self, ctx: Context) -> None:
        self.gauges = Gauges(Seen, 200)
        self.gauges.begin(ctx, "EUR_USD")
        self.made = {id(self.gauges.value)}

    def on_candle(self, ctx: Context, candle: Candle) -> None:
        self.made.add(id(self.gauges.take(ctx, candle)))


def backfill(desk: Desktop, minutes: range) -> None:
    for minute in minutes:
        desk.seq += 1
        flags = int(CandleFlag.PUSHED | CandleFlag.BACKFILL)
        body = Candle("EUR_USD", TUESDAY + minute * MINUTE, 1.1, 1.1, 1.1, 1.1, 1, flags=flags)
        desk.engine.record(
            Entry(desk.seq, int(Kind.CANDLE), desk.at, desk.at, "EUR_USD", "test", 0, 0, 0, b"", body)
        )  # fmt: skip


def test_backfilled_candles_are_taken_in_with_the_next_final_one() -> None:
    watcher = Watcher()
    desk = Desktop(watcher)
    for _ in range(4):
        desk.tick(1.1, 1.1001, after_s=60)
    live = list(watcher.gauges.value.times)
    assert live == sorted(live)
    assert len(live) == 2
    backfill(desk, range(-5, 0))
    assert watcher.gauges.value.times == live
    desk.tick(1.1, 1.1001, after_s=61)
    times = watcher.gauges.value.times
    assert times == [one.ts_event for one in desk.ctx.candles("EUR_USD")]
    assert len(times) > 7
    assert times == sorted(set(times))


def candles(*minutes: int) -> list[Candle]:
    return [Candle("EUR_USD", TUESDAY + minute * MINUTE, 1.0, 1.0, 1.0, 1.0) for minute in minutes]


class Rows:
    """Stands in for a context that has these candles."""

    def __init__(self, *minutes: int) -> None:
        self.rows = candles(*minutes)

    def candles(self, symbol: str, timeframe: str, limit: int) -> list[Candle]:
        return self.rows[-limit:]


def test_hole_that_is_filled_between_candles_is_seen_however_many_there_are() -> None:
    for before in (range(20), range(5)):  # more than are kept, and fewer
        gauges: Gauges[Seen] = Gauges(Seen, 10)
        holes = {before[-3], before[-4]}
        gauges.begin(Rows(*(one for one in before if one not in holes)), "EUR_USD")  # type: ignore[arg-type]
        last = before[-1] + 1
        value = gauges.take(Rows(*before, last), *candles(last))  # type: ignore[arg-type]
        expected = [one.ts_event for one in candles(*before, last)][-10:]
        assert value.times == expected


def test_without_backfill_it_is_made_once() -> None:
    watcher = Watcher()
    desk = Desktop(watcher)
    for _ in range(10):
        desk.tick(1.1, 1.1001, after_s=60)
    assert len(watcher.made) == 1
    assert watcher.gauges.value.times == [one.ts_event for one in desk.ctx.candles("EUR_USD")]
