# What nanobind.stubgen cannot read off the module: types that are not nanobind's, tuples and arrays. `make stub` applies it.

^tapehub._native.__prefix__$:
    \from collections.abc import Callable, Mapping, Sequence
    \from datetime import datetime
    \from typing import Any, ClassVar, Literal, SupportsFloat, SupportsIndex, TypeAlias, final
    \import numpy
    \from numpy.typing import NDArray
    \from tapehub.hub.batch import Batch
    \from tapehub.hub.datahub import DataHub
    # datetime (naive is UTC; pandas.Timestamp is one), numpy.datetime64, or int nanoseconds since 1970 UTC.
    _Timestamp: TypeAlias = datetime | numpy.datetime64 | SupportsIndex
    _Number: TypeAlias = SupportsFloat | SupportsIndex
    _VolumeType: TypeAlias = Literal["tick", "real"]
    _CandleStatus: TypeAlias = Literal["forming", "final", "revised", "superseded"]

^tapehub._native.set_pip_lookup$:
    def set_pip_lookup(lookup: Callable[[str], float | None] | None, /) -> Callable[[str], float | None] | None:
        \doc

^tapehub._native.recorded_ticks$:
    def recorded_ticks(
        lines: NDArray[numpy.uint8], symbols: list[str], sources: list[str], pip_sizes: Sequence[float]
    ) -> list[Tick]:
        \doc

^tapehub._native.Tick$:
    @final
    class Tick:
        \doc
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            symbol: str,
            bid: _Number,
            ask: _Number,
            mid: _Number = 0.0,
            spread: _Number = 0.0,
            timestamp: _Timestamp | None = None,
            *,
            bid_size: _Number = 0.0,
            ask_size: _Number = 0.0,
            source: str | None = None,
            ts_recv: _Timestamp = 0,
            ts_publish: _Timestamp = 0,
            seq: int = 0,
            flags: int = 0,
            pip_size: _Number | None = None,
        ) -> Tick: ...
        @property
        def symbol(self) -> str: ...
        @property
        def bid(self) -> float: ...
        @property
        def ask(self) -> float: ...
        @property
        def mid(self) -> float: ...
        @property
        def spread(self) -> float: ...
        @property
        def timestamp(self) -> datetime | Any: ...  # None until the hub stamps it; a tick from a hub always has one
        @property
        def bid_size(self) -> float: ...
        @property
        def ask_size(self) -> float: ...
        @property
        def source(self) -> str | None: ...
        @property
        def ts_event(self) -> int: ...
        @property
        def ts_recv(self) -> int: ...
        @property
        def ts_publish(self) -> int: ...
        @property
        def seq(self) -> int: ...
        @property
        def flags(self) -> int: ...
        @property
        def pip_size(self) -> float: ...
        def to_dict(self) -> dict[str, Any]: ...
        @classmethod
        def from_dict(cls, form: object, /) -> Tick: ...
        def __eq__(self, other: object, /) -> bool: ...
        def __hash__(self) -> int: ...
        def __copy__(self) -> Tick: ...
        def __deepcopy__(self, memo: dict[int, Any], /) -> Tick: ...
        def __reduce__(self) -> tuple[type[Tick], tuple[Any, ...]]: ...

