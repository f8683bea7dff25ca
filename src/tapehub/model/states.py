"""How far an instrument's data can be trusted, and what became of the spans without any. Numbers are stored: append."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["GapStatus", "State"]


class State(IntEnum):
    """Name the liveness of one instrument from one source.

    Nothing recorded is `UNVERIFIED`: ticks come from callers, without proof from a venue. A symbol without any tick is
    shown as ``empty``, which is no state of a feed and is never stored.
    """

    UNVERIFIED = 0
    LIVE = 1
    QUIET = 2  # the market is slow, the transport is fine
    STALE = 3  # silent for too long while others flow, or the heartbeat stopped
    DEAD = 4  # the transport is gone, or nobody watches any more
    CLOSED = 5  # the market is

    @property
    def label(self) -> str:
        """Give the name shown to people, such as ``stale``."""
        return self.name.lower()

    @property
    def is_fresh(self) -> bool:
        """Tell whether data in this state may be acted upon; what is unverified is judged by its age alone."""
        return self < State.STALE

    @property
    def is_outage(self) -> bool:
        """Tell whether data are missing although the market is open."""
        return self is State.STALE or self is State.DEAD


class GapStatus(IntEnum):
    """Say what became of a span without a live feed."""

    OPEN = 0  # its ticks are missing
    FILLED = 1  # with candles from the venue's history
    UNFILLABLE = 2  # the venue has none either
    CLOSED_MARKET = 3  # it turned out that nothing traded

    @property
    def label(self) -> str:
        """Give the name shown to people, such as ``closed_market``."""
        return self.name.lower()
