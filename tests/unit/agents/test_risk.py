"""The risk manager's limits, each at its default, and what it closes by itself."""

from typing import Any

import pytest

from tapehub.agents.entries import Entry
from tapehub.agents.records import HaltRecord
from tapehub.errors import ConfigError
from tapehub.model.records import Kind
from tests.models.paper import MINUTE, SECOND, TUESDAY, Desktop, settings

CALM = (1.10010, 1.10020)
NOW = {"latency_ms": 0}
LONDON_8 = TUESDAY - 3600 * SECOND  # 07:00 UTC in summer


def order(desk: Desktop, symbol: str = "EUR_USD", **told: Any) -> str:
    """Order, and give the code of the refusal; empty when accepted."""
    return desk.ctx.order(symbol, "buy", told.pop("units", 1_000), stop_pips=told.pop("stop_pips", 10), **told).code


def traded(desk: Desktop, profit_pips: float) -> None:
    """Open a position and close it, so many pips better."""
    desk.tick(*CALM)
    assert order(desk) == ""
    desk.tick(*CALM, after_s=0.1)
    bid = round(CALM[1] + profit_pips * 1e-4, 5)
    desk.tick(bid, bid + 0.0001)
    if desk.ctx.positions():
        desk.ctx.close(desk.ctx.positions()[0])
        desk.tick(bid, bid + 0.0001, after_s=0.1)
    assert not desk.ctx.positions()


def halt(desk: Desktop, halted: bool, flatten: bool = False) -> None:
    desk.seq += 1
    payload = HaltRecord(halted, "enough" if halted else "", flatten, "a test").encode()
    desk.engine.record(Entry(desk.seq, int(Kind.HALT), desk.at, desk.at, "", "", int(halted), 0, 0, payload))


def test_spread_of_1_2_pips_is_the_widest() -> None:
    desk = Desktop()
    desk.tick(1.10010, 1.10022)
    assert order(desk) == ""
    desk = Desktop()
    desk.tick(1.10010, 1.10023)
    assert order(desk) == "spread"


def test_what_is_wide_depends_on_the_instrument_unless_one_says_what_it_is() -> None:
    gold = {"symbols": ["XAU_USD"], "paper": NOW}
    desk = Desktop(**gold)
    desk.tick(2400.00, 2400.30, symbol="XAU_USD")  # 30 pips of a cent
    made = desk.ctx.order("XAU_USD", "buy", stop_pips=500)  # 50 USD of risk, 5 USD an ounce
    assert (made.code, made.units) == ("", 10)
    desk.tick(2400.00, 2400.60, symbol="XAU_USD")
    assert order(desk, "XAU_USD", units=10) == "spread"
    desk.tick(2400.00, 2406.00, symbol="XAU_USD")
    assert order(desk, "XAU_USD", units=10) == "blown"
    desk = Desktop(risk={"spread_max_pips_of": {"gold": 25}}, **gold)
    desk.tick(2400.00, 2400.30, symbol="XAU_USD")
    assert order(desk, "XAU_USD", units=10) == "spread"
    rest = settings(risk={"spread_max_pips_of": {"gold": 25}}).risk
    assert (rest.spread_max("XAU_USD"), rest.spread_max("US500"), rest.spread_max("EUR_USD")) == (25, 1.2, 1.2)


@pytest.mark.parametrize(("symbol", "units"), [("EUR_USD", 1_500), ("EUR_USD", 1), ("US500", 0.25)])
def test_size_is_a_multiple_of_a_step(symbol: str, units: float) -> None:
    desk = Desktop(symbols=[symbol])
    desk.tick(1.1001, 1.1002, symbol=symbol)
    made = desk.ctx.order(symbol, "buy", units, stop_pips=10)
    assert (made.code, made.reason.partition(", ")[2]) == (
        "size", f"expected a multiple of {desk.engine.run.settings.risk.step(symbol)}",
    )  # fmt: skip


def test_one_position_a_symbol_counting_orders_under_way() -> None:
    desk = Desktop(symbols=["EUR_USD", "GBP_USD"], paper=NOW)
    desk.tick(1.25, 1.2501, symbol="GBP_USD")
    desk.tick(*CALM)
    assert [order(desk), order(desk), order(desk, "GBP_USD")] == ["", "symbol", ""]
    desk.tick(*CALM, after_s=0.1)
    assert order(desk) == "symbol"


