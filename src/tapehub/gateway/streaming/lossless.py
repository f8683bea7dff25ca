"""Everything, in order: from the kept frames while a client keeps up, and from the log at its own pace when not."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tapehub.errors import TapehubError
from tapehub.gateway.encoding import text_of
from tapehub.gateway.streaming import messages
from tapehub.gateway.streaming.selection import Channels, Selection
from tapehub.gateway.streaming.tape import FRAME_ITEMS, Tape
from tapehub.hub.lineage import Place, place_of

if TYPE_CHECKING:
    from tapehub.hub import DataHub
    from tapehub.hub.stream import Stream

__all__ = ["Lossless"]


class Lossless:
    """Give one subscription its records. One event loop.

    Order: the log's. Loss: what was dropped before it was read, told in `lost`. Duplicates: none.

    Args:
        place: where it begins; what it cannot have any more was told when it subscribed.
        executor: for reads of the log.
        count: takes records and lost ones, as they are handed out.
    """

    policy = "lossless"

    def __init__(
        self,
        number: int,
        selection: Selection,
        place: Place,
        hub: DataHub,
        tape: Tape,
        channels: Channels,
        executor: Executor,
        count: Callable[[int, int], None],
    ) -> None:
        self.number = number
        self.selection = selection
        self.position = place.position
        self._hub = hub
        self._tape = tape
        self._channels = channels
        self._executor = executor
        self._count = count
        self._under = tape.identity
        self._generation = tape.generation
        self._stream: Stream | None = None
        if place.at_head and selection.intervals:  # there, and nowhere else, the views hold what came before
            self._stream = self._open("now")
            self.position = self._stream.position
        self._told = self.position
        self._lost = 0

    @property
    def lag(self) -> int:
        """Give the lines between this client and the tape."""
        return max(0, self._tape.position - self.position)

    async def take(self) -> str | None:
        """Give the next message; None when there is nothing new."""
        tape = self._tape
        if self._generation != tape.generation:
            self._move()
        if tape.gone:
            return None
        while not self.selection.intervals and (frame := tape.frame_at(self.position)) is not None:
            self._close_stream()
            body, count = self.selection.body(frame, self._channels.numbers())
            self.position = frame.next
            if count or frame.lost or self._lost:
                return self._message(body, count, frame.lost)
        try:
            while self.position < tape.position or self._lost:
                before = self.position
                message = await self._read_log()
                if message is not None or self.position == before:
                    return message
        except TapehubError:  # the tape notices as well, and says so; then this goes on, or moves
            self._close_stream()
        return None

    def progress(self) -> str | None:
        """Give an empty message when the place to go on at has moved without one, so that a resume need not go back."""
        return None if self.position == self._told else self._message("", 0, 0)

    def close(self) -> None:
        """Give back what it holds."""
        self._close_stream()

    def _message(self, body: str, count: int, lost: int) -> str:
        lost += self._lost
        self._lost, self._told = 0, self.position
        self._count(count, lost)
        return messages.batch(self.number, self._under.epoch, self.position, lost, body)

    def _move(self) -> None:
        """Go on in another history: where it parts from the one so far, or at its oldest record."""
        self._close_stream()
        place = place_of(self._hub, self.position, self._under)
        self.position, self._lost = place.position, self._lost + place.lost
        self._under, self._generation = self._tape.identity, self._tape.generation

    # ------------------------------------------------------------ reading the log for this one alone

    async def _read_log(self) -> str | None:
        if self._stream is None:
            self._stream = self._open(self.position)
        stream, generation = self._stream, self._tape.generation
        reading = asyncio.get_running_loop().run_in_executor(self._executor, _read, stream)
        try:
            run = await asyncio.shield(reading)
        except asyncio.CancelledError:
            self._stream = None
            reading.add_done_callback(lambda done: _end(done, stream))  # not under the reader's hands
            raise
        if self._tape.generation != generation:  # what was read may be of another history
            return None
        reached, texts = stream.position, run.texts
        if not self.selection.intervals:
            meeting = self._tape.boundary(self.position, reached)
            if meeting is not None:  # the frames have the rest
                texts = texts[: bisect_left(run.sequences, meeting)]
                reached = meeting
                self._close_stream()
        self.position = reached
        self._lost += run.lost_before
        message = self._message(",".join(texts), len(texts), 0) if texts or self._lost else None
        self._lost += run.lost_after
        return message

    def _open(self, start: int | str) -> Stream:
        symbols = None if self.selection.symbols is None else sorted(self.selection.symbols)
        return self._hub.stream(
            symbols, sorted(self.selection.kinds), start, timeframes=self.selection.timeframes, name="gateway lossless"
        )

    def _close_stream(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


@dataclass(slots=True)
class _Run:
    """Hold what was read, and at which lines; ends of intervals have none."""

    texts: list[str] = field(default_factory=list)
    sequences: list[int] = field(default_factory=list)
    lost_before: int = 0
    lost_after: int = 0


def _end(done: asyncio.Future[_Run], stream: Stream) -> None:
    done.exception()  # nobody else will ask for it
    stream.close()


def _read(stream: Stream) -> _Run:
    """Read a message's worth. A read of the log ends at records of other kinds: several make a message."""
    run = _Run()
    while len(run.texts) < FRAME_ITEMS:
        before = stream.position
        batch = stream.poll(FRAME_ITEMS - len(run.texts))
        if batch.lost and run.texts:
            run.lost_after = batch.lost
            break
        run.lost_before += batch.lost
        ticks = batch.objects() if len(batch) else []
        items = [*ticks, *batch.records]
        run.texts += map(text_of, items)
        run.sequences += [*(tick.seq for tick in ticks), *stream._record_lines]
        if not items and not batch.lost and stream.position == before:
            break
    return run
