"""The classes of a program that knows nothing of tapehub, in a module of the name such programs give it."""

from dataclasses import dataclass
from datetime import datetime


@dataclass
class Tick:
    symbol: str
    bid: float
    ask: float
    mid: float = 0.0
    spread: float = 0.0
    timestamp: datetime = None  # type: ignore[assignment]


@dataclass
class Candle:
    symbol: str
    timestamp: datetime
    open: float
    high: float
    low: float
    close: float
    volume: float = 0.0
    source: str = "IG"
    volume_type: str = "tick"


@dataclass
class OrderFlowMetrics:
    symbol: str
    futures_symbol: str
    timestamp: datetime
    window_seconds: int = 60
    ofi_60s: float = 0.0
    net_volume_delta: float = 0.0
    buy_volume: float = 0.0
    sell_volume: float = 0.0
    total_volume: float = 0.0
    best_bid: float = 0.0
    best_ask: float = 0.0
    bid_size: float = 0.0
    ask_size: float = 0.0
    top_of_book_imbalance: float = 0.0
    buy_sweep_count: int = 0
    sell_sweep_count: int = 0
    vwap_60s: float = 0.0
    order_flow_bias: str = "NEUTRAL"
    toxicity_score: float = 0.0
    updates_count: int = 0
    is_stale: bool = False
