"""The log, read in its order for an engine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from tapehub._native import Follower
from tapehub.agents.engine import Engine
from tapehub.agents.entries import KINDS, Entry
from tapehub.agents.hours import table_in
from tapehub.agents.search import NO_ROWS
from tapehub.errors import HubError
from tapehub.hub import blobs
from tapehub.hub.naming import symbol_of
from tapehub.hub.reading import EVER, NEVER
from tapehub.model.records import NO_INSTRUMENT, Kind
from tapehub.model.sessions import CalendarId

if TYPE_CHECKING:
    from tapehub.hub import DataHub

__all__ = ["LogReader"]


class LogReader:
    """Drive an engine with the log from one place on. One thread.

    Args:
        position: sequence to begin with.
        symbols: whose ticks are read.
        name: how it is listed among the readers; empty lists it not at all.
    """

    def __init__(self, hub: DataHub, position: int, symbols: Iterable[str], *, name: str = "") -> None:
        self._hub = hub
        self._symbols = frozenset(symbols)
        self._kinds = sum(1 << kind for kind in KINDS)
        self._names: dict[int, str] = {}
        self._sources: list[str] = []
        self._mask = self._channels()
        self._follower = Follower(hub, position, self._kinds, self._mask, 0)
        self._incarnation = hub._incarnation
        self._cursor = hub._open_cursor(name, position) if name else None
        self.delivered = 0

    def _channels(self) -> bytes:
        """Mask the channels of the symbols; at least one byte, as an empty mask is all of them."""
        channels = self._hub._channels()
        mask = bytearray(len(channels) + 1)
        for number, (instrument, _) in enumerate(channels):
            mask[number] = self._symbol(instrument) in self._symbols
        return bytes(mask)

    def _symbol(self, instrument: int) -> str:
        found = self._names.get(instrument)
        if found is None:
            if instrument >= self._hub._instrument_count():
                return ""
            found = self._names[instrument] = symbol_of(self._hub, instrument)
        return found

    def _source(self, number: int) -> str:
        if number >= len(self._sources):
            self._sources = self._hub.sources
        return self._sources[number] if number < len(self._sources) else ""

    @property
    def position(self) -> int:
        """Give the sequence that is read next."""
        if self._follower.rewind():
            self._follower.take_passed()
        return self._follower.position

    def waiting(self) -> int | None:
        """Give the sequence of the next record that there is to read; None when there is none."""
        hub = self._hub
        after, _, _, other, _ = hub._scan(self.position, hub.head, self._mask, self._kinds, NEVER, EVER, NO_ROWS)
        place = int(other or after)
        return place if place < hub.head else None

    def drive(self, engine: Engine, end: int | None = None, timeout_s: float = 0.0, records_max: int = 100_000) -> int:
        """Hand an engine what there is, in log order; wait for the first record.

        Args:
            end: stop behind this sequence.

        Returns:
            how many records were read.

        Raises:
            HubError: the hub was replaced, or what comes next is gone.
        """
        take, step, timeout_ns, count = self._follower.next, engine.tick, round(timeout_s * 1e9), 0
        while count < records_max:
            tick = take(timeout_ns)
            if tick is not None:
                if end is not None and tick.seq > end:
                    self._follower.rewind()
                    self._follower.position = tick.seq  # given back: it is the next one
                    break
                step(tick)
                count += 1
                timeout_ns = 0
                continue
            if not self._follower.stopped:
                break
            read = self._others(engine, end)
            if not read:
                break
            count += read
            timeout_ns = 0
        self.delivered += count
        if self._cursor is not None and count:
            self._hub._move_cursor(self._cursor, self.position, self.delivered, 0, False)
        return count

    def _others(self, engine: Engine, end: int | None) -> int:
        """Hand on a run of other records, up to the next tick."""
        hub, count = self._hub, 0
        if hub._incarnation != self._incarnation:
            raise HubError(f"the hub was replaced or restarted: {hub.path}; start the agent again")
        while True:
            start = self.position
            after, _, _, other, oldest = hub._scan(start, hub.head, self._mask, self._kinds, NEVER, EVER, NO_ROWS)
            if oldest:
                raise HubError(
                    f"records {start} to {oldest - 1} were dropped before run {engine.run.id} read them: raise "
                    "retention_bytes; the next start is a new run"
                )
            if not other or (end is not None and other > end):
                return count
            record = hub._record(other)
            self._follower.position = after
            if record is None:
                continue
            count += 1
            if record[0] == Kind.CHANNEL:
                self._mask = self._channels()
                self._follower.set_channels(self._mask)
                continue
            engine.record(self._entry(other, record))

    def _entry(self, seq: int, record: Any) -> Entry:
        kind, _, ts_event, _, ts_publish, one, two, instrument, source, flags, payload = record
        body: Any = None
        if kind == Kind.CANDLE:
            body = self._hub._candle_objects(np.frombuffer(payload, np.uint8)[:96].copy())[0]
        elif kind == Kind.ORDER_FLOW:
            body = self._hub._order_flow_object(seq)
        elif flags & blobs.BLOB_FLAG:
            payload = blobs.load(self._hub, flags, payload)
            if kind == Kind.CALENDAR and one in set(CalendarId):
                body = table_in(self._hub, CalendarId(one), payload)
        symbol = "" if instrument == NO_INSTRUMENT else self._symbol(instrument)
        return Entry(seq, kind, ts_event, ts_publish, symbol, self._source(source), one, two, flags, payload, body)

    def close(self) -> None:
        """Give the reader's place back."""
        if self._cursor is not None and not self._hub.closed and self._hub._incarnation == self._incarnation:
            self._hub._close_cursor(self._cursor)
            self._cursor = None
