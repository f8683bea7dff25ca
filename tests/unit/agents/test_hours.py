"""A holiday refuses orders: by the table in force at the run's place in the log, so that a replay refuses the same."""

from dataclasses import replace
from pathlib import Path

import pytest

from tapehub import DataHub
from tapehub.agents import Agent, Context, Order, Runner
from tapehub.agents.backtest import backtest_log, backtest_quotes
from tapehub.agents.beginning import resumable
from tapehub.agents.engine import Engine
from tapehub.agents.hours import hours_at, hours_of
from tapehub.agents.parity import compare
from tapehub.agents.records import decode
from tapehub.errors import ConfigError
from tapehub.hub.calendars import log_sessions
from tapehub.model.calendars import Calendar, calendar_of
from tapehub.model.records import Kind
from tapehub.model.sessions import CalendarId
from tests.models.paper import MINUTE, TUESDAY, event_hub, in_log, plain, publish, replayed, rng, series, settings

DAY = ("2026-06-02T07:30", "2026-06-02T11:00")
HOLIDAY = calendar_of("fx", ["2026-06-02"])
HALF = calendar_of("fx", ["2026-06-02T04:30/2026-06-02T05:30"])
"""Closed from 08:30 to 09:30 UTC."""
OPEN = Calendar(CalendarId.FX)
EASY = settings(risk={"session_start": "", "session_end": "", "spread_max_pips": 5, "trades_per_day": 1000})


class Keen(Agent):
    """Orders each minute, by chance this way or that."""

    symbols = ("EUR_USD", "USD_JPY")
    warmup = 5

    def on_start(self, ctx: Context) -> None:
        ctx.every(60)

    def on_timer(self, ctx: Context, name: str) -> None:
        side, symbol = ctx.random.choice(["buy", "sell"]), ctx.random.choice(self.symbols)
        ctx.order(symbol, side, 10_000, stop_pips=20, target_pips=3, reason="it is time")


def orders(rows: list[tuple[int, int, int, int, bytes]]) -> list[tuple[int, Order]]:
    """Give what was decided on opening orders, with the log time."""
    made = [(ts, decode(kind, payload)) for kind, _, _, ts, payload in rows if kind == Kind.ORDER]
    return [(ts, one) for ts, one in made if isinstance(one, Order) and one.what == "open" and one.judged]


def play(hub: DataHub, runner: Runner, seed: int, tables: dict[int, Calendar] | None = None) -> None:
    """Publish a morning, pushed by a caller; before some batches the hub gets another table."""
    for number, batch in enumerate(series(seed, *DAY)):
        if number in (tables or {}):
            assert log_sessions(hub, [tables[number]], replace=True)  # type: ignore[index]
        for begin in range(0, len(batch.records), 20):  # so that the run is never far behind
            hub.publish(batch.records[begin : begin + 20], symbols=batch.symbols)
            while runner.step(0):
                pass
        while runner.step(0):
            pass


def test_holiday_refuses_orders_on_pushed_quotes_and_says_so(hub_dir: Path) -> None:
    with event_hub(hub_dir) as hub:
        log_sessions(hub, [HOLIDAY])
        with Runner(hub, [Keen()], ["Keen"], settings=EASY, rng=rng()) as runner:
            play(hub, runner, 1)
            runner.end()
        made = [one for _, one in orders(in_log(hub, runner.run))]
        assert len(made) > 100
        assert {(one.status, one.code) for one in made} == {("refused", "closed")}
        assert {one.reason for one in made} == {f"{name} is closed by its calendar" for name in Keen.symbols}


@pytest.mark.parametrize("seed", range(3))
def test_table_that_changes_in_the_middle_of_a_run_counts_from_there_and_in_its_replay(
    hub_dir: Path, seed: int
) -> None:
    with event_hub(hub_dir) as hub:
        with Runner(hub, [Keen()], ["Keen"], settings=EASY, rng=rng(seed)) as runner:
            play(hub, runner, seed, {4: HALF, 8: HOLIDAY, 10: OPEN})  # at 08:30, 09:30 and 10:00
            runner.end()
        found = in_log(hub, runner.run)
        closed = [ts for ts, one in orders(found) if one.code == "closed"]
        begin, end = TUESDAY + 30 * MINUTE, TUESDAY + 120 * MINUTE
        assert begin - MINUTE < min(closed) < begin + 2 * MINUTE
        assert end - 2 * MINUTE < max(closed) < end + 2 * MINUTE
        assert len(closed) >= 85
        assert len([one for _, one in orders(found) if one.accepted]) > 5
        assert plain(replayed(hub, runner.run, [Keen()])) == found
        assert not compare(hub, runner.run, [Keen()]).differences


