"""Run a collector until it is told to end, and say what became of what it received."""

from __future__ import annotations

import asyncio
import random
import threading
from typing import TYPE_CHECKING, Any

from tapehub.app.console import count_text
from tapehub.collector.collector import Collector
from tapehub.collector.publisher import Count

if TYPE_CHECKING:
    from tapehub.feeds.feed import Feed
    from tapehub.hub import DataHub

__all__ = ["account_text", "collect_until"]

_CHECK_S = 0.1


def collect_until(stop: threading.Event, hub: DataHub, feed: Feed, **options: Any) -> Collector:
    """Collect until told to stop, or until the feed has ended; give the collector, for its account.

    Raises:
        HubError: the hub cannot take more.
        FeedError: the feed cannot go on.
    """
    collector = Collector(hub, feed, random=random.Random(), **options)

    async def run() -> None:
        collecting = asyncio.create_task(collector.run(), name="collector")
        while not stop.is_set() and not collecting.done():
            await asyncio.wait({collecting}, timeout=_CHECK_S)
        if not collecting.done():
            collecting.cancel()
        try:
            await collecting
        except asyncio.CancelledError:
            if not stop.is_set():
                raise

    asyncio.run(run())
    return collector


def account_text(total: Count) -> str:
    """Say what came in and what became of it, in one line."""
    fates = [f"{count_text(total.published)} published", f"{count_text(total.duplicates)} duplicates"]
    if total.refused:
        fates.append(f"{count_text(total.refused)} refused")
    reasons = ", ".join(f"{reason} {count_text(number)}" for reason, number in total.quarantined.most_common())
    fates.append(f"{count_text(total.quarantined.total())} quarantined" + (f" ({reasons})" if reasons else ""))
    fates.append(f"{count_text(total.balance)} in flight")
    return f"received [bold]{count_text(total.received)}[/] ticks: {', '.join(fates)}"
