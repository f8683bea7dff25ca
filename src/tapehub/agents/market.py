"""What a run knows of one instrument at a place in the log: last quote, state, gaps, candles."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from tapehub.agents.series import Series, Timeline
from tapehub.model.calendars import Calendar
from tapehub.model.instruments import Instrument
from tapehub.model.policies import PriceBasis
from tapehub.model.sessions import Sessions
from tapehub.model.states import State
from tapehub.model.timeframes import Timeframe, parse

if TYPE_CHECKING:
    from tapehub._native import OrderFlowMetrics, Tick
    from tapehub.agents.context import Context

__all__ = ["Levels", "Market", "StateChange"]

Levels: TypeAlias = tuple[float, float, float, float, int]
"""At or below a bid, above one, below an ask, above one, or from a time on."""
_AT_REST: Levels = (-math.inf, math.inf, -math.inf, math.inf, (1 << 63) - 1)


@dataclass(frozen=True, slots=True)
class StateChange:
    """Say that a feed's state has changed, or that a gap has begun or ended.

    Attributes:
        state: as `DataHub.state` gives it, or ``gap``, ``filled`` and the like for a gap.
        since_ns: when data were last known to be good; of a gap its start.
    """

    symbol: str
    source: str
    state: str
    cause: str
    since_ns: int
    at_ns: int


class Market:
    """Hold one instrument. The engine writes, everybody else reads after `sync`.

    Attributes:
        bid, ask: before the first tick, what `recall` was told, else 0.0.
        calendar: when it trades, by the table in force at this place in the log.
        seq: of the last tick; 0 before the first.
        ts_event, seen_ns: of the last tick: event time, and log time.
        changed_ns: log time at which bid or ask last changed.
        state: recorded by its feed; None while nothing is.
        gap_since_ns, gap_until_ns: of the last gap; until is None while it lasts.
        blown_ns: log time of the newest quote that the feed's gate refused for its spread.
        low_bid, high_bid, low_ask, high_ask, due_ns: a quote beyond one of these prices, or at or after that time,
            concerns the broker. Where nothing is open, none does.
    """

    __slots__ = (
        "ask",
        "behind",
        "bid",
        "blown_ns",
        "calendar",
        "changed_ns",
        "due_ns",
        "flow",
        "gap_cause",
        "gap_since_ns",
        "gap_until_ns",
        "high_ask",
        "high_bid",
        "instrument",
        "listeners",
        "low_ask",
        "low_bid",
        "make_tick",
        "prices",
        "seen_ns",
        "seq",
        "series",
        "source",
        "state",
        "state_cause",
        "symbol",
        "tick_object",
        "ts_event",
        "wanted",
        "watched",
    )

    def __init__(
        self,
        instrument: Instrument,
        timeframes: Sequence[str],
        basis: PriceBasis,
        timeline: Timeline,
        *,
        rank: int = 0,
        source: str = "",
        wanted: bool = True,
        sessions: Sessions | None = None,
    ) -> None:
        self.instrument = instrument
        self.symbol = instrument.symbol
        self.source = source
        self.wanted = wanted
        """An agent asked for it; else it is here for its rate alone."""
        self.calendar: Sessions = sessions or Calendar(instrument.calendar)
        self.bid = self.ask = 0.0
        self.ts_event = self.seen_ns = self.seq = self.changed_ns = 0
        self.state: State | None = None
        self.state_cause = ""
        self.gap_since_ns: int | None = None
        self.gap_until_ns: int | None = None
        self.gap_cause = ""
        self.blown_ns = 0
        self.flow: OrderFlowMetrics | None = None
        self.tick_object: Tick | None = None
        self.make_tick: Callable[[], Tick] | None = None
        self.behind: Callable[[], None] | None = None
        frames: list[Timeframe] = [parse(name) for name in timeframes]
        week_days = instrument.week_days
        self.series = tuple(
            Series(self.symbol, frame, week_days, timeline, 100 * rank + frame.index, source)
            for frame in sorted(frames, key=_index)
        )
        self.listeners: tuple[tuple[Callable[[Context, Tick], None], Context], ...] = ()
        self.prices = {PriceBasis.BID: _bid, PriceBasis.ASK: _ask}.get(basis, _mid)
        self.watched = False
        self.levels = _AT_REST

    def take(self, tick: Tick, now: int) -> None:
        """Take in a tick."""
        if self.behind is not None:
            self.behind()
        bid, ask, ts = tick.bid, tick.ask, tick.ts_event
        if bid != self.bid or ask != self.ask or not self.seq:
            self.bid, self.ask, self.changed_ns = bid, ask, now
        self.ts_event, self.seen_ns, self.seq = ts, now, tick.seq
        self.tick_object = tick
        if self.series and self.behind is None:  # else they are taken from where the quotes come from
            price = self.prices(bid, ask)
            for series in self.series:
                series.take(ts, price, self.seq)

    def recall(self, bid: float, ask: float) -> None:
        """Value by a quote that an earlier run has seen, until there is a tick. For gate and books there is none."""
        if not self.seq:
            self.bid, self.ask = bid, ask

    def sync(self) -> Market:
        """Take in the ticks that a driver has passed and nobody has asked for yet."""
        if self.behind is not None:
            self.behind()
        return self

    def tick(self) -> Tick | None:
        """Give the last tick, or None."""
        self.sync()
        if self.tick_object is None and self.make_tick is not None and self.seq:
            self.tick_object = self.make_tick()
        return self.tick_object

    def sizes(self) -> tuple[float, float]:
        """Give the sizes quoted on bid and ask; 0 where there are none."""
        tick = self.tick()
        return (0.0, 0.0) if tick is None else (tick.bid_size, tick.ask_size)

    @property
    def levels(self) -> Levels:
        """Give what `concerns_broker` goes by."""
        return self.low_bid, self.high_bid, self.low_ask, self.high_ask, self.due_ns

    @levels.setter
    def levels(self, given: Levels) -> None:
        self.low_bid, self.high_bid, self.low_ask, self.high_ask, self.due_ns = given
        self.watched = given != _AT_REST

    def concerns_broker(self, now: int) -> bool:
        """Tell whether the broker has to look at the last quote."""
        return (
            self.bid <= self.low_bid
            or self.bid >= self.high_bid
            or self.ask <= self.low_ask
            or self.ask >= self.high_ask
            or now >= self.due_ns
        )

    @property
    def pip(self) -> float:
        """Give the size of a pip in price units; 1.0 where none is declared."""
        return self.instrument.pip_size or 1.0

    @property
    def spread_pips(self) -> float:
        """Give the spread in pips, free of the noise of subtraction."""
        return round((self.ask - self.bid) / self.pip, 6)

    def find(self, timeframe: str) -> Series | None:
        """Find the candles of a timeframe, or None when nobody asked for them."""
        name = parse(timeframe).name
        return next((one for one in self.series if one.frame.name == name), None)


def _mid(bid: float, ask: float) -> float:
    return (bid + ask) * 0.5


def _bid(bid: float, ask: float) -> float:
    return bid


def _ask(bid: float, ask: float) -> float:
    return ask


def _index(frame: Timeframe) -> int:
    return frame.index
