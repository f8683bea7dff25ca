"""Exactly one event at the end of every interval, on time, also when no tick came.

Derived by each reader from the watermark, so that a quiet instrument costs the hub nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tapehub.hub.clock import SAME_TIME_LINE, WATERMARK_TICKS
from tapehub.hub.reading import EVER, NEVER, channel_state
from tapehub.model.calendars import Calendar, CalendarId, calendar_of, interval_of, intervals_of
from tapehub.model.records import CANDLE, CLOCK_STRUCT, INSTRUMENT, Kind
from tapehub.model.timeframes import Timeframe

if TYPE_CHECKING:
    from tapehub._native import Candle
    from tapehub.hub.datahub import DataHub

__all__ = ["IntervalEnd", "IntervalWatch"]


@dataclass(frozen=True, slots=True)
class IntervalEnd:
    """Say that an interval is over.

    Attributes:
        start, end: int64 ns UTC.
        outcome: ``final`` (there is a candle), ``no_ticks``, ``gap`` (the feed was known to be down), or ``closed``
            (the market was).
        candle: the final candle, or None.
    """

    symbol: str
    source: str
    timeframe: str
    start: int
    end: int
    outcome: str
    candle: Candle | None


class IntervalWatch:
    """Follow the watermark of one stream and emit what it closes."""

    def __init__(self, hub: DataHub, symbols: list[str] | None, timeframes: list[Timeframe], position: int) -> None:
        self._hub = hub
        self._wanted = None if symbols is None else {hub._names.canonical(symbol) for symbol in symbols}
        self._timeframes = timeframes
        self._open: dict[tuple[int, int], int] = {}  # (channel, timeframe) -> start of the interval not yet reported
        self._grace_ns = int(hub._hub_state()["grace_ns"])
        self._ts_event_max: dict[int, int] = {}
        self._by_ticks = _ticks_close(hub, position)
        self._first_seen: dict[tuple[int, int], dict[int, int]] = {}  # start of an interval -> seq of its first tick
        self._seen_to = position
        self._calendars: dict[int, Calendar] = {}

    def after_ticks(self, rows: npt.NDArray[Any]) -> list[IntervalEnd]:
        """Take up the instruments that ticked; without a server, their ticks also close what is behind them."""
        if not len(rows):
            return []
        hub = self._hub
        channels = hub._channels()
        out: list[IntervalEnd] = []
        self._seen_to = int(rows["seq"][-1]) + 1
        pairs = np.unique(rows[["instrument", "source"]])
        for instrument, source in pairs.tolist():
            mine = rows[(rows["instrument"] == instrument) & (rows["source"] == source)]
            channel = channels.index((instrument, source))
            for frame in self._timeframes:
                key = (channel, frame.index)
                starts = intervals_of(frame, mine["ts_event"], self._week_days(channel))[0]
                self._open.setdefault(key, int(starts.min()))
                first_seen = self._first_seen.setdefault(key, {})
                for start, row in zip(*np.unique(starts, return_index=True), strict=True):
                    if start >= self._open[key]:
                        first_seen.setdefault(int(start), int(mine["seq"][row]))
            top = max(self._ts_event_max.get(channel, NEVER), int(mine["ts_event"].max()))
            self._ts_event_max[channel] = top
            if self._by_ticks:
                out += self._close(channel, top - self._grace_ns)
        return sorted(out, key=lambda event: event.end)

    def after_watermark(self, kind: int, watermark_ns: int, flags: int, payload: bytes) -> list[IntervalEnd]:
        """Close every interval that ended by the watermark; a new clock starts a new time line."""
        if kind == Kind.CLOCK:
            self._by_ticks = CLOCK_STRUCT.unpack(payload)[1] == WATERMARK_TICKS
            if not flags & SAME_TIME_LINE:
                self._open.clear()
                self._first_seen.clear()
                self._ts_event_max.clear()
            return []
        out: list[IntervalEnd] = []
        for channel in {channel for channel, _ in self._open}:
            out += self._close(channel, watermark_ns)
        return sorted(out, key=lambda event: event.end)

    def _close(self, channel: int, watermark_ns: int) -> Iterator[IntervalEnd]:
        for frame in self._timeframes:
            start = self._open.get((channel, frame.index))
            if start is None:
                continue
            start, end = self._interval(channel, frame, start)
            while end <= watermark_ns:
                yield self._event(channel, frame, start, end)
                start, end = self._interval(channel, frame, self._next(channel, frame, start, end))
            self._open[channel, frame.index] = start

    def _next(self, channel: int, frame: Timeframe, start: int, end: int) -> int:
        """Find an instant of the interval after this one: a week that closes on Friday goes on at Sunday's start."""
        return start + frame.span_ns + 3_600_000_000_000 if frame.name == "1w" else end

    def _interval(self, channel: int, frame: Timeframe, ts_ns: int) -> tuple[int, int]:
        return interval_of(frame, ts_ns, self._week_days(channel))

    def _week_days(self, channel: int) -> int:
        instrument = self._hub._channels()[channel][0]
        return int(np.frombuffer(self._hub._instrument(instrument), INSTRUMENT)[0]["week_days"])

    def _event(self, channel: int, frame: Timeframe, start: int, end: int) -> IntervalEnd:
        hub = self._hub
        instrument, source = hub._channels()[channel]
        row = np.frombuffer(hub._instrument(instrument), INSTRUMENT)[0]
        body = np.empty(1, CANDLE)
        found = hub._read_candles(channel, frame.index, 1, start, start + 1, True, body.view(np.uint8))
        first = self._first_seen.get((channel, frame.index), {}).pop(start, None)
        if not found and first is not None:  # this reader is slow, and the candle has left its ring
            raw = hub._history(channel, frame.index, first, self._seen_to, start, start + 1, 1, True)
            found, body = len(raw), np.frombuffer(bytearray(raw), CANDLE)
        candle = hub._candle_objects(body.view(np.uint8))[0] if found else None
        return IntervalEnd(
            symbol=row["symbol"].decode(),
            source=hub.sources[source],
            timeframe=frame.name,
            start=start,
            end=end,
            outcome="final" if candle else self._outcome(channel, int(row["calendar"]), start, end),
            candle=candle,
        )

    def _outcome(self, channel: int, calendar: int, start: int, end: int) -> str:
        """Say why there is no candle."""
        if calendar not in self._calendars:
            self._calendars[calendar] = calendar_of(CalendarId(calendar))
        market = self._calendars[calendar]
        opens = market.next_open(start)
        if not bool(market.is_open(start)) and (opens is None or opens >= end):
            return "closed"
        _, rare = channel_state(self._hub, channel)
        if int(rare["gap_start"]) != NEVER and int(rare["gap_start"]) < end and int(rare["gap_end"]) > start:
            return "gap"
        return "no_ticks"


def _ticks_close(hub: DataHub, position: int) -> bool:
    """Tell whether ticks, not a server, closed intervals at a line of the log: the last clock record before says."""
    state = hub._hub_state()
    line = int(state["oldest"])
    if position >= hub.head or line >= int(state["segment_lines"]):  # the beginning of the log may be gone
        return not int(state["watermark_mode"])
    by_ticks = True
    while line < position:
        after, _, _, clock, _ = hub._scan(line, position, b"", 1 << Kind.CLOCK, NEVER, EVER, np.empty(0, np.uint8))
        record = hub._record(clock) if clock else None
        if record:
            by_ticks = CLOCK_STRUCT.unpack(record[10])[1] == WATERMARK_TICKS
        if after <= line:
            break
        line = after
    return by_ticks
