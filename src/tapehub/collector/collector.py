"""Run a feed: its events and a timer drive the core, the core's requests go back to the feed.

Each event is worked off whole before the next is awaited, so that a cancellation finds nothing half done.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tapehub.collector.core import Core
from tapehub.collector.repair import Request
from tapehub.errors import ConfigError, FeedError, HubError, MissingExtra, TapehubError
from tapehub.feeds.backoff import Backoff
from tapehub.feeds.feed import Event, Feed, LiveFeed, Quotes, Status, StatusKind
from tapehub.hub.paths import make_folder, replace_file
from tapehub.model.policies import ClockMode
from tapehub.quality import Rhythm

if TYPE_CHECKING:
    from tapehub.hub import DataHub

__all__ = ["Collector", "load_rhythm", "rhythm_path", "save_rhythm"]

TIMER_S = 0.25
"""Of real time; what the timer looks at is measured in hub time."""
RESTART_AFTER_S = (2.0, 60.0)  # the first wait before a feed that failed is started again, and the longest
RHYTHM_SAVED_EVERY_S = 600.0


class Collector:
    """Collect one feed into a hub. One task runs it.

    Args:
        random: jitter of repairs and restarts.
        sleep: waits so many seconds of real time; a test passes its own.
        log: a structlog logger, or anything with its methods.

    Raises:
        MissingExtra: no `log` is given and structlog is not installed.
    """

    def __init__(
        self,
        hub: DataHub,
        feed: Feed,
        *,
        random: random.Random,
        sleep: Callable[[float], Any] = asyncio.sleep,
        log: Any = None,
        **options: Any,
    ) -> None:
        self._hub = hub
        self._feed = feed
        self._random = random
        self._sleep = sleep
        self._log = (log or _logger()).bind(feed=feed.name)
        self.exceptions: Counter[str] = Counter()
        """Errors of the feed, and of the work on its events, by type."""
        self.restarts = 0
        options.setdefault("follows_events", int(hub._hub_state()["clock_mode"]) == ClockMode.EVENT)
        if isinstance(feed, LiveFeed) and feed.counts_received:
            feed.on_received = hub._receive
            options.setdefault("precounted", True)
        options.setdefault("rhythm", load_rhythm(hub, feed.name))
        hub._repair()  # else the last tick of a collector killed in mid-write, and the clock, are not yet seen whole
        self.core = Core(
            hub,
            feed.name,
            feed.symbols,
            random=random,
            now_ns=hub.now(),
            heartbeat=feed.guarantees.heartbeat,
            **options,
        )

    async def run(self) -> None:
        """Collect until the feed ends by itself; cancel the task to stop earlier.

        However it ends, the feed's iterator is closed and the hub says that nobody watches any more.

        Raises:
            HubError: the hub cannot take more: restart the collector when it can.
            ConfigError: the feed cannot work as it is set up, such as without credentials.
        """
        self._log.info("collecting", symbols=list(self._feed.symbols))
        timer = asyncio.create_task(self._time(), name=f"timer of {self._feed.name}")
        consumer = asyncio.create_task(self._consume(), name=f"events of {self._feed.name}")
        cause = "collector stopped"
        try:
            done, _ = await asyncio.wait({timer, consumer}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            cause = "the feed has ended"
        except TapehubError as error:
            cause = f"collector failed: {error}"
            raise
        finally:
            for task in (consumer, timer):
                task.cancel()
            await asyncio.gather(consumer, timer, return_exceptions=True)
            self._stop(cause)

    async def _consume(self) -> None:
        backoff = Backoff(self._random, *RESTART_AFTER_S)
        while True:
            try:
                async with aclosing(self._feed.events()) as events:
                    async for event in events:
                        if isinstance(event, Quotes):  # a login that works proves nothing yet
                            backoff.reset()
                        self._take(event)
                return
            except (HubError, ConfigError):
                raise  # nothing that another attempt would change
            except Exception as error:  # a feed's fault must not end the collector of the trader's night
                self._count(error, "feed failed")
                why = f"{type(error).__name__}: {error}"
                self._take(Status(StatusKind.DISCONNECTED, detail=why))
                if not isinstance(self._feed, LiveFeed) and isinstance(error, FeedError):
                    raise  # a recording that cannot be read will not be any better next time
            finally:
                if isinstance(self._feed, LiveFeed):  # closed by now, whatever ended it
                    with suppress(HubError):  # a hub that is gone counts nothing
                        self.core.publisher.left(self._feed.take_left(), self._feed.name)
            wait_s = backoff.next_s()
            self.restarts += 1
            self.core.link.on_restart(why, wait_s, self._hub.now())
            self._log.warning("starting the feed again", wait_s=round(wait_s, 1), attempt=backoff.failures)
            await self._sleep(wait_s)

    async def _time(self) -> None:
        saved_s = 0.0
        while True:
            await self._sleep(TIMER_S)
            try:
                if isinstance(self._feed, LiveFeed):
                    self.core.link.on_remarks(self._feed.remarks)
                self._ask(self.core.on_time(self._hub.now()))
                if (opened := self.core.take_opened()) and isinstance(self._feed, LiveFeed):
                    self._feed.ask_markets(opened)
            except HubError:
                raise
            except Exception as error:
                self._count(error, "timer failed")
            saved_s += TIMER_S
            if saved_s >= RHYTHM_SAVED_EVERY_S:
                saved_s = 0.0
                self._save_rhythm()

    def _take(self, event: Event) -> None:
        if isinstance(event, Status) and event.kind is not StatusKind.HEARTBEAT:
            self._log.info("feed says", status=event.kind.value, symbols=list(event.symbols), detail=event.detail)
        try:
            self.core.on_event(event, self._hub.now())
        except HubError:
            raise
        except Exception as error:
            self._count(error, "event failed")

    def _ask(self, requests: list[Request]) -> None:
        for request in requests:
            self._log.warning("repair", step=request.step.value, symbols=list(request.symbols), why=request.why)
            if isinstance(self._feed, LiveFeed):
                self._feed.repair(request.step, request.symbols)

    def _count(self, error: Exception, what: str) -> None:
        name = type(error).__name__
        self.exceptions[name] += 1
        # The first of a kind with its traceback; a feed that fails each second must not fill the disk.
        times = self.exceptions[name]
        if times <= 3 or times % 100 == 0:
            self._log.error(what, error=str(error), times=times, exc_info=error if times == 1 else None)

    def _stop(self, cause: str) -> None:
        total = self.core.publisher.total
        self._log.info(
            "stopped", cause=cause, received=total.received, published=total.published, duplicates=total.duplicates,
            quarantined=dict(total.quarantined), in_flight=total.balance,
        )  # fmt: skip
        with suppress(HubError):  # one that is gone or full: it was said already, by what brought us here
            self.core.stop(self._hub.now(), cause)
        self._save_rhythm()

    def _save_rhythm(self) -> None:
        try:
            save_rhythm(self._hub, self._feed.name, self.core.rhythm)
        except OSError as error:
            self._count(error, "what was learnt of the rhythm could not be kept")


def load_rhythm(hub: DataHub, feed: str) -> Rhythm:
    """Read what earlier runs of a feed learnt; a file that cannot be read is as good as none."""
    with suppress(OSError, ValueError, TypeError, AttributeError):
        return Rhythm.from_json(json.loads(rhythm_path(hub, feed).read_text()))
    return Rhythm()


def save_rhythm(hub: DataHub, feed: str, rhythm: Rhythm) -> None:
    """Keep what was learnt in the hub's directory."""
    path = rhythm_path(hub, feed)
    make_folder(path.parent)
    # It is learnt again, and a file that a power loss emptied is as good as none.
    replace_file(path, json.dumps(rhythm.to_json(), separators=(",", ":")), durable=False)


def rhythm_path(hub: DataHub, feed: str) -> Path:
    """Name the file that keeps a feed's rhythm; it need not exist."""
    return hub.path / "rhythm" / f"{feed}.json"


def _logger() -> Any:
    try:
        import structlog
    except ImportError:
        raise MissingExtra("structlog", "cli", "the collector's log") from None
    return structlog.get_logger("tapehub.collector")
