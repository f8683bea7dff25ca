"""Check quotes before they reach the hub.

Every quote that comes in goes out as exactly one of accepted, duplicate or quarantined with a reason: `Tally` adds up.
Two paths with one meaning, compared by a property test: row by row for the few that a live feed gives at a time, where
numpy costs more than it saves, and by columns for the many of a replay.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from tapehub.model.instruments import InstrumentBook
from tapehub.quality.duplicates import DUPLICATE_WINDOW
from tapehub.quality.prices import ACCEPTED, DUPLICATE, EARLIEST_NS, Channel
from tapehub.quality.reasons import Reason

__all__ = ["DUPLICATE_WINDOW", "FEW", "Arrival", "Batch", "Gate", "Row", "Tally", "Verdict"]

FEW = 64
"""Up to here, row by row is faster."""

_EVER = (1 << 63) - 1
_UNKNOWN = int(Reason.UNKNOWN_INSTRUMENT)

Records: TypeAlias = npt.NDArray[np.void]
Row: TypeAlias = tuple[int, int, float, float, float, float, int]
"""One quote as a plain tuple: ts_event, ts_recv, bid, ask, bid_size, ask_size, index of its symbol."""
Batch: TypeAlias = Records | list[Row]
"""Quotes as columns, or a few of them as rows: an array of one costs more than all the work on it."""


Arrival: TypeAlias = tuple[int, int, int, int, int]
"""What one channel got out of a batch: index of its symbol, received, accepted, and the event times of the first and
the last accepted quote (0, 0 when there is none). A plain tuple: one is made for each quote of a live feed."""


class Verdict(NamedTuple):
    """Split a batch.

    Attributes:
        accepted: in the order they came, and in the form; the very batch that came when nothing was wrong.
        quarantined: likewise.
        reasons: uint8, parallel to `quarantined`: `Reason` numbers.
        duplicates: how many were dropped as re-sent.
        arrivals: one for each known symbol of the batch.
    """

    accepted: Batch
    quarantined: Batch
    reasons: npt.NDArray[np.uint8]
    duplicates: int
    arrivals: list[Arrival]


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
        book: what is known of the instruments; a feed's quote of one that is not declared is quarantined.
    """

    def __init__(self, future_ns: int = 5_000_000_000, book: InstrumentBook | None = None) -> None:
        self._future_ns = future_ns
        self._book = book or InstrumentBook()
        self._scales = False
        self._channels: dict[tuple[str, str], tuple[Channel, Tally]] = {}
        self._lanes: dict[tuple[tuple[str, ...], str], list[tuple[Channel, Tally]]] = {}
        self._symbols: tuple[str, ...] = ()
        self._source = ""
        self._last_lanes: list[tuple[Channel, Tally]] = []
        self.tallies: dict[tuple[str, str], Tally] = {}
        """Counts by (symbol, source)."""

    def check(self, batch: Batch, symbols: tuple[str, ...], source: str, now_ns: int | None = None) -> Verdict:
        """Split a batch into what the hub may have and what it may not.

        Args:
            batch: records of shape (n,), with at least `ts_event`, `bid`, `ask`, and `instrument` when there are
                several symbols; or a list of rows, at most `FEW` for speed.
            symbols: what `instrument` indexes.
            source: who quoted.
            now_ns: the hub clock; None when it follows the events, so that no event can be ahead of it.
        """
        lanes = self._lanes_of(symbols, source)
        if self._scales:
            batch = _converted(batch, lanes)
        latest = _EVER if now_ns is None else now_ns + self._future_ns
        if isinstance(batch, list):
            return self._check_few(batch, batch, lanes, source, latest)
        if len(batch) <= FEW:
            return self._check_few(batch, self._rows(batch), lanes, source, latest)
        return self._check_many(batch, lanes, source, latest)

    def channel(self, symbol: str, source: str) -> Channel:
        """Give what is remembered of a channel, such as its last accepted price."""
        return self._lane(symbol, source)[0]

    def _lanes_of(self, symbols: tuple[str, ...], source: str) -> list[tuple[Channel, Tally]]:
        if symbols is self._symbols and source == self._source:  # a feed's are always the same; their hash is not kept
            return self._last_lanes
        lanes = self._lanes.get((symbols, source))
        if lanes is None:
            lanes = self._lanes[symbols, source] = [self._lane(symbol, source) for symbol in symbols]
        self._symbols, self._source, self._last_lanes = symbols, source, lanes
        return lanes

    def _lane(self, symbol: str, source: str) -> tuple[Channel, Tally]:
        key = (symbol, source)
        if key not in self._channels:
            tally = self.tallies.setdefault(key, Tally())
            channel = Channel(self._book.find(symbol))
            self._scales = self._scales or channel.input_scale != 1.0
            self._channels[key] = channel, tally
        return self._channels[key]

    # ------------------------------------------------------------ row by row

    def _check_few(
        self, batch: Batch, rows: list[Row], lanes: list[tuple[Channel, Tally]], source: str, latest: int
    ) -> Verdict:
        known = len(lanes)
        if len(rows) == 1:  # what a live feed gives most of the time
            ((ts_event, _, bid, ask, _, _, index),) = rows
            if index < known and lanes[index][0].passes(ts_event, bid, ask, latest):
                tally = lanes[index][1]
                tally.received += 1
                tally.accepted += 1
                return Verdict(batch, batch[:0], _NO_REASONS, 0, [(index, 1, 1, ts_event, ts_event)])
        fates: list[int] = []
        arrivals: dict[int, list[int]] = {}  # by index of the symbol
        for ts_event, _, bid, ask, _, _, index in rows:
            if index >= known:
                fates.append(_UNKNOWN)
                continue
            channel = lanes[index][0]
            if channel.passes(ts_event, bid, ask, latest):
                fate = ACCEPTED
            elif not channel.declared:
                fate = _UNKNOWN
            else:
                fate = _fault(ts_event, bid, ask, latest) or channel.judge(ts_event, bid, ask)
            arrival = arrivals.get(index)
            if arrival is None:
                arrival = arrivals[index] = [0, 0, 0, 0]
            arrival[0] += 1
            if fate == ACCEPTED:
                if not arrival[1]:
                    arrival[2] = ts_event
                arrival[1] += 1
                arrival[3] = ts_event
            fates.append(fate)
        accepted = 0
        found: list[Arrival] = []
        for index, (received, passed, ts_first, ts_last) in arrivals.items():
            tally = lanes[index][1]
            tally.received += received
            tally.accepted += passed
            accepted += passed
            found.append((index, received, passed, ts_first, ts_last))
        if accepted == len(fates):
            return Verdict(batch, batch[:0], _NO_REASONS, 0, found)
        self._count_others(rows, fates, lanes, source)
        return _split(batch, np.array(fates, dtype=np.uint8), found)

    def _count_others(self, rows: list[Row], fates: list[int], lanes: list[tuple[Channel, Tally]], source: str) -> None:
        """Count those of a few quotes that were not accepted; strangers among them are not counted as received yet."""
        for (*_, index), fate in zip(rows, fates, strict=True):
            if fate == ACCEPTED:
                continue
            if index < len(lanes):
                tally = lanes[index][1]
            else:
                tally = self._stranger(source)
                tally.received += 1
            if fate == DUPLICATE:
                tally.duplicates += 1
            else:
                tally.quarantined[Reason(fate)] += 1

    def _rows(self, records: Records) -> list[Row]:
        """Give the rows of an array of whatever fields as tuples, with zeros for what the gate does not look at."""
        # Column by column, as whole rows of Python objects cost several times as much.
        ts_event, bid, ask = (records[name].tolist() for name in ("ts_event", "bid", "ask"))
        has_index = "instrument" in (records.dtype.names or ())
        index = records["instrument"].tolist() if has_index else repeat(0)
        return list(zip(ts_event, repeat(0), bid, ask, repeat(0.0), repeat(0.0), index))

    def _stranger(self, source: str) -> Tally:
        return self.tallies.setdefault(("", source), Tally())

    # ------------------------------------------------------------ by columns

    def _check_many(self, records: Records, lanes: list[tuple[Channel, Tally]], source: str, latest: int) -> Verdict:
        # Columns of their own: every pass over a field of the records would walk the whole of them.
        ts_event = np.ascontiguousarray(records["ts_event"])
        bid, ask = np.ascontiguousarray(records["bid"]), np.ascontiguousarray(records["ask"])
        sound = (ts_event >= EARLIEST_NS) & (ts_event <= latest) & (bid > 0) & (bid <= ask) & (ask < math.inf)
        fates: npt.NDArray[np.uint8] | None = None
        if not sound.all():
            fates = np.zeros(len(records), dtype=np.uint8)
            for row in np.flatnonzero(~sound).tolist():
                fates[row] = _fault(int(ts_event[row]), float(bid[row]), float(ask[row]), latest)
        arrivals: list[Arrival] = []
        for index, rows in _rows_by_index(records, len(lanes)):
            count = len(records) if rows is None else len(rows)
            if index >= len(lanes) or not lanes[index][0].declared:
                fates = np.zeros(len(records), dtype=np.uint8) if fates is None else fates
                fates[slice(None) if rows is None else rows] = _UNKNOWN
                tally = lanes[index][1] if index < len(lanes) else self._stranger(source)
                tally.received += count
                tally.quarantined[Reason.UNKNOWN_INSTRUMENT] += count
                if index < len(lanes):
                    arrivals.append((index, count, 0, 0, 0))
                continue
            channel, tally = lanes[index]
            good = rows
            if fates is not None and not (sound.all() if rows is None else sound[rows].all()):
                good = np.flatnonzero(sound) if rows is None else rows[sound[rows]]
            judged = None
            if good is None:
                judged = channel.judge_many(ts_event, bid, ask)
            elif len(good):
                judged = channel.judge_many(ts_event[good], bid[good], ask[good])
            if judged is not None:
                fates = np.zeros(len(records), dtype=np.uint8) if fates is None else fates
                fates[slice(None) if good is None else good] = judged
            arrivals.append(_arrival(index, rows, fates, ts_event, tally))
        if fates is None:
            return Verdict(records, records[:0], _NO_REASONS, 0, arrivals)
        return _split(records, fates, arrivals)


