"""The engine calls agents in the log's order and time, and says what caused what."""

from dataclasses import replace
from typing import Any

import pytest

from tapehub import Tick
from tapehub._native import Candle, OrderFlowMetrics
from tapehub.agents import Agent, Context
from tapehub.agents.engine import Engine
from tapehub.agents.entries import Entry
from tapehub.agents.records import Opinion, Output, decode
from tapehub.errors import ConfigError
from tapehub.model.records import CLOCK_STRUCT, Kind
from tests.models.paper import MINUTE, SECOND, TUESDAY, Desktop, run_of


class Diary(Agent):
    """Writes down what it is called for."""

    symbols = ("EUR_USD",)
    timeframes = ("1m", "5m")

    def on_start(self, ctx: Context) -> None:
        self.seen: list[tuple[Any, ...]] = [("start", ctx.now)]
        ctx.every(60, "minute")
        ctx.after(90, "once")

    def on_tick(self, ctx: Context, tick: Tick) -> None:
        self.seen.append(("tick", tick.seq, ctx.now))

    def on_candle(self, ctx: Context, candle: Candle) -> None:
        self.seen.append((candle.timeframe, candle.ts_event, candle.ticks, ctx.now))

    def on_timer(self, ctx: Context, name: str) -> None:
        self.seen.append((name, ctx.now))

    def on_order_flow(self, ctx: Context, metrics: OrderFlowMetrics) -> None:
        self.seen.append(("flow", metrics.ofi_60s))

    def on_state(self, ctx: Context, change: Any) -> None:
        self.seen.append((change.state, change.cause))

    def on_opinion(self, ctx: Context, opinion: Opinion) -> None:
        self.seen.append(("opinion", opinion.agent, opinion.reason))

    def on_stop(self, ctx: Context) -> None:
        self.seen.append(("stop",))


def entry(engine: Engine, kind: Kind, seq: int, at: int, **told: Any) -> None:
    """Let a record of another kind come."""
    first = [told.pop(name, default) for name, default in (("ts_event", at), ("symbol", ""), ("source", ""))]
    rest = [told.pop(name, default) for name, default in (("one", 0), ("two", 0), ("flags", 0), ("payload", b""))]
    row = Entry(seq, int(kind), first[0], at, first[1], first[2], *rest, **told)
    engine.record(row)


def test_candles_and_timers_come_at_whole_seconds_a_grace_late_before_the_tick_that_shows_it() -> None:
    diary = Diary()
    desk = Desktop(diary)
    for second in (10, 50, 60.4, 90.6, 125):
        desk.tick(1.1, 1.1001, after_s=second - (desk.at - TUESDAY) / SECOND)
    half = SECOND // 2
    assert diary.seen == [
        ("start", TUESDAY),
        ("tick", 101, TUESDAY + 10 * SECOND),
        ("tick", 102, TUESDAY + 50 * SECOND),
        ("tick", 103, TUESDAY + 60 * SECOND + 400_000_000),
        ("1m", TUESDAY, 2, TUESDAY + MINUTE + half),
        ("minute", TUESDAY + MINUTE + half),
        ("once", TUESDAY + 90 * SECOND + half),
        ("tick", 104, TUESDAY + 90 * SECOND + 600_000_000),
        ("1m", TUESDAY + MINUTE, 2, TUESDAY + 2 * MINUTE + half),
        ("minute", TUESDAY + 2 * MINUTE + half),
        ("tick", 105, TUESDAY + 125 * SECOND),
    ]


def test_with_a_server_its_watermarks_close_and_no_tick_does() -> None:
    diary = Diary()
    desk = Desktop(diary)
    body = CLOCK_STRUCT.pack(0, 1, 0, 0, 1.0, 0, 0)
    entry(desk.engine, Kind.CLOCK, 50, TUESDAY, flags=1, payload=body)
    desk.tick(1.1, 1.1001, after_s=10)
    desk.tick(1.1, 1.1001, after_s=70)
    assert [one[0] for one in diary.seen] == ["start", "tick", "tick"]
    entry(desk.engine, Kind.WATERMARK, 200, TUESDAY + 81 * SECOND, ts_event=TUESDAY + 60 * SECOND)
    assert diary.seen[3:] == [
        ("1m", TUESDAY, 1, TUESDAY + 81 * SECOND), ("minute", TUESDAY + 81 * SECOND)
    ]  # fmt: skip


