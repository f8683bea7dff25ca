"""Hand recorded quotes to an engine: a tick at a time to agents that want each, else in strides over what is quiet.

Between two moments at which anything can happen, ticks are passed by arithmetic on arrays. Such a moment is a mark at
which a candle ends or a timer is due, or a tick that finds an order past its latency, a stop, a target or a limit: that
one goes through `Engine.tick` like any other. Candles are cut out of a whole batch at once (`segments`), and what was
passed is taken into a market when somebody looks at it. Both ways give the same outputs; a property test says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from tapehub._native import recorded_ticks
from tapehub.agents.segments import Segments
from tapehub.model.records import TICK

if TYPE_CHECKING:
    from tapehub._native import Tick
    from tapehub.agents.engine import Engine
    from tapehub.agents.market import Levels, Market
    from tapehub.feeds.quotes import Quotes

__all__ = ["ArrayDriver"]

_BLOCK: Final = 256
_EVER: Final = (1 << 63) - 1


class ArrayDriver:
    """Drive an engine with recorded quotes. One thread.

    Quotes have no sequences: each gets the next one here. The log's time is their event time.

    Args:
        by_tick: hand over every tick, also where no agent wants it.
    """

    def __init__(self, engine: Engine, *, by_tick: bool = False) -> None:
        self._engine = engine
        self._by_tick = by_tick or engine.ticks_wanted
        self.seq = 0
        self.passed = 0
        """Rows of the batch that lie behind."""
        self._lines: npt.NDArray[Any] = np.empty(0, TICK)
        self._names: tuple[list[str], list[str], list[float]] = ([], [], [])

    def feed(self, quotes: Quotes) -> None:
        """Hand over quotes, in order of event time."""
        records, markets = quotes.records, self._engine.markets
        lines = np.zeros(len(records), TICK)
        for name in ("ts_event", "bid", "ask", "bid_size", "ask_size", "instrument"):
            lines[name] = records[name]
        lines["seq"] = np.arange(self.seq + 1, self.seq + 1 + len(records), dtype=np.uint64)
        lines["ts_publish"] = lines["ts_event"]
        self.seq += len(records)
        known = np.array([name in markets for name in quotes.symbols])
        if not known.all():
            lines = lines[known[lines["instrument"]]]
        if not len(lines):
            return
        self._lines = lines
        pips = [markets[name].instrument.pip_size if name in markets else 0.0 for name in quotes.symbols]
        self._names = (list(quotes.symbols), list(quotes.sources), pips)
        if self._by_tick:
            tick = self._engine.tick
            for one in self.ticks(0, len(lines)):
                tick(one)
        else:
            self._stride(self._lanes(quotes))

    def ticks(self, begin: int, end: int) -> list[Tick]:
        """Make the ticks of some rows."""
        return recorded_ticks(self._lines[begin:end].view(np.uint8), *self._names)

    def _stride(self, lanes: Sequence[_Lane]) -> None:
        engine, count = self._engine, len(self._lines)
        times = np.ascontiguousarray(self._lines["ts_publish"])
        seqs = self._lines["seq"]
        self.passed = passed = 0
        for lane in lanes:
            lane.attach()
        try:
            while passed < count:
                stop = count
                if engine.wake <= times[-1]:
                    stop = int(times.searchsorted(engine.wake))
                    stop = max(stop, passed)
                for lane in lanes:
                    if lane.market.watched:
                        stop = min(stop, lane.next_stop(passed))
                self.passed = passed = stop
                if stop == count:
                    break
                now = int(times[stop])
                if now >= engine.wake:
                    engine.moment(now, int(seqs[stop]))
                    continue
                engine.tick(self.ticks(stop, stop + 1)[0])
                self.passed = passed = stop + 1
        finally:
            for lane in lanes:
                lane.detach()
        engine.moment(int(times[-1]), int(seqs[-1]))

    def _lanes(self, quotes: Quotes) -> list[_Lane]:
        """Sort the rows by instrument; of several sources of one, the one the run goes by is read."""
        engine, lines = self._engine, self._lines
        rows = lines["instrument"]
        of = {int(number): np.flatnonzero(rows == number) for number in np.unique(rows)}
        lanes = []
        for number, at in sorted(of.items(), key=lambda one: int(one[1][0])):
            market = engine.markets[quotes.symbols[number]]
            if not market.source:
                engine.settle_source(market, quotes.sources[number])
            if market.source == quotes.sources[number]:
                lanes.append(_Lane(market, at, lines, self))
        return lanes


class _Lane:
    """The rows of one instrument, and how far they were taken into its market."""

    def __init__(self, market: Market, at: npt.NDArray[np.int64], lines: npt.NDArray[Any], driver: ArrayDriver) -> None:
        self.market = market
        self._driver = driver
        self._at = at
        self._times, self._bid, self._ask = (
            np.ascontiguousarray(lines[name][at]) for name in ("ts_event", "bid", "ask")
        )
        self._seqs = lines["seq"]
        self._quoted = 0  # rows whose quotes the market has taken up
        self._levels: Levels | None = None
        self._found = -1
        self._changed: npt.NDArray[np.int64] | None = None

    def attach(self) -> None:
        """Let the market take its quotes and candles from here."""
        market = self.market
        market.behind = self._catch_up
        if market.series:
            price: npt.NDArray[np.float64] = market.prices(self._bid, self._ask)  # type: ignore[arg-type,assignment]
            seqs = self._seqs[self._at]
            for series in market.series:
                series.rest = Segments(series, self._times, price, seqs, self._rows_passed)

    def detach(self) -> None:
        """Take in what is left of the batch."""
        market = self.market
        market.tick()
        market.behind = market.make_tick = None
        for series in market.series:
            if series.rest is not None:
                series.rest.take_all()
                series.rest = None

    def _rows_passed(self) -> int:
        return int(self._at.searchsorted(self._driver.passed))

    def next_stop(self, passed: int) -> int:
        """Give the row of the batch whose quote next concerns the broker; one beyond the batch when none does."""
        begin = int(self._at.searchsorted(passed))
        found = self._concerned(begin)
        return int(self._at[found]) if found < len(self._at) else _EVER

    def _concerned(self, begin: int) -> int:
        """Find the first row at the broker's levels; what was found before holds as long as they do."""
        levels = self.market.levels
        if levels == self._levels and self._found >= begin:
            return self._found
        self._levels = levels
        low_bid, high_bid, low_ask, high_ask, due = levels
        last = len(self._at) if due == _EVER else max(begin, int(self._times.searchsorted(due)))
        block = _BLOCK
        while begin < last:
            stop = min(begin + block, last)
            bid, ask = self._bid[begin:stop], self._ask[begin:stop]
            hit = (bid <= low_bid) | (bid >= high_bid) | (ask <= low_ask) | (ask >= high_ask)
            first = int(hit.argmax())
            if hit[first]:
                last = begin + first
                break
            begin, block = stop, block * 4
        self._found = last
        return last

    def _catch_up(self) -> None:
        """Take up the quotes that have been passed."""
        passed = self._rows_passed()
        if passed <= self._quoted:
            return
        self._quoted = passed
        market, last = self.market, passed - 1
        if self._changed is None:
            self._changed = self._changes()
        changed = int(self._changed[last])
        if changed >= 0:
            market.changed_ns = int(self._times[changed])
        market.bid, market.ask = float(self._bid[last]), float(self._ask[last])
        market.ts_event = market.seen_ns = int(self._times[last])
        row = int(self._at[last])
        market.seq = int(self._seqs[row])
        market.tick_object = None
        market.make_tick = partial(self._tick, row)

    def _tick(self, row: int) -> Tick:
        return self._driver.ticks(row, row + 1)[0]

    def _changes(self) -> npt.NDArray[np.int64]:
        """Give, for each row, the last up to it that differs from the one before; -1 where none does."""
        bid, ask, market = self._bid, self._ask, self.market
        differs = np.empty(len(bid), np.bool_)
        differs[1:] = (bid[1:] != bid[:-1]) | (ask[1:] != ask[:-1])
        differs[0] = bid[0] != market.bid or ask[0] != market.ask or not market.seq
        rows = np.where(differs, np.arange(len(bid)), -1)
        return np.maximum.accumulate(rows)
