"""Profit, conversion, swaps and margin against a table worked out by hand; every line shows its arithmetic.

Number, account, trade; what it brings in the quote currency; how that is converted; what is booked:

 1 USD buy 10,000 EUR_USD at 1.10020, sold at 1.10080:
   (1.10080 - 1.10020) x 10,000 = 6.00 USD
   booked 6.00
 2 USD sell 20,000 USD_JPY at 150.000, bought at 149.900:
   (150.000 - 149.900) x 20,000 = 2,000 JPY; won yen are sold: / ask 149.900
   booked 13.34
 3 USD buy 20,000 USD_JPY at 150.010, sold at 149.910:
   (149.910 - 150.010) x 20,000 = -2,000 JPY; lost yen are bought: / bid 149.910
   booked -13.34
 4 GBP buy 10,000 EUR_USD at 1.10020, sold at 1.10080:
   6.00 USD; / ask of GBP_USD 1.25030 = 4.79884…
   booked 4.80
 5 GBP buy 10,000 EUR_USD at 1.10020, sold at 1.09960:
   -6.00 USD; / bid of GBP_USD 1.25010 = 4.79961…
   booked -4.80
 6 GBP buy 30,000 USD_JPY at 150.010, sold at 150.210:
   0.200 x 30,000 = 6,000 JPY; / ask of GBP_JPY 187.560 = 31.98976…
   booked 31.99
 7 GBP the same with no GBP_JPY: by way of the dollar:
   6,000 JPY; / ask of USD_JPY 150.220 = 39.94142… USD, / ask of GBP_USD 1.25030 = 31.94546…
   booked 31.95
 8 GBP sell 5,000 EUR_GBP at 0.85000, bought at 0.85040:
   (0.85000 - 0.85040) x 5,000 = -2.00 GBP
   booked -2.00
 9 JPY buy 10,000 EUR_USD at 1.10020, sold at 1.10080:
   6.00 USD; x bid of USD_JPY 150.000 = 900
   booked 900
10 USD buy 500 EUR_USD at 1.10020, sold at 1.10021:
   0.00001 x 500 = 0.005 USD; half to even
   booked 0.00
11 USD buy 1,500 EUR_USD at 1.10020, sold at 1.10021:
   0.00001 x 1,500 = 0.015 USD; half to even
   booked 0.02
12 USD buy 10 US500 at 5,000.6, sold at 5,012.9:
   (5,012.9 - 5,000.6) x 10 = 123.00 USD
   booked 123.00
13 GBP sell 2 DE40 at 18,000.5, bought at 17,951.0:
   (18,000.5 - 17,951.0) x 2 = 99.00 EUR; x bid of EUR_GBP 0.85000
   booked 84.15
14 USD buy 3 JP225 at 39,010, sold at 38,910:
   (38,910 - 39,010) x 3 = -300 JPY; lost yen are bought: / bid of USD_JPY 150.000
   booked -2.00
15 EUR sell 10 XAU_USD at 2,400.20, bought at 2,395.35:
   (2,400.20 - 2,395.35) x 10 = 48.50 USD; / ask of EUR_USD 1.10020 = 44.08289…
   booked 44.08
"""

from decimal import Decimal
from typing import Any

import pytest

from tapehub.agents import Agent
from tapehub.agents.beginning import watched
from tapehub.agents.swaps import nights_at
from tapehub.errors import ConfigError
from tapehub.model.calendars import CalendarId
from tapehub.model.instruments import InstrumentBook
from tests.models.paper import SECOND, Desktop

