"""When one market is open, as a table of UTC nanoseconds: whoever asks only compares."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any, Final, overload

import numpy as np
import numpy.typing as npt

__all__ = ["CalendarId", "Ns", "Sessions"]

Ns = npt.NDArray[np.int64]

_ROW: Final = np.dtype([("open_ns", "<i8"), ("close_ns", "<i8")])
_ENDS: Final = (np.iinfo(np.int64).min, np.iinfo(np.int64).max)
"""Opening and closing of a market that never closes."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class CalendarId(IntEnum):
    """Number a calendar as ``layout.hpp`` does."""

    FX = 0
    METALS = 1
    ALWAYS = 2


class Sessions:
    """Tell when a market is open. Immutable; any thread.

    Instants are int64 ns UTC, or a `datetime` (a naive one is UTC).

    Args:
        calendar: whose sessions these are.
        opens, closes: shape (n,), ascending and disjoint, ``opens[i] < closes[i] <= opens[i + 1]``; an opening belongs
            to its session, a closing does not.
    """

    __slots__ = ("_closes", "_opens", "id")

    def __init__(self, calendar: CalendarId, opens: Ns, closes: Ns) -> None:
        self.id = calendar
        self._opens, self._closes = opens, closes
        for table in (opens, closes):
            table.setflags(write=False)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}, {len(self._opens):,} sessions>"

    @property
    def name(self) -> str:
        """Its name in the configuration: ``fx``, ``metals`` or ``always``."""
        return self.id.name.lower()

    @property
    def week_days(self) -> int:
        """Count the trading days of a week: 5 or 7."""
        return 7 if self.id is CalendarId.ALWAYS else 5

    def sessions(self, start: int | datetime | None = None, end: int | datetime | None = None) -> tuple[Ns, Ns]:
        """List the sessions that lie, with any part of them, in [start, end): ``(open_ns, close_ns)``, read-only."""
        first = 0 if start is None else int(np.searchsorted(self._closes, _ns(start), side="right"))
        last = len(self._opens) if end is None else int(np.searchsorted(self._opens, _ns(end), side="left"))
        return self._opens[first:last], self._closes[first:last]

    @overload
    def is_open(self, ts_ns: int | datetime) -> bool: ...
    @overload
    def is_open(self, ts_ns: Ns | Sequence[int]) -> npt.NDArray[np.bool_]: ...
    def is_open(self, ts_ns: int | datetime | Ns | Sequence[int]) -> bool | npt.NDArray[np.bool_]:
        """Tell, for an instant or for each of many, whether the market is open."""
        if isinstance(ts_ns, int | datetime | np.integer):
            ts = _ns(ts_ns)
            at = int(np.searchsorted(self._opens, ts, side="right")) - 1
            return at >= 0 and ts < int(self._closes[at])
        many = np.asarray(ts_ns, dtype=np.int64)
        if not len(self._opens):
            return np.zeros(many.shape, dtype=np.bool_)
        rows = np.searchsorted(self._opens, many, side="right") - 1
        return np.asarray((rows >= 0) & (many < self._closes[np.maximum(rows, 0)]), dtype=np.bool_)

    def next_open(self, ts_ns: int | datetime) -> int | None:
        """Give the first opening after an instant, ns UTC, or None when there is none."""
        return _next(self._opens, _ns(ts_ns))

    def next_close(self, ts_ns: int | datetime) -> int | None:
        """Give the first closing after an instant, ns UTC, or None when there is none."""
        return _next(self._closes, _ns(ts_ns))

    # ------------------------------------------------------------ as bytes

    def to_bytes(self) -> bytes:
        """Give the table as rows of (open_ns, close_ns), int64 little-endian."""
        rows = np.empty(len(self._opens), _ROW)
        rows["open_ns"], rows["close_ns"] = self._opens, self._closes
        return rows.tobytes()

    @staticmethod
    def from_bytes(calendar: CalendarId, data: bytes) -> Sessions:
        """Read what `to_bytes` gave.

        Raises:
            ValueError: it is no such table.
        """
        if len(data) % _ROW.itemsize:
            raise ValueError(f"session table has {len(data)} bytes, expected a multiple of {_ROW.itemsize}")
        rows = np.frombuffer(data, _ROW)
        opens, closes = rows["open_ns"].astype(np.int64), rows["close_ns"].astype(np.int64)
        if not ((opens < closes).all() and (closes[:-1] <= opens[1:]).all()):
            raise ValueError("session table is out of order: expected open < close <= next open")
        return Sessions(calendar, opens, closes)


def _ns(instant: int | datetime | np.integer[Any]) -> int:
    if not isinstance(instant, datetime):
        return int(instant)
    aware = instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1) * 1000


def _next(instants: Ns, ts_ns: int) -> int | None:
    at = int(np.searchsorted(instants, ts_ns, side="right"))
    return int(instants[at]) if at < len(instants) and instants[at] not in _ENDS else None
