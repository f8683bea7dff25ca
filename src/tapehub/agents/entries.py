"""What records other than ticks do to a run, by kind."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tapehub.agents.market import StateChange
from tapehub.agents.records import AgentRecord, HaltRecord, Opinion, Order, Signal, decode, split_cause
from tapehub.errors import InvalidRecord
from tapehub.hub.clock import SAME_TIME_LINE, WATERMARK_TICKS
from tapehub.hub.marks import signed
from tapehub.model.records import CLOCK_STRUCT, CandleFlag, GapFlag, Kind
from tapehub.model.states import GapStatus, State
from tapehub.quality.reasons import Reason

if TYPE_CHECKING:
    from tapehub._native import Candle
    from tapehub.agents.engine import Engine
    from tapehub.agents.market import Market

__all__ = ["KINDS", "OWN", "Entry", "Readers"]

KINDS: Final = (
    Kind.TICK,
    Kind.CANDLE,
    Kind.ORDER_FLOW,
    Kind.WATERMARK,
    Kind.CHANNEL,
    Kind.CLOCK,
    Kind.CALENDAR,
    Kind.STATE,
    Kind.GAP,
    Kind.QUARANTINE,
    Kind.OPINION,
    Kind.SIGNAL,
    Kind.ORDER,
    Kind.AGENT,
    Kind.HALT,
)
"""What a run reads. Fills and accounts are outputs alone."""

OWN: Final = frozenset({Kind.OPINION, Kind.SIGNAL, Kind.ORDER, Kind.AGENT})
"""Kinds that a run writes and reads; it passes over its own."""


class Entry(NamedTuple):
    """Hold a record that is no tick, as a driver reads it.

    Attributes:
        body: the candle, order-flow metrics or session table it holds; None for other kinds.
    """

    seq: int
    kind: int
    ts_event: int
    ts_publish: int
    symbol: str
    source: str
    one: int
    two: int
    flags: int
    payload: bytes
    body: Any = None


class Readers:
    """Take up records for an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._by_kind: dict[int, Callable[[Entry], None]] = {
            Kind.CANDLE: self._candle,
            Kind.ORDER_FLOW: self._order_flow,
            Kind.CLOCK: self._clock,
            Kind.CALENDAR: self._calendar,
            Kind.STATE: self._state,
            Kind.GAP: self._gap,
            Kind.QUARANTINE: self._quarantine,
            Kind.OPINION: self._said,
            Kind.SIGNAL: self._said,
            Kind.ORDER: self._request,
            Kind.HALT: self._halt,
        }

    def read(self, entry: Entry) -> None:
        """Take up a record; kinds that mean nothing to a run are passed over."""
        reader = self._by_kind.get(entry.kind)
        if reader is not None:
            reader(entry)

    def read_own(self, entry: Entry) -> None:
        """Begin with the run's own first record, take requests to its desk, and hear that it is to end."""
        engine = self._engine
        if entry.kind == Kind.AGENT and entry.seq == engine.run.begin_seq:
            engine.cause = entry.seq
            engine.begin(entry.ts_publish)
        elif entry.kind == Kind.AGENT and not split_cause(entry.two)[0]:
            made = self._decoded(entry)
            if isinstance(made, AgentRecord) and made.what == "end":
                engine.end_wanted = made.text or "asked to"

    def _market(self, entry: Entry) -> Market | None:
        """Find the instrument a record is of, when it comes from the source the run goes by."""
        market = self._engine.markets.get(entry.symbol)
        if market is None or (market.source and entry.source != market.source):
            return None
        return market

    # ------------------------------------------------------------ of the market

    def _candle(self, entry: Entry) -> None:
        """Take up a candle that was pushed, loaded, or revised by a late tick."""
        market = self._engine.markets.get(entry.symbol)
        candle: Candle = entry.body
        if market is None or (series := market.sync().find(candle.timeframe)) is None:
            return
        pushed = candle.flags & CandleFlag.PUSHED
        if not pushed or candle.flags & (CandleFlag.WARM | CandleFlag.BACKFILL):
            if not pushed and entry.source not in ("", market.source):
                return
            series.put(candle)
        elif series.put(candle) and not series.forming():
            self._engine.candle(market, series, candle)

    def _order_flow(self, entry: Entry) -> None:
        market = self._engine.markets.get(entry.symbol)
        if market is not None and entry.body is not None:
            self._engine.order_flow(market, entry.body)

    def _clock(self, entry: Entry) -> None:
        by_ticks = CLOCK_STRUCT.unpack(entry.payload)[1] == WATERMARK_TICKS
        same = bool(entry.flags & SAME_TIME_LINE)
        self._engine.new_time_line(by_ticks=by_ticks, same=same)

    def _calendar(self, entry: Entry) -> None:
        if entry.body is not None:  # else it holds New York's offsets
            self._engine.trade_by(entry.body)

    def _state(self, entry: Entry) -> None:
        market = self._market(entry)
        if market is None:
            return
        market.sync()
        market.state = State(min(entry.one & 0xFF, max(State)))
        market.state_cause = entry.payload.decode(errors="replace")
        change = StateChange(
            entry.symbol, entry.source, market.state.label, market.state_cause, entry.two, entry.ts_event
        )
        self._engine.state(market, change)

    def _gap(self, entry: Entry) -> None:
        market = self._market(entry)
        if market is None:
            return
        start, end = signed(entry.one), signed(entry.two)
        try:
            told = json.loads(entry.payload)
            cause, status = str(told["cause"]), GapStatus(told["status"])
        except (ValueError, KeyError, TypeError):
            cause, status = entry.payload.decode(errors="replace"), GapStatus.OPEN
        if entry.flags & GapFlag.NOTED:
            if status is GapStatus.CLOSED_MARKET and market.gap_since_ns == start:
                market.gap_since_ns = market.gap_until_ns = None  # nothing traded, so nothing is missing
            label = status.label
        else:
            market.gap_since_ns, market.gap_cause = start, cause
            # What counts is when data came again by the log's time: a gap may be told of long after it ended.
            market.gap_until_ns = None if entry.flags & GapFlag.LASTS else max(end, entry.ts_publish)
            label = "gap" if market.gap_until_ns is None else "gap ended"
        self._engine.state(market, StateChange(entry.symbol, entry.source, label, cause, start, entry.ts_event))

    def _quarantine(self, entry: Entry) -> None:
        if entry.one != Reason.BLOWN_SPREAD or len(entry.payload) < 2:
            return
        market = self._market(entry)
        if market is not None:
            market.blown_ns = self._engine.now

    # ------------------------------------------------------------ of agents

    def _said(self, entry: Entry) -> None:
        """Pass on what another run says."""
        if not self._engine.live:
            return
        made = self._decoded(entry)
        own = {one.ctx.agent for one in self._engine.members}
        if isinstance(made, Opinion | Signal) and made.agent not in own:  # nor an earlier run of the same agents
            self._engine.hear(made)

    def _request(self, entry: Entry) -> None:
        """Take an order that a script wants of this desk."""
        made = self._decoded(entry)
        engine = self._engine
        if (
            not engine.live
            or not isinstance(made, Order)
            or made.status != "requested"
            or made.desk != engine.run.agent
        ):
            return
        if made.what == "close":
            if made.position in engine.desk.account.positions:
                engine.desk.close(made.agent, made.position, made.reason, of=made.id)
            return
        if made.symbol in engine.markets:
            told = {
                "symbol": made.symbol,
                "side": made.side,
                "units": made.units,
                "stop_pips": made.stop_pips,
                "target_pips": made.target_pips,
                "reason": made.reason,
                "of": made.id,
            }
            engine.desk.order(made.agent, told)

    def _halt(self, entry: Entry) -> None:
        made = self._decoded(entry)
        if isinstance(made, HaltRecord):
            self._engine.desk.on_halt(made)

    def _decoded(self, entry: Entry) -> object:
        """Read a record; one that cannot be read is passed over, as it is in every replay."""
        try:
            return decode(entry.kind, entry.payload)
        except (InvalidRecord, struct.error):
            return None