def test_number_of_positions_is_bounded() -> None:
    desk = Desktop(risk={"positions_per_symbol": 50})
    desk.tick(*CALM)
    assert [order(desk) for _ in range(21)] == [""] * 20 + ["positions"]


def test_forty_trades_a_day_and_another_forty_the_next() -> None:
    desk = Desktop(paper=NOW, risk={"pause_after_losses": 0, "session_start": "", "session_end": ""})
    for _ in range(40):
        traded(desk, 1)
    desk.tick(*CALM)
    assert order(desk) == "trades"
    desk.tick(1.1, 1.1001, after_s=13 * 3600)  # past 17:00 New York
    assert order(desk) == ""


def test_day_that_lost_1_5_percent_closes_everything_until_the_next_day() -> None:
    # 10,000 USD x 1.5 % = 150 USD: 14 pips of 100,000 units are 140, 16 are 160.
    desk = Desktop(paper=NOW, risk={"session_start": "", "session_end": "", "hold_max_min": 0})
    desk.tick(*CALM)
    assert order(desk, units=100_000, stop_pips=90) == ""
    desk.tick(*CALM, after_s=0.1)
    desk.tick(1.09880, 1.09890)
    assert len(desk.ctx.positions()) == 1
    desk.tick(1.09860, 1.09870)
    assert desk.told(Kind.ORDER)[-1].reason == "the day has lost 1.5 %"
    desk.tick(1.09850, 1.09860, after_s=0.1)
    assert desk.fills[-1].why == "daily-loss"
    assert not desk.ctx.positions()
    desk.tick(*CALM)
    assert order(desk) == "daily-loss"
    desk.tick(1.1, 1.1001, after_s=13 * 3600)
    assert order(desk) == ""


def test_day_is_lost_at_the_tick_that_loses_it_however_many_positions_lose_together() -> None:
    # Four positions of 50,000, the first of which is 1,000 USD up when the others are opened; then all fall, none fast.
    symbols = ("EUR_USD", "GBP_USD", "AUD_USD", "NZD_USD")
    desk = Desktop(symbols=symbols, paper=NOW, risk={"hold_max_min": 0}, gate={"max_age_s": 100, "frozen_s": 1000})
    prices = dict.fromkeys(symbols, 1.0)

    def quote(symbol: str, by: float = 0.0, after_s: float = 0.001) -> None:
        prices[symbol] = round(prices[symbol] + by, 5)
        desk.tick(prices[symbol], round(prices[symbol] + 0.0001, 5), symbol=symbol, after_s=after_s)

    for symbol in symbols:
        quote(symbol, after_s=0.1)
    for symbol in symbols:
        assert order(desk, symbol, units=50_000, stop_pips=500) == ""
        quote(symbol, after_s=0.1)
        if symbol == "EUR_USD":
            quote(symbol, 0.02, after_s=0.1)
    before = desk.ctx.account.equity
    while desk.told(Kind.ORDER)[-1].what == "open":
        for symbol in symbols:
            before = desk.ctx.account.equity
            quote(symbol, -0.0001 if symbol == "EUR_USD" else -0.00001)
            if desk.told(Kind.ORDER)[-1].what == "close":
                break
        assert desk.ctx.account.equity > 9_000
    assert desk.ctx.account.equity <= 9_850 < before


def test_order_under_way_does_not_open_after_the_day_was_lost() -> None:
    desk = Desktop(symbols=["EUR_USD", "GBP_USD"], paper={"latency_ms": 500}, risk={"hold_max_min": 0})
    desk.tick(1.25, 1.2501, symbol="GBP_USD", after_s=0.1)
    desk.tick(*CALM)
    assert order(desk, units=100_000) == ""
    desk.tick(*CALM)
    desk.tick(1.25, 1.2501, symbol="GBP_USD", after_s=0.1)
    assert order(desk, "GBP_USD") == ""
    desk.tick(1.0980, 1.0981, after_s=0.2)  # a stop that fills 22 pips down: 220 USD
    assert [one.why for one in desk.fills] == ["market", "stop"]
    ended = desk.told(Kind.ORDER)[-1]
    assert (ended.status, ended.reason) == ("cancelled", "the day's loss has reached its limit")
    desk.tick(1.25, 1.2501, symbol="GBP_USD", after_s=0.5)
    assert len(desk.fills) == 2
    assert order(desk, "GBP_USD") == "daily-loss"


