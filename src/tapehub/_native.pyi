"""The native core of tapehub: the tape, its views, and the market types."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import (
    Any,
    ClassVar,
    Literal,
    SupportsFloat,
    SupportsIndex,
    TypeAlias,
    final
)

import numpy
from numpy.typing import NDArray

from tapehub.hub.batch import Batch
from tapehub.hub.datahub import DataHub


# datetime (naive is UTC; pandas.Timestamp is one), numpy.datetime64, or int nanoseconds since 1970 UTC.
_Timestamp: TypeAlias = datetime | numpy.datetime64 | SupportsIndex
_Number: TypeAlias = SupportsFloat | SupportsIndex
_VolumeType: TypeAlias = Literal["tick", "real"]
_CandleStatus: TypeAlias = Literal["forming", "final", "revised", "superseded"]

@final
class Tick:
    """
    One quote: what could be sold (bid) and bought (ask) at, in market units, and when.

    Immutable. mid and spread are derived from bid and ask; a value given for them is only kept so that the hub can
    count a contradiction. Two ticks are equal when they say the same about the market (symbol, event time, prices,
    sizes), whichever way they came (source, ts_recv, ts_publish, seq, flags).

    Args:
        symbol: 1 to 31 UTF-8 bytes, such as 'EUR_USD'.
        bid, ask: price in market units. The constructor checks that they are numbers, the hub that they make sense.
        mid, spread: ignored but for a contradiction; 0.0 is not given.
        timestamp: venue time; datetime (naive is read as UTC), numpy.datetime64 or int ns. None: the hub stamps it.
        bid_size, ask_size: kept as float32; 0.0 is not given.
        source: name of the feed; None is the hub's 'direct'.
        ts_recv, ts_publish, seq, flags: set by the hub and by pickle.
        pip_size: 0.0 is undeclared; None asks the instrument table when it is first needed.

    Raises:
        ValueError: a value that is no number, time or symbol; the message names it.
    """
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

@final
class Candle:
    """
    The prices of one interval.

    Immutable. Two candles are equal when they say the same about the market (symbol, timeframe, time, prices,
    volume and its type, source, status), whenever and wherever they were recorded.

    Args:
        symbol: 1 to 31 UTF-8 bytes, such as 'EUR_USD'.
        timestamp: open time; datetime (naive is read as UTC), numpy.datetime64 or int ns. The hub floors it.
        open, high, low, close: prices in market units. The constructor checks that they are numbers, the hub
            the rest.
        volume: count of ticks (volume_type 'tick') or traded size ('real').
        source: name of the feed.
        timeframe: 1s 5s 15s 1m 5m 15m 30m 1h 4h 1d 1w, or as in 1min, M1, MINUTE.
        status: 'forming', 'final', 'revised' or 'superseded'.
        revision: 1, or more after late ticks.
        coverage: share of the interval that the feed was live, kept as float32.
        ticks, seq, ts_first, ts_last, ts_arrival, flags: set by the hub and by pickle.

    Raises:
        ValueError: a value that is no number, time, symbol or known word; the message names it.
    """
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

@final
class OrderFlowMetrics:
    """
    What the order book of a future says about the pair that follows it, over one window.

    Immutable. Two are equal when all but ts_recv, ts_publish and seq are.

    Args:
        symbol: the pair, 1 to 31 UTF-8 bytes, such as 'EUR_USD'.
        futures_symbol: the future it was measured on, such as '6E'; may be empty.
        timestamp: end of the window; datetime (naive is read as UTC), numpy.datetime64 or int ns. None: the hub
            stamps it.
        window_seconds: length of the window.
        ofi_60s, net_volume_delta, buy_volume, sell_volume, total_volume, best_bid, best_ask, bid_size, ask_size,
            top_of_book_imbalance, vwap_60s, toxicity_score: numbers, in the future's units.
        buy_sweep_count, sell_sweep_count, updates_count: whole numbers, 0 or more.
        order_flow_bias: a word, at most 255 UTF-8 bytes.
        is_stale: the source of the numbers was silent when they were made.
        ts_recv, ts_publish, seq: set by the hub and by pickle.

    Raises:
        ValueError: a value that is no number, time or symbol; the message names it.
    """
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

def set_pip_lookup(lookup: Callable[[str], float | None] | None, /) -> Callable[[str], float | None] | None:
    """
    Register `lookup(symbol)`, a function that returns a float: the pip size of ticks made by callers.

    Asked once a tick, when its spread or pip_size is first read. 0.0 or None means undeclared (spread in price
    units); None instead of a function takes the lookup away. Returns the lookup that was registered before.
    """

class Rows:
    """Rows of one dtype, and the hub they are of."""
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

def set_array_types(tick: numpy.dtype[Any], candle: numpy.dtype[Any], batch: type[Rows]) -> None: ...

class Hub:
    """
    One process's attachment to a hub directory. tapehub.DataHub is the public class.
    """

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

    def get_latest_tick(self, symbol: str, /) -> Tick | None:
        """
        Return the tick with the greatest ts_event, or None.

        Reads the primary source's view: no lock, no system call, whatever its writers do.
        """

    def update_tick(self, tick: Tick | Mapping[str, Any] | object, /) -> int:
        """
        Publish one tick and return its sequence number.

        Any number of processes and threads may call it. The tick is never de-duplicated.

        Raises:
            InvalidRecord: a price, size, symbol or timestamp that no hub may hold.
            HubStalled: another writer is alive but stopped inside its publish.
            HubError: the disk is full; nothing was written.
        """

    def get_latest_candles(self, symbol: str, limit: int = 100, timeframe: str = "1m") -> list[Candle]:
        """Return the newest final candles as a list, oldest first."""

    def _publish_rows(
        self, rows: list[tuple[int, int, float, float, float, float, int]], channels: list[int], /
    ) -> tuple[int, str]: ...

    def _receive(self, count: int, /) -> None: ...

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
        """
        Read the newest candles that open in [start, end), from memory, as a Batch; `history` goes further back.

        ``forming=True`` adds the one that is not finished. Default limit: 100, or all in memory when bounded.
        """

    def log(self, start: int = 0, n: int | None = None) -> NDArray[Any]:
        """
        View raw log lines [start, start + n) without copying, dtype tapehub.TICK, read-only.

        Lines of other records are in there too: a tick's ``seq`` is its line number, theirs has high bits set.
        """

    def _close(self) -> None: ...

    @property
    def closed(self) -> bool: ...

    @property
    def _incarnation(self) -> int: ...

    @property
    def _directory(self) -> str: ...

    def _ends(self, since: int) -> list[tuple[bytes, int, int, int, int, int]]: ...

    def _open_home(self) -> tuple[int, int]: ...

    def _head(self) -> int: ...

    def now(self) -> int:
        """
        Return the hub clock's reading: int64 ns UTC. It is the clock of ages, states and lateness in every process.
        """

    def _lost(self) -> int: ...

    def _hub_state(self) -> dict[str, Any]: ...

    def _accounts(self) -> dict[str, Any]: ...

    def _retention(self) -> tuple[int, int]: ...

    def _set_retention(self, arg0: int, arg1: int, /) -> None: ...

    def _slots(self) -> list[dict[str, Any]]: ...

    def _slot(self) -> int: ...

    def _count(self, received: int = 0, refused: int = 0, duplicates: int = 0, quarantined: int = 0) -> None: ...

    def _count_flow_call(self) -> None: ...

    def _find(self, symbol: str, /) -> tuple[int, int, int] | None: ...

    def _instrument(self, id: int, /) -> bytes: ...

    def _instrument_count(self) -> int: ...

    def _source(self, id: int, /) -> bytes: ...

    def _source_count(self) -> int: ...

    def _channels(self) -> list[tuple[int, int]]: ...

    def _define(self, row: bytes, redefine: bool = False) -> int: ...

    def _define_source(self, name: str, /) -> int: ...

    def _define_channel(self, instrument: int, source: int, /) -> int: ...

    def _define_zone(self, rows: bytes, count: int) -> int: ...

    def _sessions(self, calendar: int) -> str | None: ...

    def _define_sessions(self, calendar: int, blob: str, rows: int, replace: bool) -> int: ...

    def _publish_array(
        self, array: NDArray[numpy.void], offsets: Sequence[int], channels: Sequence[int], flags: int
    ) -> tuple[int, str]: ...

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

    def _flush(self) -> int: ...

    def _checkpoint(self) -> None: ...

    def _upkeep(self) -> None: ...

    def _repair(self) -> None: ...

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

    def _read_snapshot(self, channel: int, frame: int, limit: int, /) -> tuple[bytes, bytes, bytes]: ...

    def _read_index(self, channel: int, limit: int, /) -> list[int]: ...

    def _gather(self, sequences: Sequence[int], out: NDArray[numpy.uint8], /) -> int: ...

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

    def _records_before(self, line: int, /) -> int: ...

    def _record(
        self, line: int, /
    ) -> tuple[int, int, int, int, int, int, int, int, int, int, bytes] | None: ...

    def _tick_objects(self, lines: NDArray[numpy.uint8], /) -> list[Tick]: ...

    def _candle_objects(self, bodies: NDArray[numpy.uint8], /) -> list[Candle]: ...

    def _order_flow_object(self, line: int, /) -> OrderFlowMetrics | None: ...

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

    def _verify_segment(self, segment: int, /) -> tuple[int, int, str]: ...

    def _segments(self) -> list[int]: ...

    def _wait(self, seen: int, timeout_ns: int, spins: int, /) -> bool: ...

    def _open_cursor(self, name: str, position: int, /) -> int: ...

    def _move_cursor(self, id: int, position: int, delivered: int, lost: int, waiting: bool, /) -> None: ...

    def _close_cursor(self, id: int, /) -> None: ...

    def _cursors(self) -> list[dict[str, Any]]: ...

    def _try_serve(self) -> bool: ...

    def _stop_serving(self) -> None: ...

    def _server(self) -> tuple[int, int, str] | None: ...

    def _beat(self) -> None: ...

class Follower:
    """The position of one stream. tapehub.Stream is the public class."""

    def __init__(self, hub: Hub, position: int, kinds: int, channels: bytes, spins: int) -> None: ...

    def next(self, timeout_ns: int) -> Tick | None:
        """
        Return the next tick; None when there is none yet, or something else comes first.
        """

    def rewind(self) -> bool:
        """
        Give back what is buffered: the position is that of the next tick again.
        """

    def set_channels(self, channels: bytes, /) -> None: ...

    def take_passed(self) -> int: ...

    @property
    def stopped(self) -> bool:
        """
        The last None was for something that is not a tick, and not for want of any.
        """

    @property
    def position(self) -> int: ...

    @position.setter
    def position(self, arg: int, /) -> None: ...

    @property
    def incarnation(self) -> int: ...

class Intervals:
    """
    What the records of a log close, one after the other. tapehub.Stream is the public class.
    """

    def __init__(self, hub: Hub, timeframes: Sequence[int]) -> None: ...

    def want(self, channels: bytes) -> None:
        """Follow these channels alone, by their mask; empty: all."""

    def seed(self) -> int:
        """
        Begin with what the views hold: the line to read next, or 0 when they cannot tell.
        """

    def replay(self, start: int, end: int) -> None:
        """Begin at one line and take up what is before the other."""

    def ticks(
        self, lines: NDArray[numpy.uint8]
    ) -> list[tuple[int, int, int, int, bool, bytes | None]]:
        """Take ticks, and give what they closed."""

    def record(self, line: int) -> list[tuple[int, int, int, int, bool, bytes | None]]:
        """Take a record of another kind, and give what it closed."""

def as_tick(value: Tick | Mapping[str, Any] | object) -> Tick: ...

def as_candle(value: Candle | Mapping[str, Any] | object) -> Candle: ...

def as_order_flow(value: OrderFlowMetrics | Mapping[str, Any] | object) -> OrderFlowMetrics: ...

def candle_bytes(candle: Candle) -> bytes: ...

def recorded_ticks(
    lines: NDArray[numpy.uint8], symbols: list[str], sources: list[str], pip_sizes: Sequence[float]
) -> list[Tick]:
    """
    Return Tick objects of rows of dtype TICK, whose instrument is an index into the lists.
    """

def crc32c(data: bytes) -> int:
    """Return the CRC32C (Castagnoli) of some bytes."""

def boot_ns() -> int:
    """Return CLOCK_BOOTTIME in ns: it goes on while the machine sleeps."""

def layout() -> dict[str, Any]:
    """
    Return offsets and sizes of the shared structures, for comparison with the numpy dtypes.
    """
