"""What the tools answer with: few fields, each of which a model can use. Their schemas go to the model as they are."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "Account", "AccountsAnswer", "Bar", "CandlesAnswer", "Finding", "Flow", "Gap", "GapsAnswer", "Instrument",
    "InstrumentsAnswer", "LedgerAnswer", "OpinionAnswer", "OrderFlowAnswer", "Position", "PositionsAnswer", "Quote",
    "Said", "SaidAnswer", "SnapshotAnswer", "Standing", "StateRow", "StatesAnswer", "WhyAnswer",
]  # fmt: skip

Instant = Annotated[str, Field(description="ISO 8601, UTC")]
StateName = Literal["LIVE", "QUIET", "UNVERIFIED", "STALE", "DEAD", "CLOSED", "EMPTY"]


class Shape(BaseModel):
    """Be part of an answer."""

    model_config = ConfigDict(frozen=True)


class Standing(Shape):
    """How far what follows can be trusted: read this first."""

    symbol: str | None = Field(description="What it is said of; null: of all instruments together")
    state: Literal["LIVE", "QUIET", "UNVERIFIED", "STALE", "DEAD", "CLOSED", "EMPTY", "MIXED"] = Field(
        description="LIVE and QUIET are current; UNVERIFIED: pushed by a program, current as far as one can see; STALE "
        "and DEAD: something is wrong; CLOSED: the market is closed; EMPTY: no tick yet; MIXED: see note"
    )
    market: Literal["OPEN", "CLOSED", "MIXED", "UNKNOWN"] = Field(description="By the calendar, holidays included")
    current: bool = Field(description="False: do not take the prices for those of now")
    age_s: float | None = Field(description="Seconds since the latest tick, by the hub clock; of all: of the youngest")
    completeness: float | None = Field(
        description="Share of the newest finished candle (1m unless asked) with a live feed; of all: the least"
    )
    now: Instant = Field(description="What the hub clock shows: the time of this answer")
    clock: Literal["wall", "virtual", "event"]
    simulated: bool = Field(description="True: the hub clock does not show the time of day; a simulation or a replay")
    note: str = Field(description="All of this in one sentence")


class Answer(Shape):
    """Carry the standing, whatever else."""

    standing: Standing


# ---------------------------------------------------------------- the market


class Quote(Shape):
    """The latest tick."""

    time: Instant
    bid: float
    ask: float
    mid: float | None
    spread_pips: float | None
    source: str


class Bar(Shape):
    """A candle; `time` is when it opens."""

    time: Instant
    open: float
    high: float
    low: float
    close: float
    volume: float | None
    ticks: int
    status: str = Field(description="final, forming, revised or superseded")
    coverage: float | None = Field(description="Share of the interval in which the feed was live")


class Flow(Shape):
    """Order-flow metrics of a window that ends at `time`."""

    time: Instant
    age_s: float
    is_stale: bool
    futures_symbol: str
    window_seconds: float | None
    order_flow_imbalance: float | None
    net_volume_delta: float | None
    buy_volume: float | None
    sell_volume: float | None
    best_bid: float | None
    best_ask: float | None
    bid_size: float | None
    ask_size: float | None
    top_of_book_imbalance: float | None
    buy_sweeps: int
    sell_sweeps: int
    vwap: float | None
    bias: str
    toxicity: float | None


class SnapshotAnswer(Answer):
    """One instrument at one instant."""

    symbol: str
    quote: Quote | None
    timeframe: str
    candles: list[Bar]
    order_flow: Flow | None


class CandlesAnswer(Answer):
    """Candles, oldest first."""

    symbol: str
    timeframe: str
    candles: list[Bar]
    more: bool = Field(description="There are older ones that were not asked for, or did not fit")


class OrderFlowAnswer(Answer):
    """The latest order flow; null where nobody publishes any."""

    symbol: str
    order_flow: Flow | None


# ---------------------------------------------------------------- how far it can be trusted


class StateRow(Shape):
    """How one instrument from one source stands."""

    symbol: str
    source: str
    state: StateName
    age_s: float | None
    since: Instant | None
    cause: str
    primary: bool = Field(description="Reads of the symbol answer from this source")


class StatesAnswer(Answer):
    """The liveness of instruments."""

    states: list[StateRow]
    more: bool


class Gap(Shape):
    """A span without a live feed; `end` is null while it lasts."""

    symbol: str
    start: Instant
    end: Instant | None
    cause: str
    status: str = Field(description="open, filled, unfillable or closed_market")


class GapsAnswer(Answer):
    """Gaps, oldest first."""

    gaps: list[Gap]
    more: bool = Field(description="There are older ones")


class LedgerAnswer(Answer):
    """The account of every record: received = published + duplicate + refused + quarantined + in flight + lost."""

    balanced: bool
    records: int
    ticks: int
    by_kind: dict[str, int]
    received: int
    published: int = Field(description="By feeds, of what they received; `acknowledged` counts all records")
    acknowledged: int
    in_flight: int
    duplicates: int
    refused: int
    quarantined: int
    lost_in_producer: int


class Instrument(Shape):
    """An instrument of the hub."""

    symbol: str
    pip_size: float | None
    decimals: int
    base: str
    quote: str
    calendar: str
    primary_source: str | None
    sources: list[str]


class InstrumentsAnswer(Answer):
    """What there is to ask for."""

    instruments: list[Instrument]
    timeframes: list[str]
    more: bool


class Finding(Shape):
    """A link of the chain from the hub to the candles."""

    link: str
    outcome: str
    sentence: str


class WhyAnswer(Answer):
    """Why there is no data, or that there is, in one sentence."""

    sentence: str
    ok: bool
    link: str = Field(description="The first link that does not hold; empty when all do")
    chain: list[Finding]


# ---------------------------------------------------------------- what agents do


class Position(Shape):
    """An open position of a paper account."""

    account: str
    id: str
    symbol: str
    side: str
    units: float
    price: float
    opened: Instant
    stop: float | None
    target: float | None
    pips: float | None = Field(default=None, description="Won so far at the latest quote, whose age `quote_age_s` is")
    quote_state: StateName | None = None
    quote_age_s: float | None = None


class Account(Shape):
    """A paper account as its last record in the log tells it. There are no others: no live broker is shipped."""

    account: str
    running: bool = Field(description="A process runs the agent now")
    currency: str
    balance: str
    equity: float | None = Field(description="When the record was written")
    margin: float | None
    open_positions: int
    trades_today: int
    losing_in_a_row: int
    why: str = Field(description="What changed it last")
    time: Instant = Field(description="Of the record")
    age_s: float


class AccountsAnswer(Answer):
    """Accounts, and the kill switch."""

    accounts: list[Account]
    halted: str | None = Field(description="Why the kill switch is on; null when it is off")
    more: bool


class PositionsAnswer(Answer):
    """What is open."""

    positions: list[Position]
    halted: str | None
    more: bool


class Said(Shape):
    """An opinion, or a signal, of an agent; a proposal and nothing more until an order was filled."""

    kind: Literal["opinion", "signal"]
    id: str
    agent: str
    symbol: str
    side: str
    confidence: float
    reason: str
    time: Instant
    age_s: float
    expired: bool
    ttl_s: float
    stop_pips: float | None = None
    target_pips: float | None = None
    refused: str = Field(default="", description="Of a signal: why the data-age gate would refuse an order on it")
    data: dict[str, Any] = Field(default_factory=dict)


class SaidAnswer(Answer):
    """Opinions or signals, newest first."""

    said: list[Said]
    more: bool


class OpinionAnswer(Answer):
    """What was put into the log."""

    opinion: Said
    sequence: int = Field(description="Of the record")