def test_late_tick_counts_in_the_open_interval_and_not_in_one_that_is_over() -> None:
    desk = Desktop(Diary())
    engine = desk.engine

    def tick(seq: int, ts: int, at: int) -> None:
        engine.tick(Tick("EUR_USD", 1.1, 1.1001, timestamp=ts, ts_publish=at, seq=seq, source="test"))

    tick(1, TUESDAY + 59 * SECOND, TUESDAY + 59 * SECOND)
    tick(2, TUESDAY + 60 * SECOND, TUESDAY + 60 * SECOND)
    tick(3, TUESDAY + 58 * SECOND, TUESDAY + 60 * SECOND + 100)  # its minute is open for half a second more
    tick(4, TUESDAY + 61 * SECOND, TUESDAY + 61 * SECOND)
    tick(5, TUESDAY + 57 * SECOND, TUESDAY + 61 * SECOND + 100)
    series = engine.markets["EUR_USD"].find("1m")
    assert series is not None
    assert [(one.ticks, one.ts_first) for one in series.candles] == [(2, TUESDAY + 58 * SECOND)]
    assert series.late == 1


def test_every_output_names_the_record_that_caused_it() -> None:
    class Talker(Agent):
        symbols = ("EUR_USD",)

        def on_tick(self, ctx: Context, tick: Tick) -> None:
            ctx.log("one")
            ctx.opinion("EUR_USD", "flat", 0.5, "two", edge=0.25)

    desk = Desktop(Talker())
    desk.tick(1.1, 1.1001)
    desk.tick(1.1, 1.1001)
    assert [(one.cause, one.ordinal, int(one.kind)) for one in desk.outputs] == [
        (101, 0, Kind.AGENT), (101, 1, Kind.OPINION), (102, 0, Kind.AGENT), (102, 1, Kind.OPINION)
    ]  # fmt: skip
    opinion = desk.told(Kind.OPINION)[1]
    assert opinion.id == "000000abcdef.102.1"
    assert opinion.data == {"edge": 0.25}


def test_members_of_a_run_hear_each_other_and_not_themselves() -> None:
    class Speaker(Agent):
        symbols = ("EUR_USD",)

        def on_tick(self, ctx: Context, tick: Tick) -> None:
            ctx.opinion("EUR_USD", "buy", 1, f"{ctx.agent} at {tick.seq}")

        def on_opinion(self, ctx: Context, opinion: Opinion) -> None:
            raise AssertionError("it hears itself")

    diary = Diary()
    desk = Desktop(Speaker(), diary)
    desk.tick(1.1, 1.1001)
    assert diary.seen[1:] == [("tick", 101, desk.at), ("opinion", "speaker", "speaker at 101")]


def test_records_of_other_runs_of_feeds_and_of_order_flow_reach_the_agent() -> None:
    diary = Diary()
    desk = Desktop(diary)
    flow = OrderFlowMetrics("EUR_USD", "6E", TUESDAY, ofi_60s=3.5)
    entry(desk.engine, Kind.ORDER_FLOW, 10, TUESDAY, symbol="EUR_USD", body=flow)
    entry(desk.engine, Kind.STATE, 11, TUESDAY, symbol="EUR_USD", one=3, payload=b"mute")
    said = Opinion("1.2.3", "flowing", "EUR_USD", "buy", 0.7, "bids are heavy").encode()
    entry(desk.engine, Kind.OPINION, 12, TUESDAY, symbol="EUR_USD", one=99, payload=said)
    entry(desk.engine, Kind.OPINION, 13, TUESDAY, symbol="EUR_USD", one=desk.engine.run.number, payload=said)
    entry(desk.engine, Kind.OPINION, 14, TUESDAY, symbol="EUR_USD", one=99, payload=b"no JSON")
    assert diary.seen[1:] == [("flow", 3.5), ("stale", "mute"), ("opinion", "flowing", "bids are heavy")]
    assert desk.ctx.order_flow("EUR_USD") == flow


def test_pushed_candles_reach_the_agent_where_there_are_no_ticks() -> None:
    diary = Diary()
    desk = Desktop(diary)
    pushed = Candle("EUR_USD", TUESDAY, 1.1, 1.2, 1.0, 1.15, 3, flags=1)
    closes: list[float] = []
    desk.engine.follow("EUR_USD", "1m", lambda candle: closes.append(candle.close))
    entry(desk.engine, Kind.CANDLE, 10, TUESDAY + 70 * SECOND, symbol="EUR_USD", body=pushed)
    assert ("1m", TUESDAY, 0, TUESDAY + 70 * SECOND) in diary.seen
    assert desk.ctx.candles("EUR_USD") == [pushed]
    assert closes == [1.15], "indicators are fed what agents are told"


