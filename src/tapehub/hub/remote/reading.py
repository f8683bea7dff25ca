"""Reads of many records: as Arrow tables, in parts that a request can hold."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from tapehub._native import Candle, Tick
from tapehub.errors import InvalidRecord
from tapehub.hub.asked import check_bound, check_limit
from tapehub.hub.batch import Batch
from tapehub.hub.reading import to_ns
from tapehub.hub.remote import tables, values
from tapehub.hub.snapshot import Snapshot
from tapehub.model.records import CANDLE, TICK, CandleFlag
from tapehub.model.timeframes import TIMEFRAMES, parse

if TYPE_CHECKING:
    from tapehub.hub.remote.hub import RemoteHub

__all__ = ["candle_objects", "candles", "check_staleness", "history", "snapshot", "tick_objects", "ticks"]

ROWS_MAX: Final = 1_000_000
_AGE_MAX_S: Final = 1e9
_STATUS: Final = ("forming", "final", "revised", "superseded")
_DEFAULT_MAX_AGE_S: Final = {"tick": 2.0, "candle": 120.0, "order_flow": 5.0}

Bound = int | datetime | None


def ticks(hub: RemoteHub, symbol: str, limit: int | None, start: Bound, end: Bound) -> Batch:
    """Read the newest ticks of a symbol."""
    start, end = check_bound(start, "start"), check_bound(end, "end")
    path = f"/ticks/{hub._quoted(symbol)}"
    left = _limit(limit, 1000 if start is None and end is None else None)
    parts: list[npt.NDArray[Any]] = []
    upto = end
    while True:
        most = ROWS_MAX if left is None else min(left, ROWS_MAX)
        data = hub._wire.get_arrow(path, limit=most, start=_bound(start), end=_bound(upto))
        table = tables.read(data)
        rows = tables.tick_rows(table, *_names(hub, table))
        is_last = len(rows) < most
        following = int(rows["seq"][0]) if len(rows) else 0
        if isinstance(end, datetime) and parts:  # an older part was asked for by its place in the log
            rows = rows[rows["ts_event"] < to_ns(end)]
        parts.append(rows)
        left = None if left is None else left - len(rows)
        if is_last or left == 0:
            break
        upto = following
    return _batch(hub, np.concatenate(parts[::-1]))


def candles(
    hub: RemoteHub,
    symbol: str,
    timeframe: str,
    limit: int | None,
    start: Bound,
    end: Bound,
    *,
    forming: bool = False,
    source: str | None = None,
) -> Batch:
    """Read the newest candles of a symbol from the hub's memory."""
    frame, start, end = parse(timeframe), check_bound(start, "start"), check_bound(end, "end")
    most = frame.capacity + 1
    wanted = _limit(limit, 100 if start is None and end is None else most)
    data = hub._wire.get_arrow(
        f"/candles/{hub._quoted(symbol)}", timeframe=frame.name, limit=min(wanted or 0, most), start=_bound(start),
        end=_bound(end), forming="true" if forming else "false", source=source,
    )  # fmt: skip
    table = tables.read(data)
    return _batch(hub, tables.candle_rows(table, *_names(hub, table), frame.index))


def history(
    hub: RemoteHub, symbol: str, timeframe: str, limit: int | None, start: Bound, end: Bound, *, source: str | None
) -> Batch:
    """Build candles of a symbol anew from the hub's log."""
    frame, start, end = parse(timeframe), check_bound(start, "start"), check_bound(end, "end")
    hub._quoted(symbol)
    wanted = _limit(limit, None)
    most = ROWS_MAX if wanted is None else min(wanted, ROWS_MAX)
    data = hub._wire.get_arrow(
        "/history", symbol=symbol, timeframe=frame.name, limit=most, start=_bound(start), end=_bound(end), source=source
    )
    table = tables.read(data)
    rows = tables.candle_rows(table, *_names(hub, table), frame.index)
    if len(rows) == ROWS_MAX and wanted != ROWS_MAX:
        raise InvalidRecord(
            f"history of {symbol} has over {ROWS_MAX:,} candles of {frame.name}, more than one answer holds: expected "
            "closer bounds; ask for a part by start= and end="
        )
    return _batch(hub, rows)


