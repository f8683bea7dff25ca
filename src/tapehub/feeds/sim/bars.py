"""Candles as arrays: made of quotes, or of shorter candles; and the minutes of a source, each made once."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tapehub.feeds.feed import Records
from tapehub.feeds.sim.source import Source

__all__ = ["Bars", "Minutes", "bars_of", "longer"]

_MINUTE = 60_000_000_000
_BLOCK = 15 * _MINUTE
_BLOCKS_MAX = 20_000  # of a kilobyte: 200 days of an instrument

Ns = npt.NDArray[np.int64]


class Bars(NamedTuple):
    """Hold candles, oldest first, without those that had no tick.

    Attributes:
        starts: shape (n,), ns UTC.
        prices: shape (n, 2, 4): bid and ask; open, high, low, close, in market units.
        counts: shape (n,): ticks.
    """

    starts: Ns
    prices: npt.NDArray[np.float64]
    counts: Ns

    def part(self, chosen: slice | npt.NDArray[np.bool_]) -> Bars:
        """Take some of them."""
        return Bars(self.starts[chosen], self.prices[chosen], self.counts[chosen])


def bars_of(quotes: Records, starts: Ns) -> Bars:
    """Make candles of quotes in order of time.

    Args:
        starts: shape (n,): where the interval of each quote begins.
    """
    cuts, last = _runs(starts)
    prices = np.empty((len(cuts), 2, 4))
    for side, name in enumerate(("bid", "ask")):
        price = np.ascontiguousarray(quotes[name])
        if len(cuts):
            prices[:, side, 0], prices[:, side, 3] = price[cuts], price[last]
            prices[:, side, 1], prices[:, side, 2] = np.maximum.reduceat(price, cuts), np.minimum.reduceat(price, cuts)
    return Bars(starts[cuts], prices, last - cuts + 1)


def longer(bars: Bars, starts: Ns) -> Bars:
    """Make candles of shorter ones.

    Args:
        starts: shape (n,): where the longer interval of each begins.
    """
    cuts, last = _runs(starts)
    if not len(cuts):
        return bars
    prices = np.empty((len(cuts), 2, 4))
    prices[:, :, 0], prices[:, :, 3] = bars.prices[cuts, :, 0], bars.prices[last, :, 3]
    prices[:, :, 1] = np.maximum.reduceat(bars.prices[:, :, 1], cuts, axis=0)
    prices[:, :, 2] = np.minimum.reduceat(bars.prices[:, :, 2], cuts, axis=0)
    return Bars(starts[cuts], prices, np.add.reduceat(bars.counts, cuts))


class Minutes:
    """Make the minutes of a source a quarter of an hour at a time, and keep those that cannot change any more.

    Any thread may call: what two make at once is the same.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._blocks: dict[tuple[str, int], Bars] = {}

    def between(self, symbol: str, start_ns: int, end_ns: int) -> Bars:
        """Give the minutes from that of `start_ns` on, of ticks before `end_ns`."""
        numbers = range(start_ns // _BLOCK, -(-end_ns // _BLOCK))
        blocks = [self._block(symbol, number, end_ns) for number in numbers]
        found = Bars(*(np.concatenate(column) for column in zip(*blocks, strict=True))) if blocks else _none()
        return found.part(found.starts >= start_ns - start_ns % _MINUTE)

    def _block(self, symbol: str, number: int, end_ns: int) -> Bars:
        kept = self._blocks.get((symbol, number))
        if kept is not None:
            return kept
        block_end = (number + 1) * _BLOCK
        quotes = self._source.window(symbol, number * _BLOCK, min(block_end, end_ns))
        made = bars_of(quotes, quotes["ts_event"] - quotes["ts_event"] % _MINUTE)
        if block_end <= end_ns:
            while len(self._blocks) >= _BLOCKS_MAX:
                self._blocks.pop(next(iter(self._blocks)), None)
            self._blocks[symbol, number] = made
        return made


def _none() -> Bars:
    nothing: npt.NDArray[Any] = np.empty(0, dtype=np.int64)
    return Bars(nothing, np.empty((0, 2, 4)), nothing)


def _runs(starts: Ns) -> tuple[Ns, Ns]:
    """Find where each run of equal values begins, and its last place."""
    if not len(starts):
        nothing = np.empty(0, dtype=np.int64)
        return nothing, nothing
    cuts = np.flatnonzero(np.diff(starts, prepend=starts[0] - 1))
    return cuts, np.append(cuts[1:], len(starts)) - 1