^tapehub._native.Candle$:
    @final
    class Candle:
        \doc
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            symbol: str,
            timestamp: _Timestamp,
            open: _Number,
            high: _Number,
            low: _Number,
            close: _Number,
            volume: _Number = 0.0,
            source: str | None = "IG",
            volume_type: _VolumeType | str = "tick",
            timeframe: str = "1m",
            *,
            status: _CandleStatus | str = "final",
            revision: int = 1,
            coverage: _Number = 1.0,
            ticks: int = 0,
            seq: int = 0,
            ts_first: _Timestamp = 0,
            ts_last: _Timestamp = 0,
            ts_arrival: _Timestamp = 0,
            flags: int = 0,
        ) -> Candle: ...
        @property
        def symbol(self) -> str: ...
        @property
        def timestamp(self) -> datetime: ...
        @property
        def open(self) -> float: ...
        @property
        def high(self) -> float: ...
        @property
        def low(self) -> float: ...
        @property
        def close(self) -> float: ...
        @property
        def volume(self) -> float: ...
        @property
        def source(self) -> str: ...
        @property
        def volume_type(self) -> _VolumeType: ...
        @property
        def timeframe(self) -> str: ...
        @property
        def status(self) -> _CandleStatus: ...
        @property
        def revision(self) -> int: ...
        @property
        def coverage(self) -> float: ...
        @property
        def ticks(self) -> int: ...
        @property
        def seq(self) -> int: ...
        @property
        def ts_event(self) -> int: ...
        @property
        def ts_first(self) -> int: ...
        @property
        def ts_last(self) -> int: ...
        @property
        def ts_arrival(self) -> int: ...
        @property
        def flags(self) -> int: ...
        def to_dict(self) -> dict[str, Any]: ...
        @classmethod
        def from_dict(cls, form: object, /) -> Candle: ...
        def __eq__(self, other: object, /) -> bool: ...
        def __hash__(self) -> int: ...
        def __copy__(self) -> Candle: ...
        def __deepcopy__(self, memo: dict[int, Any], /) -> Candle: ...
        def __reduce__(self) -> tuple[type[Candle], tuple[Any, ...]]: ...

^tapehub._native.OrderFlowMetrics$:
    @final
    class OrderFlowMetrics:
        \doc
        __match_args__: ClassVar[tuple[str, ...]]
        def __new__(
            cls,
            symbol: str,
            futures_symbol: str,
            timestamp: _Timestamp | None = None,
            window_seconds: _Number = 60.0,
            ofi_60s: _Number = 0.0,
            net_volume_delta: _Number = 0.0,
            buy_volume: _Number = 0.0,
            sell_volume: _Number = 0.0,
            total_volume: _Number = 0.0,
            best_bid: _Number = 0.0,
            best_ask: _Number = 0.0,
            bid_size: _Number = 0.0,
            ask_size: _Number = 0.0,
            top_of_book_imbalance: _Number = 0.0,
            buy_sweep_count: int = 0,
            sell_sweep_count: int = 0,
            vwap_60s: _Number = 0.0,
            order_flow_bias: str = "NEUTRAL",
            toxicity_score: _Number = 0.0,
            updates_count: int = 0,
            is_stale: bool = False,
            *,
            ts_recv: _Timestamp = 0,
            ts_publish: _Timestamp = 0,
            seq: int = 0,
        ) -> OrderFlowMetrics: ...
        @property
        def symbol(self) -> str: ...
        @property
        def futures_symbol(self) -> str: ...
        @property
        def timestamp(self) -> datetime | Any: ...  # None until the hub stamps it; one from a hub always has a time
        @property
        def window_seconds(self) -> float: ...
        @property
        def ofi_60s(self) -> float: ...
        @property
        def net_volume_delta(self) -> float: ...
        @property
        def buy_volume(self) -> float: ...
        @property
        def sell_volume(self) -> float: ...
        @property
        def total_volume(self) -> float: ...
        @property
        def best_bid(self) -> float: ...
        @property
        def best_ask(self) -> float: ...
        @property
        def bid_size(self) -> float: ...
        @property
        def ask_size(self) -> float: ...
        @property
        def top_of_book_imbalance(self) -> float: ...
        @property
        def buy_sweep_count(self) -> int: ...
        @property
        def sell_sweep_count(self) -> int: ...
        @property
        def vwap_60s(self) -> float: ...
        @property
        def order_flow_bias(self) -> str: ...
        @property
        def toxicity_score(self) -> float: ...
        @property
        def updates_count(self) -> int: ...
        @property
        def is_stale(self) -> bool: ...
        @property
        def ts_event(self) -> int: ...
        @property
        def ts_recv(self) -> int: ...
        @property
        def ts_publish(self) -> int: ...
        @property
        def seq(self) -> int: ...
        def to_dict(self) -> dict[str, Any]: ...
        @classmethod
        def from_dict(cls, form: object, /) -> OrderFlowMetrics: ...
        def __eq__(self, other: object, /) -> bool: ...
        def __hash__(self) -> int: ...
        def __copy__(self) -> OrderFlowMetrics: ...
        def __deepcopy__(self, memo: dict[int, Any], /) -> OrderFlowMetrics: ...
        def __reduce__(self) -> tuple[type[OrderFlowMetrics], tuple[Any, ...]]: ...