_NO_REASONS = np.zeros(0, dtype=np.uint8)
_NO_REASONS.setflags(write=False)


def _fault(ts_event: int, bid: float, ask: float, latest: int) -> int:
    """Name what is wrong with a quote in itself, the lowest number first; 0 when nothing is."""
    if not (math.isfinite(bid) and math.isfinite(ask)):
        return Reason.NON_FINITE
    if bid <= 0 or ask <= 0:
        return Reason.NON_POSITIVE
    if ask < bid:
        return Reason.CROSSED
    if ts_event < EARLIEST_NS:
        return Reason.ANCIENT
    return Reason.FUTURE if ts_event > latest else ACCEPTED


def _rows_by_index(records: Records, known: int) -> list[tuple[int, npt.NDArray[Any] | None]]:
    """Group the rows by symbol; None stands for all of them. Whatever no symbol is given for comes as index `known`."""
    if "instrument" not in (records.dtype.names or ()):
        return [(0, None)]
    index = np.minimum(records["instrument"], known)
    present = np.flatnonzero(np.bincount(index)).tolist()
    if len(present) == 1:
        return [(present[0], None)]
    return [(one, np.flatnonzero(index == one)) for one in present]


def _arrival(
    index: int,
    rows: npt.NDArray[Any] | None,
    fates: npt.NDArray[np.uint8] | None,
    ts_event: npt.NDArray[np.int64],
    tally: Tally,
) -> Arrival:
    """Count the fates of one channel."""
    count = len(ts_event) if rows is None else len(rows)
    tally.received += count
    mine = None if fates is None else fates if rows is None else fates[rows]
    if mine is None or not mine.any():
        tally.accepted += count
        first, last = (0, -1) if rows is None else (int(rows[0]), int(rows[-1]))
        return index, count, count, int(ts_event[first]), int(ts_event[last])
    numbers = np.bincount(mine, minlength=256)
    tally.accepted += int(numbers[ACCEPTED])
    tally.duplicates += int(numbers[DUPLICATE])
    for reason in Reason:
        if numbers[reason]:
            tally.quarantined[reason] += int(numbers[reason])
    accepted = np.flatnonzero(mine == ACCEPTED)
    if not len(accepted):
        return (index, count, 0, 0, 0)
    first, last = (int(one) if rows is None else int(rows[one]) for one in (accepted[0], accepted[-1]))
    return index, count, len(accepted), int(ts_event[first]), int(ts_event[last])


