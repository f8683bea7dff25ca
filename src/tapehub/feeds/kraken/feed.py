"""The session that owns Kraken's socket: keeps it alive, notices when it is mute, opens it again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing, suppress
from random import Random

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from tapehub.errors import ConfigError, FeedError
from tapehub.feeds.backoff import Backoff
from tapehub.feeds.feed import Event, Guarantees, LiveFeed, Repair, Status, StatusKind
from tapehub.feeds.kraken.protocol import Protocol

__all__ = ["SYMBOLS", "URL", "KrakenFeed"]

URL = "wss://ws.kraken.com/v2"
SYMBOLS = ("EUR_USD", "GBP_USD", "USD_JPY", "BTC_USD")
_SETTLED_S = 30.0  # a connection that lived this long was a success; Kraken bans an address for opening too many
_CLOSE_S = 1.0  # a dead peer does not answer the close either
_FRAME_BYTES_MAX = 1 << 20


class KrakenFeed(LiveFeed):
    """Best bid and ask of Kraken's spot market, keyless. One consumer at a time, on one event loop.

    Heartbeats come about once a second when nothing else does, so silence means a dead connection: after
    `ping_after_s` a ping is sent, after `silence_s` in all the connection is given up and opened anew, with jitter and
    a ceiling on the waits. Kraken numbers no ticker messages: what is lost while disconnected is lost silently.

    Args:
        symbols: any of the instruments' names; none for `SYMBOLS`.
        url: of another server that speaks the same.
        now: ns UTC, for `ts_recv`.
        rng: draws the jitter.
        backoff: how to space connection attempts, in place of half a second doubled up to 30 s.

    Raises:
        ConfigError: an instrument or a URL that cannot be.
    """

    name = "kraken"
    guarantees = Guarantees(heartbeat=True, receive_times=True, sizes=True)

    def __init__(
        self,
        symbols: Iterable[str] = (),
        *,
        url: str = URL,
        now: Callable[[], int] = time.time_ns,
        rng: Random | None = None,
        ping_after_s: float = 3.0,
        silence_s: float = 10.0,
        backoff: Backoff | None = None,
    ) -> None:
        if not url.startswith(("ws://", "wss://")):
            raise ConfigError(f"url {url!r} of the feed kraken: expected ws://… or wss://…, such as {URL}")
        if not 0 < ping_after_s < silence_s:
            raise ConfigError(
                f"ping_after_s {ping_after_s:g}, silence_s {silence_s:g}: expected 0 < ping_after < silence"
            )
        self._protocol = Protocol(tuple(symbols) or SYMBOLS)
        self.symbols = self._protocol.symbols
        self._url = url
        self._now = now
        self._ping_after_s = ping_after_s
        self._silence_s = silence_s
        self._backoff = backoff or Backoff(rng or Random())
        self._wake: asyncio.Event | None = None
        self._reopen = ""
        self._renew: set[str] = set()

    def repair(self, step: Repair, symbols: tuple[str, ...] = ()) -> None:
        """Ask for a repair, on the loop that iterates. There is no login, so `RELOGIN` reconnects."""
        if step is Repair.RESUBSCRIBE:
            self._renew |= set(symbols or self.symbols)
        else:
            self._reopen = f"asked to {step.value}"
        if self._wake is not None:
            self._wake.set()

    async def events(self) -> AsyncGenerator[Event, None]:
        """Iterate over what Kraken says, for ever: a lost connection is a DISCONNECTED, then a CONNECTED again."""
        if self._wake is not None:
            raise FeedError("the feed kraken is being iterated already, expected one consumer; make a second feed")
        self._wake = asyncio.Event()
        try:
            while True:
                async with aclosing(self._connection(self._wake)) as connection:
                    async for event in connection:
                        yield event
                await asyncio.sleep(self._backoff.next_s())
        finally:
            self._wake = None

    async def _connection(self, wake: asyncio.Event) -> AsyncGenerator[Event, None]:
        """Open one connection and iterate over its events, the last of which says why it ended."""
        loop = asyncio.get_running_loop()
        try:
            # The library's own pings would close a connection that we would rather ask first.
            link = await connect(self._url, ping_interval=None, close_timeout=_CLOSE_S, max_size=_FRAME_BYTES_MAX)
        except (OSError, WebSocketException) as error:  # a time-out is an OSError
            yield self._disconnected(f"{self._url}: {type(error).__name__}: {error}")
            return
        began = loop.time()
        why = ""
        try:
            async with aclosing(self._conversation(link, wake)) as conversation:
                async for event in conversation:
                    yield event
            why = self._reopen or f"no message for {self._silence_s:g} s, a ping included"
        except (OSError, WebSocketException) as error:
            why = f"{type(error).__name__}: {error}"
        finally:
            await _close(link)
        if loop.time() - began >= _SETTLED_S:
            self._backoff.reset()
        yield self._disconnected(why)

    async def _conversation(self, link: ClientConnection, wake: asyncio.Event) -> AsyncGenerator[Event, None]:
        """Iterate over events until the connection is mute, or is to be given up.

        Raises:
            WebSocketException: the connection was closed.
        """
        loop = asyncio.get_running_loop()
        wake.clear()  # what was asked of the connection before is done by this one
        self._reopen, pinged = "", False
        self._renew.clear()
        for event in self._protocol.opened(self._now()):
            yield event
        waking, receiving = loop.create_task(wake.wait()), loop.create_task(link.recv(decode=False))
        try:
            heard = loop.time()
            while True:
                for message in self._protocol.to_send():
                    await link.send(message.decode())
                until = heard + (self._silence_s if pinged else self._ping_after_s)
                await asyncio.wait(
                    {waking, receiving}, timeout=max(0.0, until - loop.time()), return_when="FIRST_COMPLETED"
                )
                if waking.done():
                    wake.clear()
                    waking = loop.create_task(wake.wait())
                    if self._reopen:
                        return
                    if self._renew:
                        self._protocol.resubscribe(tuple(self._renew))
                        self._renew.clear()
                if receiving.done():
                    for event in self._protocol.receive(receiving.result(), self._now()):
                        yield event
                    receiving = loop.create_task(link.recv(decode=False))
                    # Read after the consumer is done with it: the time it took is none of the venue's silence.
                    heard, pinged = loop.time(), False
                elif loop.time() >= until:
                    if pinged:
                        return
                    self._protocol.ping()
                    pinged = True
        finally:
            for task in (waking, receiving):
                task.cancel()
            await asyncio.gather(waking, receiving, return_exceptions=True)

    def _disconnected(self, why: str) -> Status:
        return Status(StatusKind.DISCONNECTED, self.symbols, self._now(), why)


async def _close(link: ClientConnection) -> None:
    """Close, and read on meanwhile: a full buffer would keep out the answer to the close until the time-out."""
    closing = asyncio.ensure_future(link.close())
    with suppress(WebSocketException):
        while True:
            await link.recv(decode=False)
    await closing
