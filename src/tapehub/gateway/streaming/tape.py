"""The one reader of the log on behalf of all clients, and the newest frames it made."""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tapehub.errors import TapehubError
from tapehub.gateway.streaming.frame import Frame
from tapehub.hub.lineage import identity_of, place_of

if TYPE_CHECKING:
    from tapehub.gateway.settings import Limits
    from tapehub.hub import DataHub
    from tapehub.hub.stream import Stream

__all__ = ["FRAME_ITEMS", "Tape"]

FRAME_ITEMS = 768  # some 256 KiB of JSON
_IDLE_S = 0.25
_RECORD_BYTES = 700  # of a record as object and text, with what holds them
_log = logging.getLogger("tapehub.gateway")


class Tape:
    """Follow the log as long as somebody wants it. One event loop.

    Args:
        on_frame: takes each new frame.
        on_news: called when the hub is gone, is back, or another history lies there.
    """

    def __init__(
        self, hub: DataHub, limits: Limits, on_frame: Callable[[Frame], None], on_news: Callable[[], None]
    ) -> None:
        self._hub = hub
        self._limits = limits
        self._on_frame = on_frame
        self._on_news = on_news
        self._frames: deque[Frame] = deque()
        self._kept_bytes = 0
        self._stream: Stream | None = None
        self._incarnation = hub._incarnation
        self.identity = identity_of(hub)
        self.position = hub.head
        self.generation = 0
        """Goes up with each other history."""
        self.gone = ""
        """Why the hub cannot be read; empty when it can."""
        self.lost = 0
        self.wanted = asyncio.Event()

    # ------------------------------------------------------------ for those who read it

    def frame_at(self, position: int) -> Frame | None:
        """Give the kept frame that begins at a line, if there is one."""
        frames = self._frames
        if not frames or position < frames[0].first or position >= self.position:
            return None
        found = bisect_right(frames, position, key=_first) - 1
        return frames[found] if frames[found].first == position else None

    def boundary(self, after: int, position: int) -> int | None:
        """Give the last line in (after, position] at which a kept frame begins or the tape stands, or None."""
        if after < self.position <= position:
            return self.position
        frames = self._frames
        found = bisect_right(frames, position, key=_first) - 1
        return frames[found].first if found >= 0 and frames[found].first > after else None

    # ------------------------------------------------------------ reading

    async def run(self) -> None:
        """Read until cancelled. A hub that is gone is waited for."""
        try:
            while True:
                await self.wanted.wait()
                try:
                    full = self._read()
                    if not self.wanted.is_set():
                        self._close_stream()
                        self._forget_frames()
                except TapehubError as error:
                    self._lose(error)
                    await asyncio.sleep(_IDLE_S)
                    continue
                # A frame collects for its time, and a burst only lets the others have a turn. Nobody waits in a thread
                # for the first record: at fifty looks a second that would be most of the work.
                await asyncio.sleep(0 if full else self._limits.frame_s)
        finally:
            self._close_stream()

    def rest(self) -> None:
        """Stop reading, soon: nobody listens."""
        self.wanted.clear()

    def start(self) -> None:
        """Go on reading, at the head when it had stopped.

        Raises:
            HubError: the hub cannot be read.
        """
        self._look()
        if not self.wanted.is_set():
            if self._stream is None:
                self.position = self._hub.head
            self.wanted.set()

    def pull(self) -> None:
        """Read what is there now, ahead of the turn: a message that is about to leave takes it along."""
        if self.wanted.is_set() and not self.gone:
            try:
                self._read()
            except TapehubError as error:
                self._lose(error)

    def _read(self) -> bool:
        """Make a frame of what is there; tell whether more is."""
        self._look()
        stream = self._stream
        if stream is None:
            stream = self._stream = self._hub.stream(kinds="all", start=self.position, name="gateway")
        position, lost = self.position, 0
        items: list[Any] = []
        while len(items) < FRAME_ITEMS:
            batch = stream.poll(FRAME_ITEMS - len(items))
            if self._look():  # what was just read may be of another history: it is read again
                return True
            if batch.lost:
                if items:
                    self._keep(Frame(self.position, position, items, lost))
                    items = []
                lost = batch.lost
                self.lost += lost
            read = [*(batch.objects() if len(batch) else ()), *batch.records]
            items += read
            position = stream.position
            if not read and not batch.lost:
                break
        if position > self.position:
            self._keep(Frame(self.position, position, items, lost))
        return len(items) >= FRAME_ITEMS

    def _keep(self, frame: Frame) -> None:
        self.position = frame.next
        self._frames.append(frame)
        self._kept_bytes += len(frame.items) * _RECORD_BYTES
        while self._kept_bytes > self._limits.kept_bytes and len(self._frames) > 1:
            self._kept_bytes -= len(self._frames.popleft().items) * _RECORD_BYTES
        self._on_frame(frame)

    # ------------------------------------------------------------ another hub in its place

    def _look(self) -> bool:
        """See whether this is the hub that it was; tell whether it has to be read anew."""
        hub = self._hub
        hub.head  # noqa: B018  (an attached process notices here that its hub was replaced)
        if hub._incarnation == self._incarnation and not self.gone:
            return False
        incarnation, now, before = hub._incarnation, identity_of(hub), self.identity
        self.position = place_of(hub, self.position, before).position
        self._incarnation, self.identity = incarnation, now
        self._close_stream()
        self._forget_frames()
        was_gone, self.gone = self.gone, ""
        if now != before:
            self.generation += 1
            _log.warning("another history lies at %s: hub %s, epoch %d", hub.path, now.hub_id, now.epoch)
        if now != before or was_gone:
            self._on_news()
        return True

    def _lose(self, error: TapehubError) -> None:
        self._close_stream()
        if not self.gone:
            self.gone = " ".join(str(error).split()) or type(error).__name__
            _log.warning("the hub cannot be read: %s", self.gone)
            self._on_news()

    def _close_stream(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _forget_frames(self) -> None:
        self._frames.clear()
        self._kept_bytes = 0


def _first(frame: Frame) -> int:
    return frame.first
