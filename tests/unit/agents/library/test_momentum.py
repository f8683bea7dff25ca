"""The momentum analyst measures what its formulas say, on candles made by hand."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from tapehub._native import Candle
from tapehub.agents.library.momentum import Momentum, SessionVwap
from tapehub.model.records import Kind
from tests.models.paper import MINUTE, TUESDAY, Desktop

RIBBON = (2, 3, 5)
CHANNEL = 4


def ema(closes: list[float], period: int) -> float:
    """Give the exponential average: seeded with the mean of the first `period`, then a weight of 2 / (period + 1)."""
    value = sum(closes[:period]) / period
    for close in closes[period:]:
        value += (close - value) * 2 / (period + 1)
    return value


def said(closes: list[float], **values: Any) -> list[Any]:
    """Let one tick a minute make candles of these closes, and give the opinions."""
    agent = Momentum(symbols="EUR_USD", warmup=0, ribbon=RIBBON, channel=CHANNEL, **values)
    desk = Desktop(agent)
    for close in closes:
        desk.tick(close, close, after_s=60)
    desk.tick(closes[-1], closes[-1], after_s=61)  # half a second past its end the last one is final
    return list(desk.told(Kind.OPINION))


def test_values_are_those_of_the_formulas() -> None:
    closes = [1.1000, 1.1004, 1.1002, 1.1007, 1.1009, 1.1008, 1.1012]
    opinion = said(closes, threshold=0.1)[-1]
    averages = [ema(closes, period) for period in RIBBON]
    assert opinion.data["emas"] == pytest.approx(averages, abs=1e-6)
    ribbon = np.mean([np.sign(fast - slow) for fast, slow in pairwise(averages)])
    vwap = float(np.mean(closes))  # a tick a minute: every candle has the volume 1
    assert opinion.data["vwap_price"] == pytest.approx(vwap, abs=1e-6)
    low, high = min(closes[-5:-1]), max(closes[-5:-1])  # the four candles before
    assert (opinion.data["channel_low"], opinion.data["channel_high"]) == (low, high)
    channel = min(1.0, 2 * (closes[-1] - low) / (high - low) - 1)
    near = np.clip((closes[-1] - vwap) / 0.0005, -1, 1)
    assert (opinion.data["ribbon"], opinion.data["vwap"], opinion.data["channel"]) == pytest.approx(
        (ribbon, near, channel), abs=1e-4
    )
    assert opinion.data["score"] == pytest.approx(0.5 * ribbon + 0.2 * near + 0.3 * channel, abs=1e-4)
    assert (opinion.side, opinion.confidence) == ("buy", opinion.data["score"])


def test_mirrored_prices_give_the_mirrored_opinion() -> None:
    up = said([1.1 + 0.0003 * n for n in range(8)])[-1]
    down = said([1.1 - 0.0003 * n for n in range(8)])[-1]
    assert (up.side, down.side) == ("buy", "sell")
    assert up.confidence == pytest.approx(down.confidence, abs=1e-3)
    assert up.data["score"] == pytest.approx(-down.data["score"], abs=1e-3)


def test_nothing_is_said_before_there_are_candles_enough_nor_where_prices_stand() -> None:
    assert said([1.1, 1.1001, 1.1002, 1.1003]) == []
    assert said([1.1] * 12) == []


def test_flat_is_said_once_when_it_has_turned() -> None:
    closes = [*(1.1 + 0.0003 * n for n in range(7)), *([1.1005] * 9)]
    sides = [one.side for one in said(closes)]
    assert "buy" in sides
    assert sides.count("flat") == 1


def test_vwap_weighs_by_volume_and_begins_anew_at_five_in_new_york() -> None:
    vwap = SessionVwap()

    def candle(at: int, price: float, volume: float) -> Candle:
        return Candle("EUR_USD", at, price, price + 0.0003, price - 0.0003, price, volume)

    vwap.add(candle(TUESDAY, 1.10, 0))
    assert vwap.value is None
    vwap.add(candle(TUESDAY + MINUTE, 1.20, 3))
    vwap.add(candle(TUESDAY + 2 * MINUTE, 1.40, 1))
    assert vwap.value == pytest.approx((3 * 1.20 + 1.40) / 4)
    five = TUESDAY + 13 * 60 * MINUTE  # 21:00 UTC in June
    vwap.add(candle(five - MINUTE, 1.20, 4))
    assert vwap.value == pytest.approx((7 * 1.20 + 1.40) / 8)
    vwap.add(candle(five, 1.50, 2))
    assert vwap.value == pytest.approx(1.50)


def test_pip_of_a_yen_pair_is_its_own() -> None:
    agent = Momentum(symbols="USD_JPY", warmup=0, ribbon=RIBBON, channel=CHANNEL, threshold=0.1)
    desk = Desktop(agent)
    closes = [150.00, 150.01, 150.00, 150.02, 150.01, 150.03]
    for close in closes:
        desk.tick(close, close, after_s=60, symbol="USD_JPY")
    desk.tick(150, 150, after_s=61, symbol="USD_JPY")
    opinion = desk.told(Kind.OPINION)[-1]
    assert opinion.data["vwap"] == pytest.approx((150.03 - np.mean(closes)) / 0.05, abs=1e-4)
