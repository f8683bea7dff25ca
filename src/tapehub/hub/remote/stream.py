"""Following a remote hub: what `Stream` and `AsyncStream` do, over a socket that comes back by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from tapehub.errors import ConfigError, HubClosed, HubNotRunning, Lapped
from tapehub.hub.arguments import frames_of
from tapehub.hub.batch import Batch
from tapehub.hub.record import parse_kinds, parse_start
from tapehub.hub.remote import values
from tapehub.hub.remote.following import Following, Lost
from tapehub.hub.remote.receiver import Receiver
from tapehub.hub.remote.tables import signed
from tapehub.model.policies import OnLap
from tapehub.model.records import NO_INSTRUMENT, TICK

if TYPE_CHECKING:
    from tapehub.hub.remote.hub import RemoteHub

__all__ = ["RemoteAsyncStream", "RemoteStream"]

PATIENCE_S: Final = 30.0
"""A reader that waits is told when the gateway has been away for so long; the stream goes on trying."""


class RemoteStream:
    """Read a remote log in order from one place on. One reader: not to be shared between threads.

    Order: the log's. Loss: only what retention dropped before it was read, counted in ``lost``. Duplicates: none, also
    over a cut: the stream goes on at the record after the last one that came, by hub, epoch and sequence.
    """

    def __init__(
        self,
        hub: RemoteHub,
        symbols: str | Iterable[str] | None,
        kinds: str | Iterable[str],
        start: int | str,
        on_lap: OnLap,
        timeframes: str | Iterable[str],
    ) -> None:
        names = [kinds] if isinstance(kinds, str) else list(kinds)
        parse_kinds(names)
        begin = parse_start(start, lambda: hub.head)
        frames = [frame.name for frame in frames_of(timeframes)]
        wanted = [symbols] if isinstance(symbols, str) else None if symbols is None else list(symbols)
        for one in wanted or ():
            hub._quoted(one)  # raises as a local hub does, before anything is connected
        self._hub = hub
        self._on_lap = on_lap
        following = Following(hub.url, wanted, [name.lower() for name in names], frames, begin)
        self._receiver = Receiver(hub.address, following)
        self._following = following
        self._histories = 0
        self._told_down = False
        self._closed = False
        self.lost = 0
        self.delivered = 0
        hub._streams.add(self)

    # ------------------------------------------------------------ reading

    @property
    def position(self) -> int:
        """The sequence number that is read next."""
        with self._receiver.changed:
            return self._following.position

    @property
    def connected(self) -> bool:
        """Whether the gateway is there now; what comes after a cut is complete all the same."""
        return self._receiver.down_since_s is None and self._receiver.refused is None

    def poll(self, records_max: int = 4096, timeout_s: float = 0.0) -> Batch:
        """Take the oldest unread ticks, and the records of other kinds up to there: see `Stream.poll`.

        Raises:
            Lapped: records were overwritten and ``on_lap`` is ``raise``.
            HubNotRunning: the gateway has been away for 30 s; the next call goes on trying.
            ConfigError: the token does not hold any more.
            HubClosed: the hub handle or this stream was closed.
        """
        self._wait(time.monotonic() + timeout_s if timeout_s > 0 else None)
        taken, lost = self._take(records_max)
        ticks = [one for one in taken if one["kind"] == "tick"]
        records = tuple(values.record(one) for one in taken if one["kind"] != "tick")
        self.delivered += len(taken)
        batch = Batch(self._rows(ticks), self._hub, lost=lost, records=records)  # type: ignore[arg-type]
        _ = batch.symbols  # by the names of now
        return batch

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        while True:
            self._wait(float("inf"))
            found = self._next()
            if found is not None:
                return found

    def _next(self) -> Any:
        """Take one record as an object; None when there is none."""
        with self._receiver.changed:
            self._check()
            if not self._following.items:
                return None
            item = self._following.items.popleft()
        if isinstance(item, Lost):
            self._lap(item.count)
            return None
        self.delivered += 1
        if item["kind"] == "tick":
            self._renew()
            return values.tick(item, self._hub._pip_size(item["symbol"]))
        return values.record(item)

    def _take(self, most: int) -> tuple[list[dict[str, Any]], int]:
        """Take ticks, then the run of other kinds after them, as a read of a log ends with them."""
        taken: list[dict[str, Any]] = []
        lost = 0
        with self._receiver.changed:
            items = self._following.items
            ticks = others = 0
            while items:
                item = items[0]
                if isinstance(item, Lost):
                    if not taken:
                        items.popleft()
                        lost = item.count
                    break
                is_tick = item["kind"] == "tick"
                if (is_tick and (others or ticks >= most)) or (not is_tick and others >= most):
                    break
                ticks, others = ticks + is_tick, others + (not is_tick)
                taken.append(items.popleft())
        if lost:
            self._lap(lost)
        return taken, lost

    def _rows(self, ticks: list[dict[str, Any]]) -> Any:
        rows = np.zeros(len(ticks), TICK)
        if not ticks:
            return rows
        self._renew()
        ids, places = self._hub._numbers({one["symbol"] for one in ticks}, {one["source"] for one in ticks})
        for name in ("seq", "bid", "ask", "flags"):
            rows[name] = [one[name] for one in ticks]
        for name in ("bid_size", "ask_size"):
            rows[name] = [one[name] or 0.0 for one in ticks]
        for name in ("ts_event", "ts_recv", "ts_publish"):
            rows[name] = [values.ns(one[name]) for one in ticks]
        rows["instrument"] = [ids.get(one["symbol"], NO_INSTRUMENT) for one in ticks]
        rows["source"] = [places.get(one["source"], 0) for one in ticks]
        return signed(rows)

    def _renew(self) -> None:
        if self._histories != self._following.histories:
            self._histories = self._following.histories
            self._hub._forget()

    def _lap(self, lost: int) -> None:
        self.lost += lost
        if self._on_lap is OnLap.RAISE:
            at = self.position
            raise Lapped(
                f"{lost} records were dropped before this stream read them, it goes on at {at}: raise retention_bytes "
                f"of the hub at {self._hub.url}",
                lost=lost,
                oldest=at,
            )

    # ------------------------------------------------------------ waiting

    def _wait(self, deadline: float | None) -> None:
        """Wait until something can be read, or the deadline; None does not wait."""
        receiver = self._receiver
        with receiver.changed:
            while True:
                self._check()
                if self._following.items or deadline is None:
                    return
                left = deadline - time.monotonic()
                if left <= 0:
                    return
                receiver.changed.wait(min(left, 0.25))

    def _check(self) -> None:
        if self._closed or self._hub.closed:
            raise HubClosed("this stream was closed: open another one")
        receiver = self._receiver
        if self._following.items:
            return
        if receiver.refused is not None:
            raise receiver.refused
        down = receiver.down_since_s
        if down is None:
            self._told_down = False
        elif not self._told_down and time.monotonic() - down > PATIENCE_S:
            self._told_down = True
            raise HubNotRunning(f"{receiver.why_down}; away for {time.monotonic() - down:.0f} s, trying on")

    # ------------------------------------------------------------ life

    def commit(self) -> None:
        """Refuse: no cursor is kept for a remote stream.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            "a remote stream is not durable: keep its position, with the hub's epoch, and open the next with start="
        )

    def close(self) -> None:
        """Close the socket."""
        if not self._closed:
            self._closed = True
            self._receiver.close()
            self._hub._streams.discard(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class RemoteAsyncStream:
    """Follow a remote stream with ``async for``. Its socket has a thread; the event loop never waits for it."""

    def __init__(self, stream: RemoteStream) -> None:
        self._stream = stream
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news: asyncio.Event | None = None
        stream._receiver.on_news = self._wake

    def _wake(self) -> None:
        loop, news = self._loop, self._news
        if loop is not None and news is not None:
            with suppress(RuntimeError):  # the loop has ended, and the reader with it
                loop.call_soon_threadsafe(news.set)

    async def _wait(self, deadline: float) -> None:
        stream, loop = self._stream, asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._news = loop, asyncio.Event()
        news = self._news
        assert news is not None
        while True:
            news.clear()
            stream._wait(None)
            left = deadline - loop.time()
            if stream._following.items or left <= 0:
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(news.wait(), min(left, 1.0))

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        while True:
            await self._wait(float("inf"))
            found = self._stream._next()
            if found is not None:
                return found

    async def poll(self, records_max: int = 4096, timeout_s: float = 0.0) -> Batch:
        """Take the oldest unread ticks, waiting without holding up the event loop: see `RemoteStream.poll`."""
        await self._wait(asyncio.get_running_loop().time() + timeout_s)
        return self._stream.poll(records_max)

    @property
    def lost(self) -> int:
        """Records overwritten before they were read."""
        return self._stream.lost

    def close(self) -> None:
        """Close the socket."""
        self._stream.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.close()
