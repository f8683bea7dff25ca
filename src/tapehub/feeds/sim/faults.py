"""What can go wrong on purpose: the faults of the simulated venue, and which of them hold at a moment.

Some happen (`cut`, `expire_tokens`), some last (`mute`, `scaled`) for a time, a count of hits, or until cleared. When
one begins is decided by the simulator's clock, whom it hits by a seeded generator: same seed and script, same faults.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase

__all__ = ["ALLOWANCES", "INSTANT", "OF_ITEMS", "Fault", "FaultKind", "Faults"]


class FaultKind(Enum):
    """Name a fault. Items, epics and symbols are meant by glob patterns (`Fault.item`)."""

    MUTE = "mute"  # nothing more comes of the items
    CUT = "cut"  # every stream's socket: how = close, reset or freeze
    OUTAGE = "outage"  # every socket is reset, and every new one, REST too
    EXPIRE_TOKENS = "expire_tokens"  # CST, XST and OAuth; open streams go on
    FORGET_SESSIONS = "forget_sessions"  # streams are cut and cannot be recovered: CONERR 20
    END_SESSIONS = "end_sessions"  # END with `code`
    REFUSE_LOGIN = "refuse_login"  # with `code`
    REFUSE_STREAM = "refuse_stream"  # CONERR with `code` on create_session
    REFUSE_PROTOCOL = "refuse_protocol"  # CONERR 65 for `item`, such as TLCP-2.5.0
    ALLOWANCE = "allowance"  # 403 on `code`: api-key, account, account-trading, account-historical-data
    REST_ERROR = "rest_error"  # `status` and `code` for paths like `item`
    DUPLICATE = "duplicate"  # each tick hit is sent twice
    REORDER = "reorder"  # each tick hit is sent after the one that follows it
    DELAY = "delay"  # each tick hit is sent `seconds` later
    CROSSED = "crossed"  # bid and ask change places
    ZERO = "zero"  # bid is 0
    GARBLED = "garbled"  # the ask is no number
    SCALED = "scaled"  # prices times `factor`
    LOSE_CANDLE_END = "lose_candle_end"  # the update with CONS_END does not come
    CLEAR_SNAPSHOT = "clear_snapshot"  # CS: what the items said is void
    OVERFLOW = "overflow"  # OV: `count` updates of the items were lost
    MARKET_STATE = "market_state"  # as `state` says, such as SUSPENDED
    BAD_EPIC = "bad_epic"  # the epic is unknown: subscriptions get 21, REST 404
    MAINTENANCE = "maintenance"  # REST 503, streams ended, tokens dropped, nobody let in
    CLEAR = "clear"  # lifts what lasts: `code` names a kind, empty for all


INSTANT = frozenset(
    {
        FaultKind.CUT,
        FaultKind.EXPIRE_TOKENS,
        FaultKind.FORGET_SESSIONS,
        FaultKind.END_SESSIONS,
        FaultKind.CLEAR_SNAPSHOT,
        FaultKind.OVERFLOW,
        FaultKind.CLEAR,
    }
)
OF_ITEMS = frozenset(
    {
        FaultKind.MUTE,
        FaultKind.DUPLICATE,
        FaultKind.REORDER,
        FaultKind.DELAY,
        FaultKind.CROSSED,
        FaultKind.ZERO,
        FaultKind.GARBLED,
        FaultKind.SCALED,
        FaultKind.LOSE_CANDLE_END,
        FaultKind.CLEAR_SNAPSHOT,
        FaultKind.OVERFLOW,
        FaultKind.MARKET_STATE,
    }
)
"""Whose `item` names what is quoted. Not BAD_EPIC: an epic that there is none of is one already."""
ALLOWANCES = ("api-key", "account", "account-trading", "account-historical-data")


@dataclass(frozen=True, slots=True)
class Fault:
    """Describe a fault.

    Attributes:
        item: glob over item names, epics and symbols (for `rest_error` over paths).
        duration_s: of the simulator's clock; None: until cleared. For a frozen socket also how long it stays so.
        count: at most so many hits; None: no bound.
        share: of the ticks or requests concerned, 0 to 1.
        code: error code, allowance, or the kind to clear.
        how: of a cut: close, reset, freeze.
        seconds: of a delay.
        factor: of scaled prices.
        state: of the market.
        status: of a REST error.
    """

    kind: FaultKind
    item: str = "*"
    duration_s: float | None = None
    count: int | None = None
    share: float = 1.0
    code: str = ""
    how: str = "close"
    seconds: float = 1.0
    factor: float = 10_000.0
    state: str = "SUSPENDED"
    status: int = 500

    def concerns(self, *names: str) -> bool:
        """Tell whether any of an object's names is meant."""
        pattern = self.code if self.kind is FaultKind.ALLOWANCE else self.item
        return pattern == "*" or any(fnmatchcase(name, pattern) for name in names)


@dataclass(slots=True)
class _Active:
    fault: Fault
    until_ns: int | None
    left: int | None


class Faults:
    """Keep the faults to come and those that hold. Not locked: one thread."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)
        self._coming: list[tuple[int, int, Fault]] = []
        self._order = 0
        self._active: dict[FaultKind, list[_Active]] = {}
        self.next_ns: int | None = None
        """When the next scheduled fault begins."""

    def schedule(self, at_ns: int, fault: Fault) -> None:
        """Let a fault begin at an instant of the simulator's clock."""
        heapq.heappush(self._coming, (at_ns, self._order, fault))
        self._order += 1
        self.next_ns = self._coming[0][0]

    def begin(self, now_ns: int) -> Iterator[Fault]:
        """Start what is due, one after the other; those that last are active from here on."""
        while self._coming and self._coming[0][0] <= now_ns:
            at_ns, _, fault = heapq.heappop(self._coming)
            self.next_ns = self._coming[0][0] if self._coming else None
            if fault.kind is FaultKind.CLEAR:
                self._clear(fault)
            elif fault.kind not in INSTANT:
                until = None if fault.duration_s is None else at_ns + round(fault.duration_s * 1e9)
                self._active.setdefault(fault.kind, []).append(_Active(fault, until, fault.count))
            yield fault

    def hit(self, kind: FaultKind, now_ns: int, *names: str) -> Fault | None:
        """Find the active fault that hits this time, and count the hit."""
        rows = self._active.get(kind)
        if not rows:
            return None
        for row in list(rows):
            if row.until_ns is not None and now_ns >= row.until_ns:
                rows.remove(row)
            elif row.fault.concerns(*names) and (row.fault.share >= 1 or self._random.random() < row.fault.share):
                if row.left is not None:
                    row.left -= 1
                    if row.left <= 0:
                        rows.remove(row)
                return row.fault
        return None

    def active(self, now_ns: int) -> list[Fault]:
        """List what lasts at this moment."""
        return [
            row.fault for rows in self._active.values() for row in rows if row.until_ns is None or now_ns < row.until_ns
        ]

    @property
    def quiet(self) -> bool:
        """Tell whether nothing lasts: a fast path for ticks."""
        return not any(self._active.values())

    def _clear(self, fault: Fault) -> None:
        for kind, rows in self._active.items():
            if fault.code in ("", kind.value):
                rows[:] = [
                    row for row in rows if not (fault.item in ("*", row.fault.item) or fault.concerns(row.fault.item))
                ]
