"""Symbols have one canonical name, and every instrument a pip, a calendar and a plausible price."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapehub.errors import ConfigError, InvalidRecord
from tapehub.model.calendars import CalendarId
from tapehub.model.instruments import TABLE, InstrumentBook, meant, normalise, symbol_in


@pytest.mark.parametrize(
    "written", ["EUR_USD", "EURUSD", "EUR/USD", "eur_usd", "eurusd", "EUR-USD", "EUR.USD", " EUR/USD "]
)
def test_spellings_of_a_pair_are_one_symbol(written: str) -> None:
    assert normalise(written) == "EUR_USD"


@pytest.mark.parametrize(
    ("written", "symbol"),
    [
        ("XBT/USD", "BTC_USD"),
        ("BTCUSDT", "BTC_USDT"),
        ("DOGEUSD", "DOGE_USD"),
        ("btc-usd", "BTC_USD"),
        ("XAUUSD", "XAU_USD"),
        ("gold", "XAU_USD"),
        ("SPX500_USD", "US500"),
        ("de30", "DE40"),
        ("QQQ_ZZZ", "QQQ_ZZZ"),
        ("qqq/zzz", "QQQ_ZZZ"),
        ("AAPL", "AAPL"),
        ("6E.c.0", "6E.c.0"),
        ("ESM4", "ESM4"),
        ("CS.D.EURUSD.MINI.IP", "CS.D.EURUSD.MINI.IP"),
    ],
)
def test_other_names_keep_what_may_carry_meaning(written: str, symbol: str) -> None:
    assert normalise(written) == symbol


@pytest.mark.parametrize("written", ["WTI_BRENT", "US30_NAS100", "DAX_MAR25", "BRENT_M25", "GOLD_FUT"])
def test_an_index_beside_anything_but_a_currency_is_not_that_index(written: str) -> None:
    assert normalise(written) == written


@pytest.mark.parametrize("form", ["CFD", "MINI", "TODAY"])
def test_every_book_knows_the_epics_of_the_major_pairs(form: str) -> None:
    book = InstrumentBook()
    assert book.name(f"CS.D.EURUSD.{form}.IP") == "EUR_USD"
    assert book.find(f"CS.D.USDJPY.{form}.IP").pip_size == 0.01
    book.alias("CS.D.EURUSD.MINI.IP", "EURUSD")


@given(st.text(max_size=40))
def test_normalising_twice_changes_nothing(text: str) -> None:
    try:
        once = normalise(text)
    except InvalidRecord:
        return
    assert normalise(once) == once
    assert len(once.encode()) <= 31


@pytest.mark.parametrize("name", ["", "   ", "x" * 32, "é" * 16, "EUR\nUSD", "\0"])
def test_names_that_fit_no_record_are_refused(name: str) -> None:
    with pytest.raises(InvalidRecord, match="1 to 31 bytes"):
        normalise(name)


@pytest.mark.parametrize(
    ("symbol", "pip", "decimals", "calendar", "week_days"),
    [
        ("EUR_USD", 0.0001, 5, CalendarId.FX, 5),
        ("USD_JPY", 0.01, 3, CalendarId.FX, 5),
        ("SGD_JPY", 0.01, 3, CalendarId.FX, 5),
        ("EUR_RON", 0.0001, 5, CalendarId.FX, 5),
        ("XAU_USD", 0.01, 3, CalendarId.METALS, 5),
        ("US500", 1.0, 1, CalendarId.METALS, 5),
        ("BTC_USD", 1.0, 1, CalendarId.ALWAYS, 7),
        ("XMR_USD", 0.0001, 5, CalendarId.ALWAYS, 7),
    ],
)
def test_pip_and_calendar_come_from_table_or_rule(
    symbol: str, pip: float, decimals: int, calendar: CalendarId, week_days: int
) -> None:
    row = InstrumentBook().find(symbol)
    assert (row.pip_size, row.decimals, row.calendar, row.week_days) == (pip, decimals, calendar, week_days)
    assert row.declared


def test_a_name_that_is_no_pair_is_undeclared() -> None:
    row = InstrumentBook().find("AAPL")
    assert not row.declared
    assert row.pip_size == 0.0
    assert row.price_typical == 0.0


def test_table_is_sound() -> None:
    for symbol, row in TABLE.items():
        assert row.symbol == symbol == normalise(symbol)
        assert 0 < row.price_low < row.price_high
        assert row.price_low < row.price_typical < row.price_high
        assert row.pip_size * 10**row.decimals >= 1


def test_configuration_overrides_the_table() -> None:
    book = InstrumentBook({"EURUSD": {"pip_size": 0.00001}, "AAPL": {"pip_size": 0.01, "calendar": "always"}})
    assert book.find("EUR/USD").pip_size == 0.00001
    assert book.find("EUR/USD").calendar is CalendarId.FX
    assert book.find("AAPL").declared
    assert book.find("AAPL").calendar is CalendarId.ALWAYS


@pytest.mark.parametrize(
    "fields", [{"pip_size": 0.0}, {"pip": 0.1}, {"calendar": "lunar"}, {"input_scale": -1.0}, {"price_low": 3.0}]
)
def test_overrides_that_cannot_be_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="EUR_USD"):
        InstrumentBook().declare("EUR_USD", **fields)


def test_an_epic_stands_for_a_symbol_and_for_one_only() -> None:
    book = InstrumentBook()
    book.alias("CS.D.EURUSD.MINI.IP", "EURUSD")
    assert book.find("CS.D.EURUSD.MINI.IP").symbol == "EUR_USD"
    book.alias("CS.D.EURUSD.MINI.IP", "EUR_USD")
    with pytest.raises(ConfigError, match="means EUR_USD, not GBP_USD"):
        book.alias("CS.D.EURUSD.MINI.IP", "GBP_USD")


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("DAT_ASCII_EURUSD_T_201901", "EUR_USD"),
        ("ticks-EUR-USD-2026-7-13-12", "EUR_USD"),
        ("GBP_USD_tick", "GBP_USD"),
        ("histdata-eurusd-quote_tick_data", "EUR_USD"),
        ("quote_tick_data", None),
        ("EURUSD-vs-GBPUSD", None),
        ("", None),
    ],
)
def test_a_file_name_mentions_one_instrument_or_none(name: str, symbol: str | None) -> None:
    assert symbol_in(name) == symbol


@pytest.mark.parametrize(
    ("typed", "said"), [("EURUSDX", "; did you mean EUR_USD?"), ("gbp_usdd", "; did you mean GBP_USD?"), ("ZZZ", "")]
)
def test_a_mistyped_name_is_told_what_it_comes_near(typed: str, said: str) -> None:
    assert meant(typed) == said
