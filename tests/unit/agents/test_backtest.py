"""Backtests over files and over a hub's log, the report on them, and a live run decided again."""

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tapehub import Tick
from tapehub.agents import Agent, Runner
from tapehub.agents.backtest import backtest_log, backtest_quotes
from tapehub.agents.charts import page
from tapehub.agents.parity import compare
from tapehub.agents.records import Fill, decode
from tapehub.agents.report import report_of
from tapehub.agents.search import runs
from tapehub.errors import ConfigError
from tapehub.feeds.quotes import Quotes
from tapehub.feeds.replay import merge, open_recording
from tapehub.model.records import Kind
from tests.models.paper import SECOND, TUESDAY, ThreeUp, event_hub, publish, rng, series, settings

DAY = ("2026-06-02T07:30", "2026-06-02T10:00")
LAX = settings(risk={"spread_max_pips": 5, "session_start": "", "session_end": ""})


def test_same_backtest_gives_the_same_bytes() -> None:
    quotes = list(series(3, *DAY))
    first, second = (backtest_quotes([ThreeUp()], quotes) for _ in range(2))
    assert len(first.outputs) > 50
    assert first.digest() == second.digest()
    assert backtest_quotes([ThreeUp()], quotes, seed=2).digest() != first.digest()


def test_what_comes_before_the_start_builds_candles_and_calls_nobody() -> None:
    seen = []

    class Counter(Agent):
        symbols = ("EUR_USD",)

        def on_start(self, ctx) -> None:  # type: ignore[no-untyped-def]
            seen.append(len(ctx.candles("EUR_USD")))

        def on_candle(self, ctx, candle) -> None:  # type: ignore[no-untyped-def]
            seen.append(candle.ts_event)

    start = TUESDAY
    backtest_quotes([Counter()], series(3, *DAY), start=start)
    assert seen[0] == 30 - 1  # that of 07:59 is not over: its grace is not
    assert seen[1] == start - 60 * SECOND