def test_revised_candle_takes_the_place_of_the_one_before() -> None:
    desk = Desktop(Diary())
    desk.tick(1.1, 1.1001)
    desk.tick(1.1, 1.1001, after_s=70)
    (first,) = desk.ctx.candles("EUR_USD")
    revised = Candle("EUR_USD", first.ts_event, 1.1, 1.3, 1.0, 1.1, 2, status="revised", revision=2)
    entry(desk.engine, Kind.CANDLE, 300, desk.at, symbol="EUR_USD", source="test", body=revised)
    assert desk.ctx.candles("EUR_USD")[0].high == 1.3


def test_one_source_is_read_that_of_the_first_tick() -> None:
    desk = Desktop()
    desk.tick(1.1, 1.1001)
    desk.engine.tick(Tick("EUR_USD", 2.0, 2.1, timestamp=desk.at, ts_publish=desk.at, seq=500, source="another"))
    tick = desk.ctx.tick("EUR_USD")
    assert tick is not None
    assert tick.bid == 1.1


def test_new_clock_moves_what_is_due_with_it() -> None:
    diary = Diary()
    desk = Desktop(diary)
    desk.tick(1.1, 1.1001, after_s=30)
    entry(desk.engine, Kind.CLOCK, 300, desk.at, payload=CLOCK_STRUCT.pack(2, 0, 0, 0, 1.0, 0, 0))
    desk.at = back = TUESDAY - 365 * 86_400 * SECOND
    desk.tick(1.1, 1.1001, after_s=0)
    assert desk.ctx.now == back
    desk.tick(1.1, 1.1001, after_s=58)
    names = [one[0] for one in diary.seen if one[0] in ("minute", "once")]
    assert names == ["minute"]  # thirty of its sixty seconds had passed
    desk.tick(1.1, 1.1001, after_s=4)
    seen = [one[0] for one in diary.seen if one[0] in ("minute", "once")]
    assert seen == ["minute", "once", "minute"]  # from there on at whole minutes of the new time line
    desk.tick(1.1, 1.1001, after_s=60)
    assert [one[0] for one in diary.seen if one[0] in ("minute", "once")][3:] == ["minute"]


def test_orders_holding_times_and_pauses_go_on_by_a_new_clock() -> None:
    desk = Desktop(symbols=("EUR_USD", "GBP_USD"), risk={"session_start": "", "session_end": ""})
    desk.tick(1.1, 1.1001)
    desk.tick(1.25, 1.2501, after_s=0, symbol="GBP_USD")
    assert desk.ctx.order("EUR_USD", "buy", 1_000, stop_pips=50).accepted
    desk.tick(1.1, 1.1001)
    desk.engine.desk.risk.paused_ns = desk.at + 60 * SECOND  # as after five losses
    assert desk.ctx.close_position(desk.ctx.positions()[0]).accepted
    entry(desk.engine, Kind.CLOCK, 300, desk.at, payload=CLOCK_STRUCT.pack(2, 0, 0, 0, 1.0, 0, 0))
    desk.at = TUESDAY - 364 * 86_400 * SECOND
    told = desk.told(Kind.ACCOUNT)[-1].plain()
    desk.tick(1.1, 1.1001, after_s=0)
    assert [one.opened_ns for one in desk.ctx.positions()] == [desk.at]
    assert desk.ctx.order("GBP_USD", "buy", 1_000, stop_pips=50).code == "paused"
    desk.tick(1.1, 1.1001, after_s=0.3)
    assert [one.why for one in desk.fills] == ["market", "agent"]
    desk.tick(1.25, 1.2501, after_s=60, symbol="GBP_USD")
    assert desk.ctx.order("GBP_USD", "buy", 1_000, stop_pips=50).accepted

    made: list[Output] = []
    later = Engine(replace(desk.engine.run, opening=told), [Agent(symbols=("EUR_USD", "GBP_USD"))], made.append)
    later.tick(Tick("EUR_USD", 1.1, 1.1001, timestamp=TUESDAY, ts_publish=TUESDAY, seq=1, source="test"))
    entry(later, Kind.CLOCK, 3, TUESDAY, payload=CLOCK_STRUCT.pack(2, 0, 0, 0, 1.0, 0, 0))
    later.tick(Tick("EUR_USD", 1.1, 1.1001, timestamp=desk.at, ts_publish=desk.at, seq=5, source="test"))
    later.begin(desk.at)  # the change was before the run, and what it takes over knows it
    assert [one.opened_ns for one in later.positions(None)] == [told["positions"][0]["opened"]]


