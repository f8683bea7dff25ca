"""Candles against bars that others made of the same ticks: Dukascopy, QuantConnect's LEAN, and polars."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tapehub import DataHub, Tick
from tests.models.draining import Drain, Rows, chunks, prices
from tests.models.intervals import MINUTE, TIMEFRAMES, at, ns, starts_of
from tests.models.recordings import QUOTE, dukascopy_bars, dukascopy_ticks, lean_bars, lean_days, lean_ticks, midnight

EUR = "EUR_USD"
MIDNIGHT = midnight(2019, 2, 4)
WEEK = 7 * 86_400_000_000_000


@contextmanager
def open_hub(path: Path, price_basis: str, segment_lines: int = 1 << 16) -> Iterator[DataHub]:
    with DataHub.open(path, create=True, price_basis=price_basis, sync="none", segment_lines=segment_lines) as hub:
        yield hub


def publish_and_drain(hub: DataHub, quotes: Rows, timeframes: tuple[str, ...], seed: int) -> Drain:
    """Publish in chunks of random sizes, close what is left, and keep every candle on the way."""
    drain = Drain(hub, EUR, timeframes)
    for begin, end in chunks(len(quotes), seed):
        assert hub.publish(quotes[begin:end], symbol=EUR) == end - begin
        drain.take()
    hub.advance(int(quotes["ts_event"].max()) + WEEK)
    drain.take()
    return drain


# ---------------------------------------------------------------- Dukascopy's own bars


def dukascopy_own(shared_data: Path, timeframe: str) -> Rows:
    folder = shared_data / "dukascopy/EURUSD/2019/01"
    if timeframe == "1m":
        return dukascopy_bars(folder / "04/BID_candles_min_1.bi5", MIDNIGHT)
    hours = dukascopy_bars(folder / "BID_candles_hour_1.bi5", midnight(2019, 2, 1))
    return hours[(hours["timestamp"] >= MIDNIGHT) & (hours["timestamp"] < MIDNIGHT + 1440 * MINUTE)]


def test_dukascopy_ticks_give_dukascopys_own_minutes_and_hours(shared_data: Path, tmp_path: Path) -> None:
    quotes = dukascopy_ticks(shared_data)
    with open_hub(tmp_path / "hub", "bid") as hub:
        drain = publish_and_drain(hub, quotes, ("1m", "1h"), seed=1)
        for timeframe, count in (("1m", 1440), ("1h", 24)):
            theirs = prices(dukascopy_own(shared_data, timeframe))
            assert len(theirs) == count
            assert prices(drain.candles(timeframe)) == theirs
            assert prices(hub.candles(EUR, timeframe, limit=2000).numpy()) == theirs
            assert prices(hub.history(EUR, timeframe).numpy()) == theirs


def test_the_same_minutes_come_of_ticks_pushed_one_by_one(shared_data: Path, tmp_path: Path) -> None:
    quotes = dukascopy_ticks(shared_data)
    quotes = quotes[quotes["ts_event"] < MIDNIGHT + 240 * MINUTE]
    with open_hub(tmp_path / "hub", "bid") as hub:
        for ts_event, bid, ask in quotes.tolist():
            hub.update_tick(Tick(EUR, bid, ask, timestamp=ts_event))
        hub.advance(MIDNIGHT + 240 * MINUTE + 500_000_000)
        theirs = prices(dukascopy_own(shared_data, "1m"))[:240]
        assert prices(hub.candles(EUR, "1m", limit=1000).numpy()) == theirs
        assert [(c.ts_event, c.open, c.high, c.low, c.close) for c in hub.get_latest_candles(EUR, 1000)] == theirs
        assert prices(hub.history(EUR, "1m").numpy()) == theirs
        assert prices(hub.candles(EUR, "1h").numpy()) == prices(dukascopy_own(shared_data, "1h"))[:4]


# ---------------------------------------------------------------- LEAN's own bars


@pytest.mark.parametrize("side", ["bid", "ask"])
@pytest.mark.parametrize("market", ["oanda", "fxcm"])
def test_lean_ticks_give_leans_own_seconds_and_minutes(
    shared_data: Path, tmp_path: Path, market: str, side: str
) -> None:
    """Every day, each side in a hub of its own.

    FXCM's files hold about 10 % crossed quotes, which no hub accepts, and this test is about arithmetic: so the side
    under test is published as both bid and ask.
    """
    days = lean_days(shared_data, market)
    assert len(days) == 11
    for day in days:
        quotes = lean_ticks(shared_data, market, day)
        quotes["ask" if side == "bid" else "bid"] = quotes[side]
        with open_hub(tmp_path / day, side) as hub:
            drain = publish_and_drain(hub, quotes, ("1s", "1m"), seed=int(day))
            for timeframe, resolution in (("1s", "second"), ("1m", "minute")):
                theirs = prices(lean_bars(shared_data, market, resolution, day, side))
                assert prices(drain.candles(timeframe)) == theirs, f"{market} {day} {timeframe} {side}"
                assert prices(hub.history(EUR, timeframe).numpy()) == theirs, f"{market} {day} {timeframe} {side}"


def test_oandas_quotes_as_they_are_give_the_bars_of_each_side(shared_data: Path, tmp_path: Path) -> None:
    day = "20140505"
    quotes = lean_ticks(shared_data, "oanda", day)
    quotes = quotes[quotes["ask"] >= quotes["bid"]]
    for side in ("bid", "ask"):
        with open_hub(tmp_path / side, side) as hub:
            drain = publish_and_drain(hub, quotes, ("1s", "1m"), seed=3)
            for timeframe, resolution in (("1s", "second"), ("1m", "minute")):
                assert prices(drain.candles(timeframe)) == prices(
                    lean_bars(shared_data, "oanda", resolution, day, side)
                )


# ---------------------------------------------------------------- polars


def polars_bars(quotes: Rows, timeframe: str) -> list[tuple[float, ...]]:
    """Fold stably sorted ticks on mid with polars' own windows, or with computed starts of 4h, 1d and 1w."""
    quotes = quotes[np.argsort(quotes["ts_event"], kind="stable")]
    table = pl.DataFrame({"ts": quotes["ts_event"], "mid": (quotes["bid"] + quotes["ask"]) / 2})
    mid = pl.col("mid")
    folded = [
        mid.first().alias("open"), mid.max().alias("high"), mid.min().alias("low"), mid.last().alias("close"),
        mid.len().cast(pl.Float64).alias("volume"),
    ]  # fmt: skip
    if timeframe in ("4h", "1d", "1w"):
        start = pl.Series("ts", starts_of(timeframe, quotes["ts_event"]))
        return table.with_columns(start).group_by("ts", maintain_order=True).agg(folded).rows()
    windows = table.with_columns(pl.col("ts").cast(pl.Datetime("ns"))).group_by_dynamic("ts", every=timeframe)
    return windows.agg(folded).with_columns(pl.col("ts").cast(pl.Int64)).rows()


