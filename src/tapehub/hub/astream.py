"""Following the log with ``async for``."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Self
from weakref import WeakKeyDictionary, ref

from tapehub.errors import HubError
from tapehub.hub.batch import Batch
from tapehub.hub.stream import Stream

if TYPE_CHECKING:
    from tapehub.hub.datahub import DataHub

__all__ = ["AsyncStream"]


class AsyncStream:
    """Follow a stream with ``async for``. Many of them share one waiting thread of the process."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        stream = self._stream
        while True:
            if stream._ready:
                return stream._ready.pop()
            stream._fill()
            if not stream._ready:
                await self._news()

    async def poll(self, records_max: int = 4096, timeout_s: float = 0.0) -> Batch:
        """Copy the oldest unread ticks, waiting without a thread of its own: see `Stream.poll`."""
        deadline = time.monotonic() + timeout_s
        while True:
            batch = self._stream.poll(records_max)
            left = deadline - time.monotonic()
            if len(batch) or batch.records or batch.lost or left <= 0:
                return batch
            try:
                await asyncio.wait_for(self._news(), left)
            except TimeoutError:
                return self._stream.poll(records_max)

    async def _news(self) -> None:
        stream = self._stream
        await _Waiter.of(stream._hub).news(stream.position, stream._incarnation)

    @property
    def lost(self) -> int:
        """Records overwritten before they were read."""
        return self._stream.lost

    def close(self) -> None:
        """Give the reader's place back."""
        self._stream.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.close()


class _Waiter:
    """One thread that sleeps on the log for every async reader of a hub."""

    _of: ClassVar[WeakKeyDictionary[DataHub, _Waiter]] = WeakKeyDictionary()
    _lock = threading.Lock()

    def __init__(self, hub: DataHub) -> None:
        self._hub = ref(hub)  # who waits has it
        # With the incarnation that the line is of: of another hub in its place, every record is news.
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None], int, int]] = []
        self._mutex = threading.Lock()
        self._thread: threading.Thread | None = None

    @classmethod
    def of(cls, hub: DataHub) -> _Waiter:
        with cls._lock:
            found = cls._of.get(hub)
            if found is None:
                found = cls._of[hub] = cls(hub)
            return found

    async def news(self, seen: int, life: int) -> None:
        """Wait until the log has grown past ``seen``, or is another one than in that incarnation of the hub."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._mutex:
            self._waiting.append((loop, future, seen, life))
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="tapehub-async", daemon=True)
                self._thread.start()
        await future

    def _run(self) -> None:
        while True:
            hub = self._hub()
            head, life = 1 << 62, 0  # closed, or gone: all who wait read, and are told so
            if hub is not None:
                with suppress(HubError):
                    head, life = hub.head, hub._incarnation
            with self._mutex:
                due = [one for one in self._waiting if one[2] < head or one[3] != life]
                still = [one for one in self._waiting if one[2] >= head and one[3] == life]
                self._waiting = [one for one in still if not one[1].cancelled()]
                if not self._waiting and not due:
                    self._thread = None
                    return
            for loop, future, *_ in due:
                if not loop.is_closed():
                    loop.call_soon_threadsafe(_settle, future)
            if not due and hub is not None:
                with suppress(HubError):
                    hub._wait(head, 50_000_000, 0)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
