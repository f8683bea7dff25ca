"""What the simulated venue quotes at the moment: last prices, the day's range, the market's state, candles.

All in market units; a `Contract` says how each epic shows them. One author, the venue, calls `take` in order of time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tapehub.feeds.sim.contracts import Contract
from tapehub.feeds.sim.source import Source
from tapehub.model.calendars import Calendar, interval_of
from tapehub.model.instruments import InstrumentBook

__all__ = ["FRAMES", "Candle", "Day", "Market", "Tick", "status_of"]

_SECOND = 1_000_000_000
FRAMES: Mapping[str, int] = {
    "SECOND": _SECOND,
    "1MINUTE": 60 * _SECOND,
    "5MINUTE": 300 * _SECOND,
    "HOUR": 3600 * _SECOND,
}
"""Candle items the venue streams, and their spans; all begin at multiples of the span since 1970, UTC."""


class Tick(NamedTuple):
    """Hold a quote of the venue, in market units."""

    symbol: str
    ts_event: int
    bid: float
    ask: float
    bid_size: float = 0.0
    ask_size: float = 0.0


@dataclass(slots=True)
class Day:
    """Hold a trading day's range, of mid prices."""

    end_ns: int
    open: float
    high: float
    low: float


@dataclass(slots=True)
class Candle:
    """Hold a forming candle: open, high, low, close of bid and of ask."""

    start_ns: int
    end_ns: int
    bid: list[float]
    ask: list[float]
    ticks: int = 0

    def add(self, bid: float, ask: float) -> None:
        """Take a tick in."""
        for side, price in ((self.bid, bid), (self.ask, ask)):
            side[1] = max(side[1], price)
            side[2] = min(side[2], price)
            side[3] = price
        self.ticks += 1


class Market:
    """Hold the state of every instrument the source plays."""

    def __init__(self, source: Source, start_ns: int, *, book: InstrumentBook | None = None, always: bool) -> None:
        self._source = source
        self._always = always
        book = book or InstrumentBook()
        self._calendars = {symbol: Calendar(book.find(symbol).calendar) for symbol in source.symbols}
        self._last: dict[str, Tick | None] = {}
        self._days: dict[str, Day] = {}
        self._candles: dict[tuple[str, str], Candle] = {}
        self._frames: dict[str, list[str]] = {}
        self._sessions: dict[str, tuple[int, int, bool]] = {}
        self.now_ns = start_ns

    def last(self, symbol: str) -> Tick | None:
        """Give the last quote; the one before the simulation began if there was none since."""
        if symbol not in self._last:
            self._last[symbol] = self._before(symbol)
        return self._last[symbol]

    def take(self, tick: Tick) -> None:
        """Let a quote be the last one."""
        self._last[tick.symbol] = tick
        day = self._days.get(tick.symbol)
        if day is not None:
            mid = (tick.bid + tick.ask) / 2
            if tick.ts_event >= day.end_ns:
                self._days[tick.symbol] = Day(interval_of("1d", tick.ts_event)[1], mid, mid, mid)
            else:
                day.high, day.low = max(day.high, mid), min(day.low, mid)
        for frame in self._frames.get(tick.symbol, ()):
            self._into_candle(tick, frame)

    def day(self, symbol: str) -> Day | None:
        """Give the trading day's range so far."""
        if symbol not in self._days:
            last = self.last(symbol)
            if last is None:
                return None
            start_ns, end_ns = interval_of("1d", last.ts_event)
            seen = self._source.window(symbol, start_ns, last.ts_event + 1)
            mid = (seen["bid"] + seen["ask"]) / 2 if len(seen) else np.array([(last.bid + last.ask) / 2])
            self._days[symbol] = Day(end_ns, float(mid[0]), float(mid.max()), float(mid.min()))
        return self._days[symbol]

    def follow(self, symbol: str, frame: str) -> None:
        """Build the candles of a frame from here on; the one that is forming begins with what it has already seen."""
        if frame in self._frames.setdefault(symbol, []):
            return
        self._frames[symbol].append(frame)
        last = self.last(symbol)
        if last is not None:
            start_ns = self.now_ns - self.now_ns % FRAMES[frame]
            for row in self._source.window(symbol, start_ns, self.now_ns + 1).tolist():
                if row[0] <= last.ts_event:
                    self._into_candle(Tick(symbol, row[0], row[2], row[3]), frame)

    def candle(self, symbol: str, frame: str) -> Candle | None:
        """Give the forming candle, or None when it has no tick yet."""
        return self._candles.get((symbol, frame))

    def finish(self, symbol: str, frame: str) -> None:
        """Forget a candle that has ended."""
        self._candles.pop((symbol, frame), None)

    def next_end_ns(self) -> int | None:
        """Give the earliest end of the forming candles."""
        return min(candle.end_ns for candle in self._candles.values()) if self._candles else None

    def ending(self, now_ns: int) -> list[tuple[str, str]]:
        """List (symbol, frame) of candles that have ended, in order of their ends."""
        ended = [(candle.end_ns, key) for key, candle in self._candles.items() if candle.end_ns <= now_ns]
        return [key for _, key in sorted(ended)]

    def is_open(self, symbol: str, now_ns: int) -> bool:
        """Tell whether the market trades."""
        if self._always:
            return True
        begin, end, is_open = self._sessions.get(symbol, (0, 0, False))
        if not begin <= now_ns < end:
            calendar = self._calendars[symbol]
            is_open = bool(calendar.is_open(now_ns))
            change = calendar.next_close(now_ns) if is_open else calendar.next_open(now_ns)
            end = change if change is not None else 1 << 62
            self._sessions[symbol] = (now_ns, end, is_open)
        return is_open

    def next_change_ns(self, symbol: str, now_ns: int) -> int:
        """Give the next opening or closing."""
        self.is_open(symbol, now_ns)
        return 1 << 62 if self._always else self._sessions[symbol][1]

    def _into_candle(self, tick: Tick, frame: str) -> None:
        key = (tick.symbol, frame)
        candle = self._candles.get(key)
        if candle is None or tick.ts_event >= candle.end_ns:
            start_ns = tick.ts_event - tick.ts_event % FRAMES[frame]
            candle = Candle(start_ns, start_ns + FRAMES[frame], [tick.bid] * 4, [tick.ask] * 4)
            self._candles[key] = candle
        candle.add(tick.bid, tick.ask)

    def _before(self, symbol: str) -> Tick | None:
        for hours in (0.25, 6, 72, 24 * 7):
            seen = self._source.window(symbol, self.now_ns - round(hours * 3600) * _SECOND, self.now_ns)
            if len(seen):
                row = seen[-1].item()
                return Tick(symbol, row[0], row[2], row[3], row[4], row[5])
        return None


def status_of(market: Market, contract: Contract, now_ns: int) -> str:
    """Give the word for a market's state."""
    return "TRADEABLE" if market.is_open(contract.symbol, now_ns) else "CLOSED"
