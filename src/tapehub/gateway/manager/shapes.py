"""Objects of callers' own classes, taken by their attributes for what they say about the market, and the way back.

A caller's `market_data_models.Tick` is a `tapehub.Tick` if it has the attributes of one. Values must be plain: a text,
a number, a time; whatever else it carries is left alone.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, TypeVar

from tapehub._native import Candle, OrderFlowMetrics, Tick
from tapehub.gateway.manager.known import OWN_MODULE
from tapehub.gateway.manager.values import Record

__all__ = ["FIELDS", "NotOfShape", "candle_of", "order_flow_of", "tick_of"]

FIELDS: Final = {
    "Tick": ("symbol", "bid", "ask", "mid", "spread", "timestamp"),
    "Candle": ("symbol", "timestamp", "open", "high", "low", "close", "volume", "source", "volume_type"),
    "OrderFlowMetrics": (
        "symbol", "futures_symbol", "timestamp", "window_seconds", "ofi_60s", "net_volume_delta", "buy_volume",
        "sell_volume", "total_volume", "best_bid", "best_ask", "bid_size", "ask_size", "top_of_book_imbalance",
        "buy_sweep_count", "sell_sweep_count", "vwap_60s", "order_flow_bias", "toxicity_score", "updates_count",
        "is_stale",
    ),
}  # fmt: skip
"""The plain attributes of each, in the order of its constructor."""

_MORE: Final = {
    "Tick": ("bid_size", "ask_size", "source", "ts_recv", "ts_publish", "seq", "flags", "pip_size"),
    "Candle": ("timeframe", "status", "revision", "coverage", "ticks", "seq", "ts_first", "ts_last", "ts_arrival",
               "flags"),
    "OrderFlowMetrics": ("ts_recv", "ts_publish", "seq"),
}  # fmt: skip
_NEEDED: Final = {
    "Tick": ("symbol", "bid", "ask"),
    "Candle": ("symbol", "timestamp", "open", "high", "low", "close"),
    "OrderFlowMetrics": ("symbol", "futures_symbol"),
}
_ALL: Final = {kind: FIELDS[kind] + _MORE[kind] for kind in FIELDS}
_ATTRIBUTES: Final = {
    # What only a hub sets is not taken from a caller.
    "Tick": frozenset((*FIELDS["Tick"], "bid_size", "ask_size", "source")),
    "Candle": frozenset((*FIELDS["Candle"], "timeframe")),
    "OrderFlowMetrics": frozenset(FIELDS["OrderFlowMetrics"]),
}
_TEXT_MAX = 255
_PLAIN: Final = (str, float, int, bool, datetime, type(None))


class NotOfShape(TypeError):
    """Report an argument that is not what the method takes; it reaches the client as a TypeError."""


def tick_of(value: Any) -> Tick:
    """Take a tick.

    Raises:
        NotOfShape: it is none.
    """
    return _taken(value, "Tick", Tick)


def candle_of(value: Any) -> Candle:
    """Take a candle; see `tick_of`."""
    return _taken(value, "Candle", Candle)


def order_flow_of(value: Any) -> OrderFlowMetrics:
    """Take order-flow metrics; see `tick_of`."""
    return _taken(value, "OrderFlowMetrics", OrderFlowMetrics)


_T = TypeVar("_T", Tick, Candle, OrderFlowMetrics)


def _taken(value: Any, kind: str, make: type[_T]) -> _T:
    if isinstance(value, dict):  # a to_dict(): as good as the object
        return make.from_dict(_checked(kind, {name: value[name] for name in value if name in _ATTRIBUTES[kind]}))
    if not isinstance(value, Record):
        raise NotOfShape(f"expected a {kind}, got a value of type {type(value).__name__}")
    if value.kind.name != kind:
        raise NotOfShape(f"expected a {kind}, got a {value.kind.module}.{value.kind.name}")
    if value.kind.module == OWN_MODULE and value.state is None:
        _checked(kind, dict(zip(_ALL[kind], value.args, strict=False)), needed=False)
        return make(*value.args)
    return make.from_dict(_checked(kind, _attributes(value, kind)))


def _attributes(record: Record, kind: str) -> dict[str, Any]:
    """Name what a record holds: attributes by name, else by the order of the fields."""
    found: dict[str, Any] = {}
    for values in (record.args, record.values or ()):
        if len(values) > len(FIELDS[kind]):
            raise NotOfShape(
                f"{record.kind.module}.{kind} has {len(values)} values without names, expected at most "
                f"{', '.join(FIELDS[kind])}"
            )
        found.update(zip(FIELDS[kind], values, strict=False))
    taken = _ATTRIBUTES[kind]
    found.update((name, value) for name, value in (record.state or {}).items() if name in taken)
    return found


def _checked(kind: str, found: dict[str, Any], *, needed: bool = True) -> dict[str, Any]:
    for name in _NEEDED[kind] if needed else ():
        if name not in found:
            raise NotOfShape(f"a {kind} without {name}, expected at least {', '.join(_NEEDED[kind])}")
    for name, value in found.items():
        if type(value) not in _PLAIN:
            raise NotOfShape(f"{name} of a {kind} is a {type(value).__name__}, expected a text, a number or a time")
        if type(value) is str and len(value) > _TEXT_MAX:
            raise NotOfShape(f"{name} of a {kind} has {len(value):,} characters, expected at most {_TEXT_MAX}")
    return found
