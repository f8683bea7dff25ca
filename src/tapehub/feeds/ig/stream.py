"""The streaming connection: one at a time, its callbacks copied and handed over.

All listeners of the process share the client's one event thread, an exception in a listener is swallowed there, and a
slow one holds everybody up. So ours copy what they are told into an inbox and return; whatever goes wrong in them is
an entry of the inbox as well.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeAlias

from tapehub.feeds.ig.budget import Item, Role
from tapehub.feeds.ig.client import ClientListener, Subscription, SubscriptionListener, make_client

__all__ = [
    "Confirmed", "Entry", "Fault", "Inbox", "ItemRefused", "Lost", "ServerError", "State", "Stream", "Update",
]  # fmt: skip

_serials = itertools.count(1)  # of all subscriptions of the process, so that late updates of an old one are known


class Update(NamedTuple):
    """Carry what changed in an item, as the subscription with that serial number said.

    A symbol says that it is a quote: one update of that symbol's tick item.
    """

    name: str
    changes: dict[str, str | None]
    ts_recv: int
    serial: int
    symbol: str = ""


class Confirmed(NamedTuple):
    """Tell that the server took a subscription: what follows of the item belongs to it."""

    name: str
    ts_recv: int
    serial: int


class ItemRefused(NamedTuple):
    """Tell that the server refused an item."""

    name: str
    code: int
    message: str
    ts_recv: int


class Lost(NamedTuple):
    """Tell that the server dropped updates of an item."""

    name: str
    updates: int
    ts_recv: int


class State(NamedTuple):
    """Tell the client's state, such as ``CONNECTED:WS-STREAMING``, of the stream with that number."""

    word: str
    number: int
    ts_recv: int


class ServerError(NamedTuple):
    """Tell why the server refused or ended the session; the client will not come back by itself."""

    code: int
    message: str
    number: int
    ts_recv: int


class Fault(NamedTuple):
    """Tell of an exception in one of our own callbacks, or of updates that found no room."""

    name: str
    why: str
    ts_recv: int


Entry: TypeAlias = Update | Confirmed | ItemRefused | Lost | State | ServerError | Fault


class Inbox:
    """Take entries from any thread and wake the loop's owner once for each burst.

    Args:
        wake: called in the loop.
        received: told of each quote, in the thread that brings it, before anything else becomes of it.
        entries_max: updates beyond it are counted in `overflowed`, by symbol; what the server says of the connection
            always finds room.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        wake: Callable[[], None],
        received: Callable[[int], None] | None = None,
        entries_max: int = 1_000_000,
    ) -> None:
        self._loop = loop
        self._received = received
        self._lock = threading.Lock()  # between what comes and `close`: nothing is counted and then forgotten
        self._closed = False
        self._wake = wake
        self._entries: deque[Entry] = deque()
        self._entries_max = entries_max
        self._armed = False
        self.overflowed: Counter[str] = Counter()

    def put(self, entry: Entry) -> None:
        """Leave an entry; never blocks."""
        with self._lock:
            if self._closed:
                return
            if isinstance(entry, Update):
                if entry.symbol and self._received is not None:
                    self._received(1)
                if len(self._entries) >= self._entries_max:
                    self.overflowed[entry.symbol] += 1
                    return
            self._entries.append(entry)
        if not self._armed:
            self._armed = True
            try:
                self._loop.call_soon_threadsafe(self._ring)
            except RuntimeError:  # the loop is closed: nobody reads any more
                self._entries.clear()

    def take(self, entries_max: int = 65_536) -> list[Entry]:
        """Take the oldest entries."""
        entries = self._entries
        return [entries.popleft() for _ in range(min(len(entries), entries_max))]

    def close(self) -> list[Entry]:
        """Take nothing any more, and give what was not taken."""
        with self._lock:
            self._closed = True
            return self.take(len(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    def _ring(self) -> None:
        self._armed = False  # before anything is taken: what comes from here on rings again
        self._wake()


class Stream:
    """One streaming session with one connection. Methods from the loop's thread; none blocks.

    Args:
        now: the hub clock, ns UTC, read when an update arrives.
        number: of this stream among the feed's; its states and errors carry it.
    """

    def __init__(
        self, endpoint: str, user: str, password: str, *, inbox: Inbox, now: Callable[[], int], number: int
    ) -> None:
        self._inbox = inbox
        self._now = now
        self.number = number
        self.endpoint = endpoint
        self._client = make_client(endpoint, user, password)
        self._client.addListener(_ConnectionListener(inbox, now, number))
        self._subscriptions: dict[str, Subscription] = {}

    @property
    def state(self) -> str:
        """Give the client's state."""
        return str(self._client.getStatus())

    def connect(self, items: Iterable[Item]) -> None:
        """Subscribe and connect; subscriptions wait in the client until the session is there."""
        for item in items:
            self.subscribe(item)
        self._client.connect()

    def subscribe(self, item: Item) -> None:
        """Subscribe to an item, again if need be."""
        self.unsubscribe(item)
        subscription = Subscription(item.mode, [item.name], list(item.fields))
        if item.adapter:
            subscription.setDataAdapter(item.adapter)
        subscription.setRequestedSnapshot("yes")
        symbol = item.symbol if item.role is Role.TICK else ""
        subscription.addListener(_ItemListener(item.name, self._inbox, self._now, next(_serials), symbol))
        self._subscriptions[item.name] = subscription
        self._client.subscribe(subscription)

    def unsubscribe(self, item: Item) -> None:
        """Give a subscription up."""
        subscription = self._subscriptions.pop(item.name, None)
        if subscription is not None and subscription.isActive():
            self._client.unsubscribe(subscription)

    def set_password(self, password: str) -> None:
        """Let the client's own next session, should it make one, use the latest tokens."""
        self._client.connectionDetails.setPassword(password)

    def close(self) -> None:
        """Disconnect for good."""
        self._client.disconnect()


