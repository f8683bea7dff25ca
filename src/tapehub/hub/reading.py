"""Reads that answer from the views, the tick index and the log."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tapehub.errors import StaleDataError
from tapehub.hub import calendars
from tapehub.hub.ages import AHEAD_MAX_S, is_ahead, is_within
from tapehub.hub.arguments import check_age, check_bound, check_limit, check_source
from tapehub.hub.batch import Batch
from tapehub.hub.snapshot import Snapshot
from tapehub.hub.witness import is_believed
from tapehub.model.records import CANDLE, CHANNEL_BLOCK, CHANNEL_RARE, INSTRUMENT, TICK, TickFlag
from tapehub.model.states import State
from tapehub.model.timeframes import Timeframe, parse

if TYPE_CHECKING:
    from tapehub._native import OrderFlowMetrics, Tick
    from tapehub.hub.datahub import DataHub

__all__ = [
    "bounds",
    "candle_at",
    "candles",
    "channel_state",
    "find_channel",
    "history",
    "latest_order_flow",
    "record_from",
    "require_fresh",
    "snapshot",
    "state",
    "ticks",
    "to_ns",
]

NEVER = -(1 << 63)
EVER = (1 << 63) - 1
STATES = tuple(state.label for state in State)
FROZEN_AFTER_S = 30.0
"""A pushed quote that stays the same for this long in an open market is stale, until its rhythm is learnt."""

TIME_MIN = 631_152_000_000_000_000
"""1990: no record of the market is older."""

_SCAN_ROWS = 65_536


def find_channel(hub: DataHub, symbol: str, source: str | None = None) -> int | None:
    """Find the channel to read: the primary one, or that of a named source."""
    found = hub._find(symbol)
    if found is None or source is None:
        return None if found is None else int(found[1])
    names = hub.sources
    if source not in names:
        return None
    wanted = (found[0], names.index(source))
    channels = hub._channels()
    return channels.index(wanted) if wanted in channels else None


def channel_state(hub: DataHub, channel: int) -> tuple[Any, Any]:
    """Read the block and the rare counters of a channel, as numpy records."""
    block, rare, _ = hub._read_snapshot(channel, 3, 0)
    return np.frombuffer(block, CHANNEL_BLOCK)[0], np.frombuffer(rare, CHANNEL_RARE)[0]


def bounds(hub: DataHub, start: int | datetime | None, end: int | datetime | None) -> tuple[int, int, int, int]:
    """Split bounds into sequences [from, to) and event times [from, to)."""
    start, end = check_bound("start", start), check_bound("end", end)
    first, last, from_ts, to_ts = 0, hub.head, NEVER, EVER
    if isinstance(start, datetime):
        from_ts = _bound_ns(start)
    elif start is not None:
        first = start
    if isinstance(end, datetime):
        to_ts = _bound_ns(end)
    elif end is not None:
        last = min(last, end)
    oldest = int(hub._hub_state()["oldest"])
    first = max(first, oldest)
    return (record_from(hub, first) if first < last else first), last, from_ts, to_ts


def record_from(hub: DataHub, line: int) -> int:
    """Find the first record that begins at a line or after it: the line may be one of those a long record takes."""
    state = hub._hub_state()
    if not int(state["oldest"]) < line < int(state["head"]) or hub._record(line) is not None:
        return line
    first = max(line - line % int(state["segment_lines"]), int(state["oldest"]))
    return int(hub._scan(first, line, b"", 0, NEVER, EVER, np.empty(0, np.uint8))[0])


def to_ns(moment: datetime) -> int:
    """Give int64 ns UTC; a naive datetime is read as UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    whole = aware.replace(microsecond=0)
    return int(whole.timestamp()) * 1_000_000_000 + aware.microsecond * 1000 + int(getattr(moment, "nanosecond", 0))


def _bound_ns(moment: datetime) -> int:
    """Give ns UTC; for what no int64 can hold the first or last it can: nothing lies beyond them."""
    return min(max(to_ns(moment), NEVER), EVER)


