"""Where the simulated venue's prices come from: made up by the seeded synthetic feed, or recorded ticks.

A source plays on from an instant, and can show any window of what it plays: the venue's history is what it quoted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Protocol

import numpy as np

from tapehub.errors import ConfigError
from tapehub.feeds.feed import Quotes, RecordedFeed, Records, empty_quotes, joined
from tapehub.feeds.synthetic import Synthetic

__all__ = ["RecordedSource", "Source", "SyntheticSource"]

_SECOND = 1_000_000_000
_BLOCK = 900 * _SECOND
_FAR = 20 * 366 * 86_400 * _SECOND


class Source(Protocol):
    """Give quotes in market units, in order of event time."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """Name the instruments."""

    def play(self, start_ns: int) -> Iterator[Quotes]:
        """Iterate over all quotes from an instant on."""

    def window(self, symbol: str, start_ns: int, end_ns: int) -> Records:
        """Show the quotes of one instrument from `start_ns` up to `end_ns`, exclusive."""


class SyntheticSource:
    """Quote made-up prices without end: the same for the same seed, whenever they are asked for."""

    def __init__(self, symbols: Iterable[str], seed: int = 1, ticks_per_s: float = 1.0) -> None:
        self._seed, self._rate = seed, ticks_per_s
        self._names = Synthetic(symbols, 0, 0, seed, ticks_per_s).symbols
        self._block = lru_cache(maxsize=256)(self._make_block)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Name the instruments."""
        return self._names

    def play(self, start_ns: int) -> Iterator[Quotes]:
        """Iterate over all quotes from an instant on, for twenty years."""
        return Synthetic(self._names, start_ns, start_ns + _FAR, self._seed, self._rate).batches()

    def window(self, symbol: str, start_ns: int, end_ns: int) -> Records:
        """Show the quotes of one instrument, made anew."""
        blocks = [self._block(symbol, number) for number in range(start_ns // _BLOCK, -(-end_ns // _BLOCK))]
        if not blocks:
            return empty_quotes(0)
        return _between(joined(blocks), start_ns, end_ns)

    def _make_block(self, symbol: str, number: int) -> Records:
        made = Synthetic([symbol], number * _BLOCK, (number + 1) * _BLOCK, self._seed, self._rate).batches()
        return next((quotes.records for quotes in made), empty_quotes(0))


class RecordedSource:
    """Play a recording, all its times moved by `shift_ns`. Of several sources of a symbol the first named is played.

    A window needs the whole recording in memory (40 bytes a tick), so it is read once, when first asked for.
    """

    def __init__(self, feed: RecordedFeed, shift_ns: int = 0) -> None:
        if not feed.symbols:
            raise ConfigError(f"feed {feed.name!r} has no symbol to quote: expected at least one")
        self._feed, self._shift_ns = feed, shift_ns
        self._whole: dict[str, Records] | None = None

    @property
    def symbols(self) -> tuple[str, ...]:
        """Name the instruments."""
        return tuple(self._feed.symbols)

    def play(self, start_ns: int) -> Iterator[Quotes]:
        """Iterate over all quotes from an instant on."""
        for quotes in self._feed.batches():
            kept = self._chosen(quotes)
            begin = int(np.searchsorted(kept["ts_event"], start_ns))
            if begin < len(kept):
                yield quotes.replace(kept[begin:])

    def window(self, symbol: str, start_ns: int, end_ns: int) -> Records:
        """Show the quotes of one instrument."""
        if self._whole is None:
            parts: dict[str, list[Records]] = {name: [] for name in self.symbols}
            for quotes in self._feed.batches():
                kept = self._chosen(quotes)
                for index in np.unique(kept["instrument"]).tolist():
                    parts[quotes.symbols[index]].append(kept[kept["instrument"] == index])
            self._whole = {name: joined(rows) if rows else empty_quotes(0) for name, rows in parts.items()}
        return _between(self._whole.get(symbol, empty_quotes(0)), start_ns, end_ns)

    def _chosen(self, quotes: Quotes) -> Records:
        records = quotes.records.copy()
        records["ts_event"] += self._shift_ns
        if len(set(quotes.symbols)) < len(quotes.symbols):
            first = [quotes.symbols.index(symbol) for symbol in quotes.symbols]
            kept = [index for index, where in enumerate(first) if index == where]
            records = records[np.isin(records["instrument"], kept)]
        return records


def _between(records: Records, start_ns: int, end_ns: int) -> Records:
    ts_event = records["ts_event"]
    begin, end = np.searchsorted(ts_event, [start_ns, end_ns])
    return records[begin:end]
