"""A recorded or made-up series as if it happened now: each quote goes out when the clock reaches its event time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator

import numpy as np

from tapehub.feeds.feed import Event, Feed, Guarantees, Quotes, Status, StatusKind

__all__ = ["Paced"]

_NAP_S = 0.25


class Paced(Feed):
    """Let a series flow at its own pace. Any number of iterations, each from its own beginning.

    Order and loss: as the series has it. Nothing is ahead of the clock that judges it; what fell behind goes at once,
    so delays do not add up.

    Args:
        symbols: what comes from this feed as its source; none where the quotes name others, as recordings do.
        begin: makes the series that starts at an instant (ns UTC), in order of event time. Called anew for each
            iteration, so that a feed that is started again goes on from the present.
        now: the hub clock, ns UTC.
    """

    def __init__(
        self, name: str, symbols: Iterable[str], begin: Callable[[int], Iterator[Quotes]], now: Callable[[], int]
    ) -> None:
        self.name = name
        self.symbols = tuple(symbols)
        self.guarantees = Guarantees(ordered=True, merged=True)
        self._begin = begin
        self._now = now

    async def events(self) -> AsyncGenerator[Event, None]:
        """Iterate over what is due, then say ENDED."""
        yield Status(StatusKind.CONNECTED, self.symbols)
        for batch in self._begin(self._now()):
            ts_event = batch.records["ts_event"]
            sent = 0
            while sent < len(ts_event):
                ready = int(np.searchsorted(ts_event, self._now(), side="right"))
                if ready > sent:
                    yield batch.replace(batch.records[sent:ready])
                    sent = ready
                # In naps, since the clock may be set anew; also after a quote, so that other tasks have their turn.
                left_s = (int(ts_event[sent]) - self._now()) / 1e9 if sent < len(ts_event) else 0.0
                await asyncio.sleep(min(max(left_s, 0.0005), _NAP_S))
        yield Status(StatusKind.ENDED, self.symbols)
