"""Make the ticks and candles that every peer is given.

A tick is a function of its index alone, so producer and readers agree on it without talking: the index gives symbol,
event time, bid and ask, no two ticks are equal, and the event time gives the index back.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BASE_NS",
    "CANDLE",
    "CANDLES_STORED",
    "STEP_NS",
    "SYMBOLS",
    "SYMBOL_INDEX",
    "TICK",
    "Candle",
    "CandleRow",
    "Quote",
    "Tick",
    "candle_objects",
    "candles",
    "index_of",
    "quotes",
    "symbol_cycle",
    "ticks",
]

SYMBOLS = ("EUR_USD", "GBP_USD", "USD_JPY", "AUD_USD", "USD_CHF", "USD_CAD", "NZD_USD", "EUR_GBP")
SYMBOL_INDEX = {symbol: index for index, symbol in enumerate(SYMBOLS)}
BASE_NS = 1_736_208_000_000_000_000  # Tuesday 2025-01-07 00:00 UTC: no weekend within three days
STEP_NS = 10_000_000  # 100 ticks a second over eight symbols: a busy quarter of an hour, sustained
CANDLES_STORED = 300

_MID = np.array([1.08420, 1.27150, 151.420, 0.65480, 0.88210, 1.35790, 0.60120, 0.85310])
_UNIT = np.array([1e-5, 1e-5, 1e-3, 1e-5, 1e-5, 1e-5, 1e-5, 1e-5])

TICK = np.dtype([("ts_event", "i8"), ("bid", "f8"), ("ask", "f8"), ("instrument", "u2")])
CANDLE = np.dtype([("timestamp", "i8"), *((name, "f8") for name in ("open", "high", "low", "close", "volume"))])

Quote = tuple[int, int, float, float]
"""Symbol index, event time in ns, bid, ask: the cheapest tick that plain Python can hold."""


@dataclass
class Tick:
    """Hold a tick as an application behind a BaseManager holds it."""

    symbol: str
    bid: float
    ask: float
    mid: float
    spread: float
    timestamp: datetime


@dataclass
class Candle:
    """Hold a candle as an application behind a BaseManager holds it."""

    symbol: str
    timestamp: datetime
    open: float
    high: float
    low: float
    close: float
    volume: float
    source: str = "IG"
    volume_type: str = "tick"


class CandleRow(NamedTuple):
    """Hold a candle as the cheapest object with named fields; what peers without objects of their own make."""

    timestamp: int
    open: float
    high: float
    low: float
    close: float
    volume: float


def ticks(count: int, first: int = 0, step_ns: int = STEP_NS, symbols: int = len(SYMBOLS)) -> NDArray[Any]:
    """Return ticks ``first`` to ``first + count``, round-robin over the first ``symbols`` symbols; dtype TICK.

    Prices walk on a grid of the symbol's smallest unit and the spread is an even number of units, so the mid is on the
    grid too and every engine can hold it exactly.
    """
    index = np.arange(first, first + count, dtype=np.int64)
    instrument = index % symbols
    turn = index // symbols
    wave = np.sin(turn / 97.0) * 40 + np.sin(turn / 1999.0) * 150
    noise = (turn * 2_654_435_761 + instrument * 40_503) % 17 - 8
    half_spread = 2 + (turn * 40_503) % 3
    units = np.rint(_MID[instrument] / _UNIT[instrument] + wave + noise).astype(np.int64)
    per_unit = np.rint(1 / _UNIT[instrument])
    out = np.empty(count, TICK)
    out["ts_event"] = BASE_NS + index * step_ns
    out["bid"] = (units - half_spread) / per_unit
    out["ask"] = (units + half_spread) / per_unit
    out["instrument"] = instrument
    return out


def quotes(count: int, first: int = 0, step_ns: int = STEP_NS) -> list[Quote]:
    """Return the same ticks as plain tuples."""
    made = ticks(count, first, step_ns)
    columns = (made["instrument"].tolist(), made["ts_event"].tolist(), made["bid"].tolist(), made["ask"].tolist())
    return list(zip(*columns, strict=True))


def index_of(ts_event: int, step_ns: int = STEP_NS) -> int:
    """Return the index of the tick with this event time."""
    return (ts_event - BASE_NS) // step_ns


def symbol_cycle(count: int) -> list[str]:
    """Return ``count`` symbols, each in turn."""
    return [SYMBOLS[index % len(SYMBOLS)] for index in range(count)]


def candles(symbol: str, count: int = CANDLES_STORED) -> NDArray[Any]:
    """Return one-minute candles of a symbol, oldest first; dtype CANDLE."""
    which = SYMBOL_INDEX[symbol]
    at = np.arange(count)
    out = np.empty(count, CANDLE)
    out["timestamp"] = BASE_NS + at * 60_000_000_000
    out["open"] = _MID[which] + np.sin(at / 11.0) * 40 * _UNIT[which]
    out["close"] = _MID[which] + np.sin((at + 1) / 11.0) * 40 * _UNIT[which]
    out["high"] = np.maximum(out["open"], out["close"]) + 3 * _UNIT[which]
    out["low"] = np.minimum(out["open"], out["close"]) - 3 * _UNIT[which]
    out["volume"] = 100 + at % 57
    return out


def candle_objects(symbol: str, count: int = CANDLES_STORED) -> list[Candle]:
    """Return the same candles as objects."""
    return [
        Candle(symbol, datetime.fromtimestamp(row[0] / 1e9, UTC), *row[1:]) for row in candles(symbol, count).tolist()
    ]
