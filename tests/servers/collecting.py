"""A collector in a process of its own, over a feed that never ends: to be killed at any moment."""

import asyncio
import logging
import os
import random
import struct
import sys
from collections.abc import AsyncGenerator

import numpy as np
import structlog

from tapehub import DataHub
from tapehub.collector.collector import Collector
from tapehub.feeds.feed import Event, Feed, Guarantees, Quotes, Records, Status, StatusKind, empty_quotes

BATCH = 7
ACK = struct.Struct("<q")  # the first number of a batch that was worked off


class Endless(Feed):
    """Numbered quotes, a few at a time, as fast as they are taken; the price tells the number.

    Args:
        began_ns: event time of number 0.
        acks: descriptor of a file; a batch is noted in it once the collector comes back for the next.
    """

    def __init__(self, first: int, began_ns: int, acks: int = -1) -> None:
        self.name = "endless"
        self.symbols = ("EUR_USD", "USD_JPY")
        self.guarantees = Guarantees(ordered=True, heartbeat=True)
        self._next = first
        self._began_ns = began_ns
        self._acks = acks

    async def events(self) -> AsyncGenerator[Event, None]:
        yield Status(StatusKind.CONNECTED, self.symbols)
        while True:
            first, self._next = self._next, self._next + BATCH
            yield Quotes(numbered(first, self._began_ns), self.symbols, (self.name,) * 2)
            if self._acks >= 0:
                os.write(self._acks, ACK.pack(first))
            await asyncio.sleep(0)


def numbered(first: int, began_ns: int) -> Records:
    """Make the batch that begins with a number; one row of every fifth batch is no quote."""
    records = empty_quotes(BATCH)
    numbers = first + np.arange(BATCH)
    records["instrument"] = numbers % 2
    records["ts_event"] = began_ns + numbers * 1_000_000
    records["bid"] = np.where(numbers % 2, 150.0, 1.1) + numbers % 1000 * 1e-6
    records["ask"] = records["bid"] + 1e-5
    if first % 5 == 0:
        records["ask"][3] = 0.0
    return records


def collect(path: str, began_ns: int, first: int, acks: str = "") -> None:
    """Collect into a hub, numbers from `first` on, until killed."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL), cache_logger_on_first_use=True
    )
    noted = os.open(acks, os.O_WRONLY | os.O_CREAT | os.O_APPEND) if acks else -1
    with DataHub.open(path, name="collector") as hub:
        collector = Collector(hub, Endless(first, began_ns, noted), random=random.Random(1))
        if not acks:
            print("ready", flush=True)
        asyncio.run(collector.run())


if __name__ == "__main__":
    collect(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