def bars(rows: Rows) -> list[tuple[float, ...]]:
    names = ["timestamp", "open", "high", "low", "close", "volume"]
    assert rows["ticks"].tolist() == rows["volume"].tolist()
    return list(zip(*(rows[name].tolist() for name in names), strict=True))


def real_quotes(shared_data: Path, which: str) -> Rows:
    if which == "dukascopy":
        return dukascopy_ticks(shared_data)
    days = [lean_ticks(shared_data, which, day) for day in lean_days(shared_data, which)]
    quotes = np.concatenate(days)
    return quotes[quotes["ask"] >= quotes["bid"]]


@pytest.mark.parametrize("which", ["dukascopy", "oanda", pytest.param("fxcm", marks=pytest.mark.slow)])
def test_every_candle_of_every_timeframe_on_mid_equals_polars(shared_data: Path, tmp_path: Path, which: str) -> None:
    quotes = real_quotes(shared_data, which)
    with open_hub(tmp_path / "hub", "mid") as hub:
        drain = publish_and_drain(hub, quotes, TIMEFRAMES, seed=7)
        for timeframe in TIMEFRAMES:
            theirs = polars_bars(quotes, timeframe)
            assert bars(drain.candles(timeframe)) == theirs, timeframe
            assert bars(hub.history(EUR, timeframe).numpy()) == theirs, timeframe
        stats = hub.get_status()["stats"]
        assert (stats["ticks_received"], stats["late_unapplied"]) == (len(quotes), 0)


