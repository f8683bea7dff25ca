"""Feeds: what brings a venue's quotes, live, recorded or made up, to the hub.

`feed` holds the interface, `table` one row for each feed; each feed has a folder or module of its own.
"""

from __future__ import annotations

from tapehub.feeds.feed import (
    QUOTE,
    Event,
    Feed,
    Guarantees,
    LiveFeed,
    Malformed,
    MarketStatus,
    Quotes,
    RecordedFeed,
    Repair,
    Stage,
    Status,
    StatusKind,
    VenueCandle,
)

__all__ = [
    "QUOTE",
    "Event",
    "Feed",
    "Guarantees",
    "LiveFeed",
    "Malformed",
    "MarketStatus",
    "Quotes",
    "RecordedFeed",
    "Repair",
    "Stage",
    "Status",
    "StatusKind",
    "VenueCandle",
]
