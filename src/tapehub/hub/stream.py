"""Following the log: for objects one by one, or for batches."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from tapehub._native import Follower
from tapehub.errors import ConfigError, HubClosed, HubError, Lapped
from tapehub.hub import cursors
from tapehub.hub.arguments import frames_of
from tapehub.hub.batch import Batch
from tapehub.hub.home import home_of
from tapehub.hub.intervals import IntervalWatch
from tapehub.hub.lineage import Identity, identity_of, left_behind, parted
from tapehub.hub.naming import symbol_of
from tapehub.hub.reading import EVER, NEVER, record_from
from tapehub.hub.record import INTERVAL_KINDS, Record, parse_kinds, parse_start
from tapehub.model.policies import OnLap, WaitStrategy
from tapehub.model.records import TICK, Kind

if TYPE_CHECKING:
    from tapehub.hub.datahub import DataHub

__all__ = ["Stream"]

_SPINS = 1_000_000  # some tens of milliseconds, then the wait looks round once
_READ_AHEAD = 512
_NO_ROWS = np.empty(0, np.uint8)
_NAP_S = 0.001  # a sleeping reader costs some hundredth of a core, and whoever publishes nothing
_SLICE_NS = 200_000_000  # between looks at signals and at the hub's identity


class Stream:
    """Read the log in order from one place on. One reader: not to be shared between threads.

    Order: the log's. Loss: only what retention dropped before it was read, or went with a tail that a recovery cut or
    a hub that was replaced; counted in ``lost``. Duplicates: none. In another hub's log it begins at the oldest.
    """

    def __init__(
        self,
        hub: DataHub,
        symbols: str | Iterable[str] | None,
        kinds: str | Iterable[str],
        start: int | str,
        on_lap: OnLap,
        wait: WaitStrategy,
        *,
        timeframes: str | Iterable[str] = "1m",
        name: str = "",
        durable: bool = False,
    ) -> None:
        if durable and (not name or "/" in name or name.startswith(".")):  # so begin files that are being written
            raise ConfigError(
                f"a durable stream is named {name!r}, expected a name that fits a file: its cursor is kept"
            )
        self._hub = hub
        self._symbols = [symbols] if isinstance(symbols, str) else None if symbols is None else list(symbols)
        self._asked, self._wants_intervals = parse_kinds(kinds)
        self._kinds = self._asked | (INTERVAL_KINDS if self._wants_intervals else 0)
        self._timeframes = frames_of(timeframes)
        self._on_lap = on_lap
        self._spins = _SPINS if wait is WaitStrategy.SPIN else 0
        self._sleeps = wait is WaitStrategy.SLEEP
        self._name = name
        self._durable = durable
        self.lost = 0
        self.delivered = 0
        self._mask: bytes | None = None
        self._mask_of = -1
        self._buffer = np.empty(_READ_AHEAD, TICK)
        self._ready: list[Any] = []
        self._record_lines: list[int] = []  # of the last poll's records: a candle's own seq is that of what made it
        self._closed = False
        self._under = identity_of(hub)
        self._moved: tuple[int, str] | None = None
        """Records lost before the next one, and why: told, or raised, with the next read."""
        self._attach(self._start(parse_start(start, lambda: hub.head)))

    def _start(self, start: int | str) -> int | None:
        """Find the line that is read first; None: the head of the log, wherever it is by then."""
        hub = self._hub
        oldest = int(hub._hub_state()["oldest"])
        if self._durable and start == "now":
            kept = cursors.kept(home_of(hub), self._name)
            if kept is not None:
                return self._resume(*kept)
        if start == "now":
            return None
        if start == "oldest":
            return oldest
        assert isinstance(start, int)
        return record_from(hub, start)

    def _resume(self, position: int, under: Identity | None) -> int:
        """Find where to go on that stood at a position of some history, perhaps another than the one that is there."""
        if under is None:  # by an older version: it may have stood behind the newest cut, and count nothing here
            under = Identity(self._under.hub_id, max(1, self._under.epoch - 1))
        going_on = self._continued(position, under)
        if going_on != position:
            self._lose(max(0, position - going_on) if under.hub_id == self._under.hub_id else 0, under)
        return going_on

    def _continued(self, position: int, under: Identity) -> int:
        """Find the line at which what lies there now goes on for a reader that stood at a line of another history."""
        if under.hub_id != self._under.hub_id:
            return int(self._hub._hub_state()["oldest"])
        return min(position, parted(self._hub, under.epoch))

    def _attach(self, position: int | None) -> None:
        self._home = home_of(self._hub)  # kept when the process goes over to another hub, until this stream does
        self._incarnation = self._home.incarnation
        self._watch: IntervalWatch | None = None
        if self._wants_intervals:
            self._watch = IntervalWatch(self._hub, self._channels(), self._timeframes, position)
            position = self._watch.position
        elif position is None:
            position = self._hub.head
        self._follower = Follower(self._hub, position, self._kinds, self._channels(), self._spins)
        self._ordinal = self._ordinal_at(position)
        self._cursor = self._hub._open_cursor(self._name, position)

    # ------------------------------------------------------------ reading

    @property
    def position(self) -> int:
        """The sequence number that is read next."""
        return self._position

    @property
    def _position(self) -> int:
        if self._follower.rewind():  # ticks that were read ahead for iteration
            self._follower.take_passed()
            self._ordinal = self._ordinal_at(self._follower.position)
        return self._follower.position

    @_position.setter
    def _position(self, line: int) -> None:
        self._follower.position = line

    def _ordinal_at(self, line: int) -> int | None:
        """Count the records before a line, so that a lap can tell what is gone; None when that line is gone itself."""
        state = self._hub._hub_state()
        if line >= int(state["head"]):
            return int(state["records"])
        return self._hub._records_before(line) if line >= int(state["oldest"]) else None

    def poll(self, records_max: int = 4096, timeout_s: float = 0.0) -> Batch:
        """Copy the oldest unread ticks out of the log, and the records of other kinds up to there.

        Args:
            records_max: upper bound on the rows of the batch.
            timeout_s: wait this long for the first one; 0 returns at once.

        Returns:
            Batch: shape (n,), dtype TICK; ``lost`` counts what was overwritten before this call, ``records`` holds
            other kinds that were asked for.

        Raises:
            Lapped: records were overwritten and ``on_lap`` is ``raise``.
            HubClosed: the hub handle or this stream was closed.
        """
        deadline = time.monotonic() + timeout_s if timeout_s > 0 else None
        rows = np.empty(records_max, TICK)
        while True:
            before = self._position
            count, others, lost = self._read(rows)
            if count or others or lost:
                self._note(count + len(others))
                return Batch(rows[:count], self._hub, lost=lost, records=tuple(others))
            if before < self._position < self._hub.head:
                continue  # ticks that were read for their intervals alone
            left = 0.0 if deadline is None else deadline - time.monotonic()
            if left <= 0:
                return Batch(rows[:0], self._hub)
            self._sleep(left)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        while True:
            if self._ready:
                return self._ready.pop()
            if self._closed:
                raise HubClosed("this stream was closed: open another one")
            tick = None if self._watch or self._moved else self._follower.next(0)
            if tick is None:
                if self._watch or self._moved or self._follower.stopped:
                    self._fill()
                    if self._ready:
                        continue
                self._announce_wait()
                if self._watch or self._sleeps:
                    self._await(_SLICE_NS)
                    continue
                tick = self._follower.next(_SLICE_NS)
                if tick is None:
                    continue
            self.delivered += 1
            return tick

    def _fill(self) -> None:
        count, others, _ = self._read(self._buffer)
        if count or others:
            objects: list[Any] = self._hub._tick_objects(self._buffer[:count].view(np.uint8)) if count else []
            objects += others
            self._ready = objects[::-1]
            self._note(len(objects))

    def _read(self, rows: npt.NDArray[Any]) -> tuple[int, list[Any], int]:
        """Read until ``rows`` is full or the head is reached. Other kinds end a read, so that order is kept."""
        if self._closed:
            raise HubClosed("this stream was closed: open another one")
        hub = self._hub
        head = hub.head
        if hub._incarnation != self._incarnation:  # the hub was replaced or opened anew, or this is a forked child
            self._move()
        if self._moved and (lost := self._tell_lost()):
            return 0, [], lost
        if self._symbols is not None:
            self._follower.set_channels(self._channels())
            if self._watch:
                self._watch.want(self._channels())
        after, count, records, other, oldest = hub._scan(
            self._position, head, self._channels(), self._kinds, NEVER, EVER, rows.view(np.uint8)
        )
        if self._ordinal is not None:
            self._ordinal += records + self._follower.take_passed()
        lost = self._lap(oldest) if oldest and not count else 0
        if not lost:
            self._position = after
        others: list[Any] = []
        if self._watch and count:
            others += self._watch.after_ticks(rows[:count])
            if not self._wants(Kind.TICK):  # they were read for the intervals alone
                count = 0
        self._record_lines = [0] * len(others)
        while other:  # a run of other kinds, up to the next wanted tick
            others += self._other(other)
            self._record_lines += [other] * (len(others) - len(self._record_lines))
            if len(others) >= len(rows):  # before the next one is looked for: the position would be behind it
                break
            after, _, records, other, _ = hub._scan(
                self._position, head, self._channels(), self._kinds, NEVER, EVER, _NO_ROWS
            )
            if other:
                self._position = after
                if self._ordinal is not None:
                    self._ordinal += records
        return count, others, lost

    def _move(self) -> None:
        """Attach to what lies there now; count what was not read of a history that is not there any more."""
        hub, before = self._hub, self._under
        # What was read ahead is of the hub that was: nobody can tell there any more how many records it stands for.
        exact = not self._follower.rewind() and self._ordinal is not None
        ordinal = (self._ordinal or 0) + self._follower.take_passed()
        position = self._follower.position
        going_on, unread = left_behind(hub, self._incarnation, position, ordinal if exact else None)
        self._under = identity_of(hub)
        if unread or self._under != before:
            self._lose(unread, before)
        self._attach(going_on)

    def _lose(self, lost: int, before: Identity) -> None:
        if not lost and self._on_lap is not OnLap.RAISE:
            return
        if self._under.hub_id != before.hub_id:
            why = f"hub {self._under.hub_id[:8]} lies at {self._hub.path} in place of {before.hub_id[:8]}"
        else:
            why = f"the tail of the log was cut in a recovery: epoch {self._under.epoch} in place of {before.epoch}"
        self._moved = lost, why

    def _tell_lost(self) -> int:
        assert self._moved is not None
        (lost, why), self._moved = self._moved, None
        self.lost += lost
        if self._on_lap is OnLap.RAISE:
            at = self._position
            raise Lapped(f"{why}; {lost} records are lost to this stream, it goes on at {at}", lost=lost, oldest=at)
        return lost

    def _lap(self, oldest: int) -> int:
        """Go on at the oldest record that is left, and count what is gone."""
        before = self._hub._records_before(oldest)
        lost = before - self._ordinal if self._ordinal is not None else oldest - self._position
        self._position, self._ordinal = oldest, before
        self.lost += lost
        if self._watch:
            self._watch.begin(self._channels(), oldest)
        if self._on_lap is OnLap.RAISE:
            raise Lapped(
                f"{lost} records were dropped before this stream read them, it goes on at {oldest}: "
                f"raise [hub] retention_bytes in tapehub.toml, or give the stream a durable name",
                lost=lost,
                oldest=oldest,
            )
        return lost

    def _other(self, seq: int) -> list[Any]:
        hub = self._hub
        record = hub._record(seq)
        if record is None:
            return []
        kind = int(record[0])
        if kind == Kind.ORDER_FLOW:
            return [hub._order_flow_object(seq)]
        out: list[Any] = []
        if kind == Kind.CANDLE and self._wants(kind):
            out += hub._candle_objects(np.frombuffer(record[10], np.uint8)[:96].copy())
        elif self._wants(kind):
            out.append(Record.of(hub, seq, record))
        if self._watch and INTERVAL_KINDS >> kind & 1:
            out += self._watch.after_record(seq)
        return out

    def _wants(self, kind: int) -> bool:
        return bool(self._asked >> kind & 1)

    def _channels(self) -> bytes:
        """Mask the channels of the wanted symbols; made again when there are new ones. Empty: all."""
        if self._symbols is None:
            return b""
        channels = self._hub._channels()
        if self._mask is None or self._mask_of != len(channels):
            wanted = {self._hub._names.canonical(symbol) for symbol in self._symbols}
            mask = bytearray(max(1, len(channels)))
            for number, (instrument, _) in enumerate(channels):
                mask[number] = symbol_of(self._hub, instrument) in wanted
            self._mask, self._mask_of = bytes(mask), len(channels)
        return self._mask

    def _sleep(self, seconds: float) -> None:
        self._announce_wait()
        self._await(min(_SLICE_NS, int(seconds * 1e9) + 1))

    def _await(self, timeout_ns: int) -> None:
        hub, position = self._hub, self._position
        if not self._sleeps:
            hub._wait(position, timeout_ns, self._spins)
            return
        deadline = time.monotonic_ns() + timeout_ns
        while hub.head <= position and time.monotonic_ns() < deadline:
            time.sleep(_NAP_S)

    def _announce_wait(self) -> None:
        self._hub._move_cursor(self._cursor, self._position, self.delivered, self.lost, True)

    def _note(self, delivered: int) -> None:
        self.delivered += delivered
        self._hub._move_cursor(self._cursor, self._position, self.delivered, self.lost, False)

    # ------------------------------------------------------------ life

    def commit(self) -> None:
        """Keep the position of a durable stream on disk; what is before it may be dropped.

        Each name has one owner at a time: of two streams of one name, the last to commit is the one that counts.
        """
        if not self._durable:
            raise ConfigError("this stream is not durable: open it with durable=True and a name")
        cursors.keep(self._home, self._name, self._position, self._under)

    def close(self) -> None:
        """Give the reader's place back."""
        if not self._closed:
            self._closed = True
            if not self._hub.closed and self._hub._incarnation == self._incarnation:
                with contextlib.suppress(HubError):  # a hub that was deleted has no place to give back
                    self._hub._close_cursor(self._cursor)

    def __del__(self) -> None:
        if hasattr(self, "_cursor"):  # else it was never open
            self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
