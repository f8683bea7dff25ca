"""Synthetic quotes are the same for the same seed, whatever the window, and look like a market."""

import numpy as np
import pytest

from tapehub.errors import ConfigError
from tapehub.feeds.feed import Records
from tapehub.feeds.synthetic import Synthetic
from tapehub.model.calendars import Calendar, CalendarId, local_ns
from tapehub.model.instruments import TABLE, InstrumentBook
from tapehub.quality import Gate

HOUR = 3_600_000_000_000


def made(*symbols: str, start: str = "2024-03-06", end: str = "2024-03-06T06:00", **options: object) -> Records:
    feed = Synthetic(symbols or ("EUR_USD",), start, end, **options)  # type: ignore[arg-type]
    return np.concatenate([batch.records for batch in feed.batches()])


def test_same_seed_same_ticks_and_another_seed_others() -> None:
    assert made(seed=7).tolist() == made(seed=7).tolist()
    assert made(seed=7).tolist() != made(seed=8).tolist()


def test_a_window_is_a_cut_of_the_whole() -> None:
    whole = made("EUR_USD", "USD_JPY")
    part = made("EUR_USD", "USD_JPY", start="2024-03-06T02:07:11", end="2024-03-06T03:40:01")
    begin, end = np.searchsorted(whole["ts_event"], [part["ts_event"][0], part["ts_event"][-1] + 1])
    assert part.tolist() == whole[begin:end].tolist()


def test_an_instrument_is_the_same_alone_and_in_company() -> None:
    alone, company = made("EUR_USD"), made("USD_JPY", "EURUSD")
    assert company[company["instrument"] == 1]["bid"].tolist() == alone["bid"].tolist()


def test_quotes_pass_the_gate_without_a_scratch() -> None:
    records = made("EUR_USD", "USD_JPY", "XAU_USD", ticks_per_s=5.0)
    verdict = Gate().check(records, ("EUR_USD", "USD_JPY", "XAU_USD"), "synthetic")
    assert verdict.accepted is records
    for i, symbol in enumerate(("EUR_USD", "USD_JPY", "XAU_USD")):
        mine = records[records["instrument"] == i]
        assert (np.diff(mine["ts_event"]) > 0).all()
        assert (mine["bid"] > TABLE[symbol].price_low).all()
        assert (mine["ask"] < TABLE[symbol].price_high).all()
        assert mine["bid"].tolist() == [round(price, TABLE[symbol].decimals) for price in mine["bid"].tolist()]
        assert (mine["ask"] > mine["bid"]).all()


def test_the_market_is_closed_when_its_calendar_says() -> None:
    records = made("EUR_USD", "XAU_USD", "BTC_USD", start="2024-03-07T12:00", end="2024-03-11T12:00", ticks_per_s=0.2)
    for i, calendar in enumerate(CalendarId):
        mine = records[records["instrument"] == i]
        assert Calendar(calendar).is_open(mine["ts_event"]).all()
    weekend = records[~Calendar(CalendarId.FX).is_open(records["ts_event"])]
    assert set(weekend["instrument"].tolist()) == {2}


def test_spreads_widen_at_five_in_new_york() -> None:
    records = made(start="2024-03-06T12:00", end="2024-03-07T04:00", ticks_per_s=3.0)
    clock = local_ns(records["ts_event"]) % (24 * HOUR)
    spread = (records["ask"] - records["bid"]) / 0.0001
    calm = np.median(spread[(clock > 9 * HOUR) & (clock < 15 * HOUR)])
    roll = np.median(spread[np.abs(clock - 17 * HOUR) < HOUR // 12])
    assert 0.3 < calm < 1.2
    assert roll > 4 * calm


def test_the_mean_rate_is_the_one_asked_for() -> None:
    records = made(start="2024-03-05", end="2024-03-08", ticks_per_s=1.5)
    assert len(records) == pytest.approx(3 * 86_400 * 1.5, rel=0.05)


def test_price_runs_on_across_blocks() -> None:
    records = made(start="2024-03-05", end="2024-03-08", ticks_per_s=1.0)
    mid = (records["bid"] + records["ask"]) / 2
    assert np.abs(np.diff(mid)).max() < 0.0020
    assert 0.001 < mid.max() - mid.min() < 0.06


@pytest.mark.parametrize(
    "options",
    [
        {"symbols": []},
        {"start": "2024-03-07"},
        {"ticks_per_s": 0.0},
        {"ticks_per_s": float("nan")},
        {"symbols": ["AAPL"]},
        {"end": "soon"},
    ],
)
def test_what_cannot_be_made_is_refused(options: dict[str, object]) -> None:
    arguments: dict[str, object] = {"symbols": ["EUR_USD"], "start": "2024-03-05", "end": "2024-03-06"} | options
    with pytest.raises(ConfigError):
        Synthetic(**arguments)  # type: ignore[arg-type]


def test_an_instrument_of_the_configuration_can_be_made() -> None:
    book = InstrumentBook({"AAPL": {"pip_size": 0.01, "decimals": 2, "price_low": 100.0, "price_high": 400.0}})
    records = made("AAPL", book=book)
    assert 100 < records["bid"].min() < records["ask"].max() < 400
