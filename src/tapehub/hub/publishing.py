"""From what callers hold to records of the tape."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tapehub._native import Candle, OrderFlowMetrics, as_candle, as_order_flow, candle_bytes
from tapehub.errors import ConfigError, InvalidRecord
from tapehub.hub import blobs
from tapehub.hub.arguments import check_note, check_source
from tapehub.model.policies import ClockMode
from tapehub.model.records import CANDLE, FLOW_STRUCT, NO_INSTRUMENT, CandleFlag, Kind, TickFlag

if TYPE_CHECKING:
    from tapehub.hub.datahub import DataHub

__all__ = [
    "candle", "candle_fault", "check_fetch", "checked", "clear", "log_zone", "note", "order_flow", "row_offsets",
    "ticks", "warm_start", "warm_start_all",
]  # fmt: skip

_MINUTE = 60_000_000_000
_TYPES = {
    "ts_event": "<i8", "bid": "<f8", "ask": "<f8", "bid_size": "<f4", "ask_size": "<f4", "ts_recv": "<i8",
    "instrument": "<u2",
}  # fmt: skip
_known: dict[int, tuple[np.dtype[Any], tuple[int, ...] | None, tuple[int, ...] | None]] = {}
"""Offsets without and with `instrument`, by the id of a dtype that is kept, so that no other can take it."""
_TIME_MIN = 631_152_000_000_000_000  # 1990
_TIME_MAX = (1 << 63) - 1


def log_zone(hub: DataHub, from_ns: npt.NDArray[np.int64], offset_ns: npt.NDArray[np.int64]) -> None:
    """Give a new hub New York's offsets, from which days, weeks and four-hour bars are cut."""
    if hub._hub_state()["by_kind"][Kind.CALENDAR]:
        return
    rows = np.column_stack([from_ns, offset_ns]).astype("<i8")
    hub._define_zone(rows.tobytes(), len(rows))


def candle(
    hub: DataHub, given: Candle, *, warm: bool = False, backfill: bool = False, channel: int | None = None
) -> int:
    """Publish one 1-minute candle into the channel that reads of its symbol answer from.

    Args:
        warm: it was loaded from elsewhere, and no caller's `update_candle_1m` counts it.
        backfill: so it was, from the venue's history, and says so.
        channel: another one.
    """
    fault = candle_fault(given, _latest_allowed(hub))
    if fault:
        raise InvalidRecord(f"candle of {given.symbol} at {given.timestamp.isoformat()}: {fault}")
    if channel is None:
        channel = hub._names.primary(given.symbol)
    instrument, source = hub._channels()[channel]
    body = np.frombuffer(bytearray(candle_bytes(given)), CANDLE)
    body["status"], body["instrument"] = 1, instrument
    body["source"] = hub._define_source(given.source[:31]) if given.source else source
    body["flags"] = int(CandleFlag.PUSHED) | (int(CandleFlag.WARM) if warm or backfill else 0)
    body["flags"] |= int(CandleFlag.BACKFILL) if backfill else 0
    if given.volume_type == "real":
        body["flags"] |= int(CandleFlag.REAL_VOLUME)
    opened = given.ts_event // _MINUTE * _MINUTE
    return hub._publish_record(int(Kind.CANDLE), opened, instrument=instrument, source=source, payload=body.tobytes())


def _latest_allowed(hub: DataHub) -> int:
    """Give the latest time a record may have: a minute ahead of the hub clock, and under an event clock any."""
    return _TIME_MAX if int(hub._hub_state()["clock_mode"]) == ClockMode.EVENT else hub.now() + _MINUTE


def candle_fault(given: Candle, latest_ns: int) -> str:
    """Say why a candle cannot be published; empty when it can."""
    prices = (given.open, given.high, given.low, given.close)
    if given.timeframe != "1m":
        return f"timeframe is {given.timeframe}, expected 1m: longer ones are rolled up by the hub"
    if not all(math.isfinite(price) and price > 0 for price in prices):
        return f"prices are {prices}, expected finite and above 0"
    if not given.low <= min(given.open, given.close) <= max(given.open, given.close) <= given.high:
        shown = f"low {given.low}, open {given.open}, close {given.close}, high {given.high}"
        return f"{shown}: expected low <= all <= high"
    if not (math.isfinite(given.volume) and given.volume >= 0):
        return f"volume is {given.volume}, expected finite and not negative"
    if not _TIME_MIN <= given.ts_event <= latest_ns:
        return "expected a time from 1990 to a minute ahead of the hub clock"
    return ""


