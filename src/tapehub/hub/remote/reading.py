"""Reads of many records: as Arrow tables, in parts that a request can hold."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from tapehub._native import Candle, Tick
from tapehub.errors import InvalidRecord
from tapehub.hub.arguments import AGES_MAX_S, check_age, check_ages, check_bound, check_limit, check_source
from tapehub.hub.batch import Batch
from tapehub.hub.reading import to_ns
from tapehub.hub.remote import answers, tables, values
from tapehub.hub.snapshot import Snapshot
from tapehub.model.records import CANDLE, TICK, CandleFlag
from tapehub.model.timeframes import TIMEFRAMES, parse

if TYPE_CHECKING:
    from tapehub.hub.remote.hub import RemoteHub

__all__ = [
    "candle_objects", "candles", "check_staleness", "comparisons", "gaps", "history", "quarantined",
    "require_fresh", "snapshot", "state", "tick_objects", "ticks",
]  # fmt: skip

ROWS_MAX: Final = 1_000_000
_NEWEST_MAX: Final = 10_000  # that is what a gateway looks up for one request
AGE_MAX_S: Final = 1e9
_FIRST_NS: Final = -9_214_560_000_000_000_000  # 1678-01-01
_LAST_NS: Final = 9_214_646_400_000_000_000  # 2262-01-01
_STATUS: Final = ("forming", "final", "revised", "superseded")

Bound = int | datetime | None


def ticks(hub: RemoteHub, symbol: str, limit: int | None, start: Bound, end: Bound) -> Batch:
    """Read the newest ticks of a symbol."""
    start, end = check_bound("start", start), check_bound("end", end)
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
    frame, start, end = parse(timeframe), check_bound("start", start), check_bound("end", end)
    check_source(source)
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
    frame, start, end = parse(timeframe), check_bound("start", start), check_bound("end", end)
    hub._quoted(symbol)
    check_source(source)
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
    frame = parse(timeframe)
    most = min(_limit(limit, 100) or 0, frame.capacity + 1)
    told = hub._wire.get(f"/snapshot/{hub._quoted(symbol)}", timeframe=frame.name, limit=most)
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


def require_fresh(hub: RemoteHub, symbol: str, max_age_s: float) -> Tick:
    """Read the latest tick of a symbol, or refuse."""
    most = min(check_age("max_age_s", max_age_s), AGE_MAX_S)
    told = hub._told(f"/fresh/{hub._quoted(symbol)}", max_age_s=most)
    return values.tick(told, hub._pip_size(told["symbol"]))


def state(hub: RemoteHub, symbol: str, source: str | None) -> str:
    """Say how far the data of a symbol can be trusted now."""
    hub._quoted(symbol)
    check_source(source)
    rows = hub._told("/states", symbol=symbol)["states"]
    found = [row for row in rows if (row["primary"] if source is None else row["source"] == source)]
    return str(found[0]["state"]) if found else "empty"


def gaps(hub: RemoteHub, symbol: str, source: str | None) -> list[dict[str, Any]]:
    """Read the spans of a symbol without a live feed."""
    hub._quoted(symbol)
    check_source(source)
    return [answers.gap(row) for row in hub._told("/gaps", symbol=symbol, source=source, limit=_NEWEST_MAX)["gaps"]]


def quarantined(hub: RemoteHub, symbol: str | None, limit: int) -> list[dict[str, Any]]:
    """Read what was refused, newest ``limit``, oldest first."""
    told = hub._told("/quarantine", symbol=hub._named(symbol), limit=min(_limit(limit, 100) or 0, _NEWEST_MAX))
    return [answers.quarantined(row) for row in told["quarantine"]]


def comparisons(hub: RemoteHub, symbol: str | None, limit: int) -> list[dict[str, Any]]:
    """Read how candles differed, newest ``limit``, oldest first."""
    told = hub._told("/comparisons", symbol=hub._named(symbol), limit=min(_limit(limit, 100) or 0, _NEWEST_MAX))
    return [row | {"start": values.ns(row["start"])} for row in told["comparisons"]]


def check_staleness(hub: RemoteHub, symbol: str, max_age_seconds: dict[str, float] | None) -> dict[str, bool]:
    """Flag each kind of data that is older than its limit, or absent."""
    limits = check_ages(max_age_seconds)
    asked = {kind: min(limits[kind], AGE_MAX_S) for kind in AGES_MAX_S if kind in limits}
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
        # The gateway reads years that an int64 holds; nothing lies beyond them.
        return values.time_text(min(max(to_ns(bound), _FIRST_NS), _LAST_NS))
    return str(bound)
