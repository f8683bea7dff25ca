"""A collector in a process of its own, over a feed that never ends: to be killed at any moment."""

import asyncio
import logging
import random
import sys
from collections.abc import AsyncGenerator

import numpy as np
import structlog

from tapehub import DataHub
from tapehub.collector.collector import Collector
from tapehub.feeds.feed import Event, Feed, Guarantees, Quotes, Status, StatusKind, empty_quotes


class Endless(Feed):
    """Numbered quotes, a few at a time, as fast as they are taken; the price tells the number."""

    def __init__(self, first: int) -> None:
        self.name = "endless"
        self.symbols = ("EUR_USD", "USD_JPY")
        self.guarantees = Guarantees(ordered=True, heartbeat=True)
        self._next = first

    async def events(self) -> AsyncGenerator[Event, None]:
        yield Status(StatusKind.CONNECTED, self.symbols)
        now = int(sys.argv[2])
        while True:
            records = empty_quotes(7)
            numbers = self._next + np.arange(7)
            records["instrument"] = numbers % 2
            records["ts_event"] = now + numbers * 1_000_000
            records["bid"] = np.where(numbers % 2, 150.0, 1.1) + numbers % 1000 * 1e-6
            records["ask"] = records["bid"] + 1e-5
            if self._next % 5 == 0:
                records["ask"][3] = 0.0
            self._next += 7
            yield Quotes(records, self.symbols, (self.name,) * 2)
            await asyncio.sleep(0)


def main() -> None:
    """Collect into the hub at argv[1], numbers from argv[3] on."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL), cache_logger_on_first_use=True
    )
    with DataHub.open(sys.argv[1], name="collector") as hub:
        collector = Collector(hub, Endless(int(sys.argv[3])), random=random.Random(1))
        print("ready", flush=True)
        asyncio.run(collector.run())


if __name__ == "__main__":
    main()
