"""Records, as every answer and the stream show them."""

from __future__ import annotations

from typing import Any, Literal

from tapehub.gateway.shapes.base import InstantText, Shape, example

__all__ = ["CandleShape", "FlowShape", "IntervalShape", "RecordShape", "TickShape"]

_AT = "2026-06-02T12:00:00.123456789Z"


class TickShape(Shape):
    """One quote. `flags`: 1 unverified, 2 corrected, 4 from a backfill."""

    model_config = example(
        kind="tick", seq=41021, symbol="EUR_USD", source="ig", ts_event=_AT, ts_recv=_AT, ts_publish=_AT,
        bid=1.15148, ask=1.15154, mid=1.15151, spread=0.6, bid_size=0.0, ask_size=0.0, flags=0,
    )  # fmt: skip

    kind: Literal["tick"]
    seq: int
    symbol: str
    source: str
    ts_event: InstantText | None
    ts_recv: InstantText | None
    ts_publish: InstantText | None
    bid: float
    ask: float
    mid: float | None
    spread: float | None
    bid_size: float | None
    ask_size: float | None
    flags: int


class CandleShape(Shape):
    """The prices of one interval; `timestamp` is its open time."""

    model_config = example(
        kind="candle", seq=41020, symbol="EUR_USD", source="ig", timeframe="1m",
        timestamp="2026-06-02T12:00:00.000000000Z", open=1.1514, high=1.1516, low=1.1513, close=1.1515, volume=61.0,
        volume_type="tick", status="final", revision=1, coverage=1.0, ticks=61, ts_first=_AT, ts_last=_AT,
        ts_arrival=_AT, flags=0,
    )  # fmt: skip

    kind: Literal["candle"]
    seq: int
    symbol: str
    source: str
    timeframe: str
    timestamp: InstantText
    open: float
    high: float
    low: float
    close: float
    volume: float | None
    volume_type: Literal["tick", "real"]
    status: Literal["forming", "final", "revised", "superseded"]
    revision: int
    coverage: float | None
    ticks: int
    ts_first: InstantText | None
    ts_last: InstantText | None
    ts_arrival: InstantText | None
    flags: int


class FlowShape(Shape):
    """Order-flow metrics of one window."""

    kind: Literal["order_flow"]
    seq: int
    symbol: str
    futures_symbol: str
    timestamp: InstantText
    window_seconds: float | None
    ofi_60s: float | None
    net_volume_delta: float | None
    buy_volume: float | None
    sell_volume: float | None
    total_volume: float | None
    best_bid: float | None
    best_ask: float | None
    bid_size: float | None
    ask_size: float | None
    top_of_book_imbalance: float | None
    buy_sweep_count: int
    sell_sweep_count: int
    vwap_60s: float | None
    order_flow_bias: str
    toxicity_score: float | None
    updates_count: int
    is_stale: bool
    ts_publish: InstantText | None


class RecordShape(Shape):
    """A record of any other kind; `about` says what its numbers and its payload (base64) mean."""

    kind: str
    seq: int
    symbol: str
    source: str
    ts_event: InstantText
    ts_publish: InstantText | None
    fixed: list[str]
    flags: int
    payload: str
    about: dict[str, Any]


class IntervalShape(Shape):
    """The end of an interval."""

    kind: Literal["interval"]
    symbol: str
    source: str
    timeframe: str
    start: InstantText
    end: InstantText
    outcome: Literal["final", "no_ticks", "gap", "closed"]
    candle: CandleShape | None
