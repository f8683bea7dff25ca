"""Answers to reads."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from tapehub.gateway.shapes.base import InstantText, Shape
from tapehub.gateway.shapes.records import CandleShape, FlowShape, RecordShape, TickShape

__all__ = [
    "AllowanceAnswer", "CandlesAnswer", "CalendarAnswer", "ClockAnswer", "ComparisonsAnswer", "CoverageAnswer",
    "EventsAnswer",
    "GapsAnswer", "InstrumentsAnswer", "LedgerAnswer", "PipelineAnswer", "ProcessesAnswer", "QuarantineAnswer",
    "ReadersAnswer", "SimulatorAnswer", "SnapshotAnswer", "SnapshotsAnswer", "SourcesAnswer", "StalenessAnswer",
    "StatesAnswer", "StatusAnswer", "TicksAnswer", "WhyAnswer",
]  # fmt: skip

StateName = Literal["unverified", "live", "quiet", "stale", "dead", "closed", "empty"]


class TicksAnswer(Shape):
    """Ticks, oldest first."""

    symbol: str
    lost: int
    ticks: list[TickShape]


class CandlesAnswer(Shape):
    """Candles, oldest first."""

    symbol: str
    timeframe: str
    lost: int
    candles: list[CandleShape]


class SnapshotAnswer(Shape):
    """One instrument at one instant."""

    symbol: str
    source: str
    timeframe: str
    tick: TickShape | None
    candles: list[CandleShape]
    order_flow: FlowShape | None
    state: StateName
    age_s: float | None
    completeness: float | None
    now: InstantText
    seq: int


class SnapshotsAnswer(Shape):
    """Every instrument; beside the snapshot `ticks_per_minute`, `decimals`, `pip_size`."""

    now: InstantText
    snapshots: list[SnapshotAnswer]


class StateRow(Shape):
    """How one instrument from one source stands."""

    symbol: str
    source: str
    state: StateName
    age_s: float | None
    primary: bool
    made_up: Literal["", "SIMULATED", "REPLAY"]


class StatesAnswer(Shape):
    """The liveness of every instrument."""

    now: InstantText
    states: list[StateRow]


class StalenessAnswer(Shape):
    """What is older than its limit."""

    symbol: str
    tick: bool
    candle: bool
    order_flow: bool


class GapRow(Shape):
    """A span without a live feed; `end` is null while it lasts."""

    symbol: str
    start: InstantText
    end: InstantText | None
    cause: str
    status: Literal["open", "filled", "unfillable", "closed_market"]
    seq: int


class GapsAnswer(Shape):
    """Gaps, oldest first."""

    gaps: list[GapRow]


class QuarantineRow(Shape):
    """What was refused, and why."""

    seq: int
    ts: InstantText
    reason: str
    reason_number: int
    symbol: str
    source: str
    detail: str
    not_stored: int


class QuarantineAnswer(Shape):
    """Refused quotes and messages, oldest first."""

    quarantine: list[QuarantineRow]


class ComparisonsAnswer(Shape):
    """How candles differed from the venue's own."""

    comparisons: list[dict[str, Any]]


class InstrumentRow(Shape):
    """An instrument."""

    id: int
    pip_size: float | None
    decimals: int
    declared: bool
    calendar: str
    base: str
    quote: str
    primary_source: str | None
    sources: list[str]


class InstrumentsAnswer(Shape):
    """Every instrument by symbol."""

    instruments: dict[str, InstrumentRow]


class SourcesAnswer(Shape):
    """Every source, by id."""

    sources: list[str]


class CalendarAnswer(Shape):
    """When a market is open."""

    calendar: str
    open: bool
    next_open: InstantText | None
    next_close: InstantText | None
    table: Annotated[
        str | None, Field(description="Base64 of rows of two int64, little-endian: opening and closing, ns UTC.")
    ]


class ClockAnswer(Shape):
    """The hub clock."""

    now: InstantText
    mode: Literal["wall", "virtual", "event"]
    rate: float
    simulated: bool
    label: Literal["", "SIMULATED", "EVENT TIME"]


class StatusAnswer(Shape):
    """The whole hub, as `DataHub.get_status` tells it."""

    now: InstantText
    simulated: bool
    made_up: dict[str, Literal["SIMULATED", "REPLAY"]]
    version: str
    symbols_tracked: list[str]
    ticks_count: int
    candles_by_symbol: dict[str, int]
    order_flow_count: int
    stats: dict[str, int]
    hub_id: str
    epoch: int
    head: int
    oldest: int
    records: int


class LedgerAnswer(Shape):
    """The account of every record, as `DataHub.ledger` gives it."""

    records: int
    ticks: int
    received: int
    refused: int
    duplicates: int
    quarantined: int
    published: int
    in_flight: int
    acknowledged: int
    lost_in_producer: int
    balanced: bool


class ReaderRow(Shape):
    """A stream of some process."""

    name: str
    pid: int
    position: int
    lag: int
    delivered: int
    lost: int


class ReadersAnswer(Shape):
    """Everyone who follows the log."""

    readers: list[ReaderRow]


class ProcessesAnswer(Shape):
    """Every process that is or was attached."""

    processes: list[dict[str, Any]]


class FindingRow(Shape):
    """A link of the chain from the hub to the candles."""

    link: str
    outcome: Literal["ok", "failed", "closed", "skipped"]
    sentence: str


class WhyAnswer(Shape):
    """Why there is no data, or that there is, in one sentence."""

    sentence: str
    ok: bool
    outcome: Literal["ok", "failed", "closed", "skipped"]
    link: str
    chain: list[FindingRow]


class PipelineAnswer(Shape):
    """Counts at every hop: totals; whoever wants a rate takes two answers."""

    now: InstantText
    balanced: bool
    venue: dict[str, Any]
    feed: dict[str, Any]
    quality: dict[str, Any]
    hub: dict[str, Any]
    readers: list[ReaderRow]
    gateway: dict[str, Any]


class CoverageAnswer(Shape):
    """A day of an instrument, minute by minute."""

    symbol: str
    day: str
    start: InstantText
    minutes: list[float | None] = Field(min_length=1440, max_length=1440)
    ticks: list[int] = Field(min_length=1440, max_length=1440)
    outcomes: str = Field(pattern="^[fngc-]{1440}$")


class AllowanceAnswer(Shape):
    """What feeds may still ask of their venues."""

    feeds: dict[str, Any]
    historical: list[dict[str, Any]]


class EventsAnswer(Shape):
    """What happened lately, oldest first."""

    events: list[RecordShape]


class SimulatorAnswer(Shape):
    """How the simulated venue stands, in its own words."""

    state: dict[str, Any]
