"""A report says what a run came to: between its fills, where it closed in parts, and of what it inherited."""

from typing import Any

import pytest

from tapehub.agents.records import Fill
from tapehub.agents.report import Report, report_of
from tapehub.agents.trades import TradeBook
from tapehub.model.records import Kind
from tests.models.paper import MINUTE, SECOND, TUESDAY, Desktop

LAX = {"daily_loss_pct": 50, "hold_max_min": 0}
NOW = {"latency_ms": 0}


def held(units: float = 100_000, **paper: Any) -> Desktop:
    """Open a position at 1.1002."""
    desk = Desktop(paper={**NOW, **paper}, risk=LAX)
    desk.tick(1.1001, 1.1002)
    assert desk.ctx.order("EUR_USD", "buy", units, stop_pips=300).accepted
    desk.tick(1.1001, 1.1002)
    return desk


def report(desk: Desktop, begin: int = TUESDAY) -> Report:
    return report_of(desk.engine.run, desk.outputs, begin, desk.at)


def test_drawdown_is_that_of_the_equity_also_between_two_fills() -> None:
    desk = held()
    desk.tick(1.0901, 1.0902, after_s=70)  # 101 pips down, over a minute
    desk.tick(1.0901, 1.0902, after_s=70)
    desk.tick(1.1012, 1.1013, after_s=70)
    desk.ctx.close(desk.ctx.positions()[0])
    desk.tick(1.1012, 1.1013)
    made = report(desk)
    assert made.drawdown == pytest.approx(1_010)
    assert made.drawdown_pct == pytest.approx(10.1)
    assert made.equity_end == 10_100


def test_equity_at_the_end_is_that_of_what_is_open() -> None:
    desk = held()
    desk.tick(1.0951, 1.0952)
    desk.engine.stop()
    made = report(desk)
    assert made.equity_end == pytest.approx(10_000 - 510)
    assert made.open == 1


def test_equity_of_nothing_is_nothing() -> None:
    desk = held()
    desk.engine.desk.account.balance -= 10_000
    desk.tick(1.1002, 1.1003)
    desk.engine.stop()
    assert report(desk).equity_end == 0.0


def test_trade_is_closed_with_its_last_unit_at_mean_price_and_pips() -> None:
    desk = held(20_000)
    desk.ctx.close(desk.ctx.positions()[0])
    desk.tick(1.1102, 1.1103, bid_size=19_000.0)
    (trade,) = report(desk).trades
    assert (trade.closed_ns, trade.out, trade.why) == (0, 19_000, "agent")
    assert report(desk).hit_rate is None
    desk.tick(1.1002, 1.1003, bid_size=1_000.0)
    (trade,) = report(desk).trades
    # (100 x 19,000 + 0 x 1,000) / 20,000 = 95 pips; (1.1102 x 19,000 + 1.1002 x 1,000) / 20,000 = 1.1097
    assert (trade.pips, trade.price_out, str(trade.profit)) == (95.0, 1.1097, "190.00")
    assert trade.closed_ns == desk.at


def test_trade_of_an_earlier_run_keeps_its_entry() -> None:
    first = held(20_000)
    opened = first.at
    first.tick(1.1011, 1.1012)
    first.engine.stop()
    told = first.told(Kind.ACCOUNT)[-1].plain()
    begin = first.at + 10 * MINUTE
    desk = Desktop(opening=told, start=begin, paper=NOW, risk=LAX)
    desk.tick(1.1012, 1.1013)
    desk.ctx.close(desk.ctx.positions()[0])
    desk.tick(1.1012, 1.1013)
    desk.tick(1.1012, 1.1013, after_s=2)
    made = report(desk, begin)
    (trade,) = made.trades
    assert (trade.price, trade.price_out, trade.pips, trade.opened_ns) == (1.1002, 1.1012, 10.0, opened)
    assert made.equity[0] == (begin, 10_000.0, 10_018.0)
    assert made.exposure == pytest.approx(0.5)  # two of four seconds


@pytest.mark.parametrize("spread", [0.0, 0.01])
def test_slippage_costs_the_same_however_wide_the_quote(spread: float) -> None:
    # Of 10,000 USD_JPY a pip is 100 JPY: twice, at 150.00 or so, 0.67 USD each.
    desk = Desktop(symbols=["USD_JPY"], paper={**NOW, "slippage_pips": 1})
    desk.tick(150.0, 150.0 + spread, symbol="USD_JPY")
    desk.ctx.order("USD_JPY", "buy", 10_000, stop_pips=20)
    desk.tick(150.0, 150.0 + spread, symbol="USD_JPY")
    desk.ctx.close(desk.ctx.positions()[0])
    desk.tick(150.0, 150.0 + spread, symbol="USD_JPY", after_s=SECOND / 1e9)
    assert report(desk).costs["slippage"] == "-1.34"


@pytest.mark.parametrize(
    ("opened", "closed"), [((0.8,), (0.7, 0.1)), ((0.7, 0.1, 0.2), (1.0,)), ((0.3,), (0.1, 0.1, 0.1))]
)
def test_trade_of_parts_is_closed_with_its_last(opened: tuple[float, ...], closed: tuple[float, ...]) -> None:
    book = TradeBook(())
    for what, side, sizes in (("open", "buy", opened), ("close", "sell", closed)):
        for number, units in enumerate(sizes):
            assert not any(one.closed_ns for one in book.trades.values())
            profit = "1.00" if what == "close" else ""
            prices = 100.0, 100.0, 100.0
            told = Fill("3", "agent", "BTC_USD", side, what, "market", units, *prices, 1, "1", "2", profit=profit)
            book.fill(told, TUESDAY + number)
    (trade,) = book.trades.values()
    assert trade.closed_ns
    assert trade.units == trade.out