GBP_USD, USD_JPY = ("GBP_USD", 1.25010, 1.25030), ("USD_JPY", 150.000, 150.010)
TABLE: list[tuple[int, str, str, str, float, tuple[float, float], tuple[float, float], list[Any], str]] = [
    # number, account, symbol, side, units, quote at the entry, quote at the exit, other quotes, booked
    (1, "USD", "EUR_USD", "buy", 10_000, (1.10010, 1.10020), (1.10080, 1.10090), [], "6.00"),
    (2, "USD", "USD_JPY", "sell", 20_000, (150.000, 150.010), (149.890, 149.900), [], "13.34"),
    (3, "USD", "USD_JPY", "buy", 20_000, (150.000, 150.010), (149.910, 149.920), [], "-13.34"),
    (4, "GBP", "EUR_USD", "buy", 10_000, (1.10010, 1.10020), (1.10080, 1.10090), [GBP_USD], "4.80"),
    (5, "GBP", "EUR_USD", "buy", 10_000, (1.10010, 1.10020), (1.09960, 1.09970), [GBP_USD], "-4.80"),
    (6, "GBP", "USD_JPY", "buy", 30_000, (150.000, 150.010), (150.210, 150.220),
     [GBP_USD, ("GBP_JPY", 187.540, 187.560)], "31.99"),
    (7, "GBP", "USD_JPY", "buy", 30_000, (150.000, 150.010), (150.210, 150.220), [GBP_USD], "31.95"),
    (8, "GBP", "EUR_GBP", "sell", 5_000, (0.85000, 0.85010), (0.85030, 0.85040), [], "-2.00"),
    (9, "JPY", "EUR_USD", "buy", 10_000, (1.10010, 1.10020), (1.10080, 1.10090), [USD_JPY], "900"),
    (10, "USD", "EUR_USD", "buy", 500, (1.10010, 1.10020), (1.10021, 1.10031), [], "0.00"),
    (11, "USD", "EUR_USD", "buy", 1_500, (1.10010, 1.10020), (1.10021, 1.10031), [], "0.02"),
    (12, "USD", "US500", "buy", 10, (5000.1, 5000.6), (5012.9, 5013.4), [], "123.00"),
    (13, "GBP", "DE40", "sell", 2, (18000.5, 18002.0), (17949.5, 17951.0), [("EUR_GBP", 0.85000, 0.85010)], "84.15"),
    (14, "USD", "JP225", "buy", 3, (39000.0, 39010.0), (38910.0, 38920.0), [USD_JPY], "-2.00"),
    (15, "EUR", "XAU_USD", "sell", 10, (2400.20, 2400.50), (2395.05, 2395.35), [("EUR_USD", 1.10010, 1.10020)],
     "44.08"),
]  # fmt: skip


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row[0]}-{row[1]}-{row[2]}")
def test_profit_is_that_of_the_table(row: Any) -> None:
    _, currency, symbol, side, units, entry, out, others, booked = row
    desk = Desktop(
        symbols=[symbol, *(name for name, _, _ in others)],
        paper={"currency": currency, "balance": "100000", "latency_ms": 0},
        risk={"units_step": 500},
    )
    for name, bid, ask in others:
        desk.tick(bid, ask, symbol=name, after_s=0.1)
    desk.tick(*entry, symbol=symbol)
    order = desk.ctx.order(symbol, side, units, stop_pips=110)
    assert order.accepted, order
    desk.tick(*entry, symbol=symbol, after_s=0.1)
    (position,) = desk.ctx.positions()
    assert position.price == entry[1 if side == "buy" else 0]
    desk.tick(*out, symbol=symbol)
    assert desk.ctx.close(position).accepted
    desk.tick(*out, symbol=symbol, after_s=0.1)
    opened, closed = desk.fills
    assert (opened.what, closed.what) == ("open", "close")
    assert closed.profit == booked
    assert desk.engine.account().balance == 100_000 + Decimal(booked)
    assert closed.balance == str(desk.engine.account().balance)


def test_profit_is_converted_by_the_dollar_until_the_pair_itself_is_quoted() -> None:
    symbols = watched([Agent(symbols="USD_JPY")], "GBP", InstrumentBook())
    assert sorted(symbols) == ["GBP_JPY", "GBP_USD", "USD_JPY"]
    desk = Desktop(symbols=symbols, paper={"currency": "GBP", "latency_ms": 0})
    rates = desk.engine.desk.account.rates
    desk.tick(1.25010, 1.25030, symbol="GBP_USD")
    desk.tick(150.000, 150.010, symbol="USD_JPY")
    assert desk.ctx.order("USD_JPY", "buy", 10_000, stop_pips=20).accepted
    assert rates.mid("JPY", "GBP") == pytest.approx(1 / 150.005 / 1.2502)
    desk.tick(187.540, 187.560, symbol="GBP_JPY")
    assert rates.mid("JPY", "GBP") == pytest.approx(1 / 187.55)


def test_pips_are_those_of_the_instrument() -> None:
    desk = Desktop(symbols=["USD_JPY"], paper={"latency_ms": 0})
    desk.tick(150.000, 150.010, symbol="USD_JPY")
    desk.ctx.order("USD_JPY", "buy", 1000, stop_pips=10)
    desk.tick(150.000, 150.010, symbol="USD_JPY", after_s=0.1)
    desk.tick(149.905, 149.915, symbol="USD_JPY")  # at or below 150.010 - 0.10 = 149.910
    assert desk.fills[1].pips == -10.5


def test_margin_is_the_share_of_the_value_in_the_accounts_currency() -> None:
    # GBP account, 10,000 EUR_USD at 1.10010 / 1.10020: mid 1.10015 x 10,000 = 11,001.50 USD;
    # / mid of GBP_USD 1.25020 = 8,799.79203… GBP; x 3.3333… % = 293.32640…
    desk = Desktop(symbols=["EUR_USD", "GBP_USD"], paper={"currency": "GBP", "latency_ms": 0})
    desk.tick(1.25010, 1.25030, symbol="GBP_USD")
    desk.tick(1.10010, 1.10020)
    desk.ctx.order("EUR_USD", "buy", 10_000, stop_pips=20)
    desk.tick(1.10010, 1.10020, after_s=0.1)
    assert desk.ctx.account.margin == pytest.approx(293.3264, abs=1e-4)
    # Sold at the bid: (1.10010 - 1.10020) x 10,000 = -1.00 USD, / 1.25020 = -0.79987… GBP
    assert desk.ctx.account.equity == pytest.approx(10_000 - 0.79987, abs=1e-5)