@pytest.mark.parametrize(
    ("start_s", "end_s", "expected"),
    [(None, None, range(10)), (None, 5, range(5)), (None, 3600, range(10)), (5, None, range(5, 10)),
     (3, 7, range(3, 7)), (None, 4.5, range(5)), (4.5, None, range(5, 10)), (20, None, range(0))],
)  # fmt: skip
def test_backtest_of_the_log_reads_from_a_time_and_up_to_one(
    hub_dir: Path, start_s: float | None, end_s: float | None, expected: range
) -> None:
    seen = []

    class Reader(Agent):
        symbols = ("EUR_USD",)
        warmup = 0
        timeframes = ()

        def on_tick(self, ctx, tick) -> None:  # type: ignore[no-untyped-def]
            seen.append((tick.ts_event - TUESDAY) // SECOND)

    def at(seconds: float | None) -> int | None:
        return None if seconds is None else TUESDAY + round(seconds * SECOND)

    with event_hub(hub_dir) as hub:
        for number in range(10):
            price = 1.1 + number * 1e-5
            hub.update_tick(Tick("EUR_USD", price, price + 1e-4, timestamp=TUESDAY + number * SECOND))
        backtest_log(hub, [Reader()], start=at(start_s), end=at(end_s))
    assert seen == list(expected)


def test_backtest_of_the_log_is_that_of_the_quotes_it_was_made_of(hub_dir: Path) -> None:
    quotes = list(series(4, *DAY))
    with event_hub(hub_dir) as hub:
        for batch in quotes:
            publish(hub, batch)
        logged = backtest_log(hub, [ThreeUp()], start=TUESDAY)
    filed = backtest_quotes([ThreeUp()], quotes, start=TUESDAY)

    def fills(outputs: list) -> list[tuple[object, ...]]:  # type: ignore[type-arg]
        made = [decode(one.kind, one.payload) for one in outputs if one.kind == Kind.FILL]
        names = ("symbol", "side", "what", "why", "units", "price", "profit")
        return [tuple(getattr(one, name) for name in names) for one in made if isinstance(one, Fill)]

    assert len(fills(filed.outputs)) > 4
    assert fills(logged.outputs) == fills(filed.outputs)


def test_backtest_of_the_log_hears_other_runs_and_not_its_own_earlier_ones(hub_dir: Path) -> None:
    heard = []

    class Listener(Agent):
        symbols = ("EUR_USD",)

        def on_signal(self, ctx, signal) -> None:  # type: ignore[no-untyped-def]
            heard.append(signal.agent)

    with event_hub(hub_dir) as hub:
        batches = list(series(0, *DAY))
        publish(hub, batches[0])
        with Runner(hub, [ThreeUp()], ["ThreeUp"], rng=rng()) as live:
            for batch in batches[1:]:
                publish(hub, batch)
                while live.step(0):
                    pass
        backtest_log(hub, [Listener()])
        assert set(heard) == {"threeup"}
        heard.clear()
        Listener.name = "threeup"
        backtest_log(hub, [Listener()])
        assert not heard


def test_no_quote_of_what_the_agent_looks_at_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no quote of GBP_USD"):
        backtest_quotes([Agent(symbols="GBP_USD")], series(1, *DAY))


def test_real_ticks_give_the_same_trades_each_time(shared_data: Path) -> None:
    files = sorted((shared_data / "lean/oanda/tick/eurusd").glob("2014050[5-6]_quote.zip"))
    assert len(files) == 2
    made = [
        backtest_quotes([ThreeUp(symbols="EUR_USD")], merge([open_recording(path) for path in files]), settings=LAX)
        for _ in range(2)
    ]
    assert made[0].ticks == 25_177 + 44_864
    assert made[0].digest() == made[1].digest()
    assert sum(one.kind == Kind.FILL for one in made[0].outputs) >= 20


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.addresses += [str(value) for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("rect", "line", "path"):
            return
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)


def test_report_adds_up_and_its_page_stands_alone() -> None:
    made = backtest_quotes([ThreeUp()], series(3, *DAY), settings=settings(paper={"slippage_pips": 0.1}))
    report = report_of(made.run, made.outputs, made.first_ns, made.last_ns, ticks=made.ticks, digest=made.digest())
    done = [one for one in report.trades if one.closed_ns]
    assert len(done) >= 4
    assert report.balance_end == report.balance_begin + sum(one.profit for one in done)
    assert report.won + report.lost <= len(done)
    assert report.hit_rate == report.won / len(done)
    assert 0 < report.exposure < 1
    assert report.drawdown >= float(report.balance_begin - report.balance_end)
    assert all(float(report.costs[name]) < 0 for name in ("spread", "slippage"))
    assert report.refused
    told = json.loads(json.dumps(report.plain()))
    assert told["trades"][0]["opened"].endswith("Z")
    text = page(report)
    tags = _Tags()
    tags.feed(text)
    assert not tags.open
    assert tags.seen.count("svg") == 3
    assert "script" not in tags.seen
    assert not tags.addresses
    assert "in a row" in text


def test_report_of_a_run_without_trades_says_so() -> None:
    made = backtest_quotes([Agent(symbols="EUR_USD")], series(3, *DAY))
    report = report_of(made.run, made.outputs, made.first_ns, made.last_ns)
    assert (report.trades, report.hit_rate, report.exposure) == ([], None, 0)
    assert "No trade was closed." in page(report)


def test_live_run_decided_again_shows_no_difference_and_names_those_there_are(hub_dir: Path) -> None:
    with event_hub(hub_dir) as hub:
        batches: list[Quotes] = list(series(0, *DAY))
        publish(hub, batches[0])
        with Runner(hub, [ThreeUp()], ["ThreeUp"], rng=rng()) as live:
            for batch in batches[1:]:
                publish(hub, batch)
                while live.step(0):
                    pass
        run = next(runs(hub))
        same = compare(hub, run, [ThreeUp()])
        assert not same.differences
        assert (same.compared, same.ended, same.undecided) == (live.log.written, False, 0)
        other = compare(hub, replace(run, seed=run.seed + 1), [ThreeUp()])
        assert other.differences
        first = other.differences[0]
        assert (first.kind, first.what, list(first.fields)) == ("signal", "changed", ["confidence"])
        assert "confidence" in str(first)
        mute = compare(hub, run, [Agent(symbols="EUR_USD, USD_JPY")])
        assert {one.what for one in mute.differences} == {"missing"}