^tapehub._native.Rows$:
    class Rows:
        \doc
        def __init__(self, rows: NDArray[Any], hub: DataHub, lost: int = 0, records: tuple[Any, ...] = ()) -> None: ...
        @property
        def _rows(self) -> NDArray[Any]: ...
        @property
        def _hub(self) -> DataHub: ...
        _symbols: dict[int, str] | None
        @property
        def lost(self) -> int: ...
        @property
        def records(self) -> tuple[Any, ...]: ...
        def numpy(self) -> NDArray[Any]: ...

^tapehub._native.set_array_types$:
    def set_array_types(tick: numpy.dtype[Any], candle: numpy.dtype[Any], batch: type[Rows]) -> None: ...

# ---------------------------------------------------------------- Hub


^tapehub._native.Hub.__init__$:
    def __init__(
        self,
        path: str,
        *,
        create: bool = False,
        read_only: bool = False,
        name: str = "",
        memory_root: str = "",
        group: int | None = None,
        segment_lines: int = 1048576,
        price_basis: int = 0,
        sync_mode: int = 0,
        sync_interval_ns: int = 1000000000,
        grace_ns: int = 500000000,
        lock_timeout_ns: int = 2000000000,
        segments_ahead: int = 1,
        retention_bytes: int = 0,
        retention_ns: int = 0,
        helper_thread: bool = True,
        normalise: Callable[[str], str],
        define: Callable[[str, str | None], int],
    ) -> None: ...

^tapehub._native.Hub.get_latest_tick$:
    def get_latest_tick(self, symbol: str, /) -> Tick | None:
        \doc

^tapehub._native.Hub.update_tick$:
    def update_tick(self, tick: Tick | Mapping[str, Any] | object, /) -> int:
        \doc

^tapehub._native.Hub.get_latest_candles$:
    def get_latest_candles(self, symbol: str, limit: int = 100, timeframe: str = "1m") -> list[Candle]:
        \doc

