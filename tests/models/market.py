"""Short ways to say a tick, a candle and an array of quotes in a test."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from tapehub import Candle, DataHub, OrderFlowMetrics, Stream, Tick
from tests.models.intervals import SECOND, at, ns

EUR, GBP, JPY = "EUR_USD", "GBP_USD", "USD_JPY"
NINE = ns("2024-03-05T09:00")  # a Tuesday
QUOTE = np.dtype([("ts_event", "<i8"), ("bid", "<f8"), ("ask", "<f8")])


def tick(seconds: float, bid: float = 1.1, symbol: str = EUR, width: float = 0.0002, **more: Any) -> Tick:
    """Make a tick so many seconds after nine."""
    return Tick(symbol, bid, bid + width, timestamp=NINE + round(seconds * SECOND), **more)


def candle(minutes: float, close: float = 1.1, symbol: str = EUR, volume: float = 10.0, **more: Any) -> Candle:
    """Make a 1-minute candle that opens so many minutes after nine: one pip around its close."""
    opened = at(NINE) + timedelta(minutes=minutes)
    values = {"open": close, "high": close + 0.0001, "low": close - 0.0001, "close": close, "volume": volume}
    return Candle(symbol, opened, **{**values, **more})


def flow(seconds: float, symbol: str = EUR, **more: Any) -> OrderFlowMetrics:
    """Make order-flow metrics so many seconds after nine."""
    return OrderFlowMetrics(symbol, "6E", at(NINE + round(seconds * SECOND)), **more)


def quotes(seconds: list[float], bids: list[float] | float = 1.1) -> npt.NDArray[np.void]:
    """Make an array of quotes so many seconds after nine, two tenths of a pip wide."""
    rows = np.zeros(len(seconds), QUOTE)
    rows["ts_event"] = [NINE + round(one * SECOND) for one in seconds]
    rows["bid"] = bids
    rows["ask"] = rows["bid"] + 0.0002
    return rows


def moment(seconds: float) -> datetime:
    """Give the instant so many seconds after nine."""
    return at(NINE + round(seconds * SECOND))


def counters(hub: DataHub) -> dict[str, Any]:
    """Give everything a refused call may not change."""
    status, ledger = hub.get_status(), hub.ledger()
    return {
        "head": hub.head,
        "records": status["records"],
        "stats": {key: value for key, value in status["stats"].items() if not key.startswith("get_")},
        "ticks": ledger["ticks"],
        "tracked": status["symbols_tracked"],
    }


def drained(stream: Stream) -> list[Any]:
    """Read what there is, ticks and records of other kinds, in log order."""
    out: list[Any] = []
    while len(batch := stream.poll()) or batch.records:
        out += [*batch, *batch.records]
    return out
