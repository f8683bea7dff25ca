"""`DataHub`: the class callers hold."""

from __future__ import annotations

import atexit
import sys
import weakref
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from tapehub._native import Candle, Hub, OrderFlowMetrics, Tick, as_candle
from tapehub.hub import calendars, clock, marks, publishing, reading, retention, status
from tapehub.hub.astream import AsyncStream
from tapehub.hub.batch import Batch
from tapehub.hub.integrity import Report, verify
from tapehub.hub.naming import Names, symbol_of
from tapehub.hub.paths import group_id, hub_path
from tapehub.hub.snapshot import Snapshot
from tapehub.hub.stream import Stream
from tapehub.model.calendars import zone_transitions
from tapehub.model.instruments import InstrumentBook
from tapehub.model.policies import ClockMode, OnLap, PriceBasis, SyncMode, WaitStrategy
from tapehub.model.records import Kind
from tapehub.model.sessions import Sessions
from tapehub.model.timeframes import parse

__all__ = ["DataHub"]

_open_hubs: weakref.WeakSet[DataHub] = weakref.WeakSet()


class DataHub(Hub):
    """Publish to and read from one hub directory. Any number of processes and threads.

    Reads take no lock and make no system call. A publish takes the hub's writer lock for well under a microsecond; what
    it acknowledged survives the death of every process, and with ``flush()`` also a power loss.

    Use `DataHub.open` or `connect`; as a context manager it closes itself.
    """

    warm_start_errors: dict[str, str]
    _names: Names

    # ------------------------------------------------------------ life

    @classmethod
    def open(
        cls,
        path: str | Path | None = None,
        *,
        create: bool = False,
        name: str = "",
        read_only: bool = False,
        price_basis: PriceBasis | str = PriceBasis.MID,
        grace_s: float = 0.5,
        sync: SyncMode | str = SyncMode.INTERVAL,
        sync_interval_s: float = 1.0,
        segment_lines: int = 1 << 20,
        segments_ahead: int = 1,
        retention_bytes: int | None = None,
        retention_days: float | None = None,
        lock_timeout_s: float = 2.0,
        memory_root: str | Path | None = None,
        group: str | int | None = None,
        instruments: InstrumentBook | None = None,
    ) -> Self:
        """Attach this process to a hub.

        Args:
            path: the hub's directory; default `hub_path()`.
            create: make the hub when there is none. The options from ``price_basis`` to ``segment_lines`` and retention
                (10 GiB, 14 days) are a new hub's, and ignored later; `set_retention` changes the latter.
            name: how this process is listed among the attached ones.
            segments_ahead: how many are made before they are needed, 0 to 3.
            lock_timeout_s: how long a publish waits for a writer that is alive but stopped.
            memory_root: where the memory-backed files go; default ``/dev/shm``, else the hub directory.
            group: share a new hub with this group of users; without, files are 0600 and yours alone.

        Raises:
            HubNotRunning: no hub there and ``create`` is false.
            HubFormatError: something else lies there, or another format version, or a damaged file.
            HubStalled: another process sits on the hub without moving.
        """
        names: list[Names] = []
        self = cls.__new__(cls)
        self.__init__(  # type: ignore[misc]
            str(Path(path or hub_path()).expanduser().resolve()),
            create=create,
            read_only=read_only,
            name=name or Path(sys.argv[0] or "python").name[:31],
            memory_root=str(memory_root or ""),
            group=group_id(group),
            segment_lines=segment_lines,
            price_basis=PriceBasis.parse(price_basis),
            sync_mode=SyncMode.parse(sync),
            sync_interval_ns=round(sync_interval_s * 1e9),
            grace_ns=round(grace_s * 1e9),
            lock_timeout_ns=round(lock_timeout_s * 1e9),
            segments_ahead=segments_ahead,
            retention_bytes=retention_bytes or 0,
            retention_ns=retention.checked(retention_bytes, retention_days),
            normalise=lambda symbol: names[0].canonical(symbol),
            define=lambda symbol, source: names[0].channel(symbol, source),
        )
        self.warm_start_errors = {}
        self._names = Names(self, instruments)
        names.append(self._names)
        if not read_only:
            publishing.log_zone(self, *zone_transitions())
        _open_hubs.add(self)
        return self

    def close(self) -> None:
        """Detach. The last process to leave writes a checkpoint and removes the memory-backed files."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<DataHub {self._directory}{' (closed)' if self.closed else ''}>"

    @property
    def path(self) -> Path:
        """The hub's directory."""
        return Path(self._directory)

    @property
    def head(self) -> int:
        """The sequence number the next record gets."""
        return self._head()

    @property
    def epoch(self) -> int:
        """Bumped when a recovery had to cut the tail: (epoch, sequence) never means two things."""
        return int(self._hub_state()["epoch"])

    @property
    def hub_id(self) -> str:
        """The identity of this hub's tape, in hex: the same in every process."""
        return bytes(self._hub_state()["hub_id"]).hex()

    # ------------------------------------------------------------ publish

    def update_candle_1m(self, candle: Candle) -> int:
        """Publish a 1-minute candle as final, floored to its minute, instead of the one built from ticks.

        Returns:
            int: its sequence number.

        Raises:
            InvalidRecord: not a 1-minute candle, prices that contradict each other, or an impossible time.
        """
        return publishing.candle(self, as_candle(candle))

    def update_order_flow(self, metrics: OrderFlowMetrics) -> int:
        """Publish order-flow metrics; the latest of each symbol can be read. Returns the sequence number."""
        return publishing.order_flow(self, metrics)

    def publish(
        self,
        array: npt.NDArray[Any],
        symbol: str | None = None,
        *,
        symbols: Sequence[str] | None = None,
        source: str | None = None,
        verified: bool = False,
    ) -> int:
        """Publish many ticks; the lock is released every 256 of them.

        Args:
            array: structured, shape (n,), with ``ts_event`` (int64 ns UTC or datetime64), ``bid``, ``ask`` and, where
                there are any, ``bid_size``, ``ask_size``, ``ts_recv``, and ``instrument`` (index into ``symbols``).
            symbol: of all rows; or
            symbols: of the rows' ``instrument``.
            source: who they come from, ``"direct"`` by default.
            verified: they come from a venue's feed, not from a caller.

        Returns:
            int: rows published, which is all of them.

        Raises:
            InvalidRecord: a row no hub may hold; ``published`` says how many before it are in the log.
        """
        return publishing.ticks(self, array, symbol, symbols, source, verified=verified)

    def warm_start_candles(self, symbol: str, candles: Iterable[Candle]) -> int:
        """Load 1-minute candles from elsewhere, oldest first, and return how many."""
        return publishing.warm_start(self, symbol, candles)

    def warm_start_all(
        self, symbols: Iterable[str], db_fetch_func: Callable[[str, int], Iterable[Candle] | None], limit: int = 100
    ) -> int:
        """Warm-start several symbols through ``db_fetch_func(symbol, limit)`` and return how many candles were loaded.

        One symbol's failure stops no other; `get_status` lists it under ``warm_start_errors``.
        """
        return publishing.warm_start_all(self, symbols, db_fetch_func, limit)

    def clear_symbol(self, symbol: str) -> int:
        """Let the views of a symbol start anew; the log keeps everything. Returns the record's sequence number."""
        return publishing.clear(self, symbol)

    def clear_all(self) -> int:
        """Let the views of every symbol start anew. Returns the record's sequence number."""
        return self._publish_record(int(Kind.CLEAR), self.now())

    def note(self, text: str, symbol: str | None = None) -> int:
        """Log a remark, of any length, of one instrument or of the whole hub. Returns its sequence number.

        Streams of kind ``note`` deliver it as a `Record` with the text, UTF-8, in ``payload``.
        """
        return publishing.note(self, text, symbol)

    def flush(self) -> int:
        """Wait until everything published is on stable storage; returns the first sequence that is not."""
        return self._flush()

    def advance(self, now: int | datetime) -> int:
        """Close every interval that ended a grace before ``now``, as the server's clock does each second."""
        return clock.advance(self, now)

    def set_clock(
        self, mode: ClockMode | str, *, anchor_ns: int | None = None, rate: float = 1.0, skew_ns: int = 0
    ) -> int:
        """Set the hub clock for every process: ``wall``, ``virtual`` (from ``anchor_ns`` on at ``rate``) or ``event``.

        Lateness starts afresh: a file of 2014 replayed under its own clock is late for nothing.
        """
        return clock.set_clock(self, ClockMode.parse(mode), anchor_ns=anchor_ns, rate=rate, skew_ns=skew_ns)

    # ------------------------------------------------------------ read

    def get_latest_order_flow(self, symbol: str) -> OrderFlowMetrics | None:
        """Return the latest order-flow metrics of a symbol, or None."""
        return reading.latest_order_flow(self, symbol)

    def ticks(
        self,
        symbol: str,
        limit: int | None = None,
        start: int | datetime | None = None,
        end: int | datetime | None = None,
    ) -> Batch:
        """Read ticks since the last clear, in log order: the newest ``limit`` of those in [start, end).

        An int bound is a sequence number, a datetime is event time. Default limit: 1,000, or all when bounded.
        """
        return reading.ticks(self, symbol, limit, start, end)

    def _candles_between(
        self,
        symbol: str,
        timeframe: str = "1m",
        limit: int | None = None,
        start: int | datetime | None = None,
        end: int | datetime | None = None,
        *,
        forming: bool = False,
        source: str | None = None,
    ) -> Batch:
        """Answer `candles` when it is asked for more than a symbol, a timeframe and a limit."""
        return reading.candles(self, symbol, timeframe, limit, start, end, forming=forming, source=source)

    def history(
        self,
        symbol: str,
        timeframe: str = "1m",
        limit: int | None = None,
        start: int | datetime | None = None,
        end: int | datetime | None = None,
        *,
        source: str | None = None,
    ) -> Batch:
        """Build candles anew from everything the log still holds, clears or not."""
        return reading.history(self, symbol, timeframe, limit, start, end, source=source)

    def snapshot(self, symbol: str, timeframe: str = "1m", limit: int = 100) -> Snapshot:
        """Read tick, candles, order flow, state, age and completeness of a symbol in one consistent read."""
        return reading.snapshot(self, symbol, parse(timeframe), limit)

    def stream(
        self,
        symbols: str | Iterable[str] | None = None,
        kinds: str | Iterable[str] = "tick",
        start: int | str = "now",
        on_lap: OnLap | str = OnLap.SKIP,
        wait: WaitStrategy | str = WaitStrategy.BLOCK,
        *,
        timeframes: str | Iterable[str] = "1m",
        name: str = "",
        durable: bool = False,
    ) -> Stream:
        """Follow the log: iterate for objects, or call ``poll(n)`` for batches.

        Args:
            symbols: all when None.
            kinds: ``tick``, ``candle``, ``order_flow``, ``interval`` (one end-of-interval event for each interval of
                each of ``timeframes``), ``state``, ``gap``, ``watermark``, ``clear``, ``clock``, … or ``all``.
            start: ``now``, ``oldest``, or a sequence number.
            on_lap: ``skip`` counts what was overwritten in ``lost``; ``raise`` raises `Lapped`.
            name: how the reader is listed; required for ``durable``, whose ``commit()`` holds back retention.
        """
        return Stream(
            self, symbols, kinds, start, OnLap.parse(on_lap), WaitStrategy.parse(wait),
            timeframes=timeframes, name=name, durable=durable,
        )  # fmt: skip

    def astream(self, *args: Any, **kwargs: Any) -> AsyncStream:
        """Follow the log with ``async for``; arguments as for `stream`. All of a process share one waiting thread."""
        return AsyncStream(self.stream(*args, **kwargs))

    # ------------------------------------------------------------ freshness and state

    def require_fresh(self, symbol: str, max_age_s: float) -> Tick:
        """Return the latest tick, or refuse.

        Raises:
            StaleDataError: no tick, one older than ``max_age_s`` by the hub clock, or a state that is not fresh.
        """
        return reading.require_fresh(self, symbol, max_age_s)

    def state(self, symbol: str, source: str | None = None) -> str:
        """Return the liveness of a symbol, by its primary source or the named one: see `Snapshot.state`."""
        return reading.state(self, symbol, source)

    def check_staleness(self, symbol: str, max_age_seconds: dict[str, float] | None = None) -> dict[str, bool]:
        """Flag what is older than its limit (default tick 2 s, candle 120 s, order_flow 5 s), by the hub clock."""
        return status.check_staleness(self, symbol, max_age_seconds)

    def get_status(self) -> dict[str, Any]:
        """Describe the whole hub: what it holds, its counters, who serves and who reads it."""
        return status.get_status(self)

    def ledger(self) -> dict[str, Any]:
        """Account for every record: received = published + duplicate + refused + quarantined + in flight."""
        return status.ledger(self)

    def gaps(self, symbol: str, source: str | None = None) -> list[dict[str, Any]]:
        """List the spans without a live feed: start, end (None while it lasts), cause, status; oldest first."""
        return marks.gaps(self, symbol, source)

    def quarantined(self, symbol: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
        """List what feeds sent and the gate refused, with reason and raw values; the newest, oldest first."""
        return marks.quarantined(self, symbol, limit)

    def comparisons(self, symbol: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
        """List how candles differed from those that the venue built itself; the newest, oldest first."""
        return marks.comparisons(self, symbol, limit)

    def calendar(self, symbol: str) -> Sessions:
        """Give the hours of a symbol's market, holidays included, as all of the hub judge them now: ask each time."""
        return calendars.calendar(self, symbol)

    @property
    def instruments(self) -> dict[str, dict[str, Any]]:
        """Every defined instrument: pip size, decimals, calendar, primary source."""
        return status.instruments(self)

    @property
    def sources(self) -> list[str]:
        """Every source, by id."""
        return status.sources(self)

    def readers(self) -> list[dict[str, Any]]:
        """List every stream of every process: name, pid, position, lag, lost."""
        return status.readers(self)

    def processes(self) -> list[dict[str, Any]]:
        """List every process that is or was attached: name, pid, alive, what it published."""
        return list(self._slots())

    def server(self) -> tuple[int, datetime, str] | None:
        """Say who serves this hub: (pid, start time, name), or None when it runs without a server."""
        return status.server(self)

    def verify(self, progress: Callable[[int, int], None] | None = None) -> Report:
        """Walk the whole log and check every checksum."""
        return verify(self, progress)

    # ------------------------------------------------------------ for the modules beside this one

    def _symbols_of(self, rows: npt.NDArray[Any]) -> dict[int, str]:
        return {int(i): symbol_of(self, int(i)) for i in np.unique(rows["instrument"])} if len(rows) else {}


@atexit.register
def _close_all() -> None:
    for hub in list(_open_hubs):
        hub.close()