def _limit(limit: int | None, default: int) -> int:
    found = check_limit(limit)
    return default if found is None else found


def ticks(
    hub: DataHub, symbol: str, limit: int | None, start: int | datetime | None, end: int | datetime | None
) -> Batch:
    """Read the newest ticks of a symbol."""
    limit, start, end = check_limit(limit), check_bound("start", start), check_bound("end", end)
    channel = find_channel(hub, symbol)
    if channel is None:
        return Batch(np.empty(0, TICK), hub)
    _, rare = channel_state(hub, channel)
    if start is None and end is None:
        wanted = _limit(limit, 1000)
        places = hub._read_index(channel, wanted)
        rows = np.empty(len(places), TICK)
        count = hub._gather(places, rows.view(np.uint8))
        block, rare = channel_state(hub, channel)
        held = int(block["ticks"] - rare["ticks_at_clear"])
        if count >= min(wanted, held):
            return Batch(rows[:count], hub)
        limit = wanted
    first, last, from_ts, to_ts = bounds(hub, start, end)
    first = max(first, int(rare["cleared_seq"]))
    rows = _scan(hub, first, last, [channel], from_ts, to_ts, limit)
    return Batch(rows, hub)


def _scan(
    hub: DataHub, first: int, last: int, channels: list[int], from_ts: int, to_ts: int, limit: int | None
) -> npt.NDArray[Any]:
    """Copy the newest ``limit`` matching ticks of lines [first, last), walking segments backwards."""
    mask = bytearray(max(channels) + 1)
    for channel in channels:
        mask[channel] = 1
    lines = int(hub._hub_state()["segment_lines"])
    parts: list[npt.NDArray[Any]] = []
    found = 0
    segment = last // lines if last else 0
    while segment >= first // lines and (limit is None or found < limit):
        begin, stop = max(first, segment * lines), min(last, (segment + 1) * lines)
        here: list[npt.NDArray[Any]] = []
        position = segment * lines if begin > segment * lines else begin
        while position < stop:
            rows = np.empty(_SCAN_ROWS, TICK)
            after, count, _, _, _ = hub._scan(position, stop, bytes(mask), 1, from_ts, to_ts, rows.view(np.uint8))
            if count:
                here.append(rows[:count])
            if after <= position:
                break
            position = after
        if here:
            joined = np.concatenate(here)
            joined = joined[joined["seq"] >= begin]
            found += len(joined)
            parts.append(joined)
        segment -= 1
    rows = np.concatenate(parts[::-1]) if parts else np.empty(0, TICK)
    return rows if limit is None else rows[len(rows) - min(limit, len(rows)) :]


def candles(
    hub: DataHub,
    symbol: str,
    timeframe: str,
    limit: int | None,
    start: int | datetime | None,
    end: int | datetime | None,
    *,
    forming: bool,
    source: str | None,
) -> Batch:
    """Read the newest candles of a symbol from their ring."""
    frame, start, end = parse(timeframe), check_bound("start", start), check_bound("end", end)
    check_source(source)
    channel = find_channel(hub, symbol, source)
    if channel is None:
        return Batch(np.empty(0, CANDLE), hub)
    unbounded = start is None and end is None
    size = min(_limit(limit, 100 if unbounded else frame.capacity + 1), frame.capacity + 1)
    rows = np.empty(size, CANDLE)
    from_ts, to_ts = _times(hub, start, end)
    count = hub._read_candles(channel, frame.index, size, from_ts, to_ts, forming, rows.view(np.uint8))
    return Batch(rows[:count], hub)


def candle_at(hub: DataHub, channel: int, frame: Timeframe, start: int) -> Any | None:
    """Read the candle of a channel that opens at an instant, whatever its status, or None."""
    row = np.empty(1, CANDLE)
    return row[0] if hub._read_candles(channel, frame.index, 1, start, start + 1, True, row.view(np.uint8)) else None


