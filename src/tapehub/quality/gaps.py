"""Keep the book of gaps: spans of open market in which ticks are missing, why, and what became of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from tapehub.model.sessions import Sessions
from tapehub.model.states import GapStatus
from tapehub.quality.liveness import Key

__all__ = ["Gap", "GapBook"]


@dataclass(frozen=True, slots=True)
class Gap:
    """Name a span without a live feed.

    Attributes:
        start: event time of the last tick before it, or when the market opened.
        end: event time of the first tick after it, or when the market closed; None while it lasts.
    """

    symbol: str
    source: str
    start: int
    end: int | None
    cause: str
    status: GapStatus = GapStatus.OPEN


class GapBook:
    """Hold the gaps that still last. One thread; the finished ones are the hub's.

    A closed market is never a gap: what spans one is cut, so that one outage from Friday to Sunday gives two gaps, one
    before the close and one after the opening.

    Args:
        calendar_of: the calendar of a symbol.
    """

    def __init__(self, calendar_of: Callable[[str], Sessions]) -> None:
        self._calendar_of = calendar_of
        self.lasting: dict[Key, Gap] = {}
        """Those that last, for whoever looks up one for each tick."""

    def __len__(self) -> int:
        return len(self.lasting)

    def __contains__(self, key: Key) -> bool:
        return key in self.lasting

    def begin(self, key: Key, since_ns: int, now_ns: int, cause: str) -> list[Gap]:
        """Begin a gap, unless one lasts already.

        Returns:
            The gaps to record: those that a market's closing since then has ended, and the one that lasts.
        """
        if key in self.lasting:
            return []
        out: list[Gap] = []
        # Up to and including now: by a clock that follows the events, the last tick is now.
        for start, end in self._sessions(key[0], min(since_ns, now_ns), now_ns + 1):
            gap = Gap(*key, start, end if end <= now_ns else None, cause)
            if gap.end is None:
                self.lasting[key] = gap
            out.append(gap)
        return out

    def resume(self, gap: Gap) -> None:
        """Take up a gap that an earlier process began and did not live to end."""
        self.lasting[gap.symbol, gap.source] = replace(gap, end=None)

    def end(self, key: Key, at_ns: int) -> list[Gap]:
        """End a gap with the first tick after it, or with the market's closing.

        Args:
            at_ns: event time of the tick, or when the venue said that it closed.

        Returns:
            The gap, finished; several when the market was closed in between; none when it turns out to be empty.
        """
        gap = self.lasting.get(key)
        if gap is None or at_ns <= gap.start:  # a tick that came late ends nothing
            return []
        del self.lasting[key]
        spans = self._sessions(key[0], gap.start, at_ns)
        # The first keeps its start, by which the hub knows it, even when it turns out to be empty.
        if not spans or spans[0][0] != gap.start:
            spans.insert(0, (gap.start, gap.start))
        return [replace(gap, start=start, end=min(end, at_ns)) for start, end in spans]

    def closed(self, key: Key, since_ns: int, at_ns: int, cause: str) -> list[Gap]:
        """End a gap since the venue says that the market is closed, as it was from `since_ns` on.

        Returns:
            The gap, finished: one that began no earlier was none.
        """
        gap = self.lasting.get(key)
        if gap is None or gap.start < since_ns:
            return self.end(key, at_ns)
        del self.lasting[key]
        return [replace(gap, end=max(gap.start, at_ns), cause=cause, status=GapStatus.CLOSED_MARKET)]

    def on_time(self, now_ns: int) -> list[Gap]:
        """End the gaps whose market has closed by the calendar; the rest of the outage begins anew when it opens."""
        out: list[Gap] = []
        for key, gap in list(self.lasting.items()):
            closes = self._calendar_of(key[0]).next_close(gap.start)
            if closes is not None and closes <= now_ns:
                del self.lasting[key]
                out.append(replace(gap, end=closes))
        return out

    def _sessions(self, symbol: str, start: int, end: int) -> list[tuple[int, int]]:
        """Cut a span to the sessions in it; the last one ends with the session, which may be after `end`."""
        calendar = self._calendar_of(symbol)
        out: list[tuple[int, int]] = []
        at: int | None = start if calendar.is_open(start) else calendar.next_open(start)
        while at is not None and at < end:
            closes = calendar.next_close(at)
            out.append((at, _EVER if closes is None else closes))
            at = None if closes is None else calendar.next_open(closes - 1)
        return out


_EVER = (1 << 63) - 1