def warm_start(hub: DataHub, symbol: str, candles: Iterable[Candle]) -> int:
    """Publish candles of one symbol from elsewhere, oldest first."""
    channel = hub._names.primary(symbol)
    name = hub._names.canonical(symbol)
    count = 0
    for row in sorted((as_candle(one) for one in candles), key=lambda one: one.ts_event):
        if hub._names.canonical(row.symbol) != name:
            error = InvalidRecord(f"warm start of {name}: candle {count} is of {row.symbol}, expected {name}")
            error.published = count
            raise error
        candle(hub, row, warm=True, channel=channel)
        count += 1
    return count


def warm_start_all(
    hub: DataHub, symbols: Iterable[str], fetch: Callable[[str, int], Iterable[Candle] | None], limit: int
) -> int:
    """Publish candles of several symbols; one's failure is kept in ``hub.warm_start_errors`` and stops no other."""
    check_fetch(fetch)
    hub.warm_start_errors = {}
    loaded = 0
    for symbol in symbols:
        try:
            loaded += warm_start(hub, symbol, fetch(symbol, limit) or ())
        except Exception as error:  # whatever a caller's database raises
            hub.warm_start_errors[symbol] = f"{type(error).__name__}: {error}"
    return loaded


def check_fetch(fetch: Any) -> None:
    """Refuse what cannot be called: as each symbol's own failure it would be told to whoever looks for it, and no one.

    Raises:
        ConfigError: it cannot.
    """
    if not callable(fetch):
        raise ConfigError(f"db_fetch_func is {fetch!r}, expected a function of a symbol and a limit; pass the function")


def order_flow(hub: DataHub, given: OrderFlowMetrics) -> int:
    """Publish order-flow metrics."""
    metrics = as_order_flow(given)
    _check_order_flow(metrics)
    channel = hub._names.primary(metrics.symbol)  # first: it may have to be defined
    instrument, source = hub._channels()[channel]
    futures, bias = metrics.futures_symbol.encode()[:255], metrics.order_flow_bias.encode()[:255]
    body = FLOW_STRUCT.pack(
        metrics.window_seconds, metrics.ofi_60s, metrics.net_volume_delta, metrics.buy_volume, metrics.sell_volume,
        metrics.total_volume, metrics.best_bid, metrics.best_ask, metrics.bid_size, metrics.ask_size,
        metrics.top_of_book_imbalance, metrics.vwap_60s, metrics.toxicity_score, metrics.buy_sweep_count,
        metrics.sell_sweep_count, metrics.updates_count, metrics.is_stale, len(futures), len(bias),
    )  # fmt: skip
    at = metrics.ts_event or hub.now()
    if not _TIME_MIN <= at <= _latest_allowed(hub):
        raise InvalidRecord(
            f"order flow of {metrics.symbol}: timestamp {metrics.timestamp}, expected from 1990 to a minute ahead of "
            f"the hub clock"
        )
    return hub._publish_record(
        int(Kind.ORDER_FLOW), at, instrument=instrument, source=source, payload=body + futures + bias
    )


def _check_order_flow(metrics: OrderFlowMetrics) -> None:
    """Refuse numbers that no hub may hold: one of them would be the latest for every reader."""
    numbers = {name: value for name, value in metrics.to_dict().items() if isinstance(value, float)}
    for name, value in numbers.items():
        if not math.isfinite(value):
            raise InvalidRecord(f"order flow of {metrics.symbol}: {name} is {value}, expected a finite number")
    for name in ("best_bid", "best_ask", "vwap_60s"):
        if numbers.get(name, 0.0) < 0:
            raise InvalidRecord(f"order flow of {metrics.symbol}: {name} is {numbers[name]}, expected 0 or a price")


def note(hub: DataHub, text: str, symbol: str | None) -> int:
    """Publish a remark; what is too long for a record goes into a blob."""
    data = check_note(text)

    def publish(flags: int, payload: bytes, incarnation: int) -> int:
        instrument, source = NO_INSTRUMENT, 0
        if symbol is not None:
            channel = hub._names.primary(symbol)
            instrument, source = hub._channels()[channel]
        return hub._publish_record(
            int(Kind.NOTE), hub.now(), instrument=instrument, source=source, flags=flags, payload=payload,
            incarnation=incarnation,
        )  # fmt: skip

    return blobs.keep(hub, data, publish)


def clear(hub: DataHub, symbol: str) -> int:
    """Publish that a symbol is cleared, on its own channel, so that its readers hear of it; 0 when it is not known."""
    found = hub._find(hub._names.canonical(symbol))
    if not found:
        return 0
    instrument, source = hub._channels()[found[1]]
    return hub._publish_record(int(Kind.CLEAR), hub.now(), instrument=instrument, source=source)