def snapshot(hub: RemoteHub, symbol: str, timeframe: str, limit: int) -> Snapshot:
    """Read everything of a symbol from one state of it."""
    told = hub._wire.get(f"/snapshot/{hub._quoted(symbol)}", timeframe=parse(timeframe).name, limit=limit)
    return Snapshot(
        symbol=told["symbol"],
        source=told["source"],
        timeframe=told["timeframe"],
        tick=None if told["tick"] is None else values.tick(told["tick"], hub._pip_size(told["symbol"])),
        candles=[values.candle(one) for one in told["candles"]],
        order_flow=None if told["order_flow"] is None else values.flow(told["order_flow"]),
        state=told["state"],
        age_s=told["age_s"],
        completeness=told["completeness"],
        now_ns=values.ns(told["now"]),
        seq=told["seq"],
    )


def check_staleness(hub: RemoteHub, symbol: str, max_age_seconds: dict[str, float] | None) -> dict[str, bool]:
    """Flag each kind of data that is older than its limit, or absent."""
    limits = _DEFAULT_MAX_AGE_S if max_age_seconds is None else max_age_seconds
    asked = {kind: min(max(limits[kind], 0.0), _AGE_MAX_S) for kind in _DEFAULT_MAX_AGE_S if kind in limits}
    told = hub._wire.get(f"/staleness/{hub._quoted(symbol)}", **asked)
    return {kind: bool(told[kind]) if kind in asked else True for kind in limits}


def tick_objects(hub: RemoteHub, lines: npt.NDArray[np.uint8]) -> list[Tick]:
    """Make objects of rows."""
    rows = np.frombuffer(lines.tobytes(), TICK)
    symbols, sources = hub._symbols_of(rows), hub._sources
    return [
        Tick(
            symbols[row[8]], row[4], row[5], timestamp=row[1], bid_size=row[6], ask_size=row[7],
            source=sources[row[9]] if row[9] < len(sources) else None, ts_recv=row[2], ts_publish=row[3], seq=row[0],
            flags=row[10], pip_size=hub._pip_size(symbols[row[8]]),
        )
        for row in rows.tolist()
    ]  # fmt: skip


def candle_objects(hub: RemoteHub, bodies: npt.NDArray[np.uint8]) -> list[Candle]:
    """Make objects of rows."""
    rows = np.frombuffer(bodies.tobytes(), CANDLE)
    symbols, sources = hub._symbols_of(rows), hub._sources
    names = CANDLE.names or ()
    made = []
    for values_of in rows.tolist():
        row = dict(zip(names, values_of, strict=True))
        made.append(
            Candle(
                symbols[row["instrument"]], row["timestamp"], row["open"], row["high"], row["low"], row["close"],
                row["volume"], sources[row["source"]] if row["source"] < len(sources) else "",
                "real" if row["flags"] & CandleFlag.REAL_VOLUME else "tick", TIMEFRAMES[row["timeframe"]].name,
                status=_STATUS[row["status"]],
                revision=row["revision"], coverage=row["coverage"], ticks=row["ticks"], seq=row["seq"],
                ts_first=row["ts_first"], ts_last=row["ts_last"], ts_arrival=row["ts_arrival"], flags=row["flags"],
            )
        )  # fmt: skip
    return made


def _names(hub: RemoteHub, table: Any) -> tuple[dict[str, int], list[str]]:
    ids, _ = hub._numbers(tables.names_in(table, "symbol"), tables.names_in(table, "source"))
    return ids, hub._sources


def _batch(hub: RemoteHub, rows: npt.NDArray[Any]) -> Batch:
    batch = Batch(rows, hub)  # type: ignore[arg-type]  # it asks for names and objects alone
    _ = batch.symbols  # by the names of now
    return batch


def _limit(limit: int | None, default: int | None) -> int | None:
    found = check_limit(limit)
    return default if found is None else found


def _bound(bound: Bound) -> str | None:
    if bound is None:
        return None
    if isinstance(bound, datetime):
        aware = bound if bound.tzinfo else bound.replace(tzinfo=UTC)
        return values.time_text(to_ns(aware))
    return str(max(0, int(bound)))