def test_order_beyond_the_free_margin_is_refused() -> None:
    # 400,000 x 1.10015 x 3.3333 % = 14,668.67 USD, more than 10,000.
    desk = Desktop()
    desk.tick(1.10010, 1.10020)
    order = desk.ctx.order("EUR_USD", "buy", 400_000, stop_pips=20)
    assert (order.status, order.code) == ("refused", "margin")
    assert "14668.67 USD" in order.reason


def test_order_whose_profit_no_quote_converts_is_refused() -> None:
    desk = Desktop(symbols=["EUR_USD", "GBP_USD"], paper={"currency": "GBP"})
    desk.tick(1.10010, 1.10020)
    order = desk.ctx.order("EUR_USD", "buy", 1_000, stop_pips=20)
    assert (order.status, order.code) == ("refused", "no-rate")


def test_size_follows_from_the_stop_and_the_risk() -> None:
    # 0.5 % of 10,000 = 50 USD; a stop of 4 pips loses 0.0004 USD a unit: 125,000 units.
    desk = Desktop()
    desk.tick(1.10010, 1.10020)
    assert desk.ctx.order("EUR_USD", "buy", stop_pips=4).units == 125_000
    # In yen: a pip of one unit is 0.01 / 150.005 USD; 50 / (7 x 0.01 / 150.005) = 107,146; whole thousands.
    desk = Desktop(symbols=["USD_JPY"])
    desk.tick(150.000, 150.010, symbol="USD_JPY")
    assert desk.ctx.order("USD_JPY", "sell", stop_pips=7).units == 107_000


def test_commission_is_booked_on_both_sides() -> None:
    # 25 USD a million: 10,000 x 1.10020 = 11,002 USD -> 0.27505 = 0.28; 10,000 x 1.10080 -> 0.2752 = 0.28.
    desk = Desktop(paper={"latency_ms": 0, "commission_per_million": 25})
    desk.tick(1.10010, 1.10020)
    desk.ctx.order("EUR_USD", "buy", 10_000, stop_pips=20)
    desk.tick(1.10010, 1.10020, after_s=0.1)
    desk.tick(1.10080, 1.10090)
    desk.ctx.close(desk.ctx.positions()[0])
    desk.tick(1.10080, 1.10090, after_s=0.1)
    assert [one.commission for one in desk.fills] == ["0.28", "0.28"]
    assert desk.ctx.account.balance == Decimal("10000") + Decimal("6.00") - Decimal("0.56")


def wednesday_at_17(days: int = 0) -> int:
    """Give 17:00 New York of Wednesday 3 June 2026 (21:00 UTC), or days later."""
    return (1_780_520_400 + 86_400 * days) * SECOND


@pytest.mark.parametrize(
    ("days", "nights"),
    [(-2, 1), (-1, 1), (0, 3), (1, 1), (2, 1), (3, 0), (4, 0)],
    ids="Mon Tue Wed Thu Fri Sat Sun".split(),
)
def test_wednesday_counts_three_nights_and_the_weekend_none(days: int, nights: int) -> None:
    assert nights_at(wednesday_at_17(days), CalendarId.FX) == nights
    assert nights_at(wednesday_at_17(days), CalendarId.ALWAYS) == 1


def test_swap_is_booked_at_17_00_new_york() -> None:
    # Long, -0.8 pips a night: 10,000 x 0.0001 x -0.8 x 3 = -2.40 USD.
    free = {"session_start": "", "session_end": "", "hold_max_min": 0}
    desk = Desktop(
        start=wednesday_at_17() - 60 * SECOND, risk=free, paper={"latency_ms": 0, "swap_pips": {"EUR_USD": (-0.8, 0.2)}}
    )
    desk.tick(1.10010, 1.10020)
    desk.ctx.order("EUR_USD", "buy", 10_000, stop_pips=50)
    desk.tick(1.10010, 1.10020)
    desk.tick(1.10012, 1.10022, after_s=57)
    assert desk.ctx.account.balance == 10_000
    desk.tick(1.10012, 1.10022, after_s=2)
    assert desk.ctx.account.balance == Decimal("9997.60")
    assert desk.ctx.positions()[0].swap == "-2.40"
    # Without pips of its own: 2.5 % a year of the value, 1.10017 x 10,000 x 0.025 / 365 x 1 night = 0.75354… USD.
    desk = Desktop(start=wednesday_at_17(1) - 60 * SECOND, risk=free, paper={"latency_ms": 0})
    desk.tick(1.10010, 1.10020)
    desk.ctx.order("EUR_USD", "sell", 10_000, stop_pips=50)
    desk.tick(1.10012, 1.10022)
    desk.tick(1.10012, 1.10022, after_s=60)
    assert desk.ctx.account.balance == Decimal("9999.25")


def test_account_of_another_currency_is_not_taken_up() -> None:
    opening = {"id": "1", "account": "agent", "currency": "EUR", "balance": "5.00", "why": ""}
    with pytest.raises(ConfigError, match="account agent is in EUR, the settings say USD"):
        Desktop(opening=opening)