def test_run_that_dies_goes_on_with_the_table_of_its_place(hub_dir: Path) -> None:
    with event_hub(hub_dir) as hub:
        log_sessions(hub, [HALF])
        batches = list(series(4, *DAY))
        publish(hub, batches[0])
        numbers = set()
        for number, batch in enumerate(batches[1:]):
            if number == 6:
                log_sessions(hub, [OPEN], replace=True)
            publish(hub, batch)
            with Runner(hub, [Keen()], ["Keen"], settings=EASY, rng=rng(number)) as runner:
                numbers.add(runner.run.number)
                while runner.step(0):
                    pass
        assert len(numbers) == 1
        found = in_log(hub, runner.run)
        assert {"closed", ""} <= {one.code for _, one in orders(found)}
        assert plain(replayed(hub, runner.run, [Keen()])) == found


def test_backtest_over_files_goes_by_the_configured_holidays() -> None:
    quotes = list(series(3, *DAY))
    made = backtest_quotes([Keen()], quotes, settings=EASY, calendars=[HOLIDAY])
    assert {one.code for _, one in orders(plain(made.outputs))} == {"closed"}
    assert made.run.calendars is not None
    free = backtest_quotes([Keen()], quotes, settings=EASY)
    assert "closed" not in {one.code for _, one in orders(plain(free.outputs))}


def test_backtest_over_the_log_goes_by_the_table_of_each_place_in_it(hub_dir: Path) -> None:
    with event_hub(hub_dir) as hub:
        log_sessions(hub, [HOLIDAY])
        for number, batch in enumerate(series(3, *DAY)):
            if number == 6:
                between = hub.head
                log_sessions(hub, [OPEN], replace=True)
            hub.publish(batch.records, symbols=batch.symbols)
        made = backtest_log(hub, [Keen()], settings=EASY)
        closed = [ts for ts, one in orders(plain(made.outputs)) if one.code == "closed"]
        assert max(closed) < TUESDAY + 61 * MINUTE
        assert len(closed) > 85
        later = backtest_log(hub, [Keen()], settings=EASY, start=TUESDAY + 90 * MINUTE)
        assert "closed" not in {one.code for _, one in orders(plain(later.outputs))}
        assert not hours_at(hub, 1)
        assert hours_at(hub, between)[CalendarId.FX].to_bytes() == HOLIDAY.to_bytes()
        assert hours_at(hub, hub.head)[CalendarId.FX].to_bytes() == OPEN.to_bytes()


def test_run_of_a_version_that_knew_no_holidays_is_replayed_as_it_was_and_not_gone_on_with(hub_dir: Path) -> None:
    with event_hub(hub_dir) as hub:
        publish(hub, next(series(1, *DAY)))
        with Runner(hub, [Keen()], ["Keen"], settings=EASY, rng=rng()) as runner:
            play(hub, runner, 1, {4: HOLIDAY})
        told = runner.run.plain()
        del told["calendars"]
        old = type(runner.run).read("keen", runner.run.begin_seq, told)
        assert old.calendars is None
        made = [one for _, one in orders(plain(replayed(hub, old, [Keen()])))]
        assert "closed" not in {one.code for one in made}
        real = runner.run
        assert resumable(hub, "keen", [Keen()], ["Keen"], EASY)[0] == real


def test_engine_without_the_tables_of_its_run_begins_nothing(hub_dir: Path) -> None:
    with event_hub(hub_dir) as hub:
        log_sessions(hub, [HOLIDAY])
        publish(hub, next(series(1, *DAY)))
        with Runner(hub, [Keen()], ["Keen"], settings=EASY, rng=rng()) as runner:
            run = runner.run
        assert set(hours_of(hub, run)) == set(CalendarId)
        with pytest.raises(ConfigError, match="began with session tables"):
            Engine(run, [Keen()], lambda one: None)
        Engine(replace(run, calendars=None), [Keen()], lambda one: None)