^tapehub._native.Hub.candles$:
    def candles(
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
        \doc

^tapehub._native.Hub.log$:
    def log(self, start: int = 0, n: int | None = None) -> NDArray[Any]:
        \doc

^tapehub._native.Hub._(hub_state|accounts)$:
    def _\1(self) -> dict[str, Any]: ...

^tapehub._native.Hub.(_slots|_cursors)$:
    def \1(self) -> list[dict[str, Any]]: ...

# Instrument, channel, source.
^tapehub._native.Hub._find$:
    def _find(self, symbol: str, /) -> tuple[int, int, int] | None: ...

^tapehub._native.Hub._(instrument|source)$:
    def _\1(self, id: int, /) -> bytes: ...

^tapehub._native.Hub._define_channel$:
    def _define_channel(self, instrument: int, source: int, /) -> int: ...

^tapehub._native.Hub._define_zone$:
    def _define_zone(self, rows: bytes, count: int) -> int: ...

^tapehub._native.Hub._publish_rows$:
    def _publish_rows(
        self, rows: list[tuple[int, int, float, float, float, float, int]], channels: list[int], /
    ) -> tuple[int, str]: ...

^tapehub._native.Hub._receive$:
    def _receive(self, count: int, /) -> None: ...

^tapehub._native.Hub._sessions$:
    def _sessions(self, calendar: int) -> str | None: ...

^tapehub._native.Hub._define_sessions$:
    def _define_sessions(self, calendar: int, blob: str, rows: int, replace: bool) -> int: ...

^tapehub._native.Hub._define_source$:
    def _define_source(self, name: str, /) -> int: ...

^tapehub._native.Hub._publish_array$:
    def _publish_array(
        self, array: NDArray[numpy.void], offsets: Sequence[int], channels: Sequence[int], flags: int
    ) -> tuple[int, str]: ...

^tapehub._native.Hub._ends$:
    def _ends(self, since: int) -> list[tuple[bytes, int, int, int, int, int]]: ...

^tapehub._native.Hub._publish_record$:
    def _publish_record(
        self,
        kind: int,
        ts_event: int = 0,
        ts_recv: int = 0,
        fixed1: int = 0,
        fixed2: int = 0,
        instrument: int = 65535,
        source: int = 0,
        flags: int = 0,
        payload: bytes = b"",
        incarnation: int = 0,
    ) -> int: ...

^tapehub._native.Hub._read_candles$:
    def _read_candles(
        self,
        channel: int,
        frame: int,
        limit: int,
        from_ts: int,
        to_ts: int,
        forming: bool,
        out: NDArray[numpy.uint8],
        /,
    ) -> int: ...

^tapehub._native.Hub._read_snapshot$:
    def _read_snapshot(self, channel: int, frame: int, limit: int, /) -> tuple[bytes, bytes, bytes]: ...

^tapehub._native.Hub._read_index$:
    def _read_index(self, channel: int, limit: int, /) -> list[int]: ...

^tapehub._native.Hub._gather$:
    def _gather(self, sequences: Sequence[int], out: NDArray[numpy.uint8], /) -> int: ...

^tapehub._native.Hub._scan$:
    def _scan(
        self,
        first: int,
        last: int,
        channels: bytes,
        kinds: int,
        from_ts: int,
        to_ts: int,
        out: NDArray[numpy.uint8],
        /,
    ) -> tuple[int, int, int, int, int]: ...

^tapehub._native.Hub._records_before$:
    def _records_before(self, line: int, /) -> int: ...

^tapehub._native.Hub._record$:
    def _record(
        self, line: int, /
    ) -> tuple[int, int, int, int, int, int, int, int, int, int, bytes] | None: ...

^tapehub._native.Hub._tick_objects$:
    def _tick_objects(self, lines: NDArray[numpy.uint8], /) -> list[Tick]: ...

^tapehub._native.Hub._candle_objects$:
    def _candle_objects(self, bodies: NDArray[numpy.uint8], /) -> list[Candle]: ...

^tapehub._native.Hub._order_flow_object$:
    def _order_flow_object(self, line: int, /) -> OrderFlowMetrics | None: ...

^tapehub._native.Hub._history$:
    def _history(
        self,
        channel: int,
        frame: int,
        first: int,
        last: int,
        from_ts: int,
        to_ts: int,
        limit: int,
        forming: bool,
        /,
    ) -> bytes: ...

^tapehub._native.Hub._verify_segment$:
    def _verify_segment(self, segment: int, /) -> tuple[int, int, str]: ...

^tapehub._native.Hub._wait$:
    def _wait(self, seen: int, timeout_ns: int, spins: int, /) -> bool: ...

^tapehub._native.Hub._open_cursor$:
    def _open_cursor(self, name: str, position: int, /) -> int: ...

^tapehub._native.Hub._move_cursor$:
    def _move_cursor(self, id: int, position: int, delivered: int, lost: int, waiting: bool, /) -> None: ...

^tapehub._native.Hub._close_cursor$:
    def _close_cursor(self, id: int, /) -> None: ...

^tapehub._native.Hub._server$:
    def _server(self) -> tuple[int, int, str] | None: ...

# ---------------------------------------------------------------- Follower

^tapehub._native.Follower.next$:
    def next(self, timeout_ns: int) -> Tick | None:
        \doc

^tapehub._native.Follower.set_channels$:
    def set_channels(self, channels: bytes, /) -> None: ...

# ---------------------------------------------------------------- functions

^tapehub._native.as_tick$:
    def as_tick(value: Tick | Mapping[str, Any] | object) -> Tick: ...

^tapehub._native.as_candle$:
    def as_candle(value: Candle | Mapping[str, Any] | object) -> Candle: ...

^tapehub._native.as_order_flow$:
    def as_order_flow(value: OrderFlowMetrics | Mapping[str, Any] | object) -> OrderFlowMetrics: ...

^tapehub._native.candle_bytes$:
    def candle_bytes(candle: Candle) -> bytes: ...

^tapehub._native.layout$:
    def layout() -> dict[str, Any]:
        \doc

^tapehub._native.Intervals.ticks$:
    def ticks(
        self, lines: NDArray[numpy.uint8]
    ) -> list[tuple[int, int, int, int, bool, bytes | None]]:
        \doc

^tapehub._native.Intervals.record$:
    def record(self, line: int) -> list[tuple[int, int, int, int, bool, bytes | None]]:
        \doc