class _ConnectionListener(ClientListener):  # type: ignore[misc]
    def __init__(self, inbox: Inbox, now: Callable[[], int], number: int) -> None:
        self._inbox = inbox
        self._now = now
        self._number = number

    def onStatusChange(self, status: Any) -> None:  # noqa: N802
        self._inbox.put(State(str(status), self._number, self._now()))

    def onServerError(self, code: Any, message: Any) -> None:  # noqa: N802
        self._inbox.put(ServerError(int(code), str(message or ""), self._number, self._now()))


class _ItemListener(SubscriptionListener):  # type: ignore[misc]
    def __init__(self, name: str, inbox: Inbox, now: Callable[[], int], serial: int, symbol: str) -> None:
        self._symbol = symbol
        self._name = name
        self._inbox = inbox
        self._now = now
        self._serial = serial

    def onItemUpdate(self, update: Any) -> None:  # noqa: N802
        try:
            self._inbox.put(Update(self._name, update.getChangedFields(), self._now(), self._serial, self._symbol))
        except Exception as error:
            self._failed("onItemUpdate", error)

    def onSubscription(self) -> None:  # noqa: N802
        try:
            self._inbox.put(Confirmed(self._name, self._now(), self._serial))
        except Exception as error:
            self._failed("onSubscription", error)

    def onSubscriptionError(self, code: Any, message: Any) -> None:  # noqa: N802
        try:
            self._inbox.put(ItemRefused(self._name, int(code), str(message or ""), self._now()))
        except Exception as error:
            self._failed("onSubscriptionError", error)

    def onItemLostUpdates(self, item: Any, position: Any, count: Any) -> None:  # noqa: N802
        try:
            self._inbox.put(Lost(self._name, int(count), self._now()))
        except Exception as error:
            self._failed("onItemLostUpdates", error)

    def onClearSnapshot(self, item: Any, position: Any) -> None:  # noqa: N802
        """Take a cleared item for one that begins anew."""
        self.onSubscription()

    def _failed(self, where: str, error: Exception) -> None:
        # The hub clock itself may be what failed.
        self._inbox.put(Fault(self._name, f"{where}: {type(error).__name__}: {error}", 0))
