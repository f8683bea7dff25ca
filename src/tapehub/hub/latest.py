"""Follow what feeds say of their connections, and what was refused, without reading the log anew each time."""

from __future__ import annotations

import json
import threading
from collections import deque
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from tapehub.hub import blobs, marks, scanning
from tapehub.hub.witness import is_believed
from tapehub.model.records import Kind

if TYPE_CHECKING:
    from tapehub.hub.datahub import DataHub

__all__ = ["Latest", "latest"]

_KINDS = 1 << Kind.LEDGER | 1 << Kind.QUARANTINE
_QUARANTINED_MAX = 512


class Latest:
    """Hold the newest of each kind. Any number of threads.

    The first read goes through the last segments of the log, in which whatever still holds was said: collectors say it
    four times a minute. Each further read goes on where the last one ended.
    """

    def __init__(self, hub: DataHub) -> None:
        self._lock = threading.Lock()
        self._incarnation = -1
        self._position = 0
        self._links: dict[str, tuple[int, int, dict[str, Any]]] = {}
        self._quarantined: deque[tuple[int, int, int, bytes]] = deque(maxlen=_QUARANTINED_MAX)
        self.read(hub)

    def read(self, hub: DataHub) -> Latest:
        """Read on up to the head of the log."""
        with self._lock:
            self._read(hub)
        return self

    def _read(self, hub: DataHub) -> None:
        state = hub._hub_state()
        if hub._incarnation != self._incarnation or int(state["oldest"]) > self._position:
            lines = int(state["segment_lines"])
            self._incarnation = hub._incarnation
            self._position = max(int(state["oldest"]), (hub.head // lines - 1) * lines, 0)
            self._links.clear()
            self._quarantined.clear()
        head = hub.head
        for _, record in scanning.between(hub, _KINDS, self._position, head):
            self._take(hub, record)
        self._position = max(self._position, head)

    def _take(self, hub: DataHub, record: Any) -> None:
        if int(record[0]) == Kind.QUARANTINE:
            self._quarantined.append((int(record[2]), int(record[5]), record[9], record[10]))
        elif int(record[5]) & 0xFF == marks.LINK:
            told = json.loads(blobs.load(hub, record[9], record[10]))
            self._links[told.pop("feed")] = (int(record[2]), int(record[5]), told)

    def links(self, hub: DataHub) -> dict[str, dict[str, Any]]:
        """Give how each feed's connection stands, with ``ts``, and ``alive``: the process that said so is there."""
        return {
            feed: {**told, "ts": ts, "alive": is_believed(hub, signed)}
            for feed, (ts, signed, told) in list(self._links.items())
        }

    def quarantined(self) -> dict[str, tuple[int, int, str]]:
        """Give the newest refusal of each symbol: when, reason, detail; an empty symbol where the message told none."""
        found: dict[str, tuple[int, int, str]] = {}
        for ts, reason, flags, payload in list(self._quarantined):
            told = marks.read_quarantine(flags, payload)
            found[told["symbol"]] = (ts, reason, told["detail"])
        return found


_of: WeakKeyDictionary[DataHub, Latest] = WeakKeyDictionary()


def latest(hub: DataHub) -> Latest:
    """Give what a hub says now; what was read before is kept as long as the hub is open."""
    known = _of.get(hub)
    if known is None:
        known = _of[hub] = Latest(hub)
        return known
    return known.read(hub)
