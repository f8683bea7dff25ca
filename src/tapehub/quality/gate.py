"""Check quotes before they reach the hub.

Every quote that comes in goes out as exactly one of accepted, duplicate or quarantined with a reason: `Tally` adds up.
Vectorised, since a replay passes millions through it; a live batch of one takes the same path.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tapehub.quality.reasons import Reason

__all__ = ["DUPLICATE_WINDOW", "Gate", "Tally", "Verdict"]

DUPLICATE_WINDOW = 1024
"""Ticks of one instrument and source within which a re-sent one is recognised."""

_EARLIEST_NS = 631_152_000_000_000_000  # 1990-01-01
_KEY = np.dtype([("ts_event", "<i8"), ("bid", "<f8"), ("ask", "<f8")])

Records = npt.NDArray[np.void]


class Verdict(NamedTuple):
    """Split a batch.

    Attributes:
        accepted: in the order they came; the very array that came when nothing was wrong.
        quarantined: in the order they came.
        reasons: uint8, parallel to `quarantined`: `Reason` numbers.
        duplicates: how many were dropped as re-sent.
    """

    accepted: Records
    quarantined: Records
    reasons: npt.NDArray[np.uint8]
    duplicates: int


@dataclass(slots=True)
class Tally:
    """Count what passed; ``received == accepted + duplicates + sum(quarantined.values())`` always."""

    received: int = 0
    accepted: int = 0
    duplicates: int = 0
    quarantined: Counter[Reason] = field(default_factory=Counter)


class Gate:
    """Judge the quotes of any number of feeds. Not thread-safe: one gate for each consuming task.

    Args:
        future_ns: how far ahead of the hub clock an event may be stamped before it is quarantined.
    """

    def __init__(self, future_ns: int = 5_000_000_000) -> None:
        self._future_ns = future_ns
        self._recent: dict[tuple[str, str], Records] = {}
        self.tallies: dict[tuple[str, str], Tally] = {}
        """Counts by (symbol, source)."""

    def check(self, records: Records, symbols: tuple[str, ...], source: str, now_ns: int | None = None) -> Verdict:
        """Split a batch into what the hub may have and what it may not.

        Args:
            records: shape (n,), with at least `ts_event`, `bid`, `ask`; with `instrument` when there are several
                symbols.
            symbols: what `instrument` indexes.
            source: who quoted.
            now_ns: the hub clock; None when it follows the events, so that no event can be ahead of it.
        """
        reasons = self._reasons(records, now_ns)
        has_index = "instrument" in (records.dtype.names or ())
        channel = records["instrument"] if has_index else np.zeros(len(records), dtype=np.uint16)
        known = channel < len(symbols)
        reasons[~known] = Reason.UNKNOWN_INSTRUMENT
        good = np.flatnonzero(reasons == 0)
        repeated = np.zeros(len(records), dtype=np.bool_)
        for index in np.unique(channel[good]).tolist():
            rows = good if len(symbols) == 1 else good[channel[good] == index]
            repeated[rows] = self._repeated(
                (symbols[index], source), records if len(rows) == len(records) else records.take(rows)
            )
        self._count(channel, symbols, source, reasons, repeated)
        duplicates = int(np.count_nonzero(repeated))
        if duplicates == 0 and len(good) == len(records):
            return Verdict(records, records[:0], reasons[:0], 0)
        # `take` moves whole records; indexing would copy field by field, ten times as slow.
        bad = np.flatnonzero(reasons)
        return Verdict(records.take(good[~repeated[good]]), records.take(bad), reasons[bad], duplicates)

    def _reasons(self, records: Records, now_ns: int | None) -> npt.NDArray[np.uint8]:
        bid, ask, ts_event = records["bid"], records["ask"], records["ts_event"]
        reasons = np.zeros(len(records), dtype=np.uint8)
        # From the weakest to the strongest: the last one written is the lowest number.
        if now_ns is not None:
            reasons[ts_event > now_ns + self._future_ns] = Reason.FUTURE
        reasons[ts_event < _EARLIEST_NS] = Reason.ANCIENT
        reasons[ask < bid] = Reason.CROSSED
        reasons[(bid <= 0) | (ask <= 0)] = Reason.NON_POSITIVE
        reasons[~(np.isfinite(bid) & np.isfinite(ask))] = Reason.NON_FINITE
        return reasons

    def _repeated(self, channel: tuple[str, str], rows: Records) -> npt.NDArray[np.bool_]:
        """Mark the rows that equal one of the channel's 1,024 ticks before them in event time and prices."""
        earlier = self._recent.get(channel)
        old = 0 if earlier is None else len(earlier)
        keys = np.empty(old + len(rows), dtype=_KEY)
        if earlier is not None:
            keys[:old] = earlier
        for name in _KEY.names or ():
            keys[name][old:] = rows[name]
        self._recent[channel] = keys[-DUPLICATE_WINDOW:].copy()
        marks = np.zeros(len(keys), dtype=np.bool_)
        step = np.diff(keys["ts_event"])
        if bool((step >= 0).all()):  # in order: only neighbours of equal time can repeat each other
            tie = step == 0
            rows_tied = np.zeros(len(keys), dtype=np.bool_)
            rows_tied[1:] |= tie
            rows_tied[:-1] |= tie
            suspects = np.flatnonzero(rows_tied)
        else:
            suspects = np.arange(len(keys))
        if len(suspects):
            these = keys[suspects]
            order = np.lexsort(
                (these["ask"], these["bid"], these["ts_event"])
            )  # stable: equal keys in order of arrival
            ranked, arrival = these[order], suspects[order]
            same = np.flatnonzero((ranked[1:] == ranked[:-1]) & (np.diff(arrival) <= DUPLICATE_WINDOW)) + 1
            marks[arrival[same]] = True
        return marks[old:]

    def _count(
        self,
        channel: npt.NDArray[Any],
        symbols: tuple[str, ...],
        source: str,
        reasons: npt.NDArray[np.uint8],
        repeated: npt.NDArray[np.bool_],
    ) -> None:
        fate = reasons.astype(np.int64)
        fate[repeated] = 255
        indices = np.minimum(channel, len(symbols)).astype(np.int64)
        table = np.bincount(indices * 256 + fate, minlength=(len(symbols) + 1) * 256).reshape(-1, 256)
        for index in np.flatnonzero(table.any(axis=1)).tolist():
            tally = self.tallies.setdefault((symbols[index] if index < len(symbols) else "", source), Tally())
            row = table[index]
            tally.received += int(row.sum())
            tally.accepted += int(row[0])
            tally.duplicates += int(row[255])
            for reason in Reason:
                if count := int(row[reason]):
                    tally.quarantined[reason] += count
