"""Candles of one instrument and timeframe, from the ticks of the log: the hub's rules, without the hub.

A tick belongs to the interval of its event time; open and close go by event time, then by log order. An interval
stays open until a mark says that it is over. What comes later still is counted; the hub announces the candle it
revises, which takes the place of the one here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from typing import TYPE_CHECKING, Protocol

from tapehub._native import Candle
from tapehub.model.calendars import interval_of
from tapehub.model.timeframes import Timeframe

if TYPE_CHECKING:
    from tapehub.agents.segments import Segments

__all__ = ["CANDLES_KEPT", "Partial", "Series"]

CANDLES_KEPT = 1024


class Partial:
    """Hold a candle that is not final yet."""

    __slots__ = ("close", "end", "first", "high", "last", "low", "open", "seq", "start", "ticks")

    def __init__(self, start: int, end: int) -> None:
        self.start, self.end = start, end
        self.ticks = 0
        self.open = self.high = self.low = self.close = 0.0
        self.first = self.last = self.seq = 0

    def fold(self, ts: int, price: float, seq: int) -> None:
        """Take in one price."""
        if not self.ticks:
            self.open = self.high = self.low = self.close = price
            self.first = self.last = ts
        else:
            if price > self.high:
                self.high = price
            elif price < self.low:
                self.low = price
            if ts >= self.last:
                self.close, self.last = price, ts
            elif ts < self.first:
                self.open, self.first = price, ts
        self.ticks += 1
        self.seq = seq


_NOTHING = Partial(0, 0)


class Timeline(Protocol):
    """Know what is over, and come back for what is not."""

    def mark(self) -> int:
        """Give the latest instant before which no interval is open."""

    def expect(self, series: Series, end: int) -> None:
        """Call `Series.finish` when a mark reaches an end."""


class Series:
    """Build and keep candles.

    Args:
        timeline: is told the end of each interval that has begun, and says which intervals are over.
    """

    __slots__ = (
        "_span",
        "_timeline",
        "_waiting",
        "_week_days",
        "candles",
        "current",
        "frame",
        "late",
        "rank",
        "rest",
        "source",
        "symbol",
        "week_days",
    )

    def __init__(
        self, symbol: str, frame: Timeframe, week_days: int, timeline: Timeline, rank: int, source: str = ""
    ) -> None:
        self.frame = frame
        self.candles: deque[Candle] = deque(maxlen=CANDLES_KEPT)
        self.current = _NOTHING
        self.late = 0
        self.source = source
        self.rank = rank
        """Among the series that end at one instant."""
        self.symbol, self.week_days, self._timeline = symbol, week_days, timeline
        self.rest: Segments | None = None
        """Ticks that a driver has passed, and that were not taken in."""
        self._span = 0 if frame.is_anchored else frame.span_ns
        self._waiting: list[Partial] = []

    def take(self, ts: int, price: float, seq: int) -> None:
        """Take in one tick."""
        now = self.current
        if not now.start <= ts < now.end:
            found = self._partial(ts)
            if found is None:
                self.late += 1
                return
            now = found
        now.fold(ts, price, seq)

    def await_end(self, start: int, end: int) -> None:
        """Be called at the end of an interval that begins soon, unless it has begun."""
        if start != self.current.start or not self.current.ticks:
            self._timeline.expect(self, end)

    def take_segment(
        self, start: int, end: int, first_price: float, high: float, low: float, close: float, ticks: int, first: int,
        last: int, seq: int,
    ) -> None:  # fmt: skip
        """Take in ticks of one interval, none earlier than those before; `await_end` came first."""
        now = self.current
        if now.start != start or not now.ticks:
            if now.ticks:
                self._waiting.append(now)
            now = self.current = Partial(start, end)
            now.open, now.high, now.low, now.first = first_price, high, low, first
        else:
            if high > now.high:
                now.high = high
            if low < now.low:
                now.low = low
        now.close, now.last, now.seq = close, last, seq
        now.ticks += ticks

    def _interval(self, ts: int) -> tuple[int, int]:
        if self._span:
            start = ts - ts % self._span
            return start, start + self._span
        return interval_of(self.frame, ts, self.week_days)

    def _partial(self, ts: int) -> Partial | None:
        """Find or begin the candle of an instant; None when its interval is over."""
        start, end = self._interval(ts)
        if end <= self._timeline.mark():
            return None
        for waiting in self._waiting:
            if waiting.start == start:
                return waiting
        fresh = Partial(start, end)
        if start < self.current.start:  # came late, but its interval is still open
            self._waiting.append(fresh)
        else:
            if self.current.ticks:
                self._waiting.append(self.current)
            self.current = fresh
        self._timeline.expect(self, end)
        return fresh

    def finish(self, mark: int) -> list[Candle]:
        """Make final what ended by a mark, oldest first."""
        if self.rest is not None:
            self.rest.take_ended(mark)
        over = [one for one in self._waiting if one.end <= mark]
        if over:
            self._waiting = [one for one in self._waiting if one.end > mark]
        if self.current.end <= mark and self.current.ticks:
            over.append(self.current)
            self.current = _NOTHING
        made = [self._candle(one, "final") for one in sorted(over, key=lambda one: one.start)]
        for candle in made:
            self.put(candle)
        return made

    def forming(self) -> Candle | None:
        """Give the candle that is not final yet, or None."""
        if self.rest is not None:
            self.rest.take_passed()
        return self._candle(self.current, "forming") if self.current.ticks else None

    def _candle(self, one: Partial, status: str) -> Candle:
        return Candle(
            self.symbol,
            one.start,
            one.open,
            one.high,
            one.low,
            one.close,
            one.ticks,
            self.source or None,
            "tick",
            self.frame.name,
            status=status,
            ticks=one.ticks,
            seq=one.seq,
            ts_first=one.first,
            ts_last=one.last,
        )

    def put(self, candle: Candle) -> bool:
        """Keep a final candle in its place; tell whether it is newer than all others."""
        kept = self.candles
        if not kept or kept[-1].ts_event < candle.ts_event:
            kept.append(candle)
            return True
        starts = [one.ts_event for one in kept]
        at = bisect_left(starts, candle.ts_event)
        if at < len(starts) and starts[at] == candle.ts_event:
            kept[at] = candle
        elif len(kept) < CANDLES_KEPT or at:
            rows = [*kept]
            rows.insert(at, candle)
            self.candles = deque(rows, CANDLES_KEPT)
        return False

    def renew(self) -> None:
        """Forget what is not final: a new time line begins."""
        self.current = _NOTHING
        self._waiting = []
