"""Exactly one event at the end of every interval, on time, also when no tick came.

Derived by each reader from the log, so that a quiet instrument costs the hub nothing. Which record closes an interval,
and what its candle is then, is decided record by record (native/include/tapehub/intervals.hpp): every reader gets the
same events, however it polls, wherever it began and whatever the views hold by now.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tapehub._native import Intervals
from tapehub.hub import calendars
from tapehub.model.records import INSTRUMENT
from tapehub.model.timeframes import TIMEFRAMES, Timeframe

if TYPE_CHECKING:
    from tapehub._native import Candle
    from tapehub.hub.datahub import DataHub

__all__ = ["IntervalEnd", "IntervalWatch"]

Ended = tuple[int, int, int, int, bool, bytes | None]


@dataclass(frozen=True, slots=True)
class IntervalEnd:
    """Say that an interval is over.

    Attributes:
        start, end: int64 ns UTC.
        outcome: ``final`` (there is a candle), ``no_ticks``, ``gap`` (the feed was known to be down), or ``closed``
            (the market was).
        candle: the candle as it was when its interval closed, or None. Its ``seq`` is that of the record that closed
            it; what revises it later is announced by records of their own.
    """

    symbol: str
    source: str
    timeframe: str
    start: int
    end: int
    outcome: str
    candle: Candle | None


class IntervalWatch:
    """Follow the log for one stream and emit what its records close.

    Args:
        channels: mask of the channels that are followed; empty for all.
        position: the line that is read next; None for the head of the log.

    Attributes:
        position: that line. What is before it was taken up: at the head from the views, elsewhere from the log.
    """

    def __init__(self, hub: DataHub, channels: bytes, timeframes: list[Timeframe], position: int | None) -> None:
        self._hub = hub
        self._frames = [frame.index for frame in timeframes]
        seeded = self._begun(channels).seed() if position is None else 0
        self.position = seeded or (hub.head if position is None else position)
        if not seeded:
            self.begin(channels, self.position)

    def _begun(self, channels: bytes) -> Intervals:
        self._fold = Intervals(self._hub, self._frames)
        self.want(channels)
        return self._fold

    def begin(self, channels: bytes, position: int) -> None:
        """Begin anew at a line of the log: what is before it is read once more, and nothing said of it."""
        oldest = int(self._hub._hub_state()["oldest"])
        self._begun(channels).replay(oldest, max(oldest, position))

    def want(self, channels: bytes) -> None:
        """Follow other channels from here on."""
        self._channels = channels
        self._fold.want(channels)

    def after_ticks(self, rows: npt.NDArray[Any]) -> list[IntervalEnd]:
        """Take up ticks, and give the intervals that each of them closed where no server closes them."""
        return self._told(self._fold.ticks(rows.view(np.uint8))) if len(rows) else []

    def after_record(self, line: int) -> list[IntervalEnd]:
        """Take up a record of another kind, and give the intervals that it closed."""
        return self._told(self._fold.record(line))

    def _told(self, ended: list[Ended]) -> list[IntervalEnd]:
        if not ended:
            return []
        hub, channels, sources = self._hub, self._hub._channels(), self._hub.sources
        bodies = b"".join(one[5] for one in ended if one[5] is not None)
        candles = iter(hub._candle_objects(np.frombuffer(bodies, np.uint8)))
        rows: dict[int, Any] = {}
        out = []
        for channel, frame, start, end, in_gap, body in ended:
            instrument, source = channels[channel]
            if instrument not in rows:
                rows[instrument] = np.frombuffer(hub._instrument(instrument), INSTRUMENT)[0]
            row, candle = rows[instrument], None
            if body is not None:
                candle, outcome = next(candles), "final"
            elif self._is_closed(int(row["calendar"]), start, end):
                outcome = "closed"
            else:
                outcome = "gap" if in_gap else "no_ticks"
            name = row["symbol"].decode()
            out.append(IntervalEnd(name, sources[source], TIMEFRAMES[frame].name, start, end, outcome, candle))
        return out

    def _is_closed(self, calendar: int, start: int, end: int) -> bool:
        market = calendars.sessions(self._hub, calendar)
        opens = market.next_open(start)
        return not market.is_open(start) and (opens is None or opens >= end)
