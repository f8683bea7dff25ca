"""The thread that keeps a stream's socket open, and opens another when it breaks."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final

from tapehub.errors import ConfigError, HubError, HubNotRunning, MissingExtra, TapehubError
from tapehub.hub.remote.address import Address
from tapehub.hub.remote.following import Following
from tapehub.hub.remote.problems import error_of, is_passing
from tapehub.hub.secret import RedactingFilter

try:
    from websockets.asyncio.client import ClientConnection, connect
    from websockets.exceptions import InvalidStatus, WebSocketException
except ImportError as error:
    raise MissingExtra(error.name or "websockets", "remote", "a remote stream") from error

__all__ = ["Receiver"]

_ITEMS_MAX: Final = 16_384
_FULL_S: Final = 0.005  # how often a reader that has too much is looked after
_SILENT_S: Final = 5.0  # the gateway beats each second
_OPEN_S: Final = 5.0
_WAIT_S: Final = (0.05, 5.0)
_MESSAGE_BYTES_MAX: Final = 16 << 20

_logger = logging.getLogger("tapehub.hub.remote")
_wire_logger = logging.getLogger("tapehub.hub.remote.websocket")
_wire_logger.addFilter(RedactingFilter())  # at DEBUG, websockets writes every header


class Receiver:
    """Receive one subscription, and go on where it ended after a cut. One reader.

    Holds at most some 16,000 records that were not read: then the socket is not read either, and the gateway reads the
    log for this stream at the reader's pace.

    The thread runs an event loop, which alone touches the connection: a TLS session that one thread reads while another
    one writes is undefined in OpenSSL, and waited for ever now and then (python/cpython#137583).

    Raises:
        TapehubError: the gateway refused, or could not be reached at first.
    """

    def __init__(self, address: Address, following: Following, *, jitter: random.Random | None = None) -> None:
        self._address = address
        self._tls = address.tls()
        self._jitter = jitter or random.Random()
        self.following = following
        self.changed = threading.Condition()
        """Guards `following`; notified when something came, or broke."""
        self.down_since_s: float | None = None
        self.why_down = ""
        self.refused: TapehubError | None = None
        self.on_news: Callable[[], None] = lambda: None
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        first: Future[None] = Future()
        self._thread = threading.Thread(
            target=self._run, args=(first,), name=f"tapehub stream of {address.url}", daemon=True
        )
        self._thread.start()
        first.result()

    def close(self) -> None:
        """End it."""
        with self.changed:
            self.changed.notify_all()
        with suppress(RuntimeError):  # it has ended by itself
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10.0)

    # ------------------------------------------------------------ the thread

    def _run(self, first: Future[None]) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._until_stopped(first))

    async def _until_stopped(self, first: Future[None]) -> None:
        following = asyncio.create_task(self._follow(first))
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait({following, stopped}, return_when=asyncio.FIRST_COMPLETED)
        for task in (following, stopped):
            task.cancel()
        await asyncio.wait({following, stopped})
        if not following.cancelled() and (fault := following.exception()) is not None:
            self._refuse(HubError(f"the stream of {self._address.url} failed: {fault!r}; open another one"))
            raise fault

    async def _follow(self, first: Future[None]) -> None:
        """Keep a socket open. The first one is opened at once or not at all, and whoever waits for it is told."""
        try:
            socket: ClientConnection | None = await self._open()
        except (OSError, WebSocketException) as error:
            first.set_exception(self._unreachable(error))
            return
        except BaseException as error:
            first.set_exception(error)
            return
        first.set_result(None)
        wait_s = _WAIT_S[0]
        while True:
            try:
                socket = socket or await self._open()
                wait_s = _WAIT_S[0]
                self._up()
                await self._receive(socket)
            except TapehubError as error:
                if isinstance(error, ConfigError):  # asking again changes nothing
                    self._refuse(error)
                    return
                self._down(str(error))
            except (OSError, WebSocketException) as error:  # a TimeoutError is an OSError
                self._down(str(self._unreachable(error)))
            finally:
                await _close(socket)
                socket = None
            await asyncio.sleep(wait_s * self._jitter.uniform(0.5, 1.0))
            wait_s = min(wait_s * 2, _WAIT_S[1])

    async def _receive(self, socket: ClientConnection) -> None:
        while True:
            async with asyncio.timeout(_SILENT_S):
                text = await socket.recv()
            with self.changed:
                self.following.take(text)
                self.changed.notify_all()
            self.on_news()
            while len(self.following.items) > _ITEMS_MAX:
                await asyncio.sleep(_FULL_S)

    async def _open(self) -> ClientConnection:
        """Connect, and wait until the subscription is granted."""
        try:
            socket = await connect(
                self._address.stream,
                ssl=self._tls,
                additional_headers={"Authorization": f"Bearer {self._address.token.reveal()}"},
                user_agent_header="tapehub",
                compression=None,
                proxy=None,
                open_timeout=_OPEN_S,
                close_timeout=1.0,
                max_size=_MESSAGE_BYTES_MAX,
                max_queue=16,
                logger=_wire_logger,
            )
        except InvalidStatus as refused:
            raise self._refusal(refused) from None
        try:
            with self.changed:
                self.following.connected()
            async with asyncio.timeout(_OPEN_S):
                while not self.following.is_subscribed:
                    text = await socket.recv()
                    with self.changed:
                        request = self.following.request() if self.following.take(text) else None
                    if request is not None:
                        await socket.send(request)
        except BaseException:
            await _close(socket)
            raise
        return socket

    def _refusal(self, refused: InvalidStatus) -> TapehubError:
        status = refused.response.status_code
        try:
            problem: Any = json.loads(refused.response.body or b"")
        except ValueError:
            problem = None
        found = error_of(problem, status, self._address.url)
        passes = is_passing(problem, status) and isinstance(found, ConfigError)
        return HubError(str(found)) if passes else found

    def _unreachable(self, error: Exception) -> TapehubError:
        why = str(error) or type(error).__name__
        return HubNotRunning(
            f'no stream from {self._address.url} ({why}): expected "tapehub up" to run there, a certificate that ca= '
            "vouches for, and no firewall between"
        )

    # ------------------------------------------------------------ what the reader sees

    def _up(self) -> None:
        with self.changed:
            if self.down_since_s is not None:
                _logger.info("the stream of %s goes on at %d", self._address.url, self.following.position)
            self.down_since_s, self.why_down = None, ""
            self.changed.notify_all()
        self.on_news()

    def _down(self, why: str) -> None:
        with self.changed:
            if self.down_since_s is None and not self._stop.is_set():
                self.down_since_s = time.monotonic()
                _logger.warning("%s; trying again", why)
            self.why_down = why
            self.changed.notify_all()
        self.on_news()

    def _refuse(self, error: TapehubError) -> None:
        with self.changed:
            self.refused = error
            self.changed.notify_all()
        self.on_news()


async def _close(socket: ClientConnection | None) -> None:
    if socket is not None:
        with suppress(OSError, WebSocketException):
            await socket.close()
