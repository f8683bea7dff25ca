"""An IG collector in a process of its own, at the simulated venue: to be killed at any moment."""

import asyncio
import logging
import random
import sys

import structlog

from tapehub import DataHub
from tapehub.collector.collector import Collector
from tapehub.feeds.ig import IgFeed, Settings
from tests.servers.ig import CREDENTIALS


def main() -> None:
    """Collect into the hub at argv[1] from the REST address argv[2], the symbols argv[3:]."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL), cache_logger_on_first_use=True
    )
    with DataHub.open(sys.argv[1], name="collector") as hub:
        settings = Settings(lend=False, states=False, candles=False)
        feed = IgFeed(
            sys.argv[3:], credentials=CREDENTIALS, now=hub.now, rng=random.Random(1), base_url=sys.argv[2],
            settings=settings,
        )  # fmt: skip
        asyncio.run(Collector(hub, feed, random=random.Random(1)).run())


if __name__ == "__main__":
    main()