def _times(hub: DataHub, start: int | datetime | None, end: int | datetime | None) -> tuple[int, int]:
    """Give the event times of bounds: a sequence stands for the first record there or after it that has a time."""

    def of(bound: int | datetime | None, default: int) -> int:
        if bound is None:
            return default
        if isinstance(bound, datetime):
            return _bound_ns(bound)
        state = hub._hub_state()
        line = record_from(hub, max(bound, int(state["oldest"])))
        while line < int(state["head"]):
            record = hub._record(line)
            if record is None or int(record[2]) >= TIME_MIN:  # a definition, say, is of no time
                return int(record[2]) if record else default
            line += int(record[1])
        return EVER

    return of(check_bound("start", start), NEVER), of(check_bound("end", end), EVER)


def history(
    hub: DataHub,
    symbol: str,
    timeframe: str,
    limit: int | None,
    start: int | datetime | None,
    end: int | datetime | None,
    *,
    source: str | None,
) -> Batch:
    """Build candles of a symbol anew from the log."""
    frame, start, end = parse(timeframe), check_bound("start", start), check_bound("end", end)
    check_source(source)
    channel = find_channel(hub, symbol, source)
    if channel is None:
        return Batch(np.empty(0, CANDLE), hub)
    first, last, from_ts, to_ts = bounds(hub, start, end)
    raw = hub._history(channel, frame.index, first, last, from_ts, to_ts, _limit(limit, 1 << 40), False)
    return Batch(np.frombuffer(raw, CANDLE), hub)


def latest_order_flow(hub: DataHub, symbol: str) -> OrderFlowMetrics | None:
    """Read the latest order-flow metrics of a symbol."""
    hub._count_flow_call()
    channel = find_channel(hub, symbol)
    if channel is None:
        return None
    _, rare = channel_state(hub, channel)
    return hub._order_flow_object(int(rare["flow_seq"]))


def snapshot(hub: DataHub, symbol: str, frame: Timeframe, limit: int) -> Snapshot:
    """Read everything of a symbol from one state of its channel."""
    wanted = _limit(limit, 100)
    now_ns = hub.now()
    channel = find_channel(hub, symbol)
    name = hub._names.canonical(symbol)
    if channel is None:
        return Snapshot(name, "", frame.name, None, [], None, "empty", None, None, now_ns, 0)
    raw_block, raw_rare, raw_candles = hub._read_snapshot(channel, frame.index, wanted)
    block, rare = np.frombuffer(raw_block, CHANNEL_BLOCK)[0], np.frombuffer(raw_rare, CHANNEL_RARE)[0]
    bodies = np.frombuffer(bytearray(raw_candles), CANDLE)
    latest = np.frombuffer(raw_block, TICK, 1, 40)
    tick = hub._tick_objects(np.array(latest).view(np.uint8))[0] if latest["seq"][0] else None
    final = bodies[bodies["status"] != 0]
    return Snapshot(
        symbol=name,
        source=hub.sources[hub._channels()[channel][1]],
        timeframe=frame.name,
        tick=tick,
        candles=hub._candle_objects(bodies.view(np.uint8)),
        order_flow=hub._order_flow_object(int(rare["flow_seq"])),
        state=_state(hub, channel, block, rare, now_ns),
        age_s=(now_ns - tick.ts_event) / 1e9 if tick else None,
        completeness=float(final[-1]["coverage"]) if len(final) else None,
        now_ns=now_ns,
        seq=int(block["applied_seq"]),
    )


def state(hub: DataHub, symbol: str, source: str | None = None) -> str:
    """Say how far the data of a symbol can be trusted now: those of its primary source, or of the one that is named."""
    check_source(source)
    channel = find_channel(hub, symbol, source)
    if channel is None:
        return "empty"
    block, rare = channel_state(hub, channel)
    return _state(hub, channel, block, rare, hub.now())


