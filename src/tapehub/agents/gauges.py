"""Indicators over the final candles of an instrument, made anew when candles come in from behind.

A collector fills in history minutes after agents began. Such candles are no events, as nothing happened when they
came; but an average that has not seen them is another average.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from tapehub._native import Candle
    from tapehub.agents.context import Context

__all__ = ["Gauges"]


class Fed(Protocol):
    """Take candles, one at a time."""

    def add(self, candle: Candle) -> None: ...


_F = TypeVar("_F", bound=Fed)


class Gauges(Generic[_F]):
    """Keep what is fed one instrument's final 1-minute candles.

    Args:
        make: makes it, empty.
        history: candles it is made anew from, at most.
    """

    def __init__(self, make: Callable[[], _F], history: int) -> None:
        self._make = make
        self._history = history
        self._fed: deque[int] = deque(maxlen=history)  # opens of what it was fed, oldest first
        self.value = make()

    def begin(self, ctx: Context, symbol: str) -> None:
        """Feed it the candles there are."""
        self._feed(ctx.candles(symbol, "1m", self._history))

    def take(self, ctx: Context, candle: Candle) -> _F:
        """Feed it a candle that has just become final, and give it.

        Anew, unless the candles there are now are those that it was fed, and this one: a count tells nothing once
        there are as many as are kept, and the newest but one says nothing of a hole before it.
        """
        rows = ctx.candles(candle.symbol, "1m", self._history)
        before = [row.ts_event for row in rows[:-1]]
        if before == list(self._fed)[-len(before) :] if before else not self._fed:
            self._feed([candle])
        else:
            self.value = self._make()
            self._fed.clear()
            self._feed(rows)
        return self.value

    def _feed(self, rows: list[Candle]) -> None:
        for row in rows:
            self.value.add(row)
            self._fed.append(row.ts_event)
