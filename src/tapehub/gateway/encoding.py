"""Records as JSON text, each in one shape everywhere: answers and stream. docs/reference/http-api.md shows the shapes.

A float is written with the digits that make the same one again, one that is not finite as ``null``. Measured: orjson
over a dictionary takes 2 us for a tick, text put together by hand 4 us, of which three are Python's own float to text.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from tapehub._native import Candle, OrderFlowMetrics, Tick
from tapehub.errors import MissingExtra
from tapehub.gateway.about import about
from tapehub.gateway.instants import iso, stamp
from tapehub.hub.intervals import IntervalEnd
from tapehub.hub.record import Record

try:
    import orjson
except ImportError as error:
    raise MissingExtra("orjson", "server", "the gateway") from error

__all__ = ["FLOW_NUMBERS", "candle_text", "dumps", "flow_text", "quoted", "record_text", "text_of", "tick_text"]

FLOW_NUMBERS = (
    "window_seconds", "ofi_60s", "net_volume_delta", "buy_volume", "sell_volume", "total_volume", "best_bid",
    "best_ask", "bid_size", "ask_size", "top_of_book_imbalance", "buy_sweep_count", "sell_sweep_count", "vwap_60s",
    "order_flow_bias", "toxicity_score", "updates_count", "is_stale",
)  # fmt: skip


@lru_cache(maxsize=4096)
def quoted(text: str) -> str:
    """Write a name as JSON."""
    return orjson.dumps(text).decode()


def tick_text(tick: Tick) -> str:
    """Write a tick."""
    return orjson.dumps(
        {
            "kind": "tick",
            "seq": tick.seq,
            "symbol": tick.symbol,
            "source": tick.source or "",
            "ts_event": stamp(tick.ts_event),
            "ts_recv": stamp(tick.ts_recv),
            "ts_publish": stamp(tick.ts_publish),
            "bid": tick.bid,
            "ask": tick.ask,
            "mid": tick.mid,
            "spread": tick.spread,
            "bid_size": tick.bid_size,
            "ask_size": tick.ask_size,
            "flags": tick.flags,
        }
    ).decode()


def candle_text(candle: Candle) -> str:
    """Write a candle."""
    return orjson.dumps(
        {
            "kind": "candle",
            "seq": candle.seq,
            "symbol": candle.symbol,
            "source": candle.source or "",
            "timeframe": candle.timeframe,
            "timestamp": iso(candle.ts_event),
            "open": candle.open,
            "high": candle.high,
            "low": candle.low,
            "close": candle.close,
            "volume": candle.volume,
            "volume_type": candle.volume_type,
            "status": candle.status,
            "revision": candle.revision,
            "coverage": candle.coverage,
            "ticks": candle.ticks,
            "ts_first": stamp(candle.ts_first),
            "ts_last": stamp(candle.ts_last),
            "ts_arrival": stamp(candle.ts_arrival),
            "flags": candle.flags,
        }
    ).decode()


def flow_text(metrics: OrderFlowMetrics) -> str:
    """Write order-flow metrics."""
    return dumps(
        {
            "kind": "order_flow",
            "seq": metrics.seq,
            "symbol": metrics.symbol,
            "futures_symbol": metrics.futures_symbol,
            "timestamp": iso(metrics.ts_event),
            **{name: getattr(metrics, name) for name in FLOW_NUMBERS},
            "ts_publish": stamp(metrics.ts_publish),
        }
    )


def record_text(record: Record) -> str:
    """Write a record of a kind that has no type of its own."""
    return dumps(
        {
            "kind": record.kind,
            "seq": record.seq,
            "symbol": record.symbol,
            "source": record.source,
            "ts_event": iso(record.ts_event),
            "ts_publish": stamp(record.ts_publish),
            "fixed": [str(number) for number in record.fixed],
            "flags": record.flags,
            "payload": b64encode(record.payload).decode(),
            "about": about(record),
        }
    )


def interval_text(event: IntervalEnd) -> str:
    """Write the end of an interval."""
    candle = "null" if event.candle is None else candle_text(event.candle)
    return (
        f'{{"kind":"interval","symbol":{quoted(event.symbol)},"source":{quoted(event.source)},'
        f'"timeframe":"{event.timeframe}","start":"{iso(event.start)}","end":"{iso(event.end)}",'
        f'"outcome":"{event.outcome}","candle":{candle}}}'
    )


_TEXTS: dict[type, Callable[[Any], str]] = {
    Tick: tick_text,
    Candle: candle_text,
    OrderFlowMetrics: flow_text,
    Record: record_text,
    IntervalEnd: interval_text,
}


def text_of(item: Any) -> str:
    """Write whatever a stream delivers."""
    return _TEXTS[type(item)](item)


def dumps(value: Any) -> str:
    """Write a value of plain types as JSON; what is not finite is ``null``."""
    return orjson.dumps(value, default=_plain, option=orjson.OPT_NON_STR_KEYS).decode()


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if hasattr(value, "item"):  # a numpy scalar
        return value.item()
    return str(value)
