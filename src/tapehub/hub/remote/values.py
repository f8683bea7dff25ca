"""Records as the gateway writes them, as the objects they are in Python, and back.

Source: docs/reference/http-api.md, Records.
"""

from __future__ import annotations

import math
from base64 import b64decode
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from tapehub._native import Candle, OrderFlowMetrics, Tick
from tapehub.errors import InvalidRecord
from tapehub.hub.intervals import IntervalEnd
from tapehub.hub.publishing import candle_fault
from tapehub.hub.record import Record

__all__ = ["candle", "candle_text", "flow", "flow_text", "moment", "ns", "record", "tick", "tick_text", "time_text"]

FLOW_FIELDS: Final = (
    "window_seconds", "ofi_60s", "net_volume_delta", "buy_volume", "sell_volume", "total_volume", "best_bid",
    "best_ask", "bid_size", "ask_size", "top_of_book_imbalance", "buy_sweep_count", "sell_sweep_count", "vwap_60s",
    "order_flow_bias", "toxicity_score", "updates_count", "is_stale",
)  # fmt: skip
_EXPECTED: Final = {
    "bid": "a finite price",
    "ask": "a finite price",
    "bid_size": "0 (not known) or more",
    "ask_size": "0 (not known) or more",
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Told = dict[str, Any]


@lru_cache(maxsize=8192)
def _second_ns(text: str) -> int:
    # Nearly all ticks of a batch are of the same second.
    whole = datetime.fromisoformat(text).replace(tzinfo=UTC) - _EPOCH
    return (whole.days * 86_400 + whole.seconds) * 1_000_000_000


def ns(text: str | None) -> int:
    """Read an instant, ns UTC: ``2026-06-02T12:00:00.123456789Z``; one that is not known is 0."""
    return 0 if text is None else _second_ns(text[:19]) + int(text[20:29])


def moment(text: str) -> datetime:
    """Read an instant as an aware datetime, rounded down to the microsecond."""
    second, rest = divmod(ns(text), 1_000_000_000)
    return datetime.fromtimestamp(second, UTC).replace(microsecond=rest // 1000)


def time_text(ts_ns: int) -> str:
    """Write an instant."""
    second, rest = divmod(ts_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


# ---------------------------------------------------------------- from the gateway


def tick(told: Told, pip_size: float) -> Tick:
    """Read a tick; ``pip_size`` is the instrument's, 0.0 when undeclared."""
    return Tick(
        told["symbol"],
        told["bid"],
        told["ask"],
        timestamp=ns(told["ts_event"]),
        bid_size=told["bid_size"] or 0.0,
        ask_size=told["ask_size"] or 0.0,
        source=told["source"] or None,
        ts_recv=ns(told["ts_recv"]),
        ts_publish=ns(told["ts_publish"]),
        seq=told["seq"],
        flags=told["flags"],
        pip_size=pip_size,
    )


def candle(told: Told) -> Candle:
    """Read a candle."""
    return Candle(
        told["symbol"],
        ns(told["timestamp"]),
        told["open"],
        told["high"],
        told["low"],
        told["close"],
        told["volume"] or 0.0,
        told["source"],
        told["volume_type"],
        told["timeframe"],
        status=told["status"],
        revision=told["revision"],
        coverage=told["coverage"] or 0.0,
        ticks=told["ticks"],
        seq=told["seq"],
        ts_first=ns(told["ts_first"]),
        ts_last=ns(told["ts_last"]),
        ts_arrival=ns(told["ts_arrival"]),
        flags=told["flags"],
    )


def flow(told: Told) -> OrderFlowMetrics:
    """Read order-flow metrics; a number that was not finite comes as null."""
    fields: dict[str, Any] = {name: float("nan") if told[name] is None else told[name] for name in FLOW_FIELDS}
    return OrderFlowMetrics(
        told["symbol"],
        told["futures_symbol"],
        ns(told["timestamp"]),
        seq=told["seq"],
        ts_publish=ns(told["ts_publish"]),
        ts_recv=ns(told.get("ts_recv")),
        **fields,
    )


def interval(told: Told) -> IntervalEnd:
    """Read the end of an interval."""
    return IntervalEnd(
        symbol=told["symbol"],
        source=told["source"],
        timeframe=told["timeframe"],
        start=ns(told["start"]),
        end=ns(told["end"]),
        outcome=told["outcome"],
        candle=None if told["candle"] is None else candle(told["candle"]),
    )


def other(told: Told) -> Record:
    """Read a record of any other kind."""
    one, two = told["fixed"]
    return Record(
        seq=told["seq"],
        kind=told["kind"],
        ts_event=ns(told["ts_event"]),
        ts_publish=ns(told["ts_publish"]),
        symbol=told["symbol"],
        source=told["source"],
        fixed=(int(one), int(two)),
        payload=b64decode(told["payload"]),
        flags=told.get("flags", 0),  # a gateway of an older version tells none
    )


_READERS: Final[dict[str, Callable[[Told], Any]]] = {"candle": candle, "order_flow": flow, "interval": interval}


def record(told: Told) -> Any:
    """Read a record that is no tick."""
    return _READERS.get(told["kind"], other)(told)


# ---------------------------------------------------------------- to the gateway


def tick_text(given: Tick) -> Told:
    """Write a tick that is to be published.

    Raises:
        InvalidRecord: a number that is not finite, for which JSON has no word.
    """
    for name, expected in _EXPECTED.items():
        value = getattr(given, name)
        if not math.isfinite(value):
            raise InvalidRecord(f"tick of {given.symbol}: {name} is {value:g}, expected {expected}")
    return {
        "symbol": given.symbol,
        "bid": given.bid,
        "ask": given.ask,
        "timestamp": given.ts_event or None,
        "bid_size": given.bid_size,
        "ask_size": given.ask_size,
        "source": given.source,
    }


def candle_text(given: Candle) -> Told:
    """Write a candle that is to be published.

    Raises:
        InvalidRecord: its numbers contradict each other, or are not finite.
    """
    fault = candle_fault(given, given.ts_event)
    if fault:
        raise InvalidRecord(f"candle of {given.symbol} at {given.timestamp.isoformat()}: {fault}")
    return {
        "symbol": given.symbol,
        "timestamp": given.ts_event,
        "open": given.open,
        "high": given.high,
        "low": given.low,
        "close": given.close,
        "volume": given.volume,
        "source": given.source,
        "volume_type": given.volume_type,
        "timeframe": given.timeframe,
        "coverage": given.coverage,
        "ticks": given.ticks,
    }


def flow_text(given: OrderFlowMetrics) -> Told:
    """Write order-flow metrics that are to be published.

    Raises:
        InvalidRecord: a number that is not finite, for which JSON has no word.
    """
    for name in FLOW_FIELDS:
        value = getattr(given, name)
        if isinstance(value, float) and not math.isfinite(value):
            raise InvalidRecord(f"order flow of {given.symbol}: {name} is {value:g}, expected a finite number")
    return {
        "symbol": given.symbol,
        "futures_symbol": given.futures_symbol,
        "timestamp": given.ts_event or None,
        **{name: getattr(given, name) for name in FLOW_FIELDS},
    }