def test_symbols_that_interleave_do_not_mix(shared_data: Path, tmp_path: Path) -> None:
    """Ninety minutes of one recording dealt to three symbols, in batches that hold all of them, and one by one."""
    quotes = dukascopy_ticks(shared_data)
    quotes = quotes[quotes["ts_event"] < MIDNIGHT + 90 * MINUTE]
    symbols = ["EUR_USD", "GBP_USD", "USD_JPY"]
    rows = np.zeros(len(quotes), [*QUOTE.descr, ("instrument", "<u2")])
    for name in QUOTE.names or ():
        rows[name] = quotes[name]
    rows["instrument"] = np.random.default_rng(5).integers(0, 3, len(rows))
    with open_hub(tmp_path / "hub", "mid") as hub:
        drains = [Drain(hub, symbol, TIMEFRAMES) for symbol in symbols]
        for number, (begin, end) in enumerate(chunks(len(rows), seed=6)):
            if number % 2:
                assert hub.publish(rows[begin:end], symbols=symbols) == end - begin
            else:
                for ts_event, bid, ask, index in rows[begin:end].tolist():
                    hub.update_tick(Tick(symbols[index], bid, ask, timestamp=ts_event))
            for drain in drains:
                drain.take()
        hub.advance(int(rows["ts_event"].max()) + WEEK)
        for index, (symbol, drain) in enumerate(zip(symbols, drains, strict=True)):
            drain.take()
            mine = rows[rows["instrument"] == index]
            for timeframe in TIMEFRAMES:
                assert bars(drain.candles(timeframe)) == polars_bars(mine, timeframe), (symbol, timeframe)
                assert bars(hub.history(symbol, timeframe).numpy()) == polars_bars(mine, timeframe), (symbol, timeframe)


def test_ticks_that_come_out_of_order_give_the_same_bars(shared_data: Path, tmp_path: Path) -> None:
    """Shuffled within the grace and beyond it: revisions end where the sorted ticks would have."""
    quotes = dukascopy_ticks(shared_data)
    quotes = quotes[quotes["ts_event"] < MIDNIGHT + 25 * MINUTE]
    random = np.random.default_rng(11)
    delay = random.integers(0, 400_000_000, len(quotes))
    delay[random.random(len(quotes)) < 0.02] += 90_000_000_000
    quotes = quotes[np.argsort(quotes["ts_event"] + delay, kind="stable")]
    with open_hub(tmp_path / "hub", "mid") as hub:
        drain = publish_and_drain(hub, quotes, TIMEFRAMES, seed=12)
        stats = hub.get_status()["stats"]
        assert stats["late_applied"] > 20
        assert stats["late_unapplied"] == 0
        for timeframe in TIMEFRAMES:
            assert bars(drain.candles(timeframe)) == polars_bars(quotes, timeframe), timeframe
            assert bars(hub.history(EUR, timeframe).numpy()) == polars_bars(quotes, timeframe), timeframe


def test_the_reference_cuts_days_where_new_york_does() -> None:
    assert [at(int(one)) for one in starts_of("1d", np.array([ns("2019-03-10T20:59:59"), ns("2019-03-10T21:00")]))] == [
        at(ns("2019-03-09T22:00")),
        at(ns("2019-03-10T21:00")),
    ]