def ticks(
    hub: DataHub,
    array: npt.NDArray[Any],
    symbol: str | None,
    symbols: Sequence[str] | None,
    source: str | None,
    *,
    verified: bool,
) -> int:
    """Publish the rows of a structured array."""
    array = checked(array, symbol, symbols)
    check_source(source or None)
    offsets = row_offsets(array.dtype, indexed=symbols is not None)
    assert offsets is not None, array.dtype
    # Only now: an array that is refused defines no symbol.
    find = hub._names.feed_channel if verified and len(array) else hub._names.channel
    channels = [find(one, source) for one in ([symbol] if symbol is not None else symbols or ())]
    count, fault = hub._publish_array(array, offsets, channels, 0 if verified else int(TickFlag.UNVERIFIED))
    if fault:
        hub._count(refused=1)
        error = InvalidRecord(f"row {count} of {len(array)}: {fault}; {count} rows before it are published")
        error.published = count
        raise error
    return count


def checked(array: npt.NDArray[Any], symbol: str | None, symbols: Sequence[str] | None) -> npt.NDArray[Any]:
    """Give rows whose fields have the types of a tick: the array itself where they have them already.

    Raises:
        InvalidRecord: it is no structured array, lacks a field, or one cannot be converted without loss; or not exactly
            one of `symbol` and `symbols` is given.
    """
    if (symbol is None) == (symbols is None):
        raise InvalidRecord("publish needs symbol= for all rows, or symbols= for the rows' instrument: give one")
    indexed = symbols is not None
    # Not every caller checks types.
    if not isinstance(array, np.ndarray) or array.dtype.names is None or array.ndim != 1:  # type: ignore[redundant-expr]
        shape = getattr(array, "shape", type(array).__name__)
        raise InvalidRecord(
            f"publish got {getattr(array, 'dtype', '')} {shape}, expected a structured numpy array of shape (n,) with "
            f"the fields ts_event, bid, ask"
        )
    return array if row_offsets(array.dtype, indexed=indexed) is not None else _converted(array, indexed=indexed)


def row_offsets(dtype: np.dtype[Any], *, indexed: bool) -> tuple[int, ...] | None:
    """Say where the fields of a tick lie in a row, -1 for one that is absent; None when they are of other types.

    Then the native module reads the rows as they are. It is found once for each dtype: for a single row, taking it
    apart into columns would be most of the work.
    """
    known = _known.get(id(dtype))
    if known is None or known[0] is not dtype:
        fields: Mapping[str, Any] = dtype.fields or {}
        plain = all(fields[name][0].str == kind for name, kind in _TYPES.items() if name in fields)
        at = tuple(fields[name][1] if name in fields else -1 for name in _TYPES)
        sound = plain and min(at[:3]) >= 0
        if len(_known) >= 64:
            _known.clear()
        known = (dtype, (*at[:-1], -1) if sound else None, at if sound and at[-1] >= 0 else None)
        _known[id(dtype)] = known
    return known[2] if indexed else known[1]


def _converted(array: npt.NDArray[Any], *, indexed: bool) -> npt.NDArray[np.void]:
    """Convert rows to the types of a tick, where that loses nothing."""
    names = array.dtype.names or ()
    missing = [name for name in ("ts_event", "bid", "ask") if name not in names]
    if indexed and "instrument" not in names:
        missing.append("instrument")
    if missing:
        raise InvalidRecord(f"publish got the fields {names}, expected also {', '.join(missing)}")
    wanted = [name for name in _TYPES if name in names and (indexed or name != "instrument")]
    columns = {name: _column(array, name, np.dtype(_TYPES[name]).type) for name in wanted}
    rows: npt.NDArray[np.void] = np.empty(len(array), [(name, _TYPES[name]) for name in wanted])
    for name, column in columns.items():
        rows[name] = column
    return rows


def _column(array: npt.NDArray[Any], name: str, kind: type) -> npt.NDArray[Any]:
    column = array[name]
    if column.dtype == kind and column.ndim == 1:
        return column
    if kind is np.int64 and column.dtype.kind == "M":
        return column.astype("M8[ns]").view(np.int64)
    whole = np.issubdtype(kind, np.integer)
    if column.ndim != 1 or column.dtype.kind not in ("iu" if whole else "fiu"):
        raise InvalidRecord(f"field {name} is {array.dtype[name]}, expected {np.dtype(kind)}")
    if whole and len(column):  # a narrower integer would wrap round, and name another symbol
        least, most, bounds = int(column.min()), int(column.max()), np.iinfo(kind)
        if least < bounds.min or most > bounds.max:
            worst = least if least < bounds.min else most
            raise InvalidRecord(f"field {name} holds {worst}, expected {bounds.min} to {bounds.max}")
    return column.astype(kind)