def test_record_that_came_before_a_new_clock_had_a_time_moves_nothing() -> None:
    diary = Diary()
    desk = Desktop(diary)
    desk.tick(1.1, 1.1001, after_s=30)
    entry(desk.engine, Kind.CLOCK, 300, desk.at, payload=CLOCK_STRUCT.pack(2, 0, 0, 0, 1.0, 0, 0))
    entry(desk.engine, Kind.CHANNEL, 301, -(1 << 63))
    desk.at = TUESDAY - 365 * 86_400 * SECOND
    desk.tick(1.1, 1.1001, after_s=0)
    assert not [one for one in diary.seen if one[0] in ("minute", "once")]
    desk.tick(1.1, 1.1001, after_s=31)
    assert [one[0] for one in diary.seen if one[0] in ("minute", "once")] == ["minute"]


def test_indicators_are_fed_the_candles_there_are_and_those_to_come() -> None:
    fed = []

    class Sum:
        def add(self, value: float) -> None:
            fed.append(value)

    desk = Desktop()
    for minute in range(3):
        desk.tick(1.1 + minute / 1000, 1.1 + minute / 1000, after_s=60 if minute else 1)
    desk.ctx.indicator("EUR_USD", "1m", Sum())
    assert fed == [1.1, 1.101]
    desk.tick(1.2, 1.2, after_s=60)
    assert fed == [1.1, 1.101, 1.102]


def test_talipp_takes_candles_as_they_are() -> None:
    from talipp.indicators import EMA, DonchianChannels

    desk = Desktop()
    ema = desk.ctx.indicator("EUR_USD", "1m", EMA(2))
    channel = desk.ctx.indicator("EUR_USD", "1m", DonchianChannels(2))
    for price in (1.1, 1.2, 1.3, 1.4):
        desk.tick(price, price, after_s=61)
    assert ema[-1] == pytest.approx(1.25)  # (1.1 + 1.2) / 2 = 1.15, then 1.3 x 2/3 + 1.15 / 3
    assert (channel[-1].lb, channel[-1].ub) == (1.2, 1.3)


def test_what_is_not_watched_is_an_error_that_says_what_is() -> None:
    desk = Desktop()
    with pytest.raises(ConfigError, match=r"GBP_USD is not watched .* one of \['EUR_USD'\]"):
        desk.ctx.tick("GBP_USD")
    with pytest.raises(ConfigError, match="asked for 1h candles of EUR_USD: declared are 1m"):
        desk.ctx.candles("EUR_USD", "1h")
    with pytest.raises(ConfigError, match="side 'up'"):
        desk.ctx.opinion("EUR_USD", "up", 0.5, "")


def test_chance_is_seeded_by_the_run() -> None:
    drawn = []
    for seed in (1, 1, 2):
        outputs: list[Output] = []
        agent = Agent(symbols="EUR_USD")
        engine = Engine(run_of([agent], TUESDAY, seed=seed), [agent], outputs.append)
        drawn.append(engine.members[0].ctx.random.random())
    assert drawn[0] == drawn[1] != drawn[2]


def test_stop_is_the_last_output() -> None:
    desk = Desktop(Diary())
    desk.tick(1.1, 1.1001)
    desk.engine.stop()
    last = desk.outputs[-1]
    told = decode(last.kind, last.payload)
    assert (told.what, last.cause) == ("stop", 101)  # type: ignore[union-attr]


@pytest.mark.parametrize("marks", [True, False])
def test_timers_that_were_set_before_there_was_a_time_begin_with_the_first(marks: bool) -> None:
    called = []

    class Early(Agent):
        symbols = ("EUR_USD",)

        def on_start(self, ctx: Context) -> None:
            ctx.every(60, "minute")
            ctx.after(90, "once")

        def on_timer(self, ctx: Context, name: str) -> None:
            called.append((name, (ctx.now - TUESDAY) // SECOND))

    desk = Desktop(Early(), start=0)
    desk.engine.by_ticks = not marks
    desk.at = TUESDAY + 30 * SECOND
    for _ in range(130):
        desk.tick(1.1, 1.1001)
        if marks:
            desk.seq += 1
            desk.engine.record(Entry(desk.seq, int(Kind.WATERMARK), desk.at, desk.at, "", "", 0, 0, 0, b""))
    assert called == [("minute", 60), ("minute", 120), ("once", 121)]
