"""The newest of everything: one group for all clients that look at the same things equally often.

A group keeps the newest text of each key and the number of the message it was new in; a client is one number, so
the slowest of them costs nothing. Who has had the message before gets the one that all get; who has not, gets what
became new since, and never an old value.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from tapehub._native import Candle, OrderFlowMetrics, Tick
from tapehub.errors import TapehubError
from tapehub.gateway.streaming import messages, present
from tapehub.gateway.streaming.candles import CandleSlots
from tapehub.gateway.streaming.frame import Frame
from tapehub.gateway.streaming.selection import Channels, Selection

if TYPE_CHECKING:
    from tapehub.gateway.states import ChannelState
    from tapehub.gateway.streaming.tape import Tape
    from tapehub.hub import DataHub
    from tapehub.hub.record import Record

__all__ = ["Conflated", "Group"]

_OTHERS_KEPT = 256
Key = tuple[str, ...]


class Group:
    """Conflate for one selection and one rate. One event loop.

    Attributes:
        members: each with what wakes it.
        version: number of the newest message.
        others_seen: records so far of which not the newest alone is passed on.
    """

    def __init__(
        self, selection: Selection, rate_hz: float, hub: DataHub, tape: Tape, channels: Channels, batch_bytes: int
    ) -> None:
        self.selection = selection
        self.members: dict[Conflated, Callable[[], None]] = {}
        self.version = 0
        self.others_seen = 0
        self._period_s = 1.0 / rate_hz
        self._hub = hub
        self._tape = tape
        self._channels = channels
        self._batch_bytes = batch_bytes
        self._entries: dict[Key, tuple[int, str]] = {}
        self._pending: dict[Key, Callable[[], str]] = {}
        self._others: deque[tuple[int, str]] = deque(maxlen=_OTHERS_KEPT)
        self._others_pending: deque[_Text] = deque(maxlen=_OTHERS_KEPT)
        self._candles = CandleSlots(hub, selection.timeframes) if selection.wants_kind("candle") else None
        self._newest: list[str] = []
        self._newest_count = 0
        self._timer: asyncio.TimerHandle | None = None
        self._beaten_s = 0.0

    # ------------------------------------------------------------ what comes in

    def begin(self) -> None:
        """Take up the present values: of a new group, or of another hub in the place of the one so far."""
        self._entries.clear()
        self._pending.clear()
        self._others.clear()
        self._others_pending.clear()
        if self._candles is not None:
            self._candles.clear()
        self.version += 1
        for key, text in present.values(self._hub, self.selection, self._channels.numbers()):
            self._entries[key] = (self.version, text)
        if self._candles is not None:
            for key, text in self._candles.read(self._wanted_channels()):
                self._entries[key] = (self.version, text)
        self._renew([text for _, text in self._entries.values()])

    def on_frame(self, frame: Frame) -> None:
        """Note what of a frame is wanted; nothing is written yet, since most of it will be overtaken."""
        selection, pending, candles = self.selection, self._pending, self._candles
        ticks, flows, everyone = selection.wants_kind("tick"), selection.wants_kind("order_flow"), selection.symbols
        for index, item in enumerate(frame.items):
            kind = type(item)
            if everyone is not None and item.symbol and item.symbol not in everyone:
                continue
            if kind is Tick:
                if ticks:
                    pending["tick", item.symbol, item.source] = _Text(frame, index)
                if candles is not None:
                    candles.touch(item.symbol, item.source)
            elif kind is OrderFlowMetrics:
                if flows:
                    pending["order_flow", item.symbol] = _Text(frame, index)
            elif kind is Candle:
                if candles is not None:
                    candles.touch_all(item.symbol)
                    self._keep(_Text(frame, index))
            else:
                self._note(frame, index, item)
        if pending or self._others_pending or (candles is not None and candles.touched):
            self._schedule()

    def _note(self, frame: Frame, index: int, record: Record) -> None:
        if record.kind == "watermark" and self._candles is not None:
            self._candles.time_passed()
        if record.kind == "clear":
            self._clear(record.symbol)
        if not self.selection.wants_kind(record.kind):
            return
        text = _Text(frame, index)
        if record.kind == "state":
            self._become(record.symbol, record.source, text)
        else:
            self._keep(text)

    def _become(self, symbol: str, source: str, make: Callable[[], str]) -> None:
        key = ("state", symbol, source)
        # That it was dead for a moment is news, though it lives again.
        if type(overtaken := self._pending.get(key)) is _Text:
            self._keep(overtaken)
        self._pending[key] = make

    def _keep(self, text: _Text) -> None:
        self._others_pending.append(text)
        self.others_seen += 1

    def on_states(self, changed: Iterable[ChannelState]) -> None:
        """Take in states that changed without a record: with age, or since a collector is gone."""
        for state in changed:
            if self.selection.wants_kind("state") and self.selection.wants_symbol(state.symbol):
                self._become(state.symbol, state.source, partial(present.state_text, self._hub, state))
        if self._pending:
            self._schedule()

    def _clear(self, symbol: str) -> None:
        """Forget what was cleared, so that nobody is given it as the present."""
        for key in [key for key in self._entries if key[0] != "state" and (not symbol or key[1] == symbol)]:
            del self._entries[key]
        for key in [key for key in self._pending if key[0] != "state" and (not symbol or key[1] == symbol)]:
            del self._pending[key]
        if self._candles is not None:
            self._candles.clear(symbol)

    # ------------------------------------------------------------ what goes out

    def _schedule(self) -> None:
        if self._timer is None and self.members:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(max(loop.time(), self._beaten_s + self._period_s), self.beat)

    def beat(self) -> None:
        """Make the next message of what is new."""
        self._tape.pull()  # which finds this group's timer still there
        self._timer = None
        self._beaten_s = asyncio.get_running_loop().time()
        version, fresh = self.version + 1, []
        try:
            for key, text in self._candles.read(self._wanted_channels()) if self._candles is not None else ():
                self._entries[key] = (version, text)
                fresh.append(text)
        except TapehubError:
            return  # the tape finds the hub gone as well
        for key in self._pending:
            if key[0] == "state" and (overtaken := self._entries.get(key)):  # for those who have not had it
                self._others.append(overtaken)
                self.others_seen += 1
        for other in self._others_pending:
            text = other()
            self._others.append((version, text))
            fresh.append(text)
        self._others_pending.clear()
        for key, make in self._pending.items():
            text = make()
            self._entries[key] = (version, text)
            fresh.append(text)
        self._pending.clear()
        if not fresh:
            return
        self.version = version
        self._renew(fresh)
        for wake in self.members.values():
            wake()

    def since(self, version: int) -> tuple[list[str], int]:
        """Give what is newer than a message, as the insides of messages, and how many records that is."""
        if version == self.version - 1:
            return self._newest, self._newest_count
        # The present values hold no events; a state that was comes before the one that is.
        texts = [text for number, text in self._others if number > version] if version else []
        texts += [text for number, text in self._entries.values() if number > version]
        return self._cut(texts), len(texts)

    def others_lost(self, seen: int) -> int:
        """Count the records of other kinds after the `seen` first that are kept no more."""
        return max(0, self.others_seen - len(self._others) - len(self._others_pending) - seen)

    def _renew(self, texts: list[str]) -> None:
        self._newest, self._newest_count = self._cut(texts), len(texts)

    def _cut(self, texts: list[str]) -> list[str]:
        """Join texts to the insides of messages, none much longer than a message may be."""
        out: list[str] = []
        part: list[str] = []
        size = 0
        for text in texts:
            if size + len(text) > self._batch_bytes and part:
                out.append(",".join(part))
                part, size = [], 0
            part.append(text)
            size += len(text) + 1
        return [*out, ",".join(part)] if part else out

    def stop(self) -> None:
        """Make no more messages."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def place(self) -> tuple[int, int]:
        """Give epoch and position of the tape."""
        return self._tape.identity.epoch, self._tape.position

    def _wanted_channels(self) -> dict[tuple[str, str], int]:
        return {
            channel: number
            for channel, number in self._channels.numbers().items()
            if self.selection.wants_symbol(channel[0])
        }