def test_five_losses_in_a_row_pause_for_half_an_hour() -> None:
    desk = Desktop(paper=NOW)
    for _ in range(4):
        traded(desk, -3)
    traded(desk, 2)
    for _ in range(5):
        traded(desk, -3)
    desk.tick(*CALM)
    assert order(desk) == "paused"
    desk.tick(1.1, 1.1001, after_s=29.8 * 60)
    assert order(desk) == "paused"
    desk.tick(*CALM, after_s=20)
    assert order(desk) == ""


def test_position_is_closed_after_twenty_minutes_at_the_next_quote() -> None:
    desk = Desktop(paper=NOW)
    desk.tick(*CALM)
    order(desk)
    desk.tick(*CALM, after_s=0.1)
    desk.tick(*CALM, after_s=20 * 60 - 1)
    assert len(desk.fills) == 1
    desk.tick(*CALM, after_s=3)
    assert desk.fills[-1].why == "held"
    asked = desk.told(Kind.ORDER)[-1]
    assert (asked.what, asked.reason) == ("close", "held for 20 min")


@pytest.mark.parametrize(
    ("minutes", "code"), [(-1, "session"), (0, ""), (719, ""), (720, "session")], ids="07:59 08:00 19:59 20:00".split()
)
@pytest.mark.parametrize("winter", [False, True])
def test_sessions_are_londons_wall_time(minutes: int, code: str, winter: bool) -> None:
    # 13 January 2026 is a Tuesday too; London's 08:00 is then 08:00 UTC.
    at = (1_768_291_200 * SECOND if winter else LONDON_8) + minutes * MINUTE
    desk = Desktop(start=at)
    desk.tick(*CALM, after_s=0)
    assert order(desk) == code


@pytest.mark.parametrize("told", [{"session_start": ""}, {"session_end": ""}])
def test_half_a_session_is_an_error_and_not_no_session(told: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="expected both, or both empty"):
        settings(risk=told)


def test_order_without_a_stop_is_refused() -> None:
    desk = Desktop()
    desk.tick(*CALM)
    assert desk.ctx.order("EUR_USD", "buy", 1_000).code == "no-stop"
    free = Desktop(risk={"stop_required": False})
    free.tick(*CALM)
    assert free.ctx.order("EUR_USD", "buy", 1_000).accepted
    assert free.ctx.order("EUR_USD", "sell").code == "symbol"


def test_halt_refuses_cancels_and_flattens_until_it_is_resumed() -> None:
    desk = Desktop(symbols=["EUR_USD", "GBP_USD"], paper=NOW)
    desk.tick(1.25, 1.2501, symbol="GBP_USD")
    desk.tick(*CALM)
    order(desk, "GBP_USD")
    desk.tick(1.25, 1.2501, symbol="GBP_USD", after_s=0.1)
    order(desk)
    halt(desk, True)
    assert [one.status for one in desk.told(Kind.ORDER)] == ["accepted", "accepted", "cancelled"]
    desk.tick(*CALM, after_s=0.1)
    assert order(desk) == "halted"
    assert len(desk.ctx.positions()) == 1  # may still be closed
    halt(desk, True, flatten=True)
    desk.tick(1.25, 1.2501, symbol="GBP_USD", after_s=0.1)
    assert desk.fills[-1].why == "halt"
    halt(desk, False)
    desk.tick(*CALM, after_s=0.1)
    assert order(desk) == ""


def test_margin_call_closes_everything() -> None:
    # 250,000 x 1.10015 x 3.3333 % = 9,167.92 USD of margin; half of it is reached at a loss of 5,416: 216.6 pips.
    lax = {"daily_loss_pct": 100, "spread_max_pips": 5}
    desk = Desktop(paper=NOW, risk=lax)
    desk.tick(*CALM)
    assert order(desk, units=250_000, stop_pips=900) == ""
    desk.tick(*CALM, after_s=0.1)
    desk.tick(1.07880, 1.07890)
    assert len(desk.ctx.positions()) == 1
    desk.tick(1.07780, 1.07790)
    desk.tick(1.07780, 1.07790, after_s=0.1)
    assert desk.fills[-1].why == "margin"