def require_fresh(hub: DataHub, symbol: str, max_age_s: float) -> Tick:
    """Read the latest tick of a symbol, or refuse."""
    max_age_s = check_age("max_age_s", max_age_s)
    tick = hub.get_latest_tick(symbol)
    if tick is None:
        raise StaleDataError(
            f"{symbol} has no tick in this hub: {hub.path}; {_elsewhere(hub, symbol)}is its feed running?"
        )
    age_s = (hub.now() - tick.ts_event) / 1e9
    found = state(hub, symbol)
    if is_ahead(age_s):
        raise StaleDataError(
            f"{symbol} is stamped {-age_s:.3f} s ahead of the hub clock and {found}, expected at most {AHEAD_MAX_S:g} "
            f"s: {hub.path}; the clock was set back: clear_symbol() lets it start anew"
        )
    if not is_within(age_s, max_age_s) or found in {"stale", "dead", "closed"}:
        raise StaleDataError(
            f"{symbol} is {age_s:.3f} s old and {found}, expected at most {max_age_s:g} s and a live feed: "
            f"{hub.path}; ask doctor why"
        )
    return tick


def _elsewhere(hub: DataHub, symbol: str) -> str:
    """Say which other sources have ticks of a symbol that its primary one has none of."""
    found = hub._find(hub._names.canonical(symbol))
    if found is None:
        return ""
    names = hub.sources
    others = [
        names[source]
        for number, (instrument, source) in enumerate(hub._channels())
        if instrument == found[0] and int(channel_state(hub, number)[0]["latest"]["seq"])
    ]
    if not others:
        return ""
    return (
        f"reads answer from {names[found[2]]}, ticks came from {', '.join(others)}: name the source of "
        f"[instruments.{hub._names.canonical(symbol)}] in tapehub.toml; "
    )


def _state(hub: DataHub, channel: int, block: Any, rare: Any, now_ns: int) -> str:
    """Give the recorded state of a feed; for what callers push, age, repetition and the calendar speak."""
    if not int(block["latest"]["seq"]):
        return "empty"
    age_s = (now_ns - int(block["latest"]["ts_event"])) / 1e9
    recorded = int(rare["state"])
    if recorded:
        found = State(min(recorded & 0xFF, max(State)))
        if found is State.DEAD or is_believed(hub, recorded):
            return State.STALE.label if is_ahead(age_s) and found is not State.DEAD else found.label
        return State.CLOSED.label if _is_closed(hub, channel, now_ns) else State.DEAD.label
    unverified = bool(int(block["latest"]["flags"]) & int(TickFlag.UNVERIFIED))
    if is_within(age_s, FROZEN_AFTER_S) and not (unverified and _is_frozen(hub, channel, block, now_ns)):
        return State.UNVERIFIED.label if unverified else State.LIVE.label
    return State.CLOSED.label if _is_closed(hub, channel, now_ns) else State.STALE.label


def _is_closed(hub: DataHub, channel: int, now_ns: int) -> bool:
    row = np.frombuffer(hub._instrument(hub._channels()[channel][0]), INSTRUMENT)[0]
    return not calendars.sessions(hub, int(row["calendar"])).is_open(now_ns)


def _is_frozen(hub: DataHub, channel: int, block: Any, now_ns: int) -> bool:
    """Tell whether the same bid and ask have been pushed for too long, whatever their timestamps say."""
    bid, ask = block["latest"]["bid"], block["latest"]["ask"]
    wanted = 64
    while True:
        places = hub._read_index(channel, wanted)
        rows = np.empty(len(places), TICK)
        rows = rows[: hub._gather(places, rows.view(np.uint8))]
        others = np.flatnonzero((rows["bid"] != bid) | (rows["ask"] != ask))
        if len(others) or len(places) < wanted:
            break
        wanted *= 8
    same = rows[int(others[-1]) + 1 :] if len(others) else rows
    if not len(same):  # another tick came meanwhile
        return False
    since_ns = min(int(same["ts_event"].min()), int(same["ts_publish"][0]))
    return (now_ns - since_ns) / 1e9 > FROZEN_AFTER_S
