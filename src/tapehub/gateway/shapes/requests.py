"""Bodies of requests that write."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from tapehub.gateway.shapes.base import Asked, InstantIn, Shape

__all__ = [
    "Advance", "CandleIn", "CandlesIn", "Clear", "ClockIn", "Flow", "Loaded", "Note", "Published", "Sequence",
    "SimulatorFault", "Synced", "TickIn", "TicksIn", "Verified",
]  # fmt: skip

Name = Annotated[str, Field(min_length=1, max_length=64, examples=["EUR_USD"])]
SourceName = Annotated[str, Field(max_length=31, examples=["mine"])]
_COUNT_MAX = (1 << 63) - 1


class TickIn(Asked):
    """A quote; without a timestamp the hub stamps it. `mid` and `spread` are only held against bid and ask."""

    symbol: Name
    bid: float = Field(examples=[1.15148])
    ask: float = Field(examples=[1.15154])
    timestamp: InstantIn | None = None
    mid: float = 0.0
    spread: float = 0.0
    bid_size: float = 0.0
    ask_size: float = 0.0
    source: SourceName | None = None


class TicksIn(Asked):
    """Several quotes."""

    ticks: list[TickIn] = Field(min_length=1, max_length=10_000)


class CandleIn(Asked):
    """A finished 1-minute candle."""

    symbol: Name
    timestamp: InstantIn
    open: float = Field(examples=[1.1514])
    high: float = Field(examples=[1.1516])
    low: float = Field(examples=[1.1513])
    close: float = Field(examples=[1.1515])
    volume: float = 0.0
    source: SourceName = "IG"
    volume_type: Literal["tick", "real"] = "tick"
    timeframe: str = Field(default="1m", max_length=32)
    coverage: float = Field(default=1.0, ge=0, le=1)
    ticks: int = Field(default=0, ge=0, lt=1 << 32)


class CandlesIn(Asked):
    """Several candles."""

    candles: list[CandleIn] = Field(min_length=1, max_length=10_000)


class Flow(Asked):
    """Order-flow metrics; everything after the symbols has a default."""

    symbol: Name
    futures_symbol: str = Field(default="", max_length=63)
    timestamp: InstantIn | None = None
    window_seconds: float = 60.0
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
    buy_sweep_count: int = Field(default=0, ge=0, le=_COUNT_MAX)
    sell_sweep_count: int = Field(default=0, ge=0, le=_COUNT_MAX)
    vwap_60s: float = 0.0
    order_flow_bias: str = Field(default="NEUTRAL", max_length=63)
    toxicity_score: float = 0.0
    updates_count: int = Field(default=0, ge=0, le=_COUNT_MAX)
    is_stale: bool = False


class Note(Asked):
    """A remark, of one instrument or of the whole hub."""

    text: str = Field(max_length=100_000, examples=["restarted the router"])
    symbol: Name | None = None


class Clear(Asked):
    """What is to start anew; null for all."""

    symbol: Name | None


class Advance(Asked):
    """Until when intervals are to be closed."""

    now: InstantIn


class ClockIn(Asked):
    """A clock for everyone in the hub."""

    mode: Literal["wall", "virtual", "event"]
    anchor: InstantIn | None = None
    rate: float = Field(default=1.0, gt=0, le=1e6)
    skew_ns: int = Field(default=0, ge=-(10**18), le=10**18)


class SimulatorFault(Asked):
    """A fault of the simulated venue; docs/reference/simulator.md lists the kinds and what each takes."""

    model_config = ConfigDict(extra="allow")

    kind: str = Field(min_length=1, max_length=40, examples=["mute"])


class Published(Shape):
    """What is in the log now."""

    published: int
    seq: int | None = None
    seqs: list[int] | None = None


class Sequence(Shape):
    """The place of the record in the log."""

    seq: int


class Loaded(Shape):
    """How many candles were loaded."""

    loaded: int


class Synced(Shape):
    """The first sequence that is not on stable storage."""

    synced: int


class Verified(Shape):
    """What a walk over every checksum found."""

    ok: bool