class _Text:
    """Write a record of a frame when it is asked for."""

    __slots__ = ("_frame", "_index")

    def __init__(self, frame: Frame, index: int) -> None:
        self._frame = frame
        self._index = index

    def __call__(self) -> str:
        return self._frame.text(self._index)


class Conflated:
    """Give one subscription the newest. One event loop."""

    policy = "conflate"
    lag = 0

    def __init__(self, number: int, group: Group, *, snapshot: bool, count: Callable[[int, int], None]) -> None:
        self.number = number
        self._group = group
        self._count = count
        self._version = 0 if snapshot else group.version
        self._others_seen = group.others_seen
        self._first = snapshot
        self._bodies: list[str] = []

    def restart(self) -> None:
        """Begin anew with the present values: another hub lies there."""
        self._version, self._first, self._bodies = 0, True, []
        self._others_seen = self._group.others_seen

    async def take(self) -> str | None:
        """Give the next message; None when nothing is new."""
        group = self._group
        lost = 0
        if not self._bodies and self._version != group.version:
            bodies, count = group.since(self._version)
            lost = group.others_lost(self._others_seen)
            self._bodies = bodies[::-1] or ([""] if self._first else [])
            self._version, self._others_seen = group.version, group.others_seen
            self._count(count, lost)
        if not self._bodies:
            return None
        first, self._first = self._first, False
        epoch, position = group.place
        return messages.batch(self.number, epoch, position, lost, self._bodies.pop(), snapshot=first)

    def progress(self) -> str | None:
        """Say nothing: a conflated client has no place to go on at."""
        return None

    def close(self) -> None:
        """Leave the group."""
        self._group.members.pop(self, None)