def test_margin_counts_what_orders_under_way_will_bind() -> None:
    # 250,000 EUR bind 9,168 USD of 10,000, and 200,000 GBP 8,334.
    desk = Desktop(symbols=("EUR_USD", "GBP_USD"))
    desk.tick(*CALM)
    desk.tick(1.25, 1.2501, symbol="GBP_USD", after_s=0.1)
    assert order(desk, units=250_000) == ""
    assert order(desk, "GBP_USD", units=200_000) == "margin"
    made = desk.ctx.order("GBP_USD", "buy", stop_pips=1)  # by its risk 500,000
    assert (made.code, made.units) == ("", 19_000)  # 10,000 - 9,167.92 are free, 1.25005 / 30 each


def test_margin_call_leaves_no_order_that_would_open_again() -> None:
    # 200,000 EUR bind 7,335 USD; 345 pips against them lose 6,900 of 10,000.
    desk = Desktop(symbols=("EUR_USD", "GBP_USD"), risk={"daily_loss_pct": 100})
    desk.tick(*CALM)
    desk.tick(1.25, 1.2501, symbol="GBP_USD", after_s=0.1)
    assert order(desk, units=200_000, stop_pips=900) == ""
    desk.tick(*CALM)
    desk.tick(1.25, 1.2501, symbol="GBP_USD")
    assert order(desk, "GBP_USD", units=1_000, stop_pips=900) == ""
    desk.tick(1.06560, 1.06570, after_s=0.05)
    desk.tick(1.25, 1.2501, symbol="GBP_USD")
    assert [(one.symbol, one.what) for one in desk.fills] == [("EUR_USD", "open")]
    ended = [one for one in desk.told(Kind.ORDER) if one.status == "cancelled"]
    assert [(one.symbol, one.reason) for one in ended] == [("GBP_USD", "equity is below 50 % of the margin")]


@pytest.mark.parametrize("name", ["EURUSD", "EUR/USD"])
def test_margin_and_swaps_of_a_symbol_are_told_in_any_spelling(name: str) -> None:
    made = settings(paper={"margin_pct": {name: 10}, "swap_pips": {name: (-0.5, 0.1)}}).paper
    assert (made.margin_pct, made.swap_pips) == ({"EUR_USD": 10}, {"EUR_USD": (-0.5, 0.1)})
    with pytest.raises(ConfigError, match="margin_pct"):
        settings(paper={"margin_pct": {name: -1}})


def test_counters_go_on_with_the_account() -> None:
    desk = Desktop(paper=NOW)
    for _ in range(5):
        traded(desk, -3)
    last = desk.told(Kind.ACCOUNT)[-1]
    assert (last.trades, last.losing) == (5, 5)
    assert last.paused_ns > desk.at
    again = Desktop(opening=last.plain(), start=desk.at, paper=NOW)
    again.tick(*CALM)
    assert order(again) == "paused"
    assert again.ctx.account.balance == desk.ctx.account.balance


def test_open_positions_go_on_with_the_account() -> None:
    desk = Desktop(paper=NOW)
    desk.tick(*CALM)
    order(desk, target_pips=3)
    desk.tick(*CALM, after_s=0.1)
    again = Desktop(opening=desk.told(Kind.ACCOUNT)[-1].plain(), start=desk.at, paper=NOW)
    assert again.ctx.positions() == desk.ctx.positions()
    again.tick(*CALM)
    again.tick(1.10060, 1.10070)
    assert [(one.why, one.pips) for one in again.fills] == [("target", 3.0)]


@pytest.mark.parametrize("told", [{"side": "up"}, {"units": -1}, {"stop_pips": 0}, {"stop_pips": float("nan")}])
def test_order_that_makes_no_sense_is_an_error(told: dict[str, Any]) -> None:
    desk = Desktop()
    desk.tick(*CALM)
    with pytest.raises(ConfigError, match="expected"):
        desk.ctx.order(**{"symbol": "EUR_USD", "side": "buy", "units": 1_000, "stop_pips": 5, **told})
