"""What the simulated venue was asked and did: counted, the latest of it kept, all of it in one digest."""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from dataclasses import dataclass

__all__ = ["Entry", "Journal"]


@dataclass(frozen=True, slots=True)
class Entry:
    """Hold one line of the journal: when (ns of the simulator's clock), what, and about what."""

    ts_ns: int
    event: str
    detail: str = ""


class Journal:
    """Count events and requests, and keep the latest.

    Attributes:
        counts: by event: ``login``, ``refresh``, ``logout``, ``session created``, ``session recovered``,
            ``subscribed``, ``fault``, …
        requests: by ``METHOD path`` and status, ``GET /markets/… 200`` with the epic left out.
        entries: the latest, oldest first.
    """

    def __init__(self, entries_max: int = 10_000) -> None:
        self.counts: Counter[str] = Counter()
        self.requests: Counter[str] = Counter()
        self.entries: deque[Entry] = deque(maxlen=entries_max)
        self._hash = hashlib.sha256()

    def note(self, ts_ns: int, event: str, detail: str = "") -> None:
        """Write something down."""
        self.counts[event] += 1
        self.entries.append(Entry(ts_ns, event, detail))
        self._hash.update(f"{ts_ns}|{event}|{detail}\n".encode())

    def request(self, ts_ns: int, method: str, path: str, status: int, code: str) -> None:
        """Write a REST request down."""
        self.requests[f"{method} {path} {status}"] += 1
        self.note(ts_ns, "request", f"{method} {path} {status} {code}".rstrip())

    @property
    def logins(self) -> int:
        """Count the logins that succeeded."""
        return self.counts["login"]

    @property
    def digest(self) -> str:
        """Give a hash of everything written down so far: equal for equal runs."""
        return self._hash.hexdigest()