def _split(batch: Batch, fates: npt.NDArray[np.uint8], arrivals: list[Arrival]) -> Verdict:
    bad = np.flatnonzero((fates != ACCEPTED) & (fates != DUPLICATE))
    good = np.flatnonzero(fates == ACCEPTED)
    duplicates = int(np.count_nonzero(fates == DUPLICATE))
    if isinstance(batch, list):
        rows = [batch[row] for row in good.tolist()], [batch[row] for row in bad.tolist()]
        return Verdict(*rows, fates[bad], duplicates, arrivals)
    # `take` moves whole records; indexing would copy field by field, ten times as slow.
    return Verdict(batch.take(good), batch.take(bad), fates[bad], duplicates, arrivals)


def _converted(batch: Batch, lanes: list[tuple[Channel, Tally]]) -> Batch:
    """Turn prices into market units where the configuration says how."""
    factors = np.array([channel.input_scale for channel, _ in lanes] + [1.0])
    if not (factors != 1.0).any():
        return batch
    if isinstance(batch, list):
        by = [float(factors[min(row[-1], len(lanes))]) for row in batch]
        return [
            (ts_event, ts_recv, bid * factor, ask * factor, bid_size, ask_size, index)
            for (ts_event, ts_recv, bid, ask, bid_size, ask_size, index), factor in zip(batch, by, strict=True)
        ]
    index = np.minimum(batch["instrument"], len(lanes)) if "instrument" in (batch.dtype.names or ()) else 0
    out = batch.copy()
    for name in ("bid", "ask"):
        out[name] *= factors[index]
    return out
