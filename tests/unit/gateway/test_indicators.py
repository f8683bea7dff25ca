"""Indicators of a hub's candles, against the formulas written out."""

import math
from collections.abc import Iterator

import numpy as np
import pytest

from tapehub import DataHub
from tapehub.gateway.indicators import (
    ATR_PERIOD,
    DONCHIAN_PERIOD,
    EMA_PERIODS,
    RSI_PERIOD,
    Indicators,
    indicators,
    session_vwap,
)
from tapehub.model.calendars import interval_of

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
# Tuesday, 2026-06-02 20:30 UTC: half an hour before New York's trading day ends.
START = 1_780_432_200 * SECOND
MINUTES = 900


@pytest.fixture(scope="module")
def candles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[DataHub, np.ndarray]]:
    """Fill a hub with candles of a random walk over the change of a session; the last of them forms still."""
    with DataHub.open(tmp_path_factory.mktemp("indicators") / "hub", create=True) as hub:
        hub.set_clock("event")
        draw = np.random.default_rng(5)
        count = MINUTES * 6
        rows = np.zeros(count, dtype=[("ts_event", "i8"), ("bid", "f8"), ("ask", "f8")])
        rows["ts_event"] = START + np.sort(draw.integers(0, MINUTES * MINUTE, count))
        rows["bid"] = 1.15 + np.cumsum(draw.normal(0, 2e-5, count))
        rows["ask"] = rows["bid"] + 0.8e-4
        hub.publish(rows, symbol="EUR_USD")
        yield hub, hub.candles("EUR_USD", "1m", MINUTES, forming=True).numpy()


def close_to(found: np.ndarray, wanted: list[float], tolerance: float = 1e-9) -> bool:
    return bool(np.allclose(found, wanted, rtol=0, atol=tolerance, equal_nan=True))


def test_each_candle_has_a_value_and_the_forming_one_too(candles: tuple[DataHub, np.ndarray]) -> None:
    hub, rows = candles
    found = indicators(hub, "EURUSD", "M1", 50)
    assert found.timeframe == "1m"
    assert found.timestamps.tolist() == rows["timestamp"][-50:].tolist()
    assert rows["status"][-1] == 0
    for values in columns(found):
        assert len(values) == 50
        assert np.isfinite(values).all()


def columns(found: Indicators) -> list[np.ndarray]:
    return [
        *found.ema.values(), found.vwap, found.donchian_upper, found.donchian_middle, found.donchian_lower, found.rsi,
        found.atr,
    ]  # fmt: skip


def test_a_short_limit_gives_the_same_numbers_as_a_long_one(candles: tuple[DataHub, np.ndarray]) -> None:
    hub, _ = candles
    few, many = indicators(hub, "EUR_USD", "1m", 3), indicators(hub, "EUR_USD", "1m", 300)
    for short, long in zip(columns(few), columns(many), strict=True):
        assert close_to(short, long[-3:].tolist())


def test_ema_is_the_exponential_average_of_the_close(candles: tuple[DataHub, np.ndarray]) -> None:
    hub, rows = candles
    close = rows["close"].tolist()
    for period in EMA_PERIODS:
        value = sum(close[:period]) / period
        wanted = []
        for price in close[period:]:
            value += (price - value) * 2 / (period + 1)
            wanted.append(value)
        assert close_to(indicators(hub, "EUR_USD", "1m", 60).ema[period], wanted[-60:])


def test_donchian_is_the_range_of_twenty_candles(candles: tuple[DataHub, np.ndarray]) -> None:
    hub, rows = candles
    found = indicators(hub, "EUR_USD", "1m", 60)
    ends = range(len(rows) - 60, len(rows))
    windows = [rows[end - DONCHIAN_PERIOD + 1 : end + 1] for end in ends]
    assert found.donchian_upper.tolist() == [window["high"].max() for window in windows]
    assert found.donchian_lower.tolist() == [window["low"].min() for window in windows]
    assert close_to(found.donchian_middle, [(window["high"].max() + window["low"].min()) / 2 for window in windows])


def test_rsi_is_wilders(candles: tuple[DataHub, np.ndarray]) -> None:
    hub, rows = candles
    moves = np.diff(rows["close"])
    gain = float(np.clip(moves[:RSI_PERIOD], 0, None).mean())
    loss = float(-np.clip(moves[:RSI_PERIOD], None, 0).mean())
    wanted = []
    for move in moves[RSI_PERIOD:].tolist():
        gain += (max(move, 0.0) - gain) / RSI_PERIOD
        loss += (max(-move, 0.0) - loss) / RSI_PERIOD
        wanted.append(100 - 100 / (1 + gain / loss))
    assert close_to(indicators(hub, "EUR_USD", "1m", 60).rsi, wanted[-60:], 1e-6)


def test_atr_is_wilders(candles: tuple[DataHub, np.ndarray]) -> None:
    hub, rows = candles
    ranges = [
        max(row["high"] - row["low"], abs(row["high"] - before), abs(row["low"] - before))
        for row, before in zip(rows[1:], rows["close"][:-1].tolist(), strict=True)
    ]
    value = sum(ranges[:ATR_PERIOD]) / ATR_PERIOD
    wanted = []
    for true_range in ranges[ATR_PERIOD:]:
        value += (true_range - value) / ATR_PERIOD
        wanted.append(value)
    assert close_to(indicators(hub, "EUR_USD", "1m", 60).atr, wanted[-60:])


def test_vwap_starts_anew_with_each_session(candles: tuple[DataHub, np.ndarray]) -> None:
    hub, rows = candles
    wanted, session, weighted, amount = [], 0, 0.0, 0.0
    for row in rows:
        begins, _ = interval_of("1d", int(row["timestamp"]))
        if begins != session:
            session, weighted, amount = begins, 0.0, 0.0
        typical = math.fsum((row["high"], row["low"], row["close"])) / 3
        weighted += typical * row["volume"]
        amount += row["volume"]
        wanted.append(weighted / amount)
    found = indicators(hub, "EUR_USD", "1m", MINUTES)
    assert close_to(found.vwap, wanted)
    change = int(np.flatnonzero(np.diff([interval_of("1d", int(at))[0] for at in found.timestamps]))[0]) + 1
    first = rows[change]
    assert found.vwap[change] == pytest.approx((first["high"] + first["low"] + first["close"]) / 3, abs=1e-12)


def test_vwap_without_volume_is_the_price() -> None:
    times = np.array([START, START + MINUTE], dtype=np.int64)
    prices = np.array([1.0, 2.0])
    assert session_vwap(times, prices, prices, prices, np.zeros(2)).tolist() == [1.0, 2.0]


def test_too_few_candles_give_no_number(hub: DataHub) -> None:
    hub.set_clock("event")
    rows = np.zeros(3, dtype=[("ts_event", "i8"), ("bid", "f8"), ("ask", "f8")])
    rows["ts_event"], rows["bid"], rows["ask"] = START + np.arange(3) * MINUTE, 1.1, 1.2
    hub.publish(rows, symbol="EUR_USD")
    found = indicators(hub, "EUR_USD")
    assert len(found.timestamps) == 3
    assert np.isnan(found.rsi).all()
    assert np.isnan(found.ema[8]).all()
    assert np.isfinite(found.vwap).all()


def test_no_candle_gives_empty_columns(hub: DataHub) -> None:
    assert [len(values) for values in columns(indicators(hub, "EUR_USD"))] == [0] * 11
