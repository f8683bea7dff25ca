"""A new run takes over an account with open positions, whose instruments have had no quote since."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tapehub import DataHub, Tick
from tapehub.agents import Agent, Context, Runner
from tapehub.agents.halts import halt, resume
from tapehub.agents.journal import read_run
from tapehub.model.records import Kind
from tests.models.paper import SECOND, TUESDAY, Desktop, event_hub, settings

NOW = {"latency_ms": 0}
BOTH = ("EUR_USD", "GBP_USD")
EURO, POUND = (1.10010, 1.10020), (1.25000, 1.25010)
DAY = 86_400 * SECOND
LATE = settings(gate={"late_s": 1e9})


def left_open(side: str = "buy", marks: bool = True) -> tuple[dict[str, Any], int]:
    """Leave two positions open, and give the account as the log holds it, and when."""
    desk = Desktop(symbols=BOTH, paper=NOW)
    desk.tick(*POUND, symbol="GBP_USD", after_s=0.1)
    desk.tick(*EURO, after_s=0.1)
    for symbol in BOTH:
        assert desk.ctx.order(symbol, side, 50_000, stop_pips=200).accepted
    desk.tick(*EURO, after_s=0.1)
    desk.tick(*POUND, symbol="GBP_USD", after_s=0.1)
    assert len(desk.ctx.positions()) == 2
    told = desk.told(Kind.ACCOUNT)[-1].plain()
    if not marks:  # as accounts were written before they held any
        del told["marks"]
    return told, desk.at


class Buyer(Agent):
    """Buy each instrument once."""

    symbols = BOTH
    warmup = 0

    def on_tick(self, ctx: Context, tick: Tick) -> None:
        if not ctx.positions(tick.symbol):
            ctx.order(tick.symbol, "buy", 50_000, stop_pips=30)


def quotes(hub: DataHub, begin_s: float, end_s: float) -> None:
    """Quote both instruments twice a second."""
    for number in range(round((end_s - begin_s) * 2)):
        at, by = TUESDAY + round((begin_s + number / 2) * SECOND), number % 3 * 1e-5
        hub.update_tick(Tick("EUR_USD", EURO[0] + by, EURO[1] + by, timestamp=at))
        hub.update_tick(Tick("GBP_USD", POUND[0] + by, POUND[1] + by, timestamp=at + SECOND // 10))


def drain(runner: Runner) -> None:
    while runner.step(0):
        pass


@contextmanager
def holding(hub: DataHub) -> Iterator[Runner]:
    """Run a buyer until it holds two positions."""
    quotes(hub, 0, 5)
    with Runner(hub, [Buyer()], ["Buyer"], settings=LATE) as runner:
        quotes(hub, 5, 10)
        drain(runner)
        assert len(runner.engine.positions(None)) == 2
        yield runner


def taken_over(told: dict[str, Any], at: int, **limits: Any) -> Desktop:
    return Desktop(symbols=BOTH, paper=NOW, opening=told, start=at, risk={"hold_max_min": 0, **limits})


def test_account_holds_the_quotes_of_what_is_open() -> None:
    told, _ = left_open()
    assert told["marks"] == {"EUR_USD": [1.1001, 1.1002], "GBP_USD": [1.25, 1.2501]}


@pytest.mark.parametrize("marks", [True, False])
@pytest.mark.parametrize("side", ["buy", "sell"])
def test_healthy_positions_stay_open_when_one_instrument_is_quoted_before_the_other(side: str, marks: bool) -> None:
    told, at = left_open(side, marks)
    desk = taken_over(told, at + SECOND)
    assert desk.ctx.account.equity == pytest.approx(9_990 if marks else 10_000)
    for _ in range(3):
        desk.tick(*EURO, after_s=0.1)
    desk.tick(*POUND, symbol="GBP_USD", after_s=0.1)
    desk.tick(*POUND, symbol="GBP_USD", after_s=0.1)
    assert not desk.told(Kind.ORDER)
    assert desk.ctx.account.equity == pytest.approx(9_990)


@pytest.mark.parametrize("marks", [True, False])
@pytest.mark.parametrize("side", ["buy", "sell"])
def test_day_begins_with_what_the_account_is_worth_not_with_prices_of_nothing(side: str, marks: bool) -> None:
    told, at = left_open(side, marks)
    desk = taken_over(told, at + DAY)
    risk = desk.engine.desk.risk
    assert risk.equity_due is not marks
    desk.tick(*EURO)
    assert risk.equity_due is not marks
    desk.tick(*POUND, symbol="GBP_USD")
    assert not risk.equity_due
    assert risk.day_equity == pytest.approx(9_990, abs=30)  # less a night's swap
    assert not desk.told(Kind.ORDER)


def test_loss_is_noticed_as_soon_as_all_that_is_open_is_valued() -> None:
    # 50,000 x 0.0140 = 700 USD lost on each is beyond 1.5 % of 10,000.
    told, at = left_open(marks=False)
    desk = taken_over(told, at + SECOND)
    desk.tick(1.08610, 1.08620)
    assert not desk.told(Kind.ORDER)
    desk.tick(1.23600, 1.23610, symbol="GBP_USD")
    assert [(one.what, one.reason) for one in desk.told(Kind.ORDER)] == [("close", "the day has lost 1.5 %")] * 2


def test_orders_are_refused_until_all_that_is_open_is_valued() -> None:
    told, at = left_open(marks=False)
    desk = taken_over(told, at + SECOND, positions_per_symbol=2)
    desk.tick(*EURO)
    order = desk.ctx.order("EUR_USD", "buy", 1_000, stop_pips=5)
    assert (order.code, order.reason) == (
        "unvalued", "what the account is worth is not known: GBP_USD has had no quote",
    )  # fmt: skip
    desk.tick(*POUND, symbol="GBP_USD", after_s=0.1)
    assert desk.ctx.order("EUR_USD", "buy", 1_000, stop_pips=5).accepted


def test_recalled_quote_is_none_for_the_gate() -> None:
    told, at = left_open()
    desk = taken_over(told, at + SECOND)
    assert desk.ctx.fresh("EUR_USD").code == "no-data"
    desk.tick(*EURO)  # the same prices as then: it has not been frozen since 1970
    assert desk.ctx.fresh("EUR_USD").ok


def test_switch_thrown_and_released_before_the_run_closes_nothing_of_it(hub_dir: Path) -> None:
    with event_hub(hub_dir) as hub, holding(hub) as first:
        first.end()
    with event_hub(hub_dir) as hub:
        halt(hub, "lunch", flatten=True)
        quotes(hub, 10, 12)
        resume(hub)
        quotes(hub, 12, 14)
        with Runner(hub, [Buyer(warmup=30)], ["Buyer"], settings=LATE) as runner:
            assert runner.run.warm_seq < runner.run.begin_seq - 20  # so the switch is part of the warm-up
            quotes(hub, 14, 20)
            drain(runner)
            assert len(runner.engine.positions(None)) == 2
            assert not [one for one in read_run(hub, runner.run).outputs.values() if one.kind == Kind.ORDER]


def test_switch_thrown_while_no_run_was_there_closes_what_the_next_one_finds(hub_dir: Path) -> None:
    with event_hub(hub_dir) as hub, holding(hub) as first:
        first.end()
    with event_hub(hub_dir) as hub:
        halt(hub, "fire", flatten=True)
        with Runner(hub, [Buyer()], ["Buyer"], settings=LATE) as runner:
            assert runner.run.flatten
            quotes(hub, 10, 12)
            drain(runner)
            assert not runner.engine.positions(None)
            found = [one.message for one in read_run(hub, runner.run).outputs.values() if one.kind == Kind.FILL]
            assert [one.why for one in found] == ["halt", "halt"]


YEN = ("EUR_JPY", "USD_JPY")


def in_yen() -> tuple[dict[str, Any], int]:
    """Leave a position open whose profit is in yen."""
    desk = Desktop(symbols=YEN, paper=NOW, risk={"spread_max_pips": 2})
    desk.tick(150.0, 150.01, symbol="USD_JPY", after_s=0.1)
    desk.tick(165.0, 165.01, symbol="EUR_JPY", after_s=0.1)
    assert desk.ctx.order("EUR_JPY", "buy", 10_000, stop_pips=10).accepted
    desk.tick(165.0, 165.01, symbol="EUR_JPY", after_s=0.1)
    return desk.told(Kind.ACCOUNT)[-1].plain(), desk.at


def test_rates_of_an_earlier_run_value_and_keep_limits_and_let_nothing_be_ordered() -> None:
    told, at = in_yen()
    limits = {"positions_per_symbol": 2, "spread_max_pips": 2, "hold_max_min": 0}
    desk = Desktop(symbols=YEN, paper=NOW, opening=told, start=at + SECOND, risk=limits)
    assert desk.ctx.account.equity == pytest.approx(10_000 - 100 / 150.005)
    desk.tick(165.5, 165.51, symbol="EUR_JPY")
    assert desk.ctx.account.equity == pytest.approx(10_000 + 4_900 / 150.005)
    order = desk.ctx.order("EUR_JPY", "buy", 1_000, stop_pips=5)
    assert (order.code, "JPY to USD" in order.reason) == ("no-rate", True)
    desk.tick(150.0, 150.01, symbol="USD_JPY", after_s=0.1)
    assert desk.ctx.order("EUR_JPY", "buy", 1_000, stop_pips=5).accepted

    lost = Desktop(symbols=YEN, paper=NOW, opening=told, start=at + SECOND, risk=limits)
    lost.tick(162.0, 162.01, symbol="EUR_JPY")  # 30,100 JPY
    assert [(one.what, one.reason) for one in lost.told(Kind.ORDER)] == [("close", "the day has lost 1.5 %")]
    assert not lost.fills
    lost.tick(151.0, 151.01, symbol="USD_JPY")
    lost.tick(162.0, 162.01, symbol="EUR_JPY")
    assert [(one.why, one.profit) for one in lost.fills] == [("stop", "-199.34")]  # 30,100 / 151


def test_nights_are_booked_at_a_rate_of_the_run_that_books_them() -> None:
    # Tuesday's night: 2.5 % of 10,000 x 165.005 JPY a year, 113.0171… JPY, paid at a bid of 151: 0.7485 USD
    told, at = in_yen()
    first = Desktop(symbols=YEN, paper=NOW, opening=told, start=at + DAY, risk={"hold_max_min": 0})
    first.tick(165.0, 165.01, symbol="EUR_JPY")
    first.tick(165.001, 165.011, symbol="EUR_JPY", after_s=70)
    first.engine.stop()
    left = first.told(Kind.ACCOUNT)
    assert [(one.why, one.balance) for one in left] == [("minute", "10000.00"), ("end", "10000.00")]
    assert left[-1].owed_ns == (TUESDAY // SECOND + 13 * 3600) * SECOND  # 21:00 UTC
    again = Desktop(symbols=YEN, paper=NOW, opening=left[-1].plain(), start=first.at + SECOND, risk={"hold_max_min": 0})
    again.tick(151.0, 151.01, symbol="USD_JPY")
    again.tick(165.0, 165.01, symbol="EUR_JPY")
    (booked,) = again.told(Kind.ACCOUNT)
    assert (booked.why, booked.balance, booked.owed_ns) == ("swap", "9999.25", None)


def test_nights_of_one_position_do_not_wait_for_the_rate_of_another() -> None:
    # Tuesday's and Wednesday's nights of 10,000 at 1.25005: 2.5 % of 12,500.50 USD a year, 0.8562… and 2.5686…
    # Then 113.0171… and 339.05… JPY of the other, at a bid of 151: 0.7485 and 2.2454 USD
    told, at = in_yen()
    pound = {**told["positions"][0], "id": "0.0.9", "symbol": "GBP_USD", "price": 1.2502, "stop": 1.2}
    del pound["order"]
    told["positions"].append(pound)

    def taken(opening: dict[str, Any], start: int) -> Desktop:
        return Desktop(
            symbols=(*YEN, "GBP_USD"), paper=NOW, opening=opening, start=start, risk={"hold_max_min": 0}
        )  # fmt: skip

    desk = taken(told, at + 2 * DAY)
    assert not desk.told(Kind.ACCOUNT)
    desk.tick(165.0, 165.01, symbol="EUR_JPY")
    desk.tick(*POUND, symbol="GBP_USD")
    first = desk.told(Kind.ACCOUNT)[-1]
    assert (first.why, first.balance) == ("swap", "9996.57")
    assert [one.swap for one in first.positions] == ["", "-3.43"]
    assert [one.owed_ns for one in first.positions] == [first.owed_ns, None]
    assert first.owed_ns == (TUESDAY // SECOND + 13 * 3600) * SECOND
    for more in (desk, taken(first.plain(), desk.at + SECOND)):
        more.tick(*POUND, symbol="GBP_USD")
        more.tick(151.0, 151.01, symbol="USD_JPY")
        more.tick(165.0, 165.01, symbol="EUR_JPY")
        last = more.told(Kind.ACCOUNT)[-1]
        assert (last.why, last.balance, last.owed_ns) == ("swap", "9993.57", None)
        assert [one.swap for one in last.positions] == ["-3.00", "-3.43"]


def test_nights_are_booked_before_the_quote_that_tells_them_closes_the_position() -> None:
    # 2.5 % of 10,000 x 164.005 JPY a year, 112.33… JPY, at a bid of 151 is 0.74 USD;
    # 10,000 x (164.0 - 165.01) = -10,100 JPY at a bid of 151.00 is -66.89 USD
    told, at = in_yen()
    del told["marks"]
    desk = Desktop(symbols=YEN, paper=NOW, opening=told, start=at + DAY, risk={"hold_max_min": 0})
    desk.tick(151.0, 151.01, symbol="USD_JPY")
    desk.tick(164.0, 164.01, symbol="EUR_JPY")
    assert [(one.why, one.profit) for one in desk.fills] == [("stop", "-66.89")]
    assert [one.why for one in desk.told(Kind.ACCOUNT)] == ["swap", "close: stop"]
    assert desk.told(Kind.ACCOUNT)[-1].balance == "9932.37"


@pytest.mark.parametrize("marks", [True, False])
def test_stop_waits_for_a_rate_of_its_own_run(marks: bool) -> None:
    # 10,000 x (164.800 - 165.010) = -2,100 JPY, / bid of USD_JPY 150.000 = -14.00 USD
    told, at = in_yen()
    assert told["marks"] == {"EUR_JPY": [165.0, 165.01], "USD_JPY": [150.0, 150.01]}
    if not marks:
        del told["marks"]
    again = Desktop(symbols=YEN, paper=NOW, opening=told, start=at + SECOND)
    again.tick(164.80, 164.81, symbol="EUR_JPY")
    assert not again.fills  # a rate may be days old
    again.tick(150.0, 150.01, symbol="USD_JPY", after_s=0.1)
    again.tick(164.80, 164.81, symbol="EUR_JPY", after_s=0.1)
    assert [(one.why, one.profit) for one in again.fills] == [("stop", "-14.00")]


def test_stop_that_was_reached_works_on_in_the_next_run() -> None:
    desk = Desktop(paper=NOW)
    desk.tick(*EURO)
    assert desk.ctx.order("EUR_USD", "buy", 10_000, stop_pips=5, target_pips=50).accepted
    desk.tick(*EURO)
    assert b"stopped" not in desk.told(Kind.ACCOUNT)[-1].positions[0].encode()  # as it was written before
    desk.tick(1.09900, 1.09910, bid_size=4_000)
    told = desk.told(Kind.ACCOUNT)[-1].plain()
    assert [(one["units"], one["stopped"]) for one in told["positions"]] == [(6_000, True)]
    again = Desktop(paper=NOW, opening=told, start=desk.at + SECOND)
    again.tick(1.10100, 1.10110, bid_size=5_000)  # above the stop again, which is a market order by now
    assert again.ctx.close(again.ctx.positions()[0]).code == "closing"
    third = Desktop(paper=NOW, opening=again.told(Kind.ACCOUNT)[-1].plain(), start=again.at + SECOND)
    third.tick(1.10600, 1.10610)  # beyond the target
    assert [(one.why, one.units, one.price, one.left) for one in again.fills + third.fills] == [
        ("stop", 5_000, 1.10100, 1_000), ("stop", 1_000, 1.10600, 0),
    ]  # fmt: skip
    assert not third.ctx.positions()


def test_stop_that_was_not_reached_is_none_in_the_next_run() -> None:
    told, at = left_open()
    assert not any("stopped" in one for one in told["positions"])
    desk = taken_over(told, at + SECOND)
    desk.tick(*EURO)
    desk.tick(*POUND, symbol="GBP_USD")
    assert not desk.fills
    assert desk.ctx.close(desk.ctx.positions()[0]).accepted


def nights(opening: dict[str, Any], at: int, **limits: Any) -> tuple[Desktop, list[str]]:
    """Take over, let both instruments be quoted, and give what was booked for nights."""
    desk = taken_over(opening, at, **limits)
    desk.tick(*EURO, after_s=0)
    desk.tick(*POUND, symbol="GBP_USD", after_s=0)
    desk.tick(*EURO, after_s=2)
    return desk, [one.balance for one in desk.told(Kind.ACCOUNT) if one.why == "swap"]


@pytest.mark.parametrize("marks", [True, False])
def test_nights_between_two_runs_are_booked(marks: bool) -> None:
    # From Tuesday morning to Thursday morning: Tuesday's 17:00 is one night, Wednesday's three.
    # 2.5 % of 55,007.50 USD and of 62,502.50 USD a year of 365 days: 3.7676… and 4.2809… a night;
    # 3.77 + 11.30 and 4.28 + 12.84 are 32.19.
    told, at = left_open(marks=marks)
    desk, booked = nights(told, at + 2 * DAY)
    assert booked == ["9967.81"] if marks else ["9984.93", "9967.81"]  # each with its first quote
    assert [one.swap for one in desk.ctx.positions()] == ["-15.07", "-17.12"]
    # A third run on the same day owes nothing more.
    assert nights(desk.told(Kind.ACCOUNT)[-1].plain(), at + 2 * DAY + 3600 * SECOND)[1] == []


def test_each_night_is_booked_when_the_clock_jumps_over_several() -> None:
    told, at = left_open()
    desk = taken_over(told, at + SECOND)
    desk.tick(*EURO)
    desk.tick(*POUND, symbol="GBP_USD")
    desk.tick(*EURO, after_s=2 * 86_400)
    assert [one.swap for one in desk.ctx.positions()] == ["-15.07", "-17.12"]


def test_account_is_written_each_minute_while_something_is_open_and_at_the_end() -> None:
    told, at = left_open()
    desk = taken_over(told, at + SECOND)
    for number in range(200):
        desk.tick(EURO[0] + number * 1e-5, EURO[1] + number * 1e-5)
        if number == 50:
            desk.tick(*POUND, symbol="GBP_USD", after_s=0.1)
    desk.engine.stop()
    rows = desk.told(Kind.ACCOUNT)
    assert [one.why for one in rows] == ["minute"] * 3 + ["end"]
    assert rows[-1].marks == {"EUR_USD": (EURO[0] + 199e-5, EURO[1] + 199e-5), "GBP_USD": POUND}
    assert rows[-1].equity == 10_089.5
    assert desk.outputs[-1].kind == Kind.AGENT
