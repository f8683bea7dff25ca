"""A streaming session as the server sees it: what it subscribed to, what was sent, what waits, what can be sent again.

Sans-I/O. A `Channel` is one connection's outgoing lines; whoever owns the socket takes them, or a test does. What is
said to a session goes straight to its channel while there is room; else it waits: of a MERGE item the last values
alone, of a DISTINCT item every event (TLCP 2.5.0, "Subscription modes").
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from tapehub.feeds.sim.wire import unchanged_line, update_line

__all__ = ["Channel", "Session", "Slot", "StreamItem", "Subscription", "Values"]

Values: TypeAlias = Mapping[str, str | None]
CHANNEL_LINES_MAX = 512


class Channel:
    """Hold what is to be sent on one connection.

    Attributes:
        kind: ``ws`` or ``http``.
        protocol: such as ``TLCP-2.4.0``.
        session: the one that streams on it.
        last: the one that streamed on it last: a poll on a WebSocket does not name it again.
        done: close the connection once the lines are sent.
        cut: close it now: ``close`` or ``reset``; lines not taken yet are lost.
        frozen: neither send nor read, but keep it open.
        budget: characters left of an HTTP answer's promised length; None without one.
        said_ns: when something was written last.
        wake: called when there is something to do.
    """

    def __init__(self, kind: str, protocol: str, steady: Callable[[], int]) -> None:
        self.kind = kind
        self.protocol = protocol
        self.lines: deque[str] = deque()
        self.session: Session | None = None
        self.last = ""
        self.done = False
        self.cut = ""
        self.frozen = False
        self.unread: list[str] = []
        self.budget: int | None = None
        self.said_ns = steady()
        self._steady = steady
        self.wake: Callable[[], None] = _nothing

    @property
    def room(self) -> bool:
        """Tell whether the peer keeps up."""
        return not self.frozen and not self.cut and len(self.lines) < CHANNEL_LINES_MAX

    def write(self, line: str) -> None:
        """Append a line, without its end."""
        self.lines.append(line)
        self.said_ns = self._steady()
        if self.budget is not None:
            self.budget -= len(line) + 2
        self.wake()

    def take(self) -> list[str]:
        """Take out the lines that can be sent now, and let what waited for room follow."""
        if self.frozen or self.cut:
            return []
        taken: list[str] = []
        while self.lines:
            taken += self.lines
            self.lines.clear()
            if self.session is not None and len(taken) < 8 * CHANNEL_LINES_MAX:
                self.session.flush()
        return taken


@dataclass(slots=True, eq=False)
class StreamItem:
    """Hold an item of the venue: who watches it, and what it said last.

    Attributes:
        names: by which faults may mean it: the item, the epic, the symbol.
        snapshot: gives the values at this moment, None when there are none.
    """

    name: str
    mode: str
    names: tuple[str, ...]
    snapshot: Callable[[], Values | None]
    watchers: list[Slot] = field(default_factory=list)

    def publish(self, values: Values) -> None:
        """Say something to everyone who watches."""
        for slot in self.watchers:
            slot.session.update(slot, values)

    def clear(self) -> None:
        """Tell everyone who watches that what was said is void (CS)."""
        for slot in self.watchers:
            slot.session.notify(f"CS,{slot.subscription.id},{slot.number}")

    def overflow(self, lost: int) -> None:
        """Tell everyone who watches that updates were lost (OV)."""
        for slot in self.watchers:
            slot.session.notify(f"OV,{slot.subscription.id},{slot.number},{lost}")


@dataclass(slots=True, eq=False)
class Slot:
    """Hold one item of one subscription."""

    session: Session
    subscription: Subscription
    number: int
    item: StreamItem
    sent: list[str | None] | None = None
    latest: Values | None = None
    queued: bool = False


@dataclass(slots=True, eq=False)
class Subscription:
    """Hold a subscription: mode, fields and a slot for each item."""

    id: int
    mode: str
    fields: tuple[str, ...]
    slots: list[Slot] = field(default_factory=list)


class Session:
    """Hold one streaming session."""

    def __init__(self, name: str, user: str, protocol: str, history_max: int, pending_max: int) -> None:
        self.id = name
        self.user = user
        self.protocol = protocol
        self.subscriptions: dict[int, Subscription] = {}
        self.channel: Channel | None = None
        self.sent = 0
        """Data notifications sent so far: what the client counts too."""
        self.keepalive_ms = 0
        self.inactivity_ms = 0
        self.send_sync = True
        self.began_ns = self.heard_ns = self.synced_ns = self.unbound_ns = 0
        self.poll_until_ns: int | None = None
        self.poll_ms = 0
        self.poll_from = 0
        self._history: deque[str] = deque(maxlen=history_max)
        self._pending: deque[str | tuple[Slot, Values | None]] = deque()
        self._pending_max = pending_max

    @property
    def overflowed(self) -> bool:
        """Tell whether more waits than a server would keep."""
        return len(self._pending) > self._pending_max

    @property
    def waiting(self) -> int:
        """Count what waits for a connection, or for room on it."""
        return len(self._pending)

    def control(self, line: str) -> None:
        """Say something that is no data notification: it is neither counted nor sent again."""
        if self.channel is not None:
            self.channel.write(line)

    def notify(self, line: str) -> None:
        """Send a data notification, in turn."""
        if self._pending or not self._open:
            self._pending.append(line)
        else:
            self._emit(line)

    def update(self, slot: Slot, values: Values) -> None:
        """Send new values of an item, in turn."""
        if slot.subscription.mode == "MERGE":
            slot.latest = values
            if slot.queued:
                return
            if self._pending or not self._open:
                slot.queued = True
                self._pending.append((slot, None))
                return
        elif self._pending or not self._open:
            self._pending.append((slot, values))
            return
        self._emit_update(slot, values)

    def flush(self) -> None:
        """Send what waits, as long as there is room."""
        while self._pending and self._open:
            entry = self._pending.popleft()
            if isinstance(entry, str):
                self._emit(entry)
                continue
            slot, values = entry
            slot.queued = False
            if slot.subscription.id not in self.subscriptions:
                continue
            values = slot.latest if values is None else values
            assert values is not None
            self._emit_update(slot, values)

    def bind(self, channel: Channel) -> None:
        """Stream on a connection from here on; any older one streams no more."""
        self.unbind()
        channel.session = self
        channel.last = self.id
        self.channel = channel

    def unbind(self) -> None:
        """Stream on no connection."""
        if self.channel is not None:
            self.channel.session = None
        self.channel = None
        self.poll_until_ns = None

    def since(self, progressive: int) -> Sequence[str] | None:
        """Give the data notifications after the first `progressive`, or None when they are not kept (any more)."""
        first = self.sent - len(self._history)
        if not first <= progressive <= self.sent:
            return None
        return list(self._history)[progressive - first :]

    @property
    def _open(self) -> bool:
        return self.channel is not None and self.channel.room

    def _emit_update(self, slot: Slot, values: Values) -> None:
        row = [values.get(name) for name in slot.subscription.fields]
        line = update_line(slot.subscription.id, slot.number, row, slot.sent)
        if line is None:
            if slot.subscription.mode == "MERGE":
                return
            line = unchanged_line(slot.subscription.id, slot.number, len(row))
        slot.sent = row
        self._emit(line)

    def _emit(self, line: str) -> None:
        assert self.channel is not None
        self.sent += 1
        self._history.append(line)
        self.channel.write(line)


def _nothing() -> None:
    return None
