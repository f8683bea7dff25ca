"""What the hub says of itself: contents, counters, ages, the ledger."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from tapehub.hub import accounts, marks, reading, retention
from tapehub.hub.ages import is_within
from tapehub.hub.arguments import check_ages
from tapehub.hub.clock import clock_of
from tapehub.hub.naming import symbol_of
from tapehub.model.calendars import CalendarId
from tapehub.model.records import INSTRUMENT, NO_INSTRUMENT, SOURCE, Kind

if TYPE_CHECKING:
    from tapehub.hub.datahub import DataHub

__all__ = [
    "SERVER_BEATS_WITHIN_S", "check_staleness", "get_status", "instruments", "ledger", "quarantined_by", "readers",
    "server", "silent_s", "sources",
]  # fmt: skip

SERVER_BEATS_WITHIN_S = 5.0
"""It beats four times a second: one that was silent for longer is stopped, or has not had the machine for long."""
_CALLS = ("get_tick_calls", "get_candles_calls", "get_flow_calls")
_RARE = ("candles_received", "candles_warm", "candles_built", "flow_updates")
_LATE = ("late_applied", "late_unapplied", "superseded_ticks", "corrected")
_PLACES = ("epoch", "head", "oldest", "records", "synced", "checkpoint", "repairs")


def sources(hub: DataHub) -> list[str]:
    """List the sources by id."""
    rows = (np.frombuffer(hub._source(number), SOURCE)[0] for number in range(hub._source_count()))
    return [row["name"].decode(errors="replace") for row in rows]


def instruments(hub: DataHub) -> dict[str, dict[str, Any]]:
    """Describe every defined instrument."""
    names = sources(hub)
    channels = hub._channels()
    of: dict[int, list[str]] = {}
    for instrument, source in channels:
        of.setdefault(instrument, []).append(names[source])
    out: dict[str, dict[str, Any]] = {}
    for number in range(hub._instrument_count()):
        row = np.frombuffer(hub._instrument(number), INSTRUMENT)[0]
        primary = int(row["primary_channel"])
        out[row["symbol"].decode()] = {
            "id": number,
            "pip_size": float(row["pip_size"]) or None,
            "decimals": int(row["decimals"]),
            "declared": bool(row["declared"]),
            "calendar": CalendarId(int(row["calendar"])).name.lower(),
            "base": row["base"].decode(),
            "quote": row["quote"].decode(),
            "primary_source": None if primary == NO_INSTRUMENT else names[channels[primary][1]],
            "sources": of.get(number, []),
        }
    return out


def _arrivals(block: Any, rare: Any) -> dict[str, int]:
    """When the newest of each kind arrived, hub clock, 0 when there is none."""
    candle = int(rare["ts_candle_arrival"])
    if int(block["pending_ticks"]):
        candle = max(candle, int(block["ts_pending_arrival"]))
    return {"tick": int(block["ts_tick_arrival"]), "candle": candle, "order_flow": int(rare["ts_flow_arrival"])}


def check_staleness(hub: DataHub, symbol: str, max_age_seconds: dict[str, float] | None) -> dict[str, bool]:
    """Flag each kind of data that is older than its limit, of another time line, or absent."""
    limits = check_ages(max_age_seconds)
    channel = reading.find_channel(hub, symbol)
    if channel is None:
        return dict.fromkeys(limits, True)
    block, rare = reading.channel_state(hub, channel)
    now = hub.now()
    arrivals = _arrivals(block, rare)
    tick = int(block["latest"]["ts_event"]) if int(block["latest"]["seq"]) else 0
    ages = {kind: (now - at) / 1e9 if at else float("inf") for kind, at in arrivals.items()}
    ages["tick"] = (now - tick) / 1e9 if tick else float("inf")
    return {kind: not is_within(ages.get(kind, float("inf")), limit) for kind, limit in limits.items()}


def get_status(hub: DataHub) -> dict[str, Any]:
    """Describe the whole hub. The keys of the first release come first and keep their meaning."""
    state, slots, held = hub._hub_state(), hub._slots(), _held(hub)
    counted = held.counted
    return {
        "symbols_tracked": list(held.candles),
        "ticks_count": len(held.with_tick),
        "candles_by_symbol": held.candles,
        "order_flow_count": len(held.with_flow),
        "stats": {
            "ticks_received": counted["ticks"],
            "candles_received": counted["candles_received"],
            "candles_built": counted["candles_built"],
            "order_flow_updates": counted["flow_updates"],
            **{name: sum(slot[name] for slot in slots) for name in _CALLS},
            "candles_warm_started": counted["candles_warm"],
            **{name: counted[name] for name in _LATE},
        },
        "last_updates": held.last_updates,
        "path": str(hub.path),
        "hub_id": hub.hub_id,
        **{name: int(state[name]) for name in _PLACES},
        "clock": _clock(hub, state),
        "server": server(hub),
        "processes": [slot for slot in slots if slot["alive"]],
        "readers": readers(hub),
        "feeds": marks.feed_reports(hub),
        "days_left": retention.days_left(hub, state),
        "warm_start_errors": dict(hub.warm_start_errors),
    }


@dataclass(slots=True)
class _Held:
    """Sum up what a hub holds.

    Attributes:
        candles: final 1-minute candles in memory of each symbol that has anything at all.
        last_updates: when the newest of each kind arrived, of the same symbols.
        with_tick, with_flow: instruments that some source has a tick, or order flow, of.
    """

    counted: Counter[str] = field(default_factory=Counter)
    candles: dict[str, int] = field(default_factory=dict)
    last_updates: dict[str, dict[str, datetime]] = field(default_factory=dict)
    with_tick: set[int] = field(default_factory=set)
    with_flow: set[int] = field(default_factory=set)


def _held(hub: DataHub) -> _Held:
    """Look at each channel once; what is told by symbol is that of its primary source, in the instruments' order."""
    found = _Held()
    rows: dict[int, tuple[Any, Any]] = {}
    for number, (instrument, _) in enumerate(hub._channels()):
        block, rare = rows[number] = reading.channel_state(hub, number)
        found.counted["ticks"] += int(block["ticks"])
        for name in (*_RARE, *_LATE):
            found.counted[name] += int(rare[name])
        if int(block["latest"]["seq"]):
            found.with_tick.add(instrument)
        if int(rare["flow_seq"]):
            found.with_flow.add(instrument)
    for instrument in range(hub._instrument_count()):
        symbol = symbol_of(hub, instrument)
        primary = reading.find_channel(hub, symbol)
        if primary not in rows:  # one that was defined since
            continue
        block, rare = rows[primary]
        count = len(reading.candles(hub, symbol, "1m", 1 << 20, None, None, forming=False, source=None))
        if count or int(block["latest"]["seq"]) or int(rare["flow_seq"]):
            found.candles[symbol] = count
            found.last_updates[symbol] = {
                kind: datetime.fromtimestamp(at / 1e9, UTC) for kind, at in _arrivals(block, rare).items() if at
            }
    return found


def _clock(hub: DataHub, state: dict[str, Any]) -> dict[str, Any]:
    clock = clock_of(hub)
    return {
        **clock.to_dict(),
        "now": datetime.fromtimestamp(clock.now_ns / 1e9, UTC),
        "watermark_ns": int(state["watermark_ns"]),
        "closed_by": "server" if int(state["watermark_mode"]) else "ticks",
    }


def readers(hub: DataHub) -> list[dict[str, Any]]:
    """List every open stream of every process with its lag in lines."""
    head = hub.head
    return [{**row, "lag": max(0, head - row["position"])} for row in hub._cursors()]


def server(hub: DataHub) -> tuple[int, datetime, str] | None:
    """Say who holds the server lock."""
    held = hub._server()
    if held is None:
        return None
    pid, attached_ns, name = held
    return int(pid), datetime.fromtimestamp(attached_ns / 1e9, UTC), str(name)


def silent_s(hub: DataHub) -> float:
    """Give the seconds of real time since the server's last beat; 0 where there was none, or nobody can tell."""
    beat = int(hub._hub_state()["server_heartbeat_ns"])
    if not beat or not hasattr(time, "CLOCK_BOOTTIME"):
        return 0.0
    return max(0.0, (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - beat) / 1e9)


def ledger(hub: DataHub) -> dict[str, Any]:
    """Account for every record at every hop, and per instrument.

    ``balanced``: every tick of the log is in the views, and what feeds received is what they published, and what was a
    duplicate, refused, quarantined, is in flight or lost. Callers who received nothing owe nothing: what of theirs was
    refused is in ``refused`` alone.
    """
    state = hub._hub_state()
    by_kind = {kind.name.lower(): int(state["by_kind"][kind]) for kind in Kind if kind is not Kind.TICK}
    ticks = int(state["records"]) - sum(int(count) for count in state["by_kind"])
    rows: dict[str, dict[str, int]] = {}
    names = sources(hub)
    applied = 0
    for number, (instrument, source) in enumerate(hub._channels()):
        block, rare = reading.channel_state(hub, number)
        count = int(block["ticks"])
        applied += count
        rows[f"{symbol_of(hub, instrument)} from {names[source]}"] = {
            "ticks": count,
            "late_applied": int(rare["late_applied"]),
            "late_unapplied": int(rare["late_unapplied"]),
            "superseded": int(rare["superseded_ticks"]),
            "candles_received": int(rare["candles_received"]),
            "candles_built": int(rare["candles_built"]),
            "order_flow": int(rare["flow_updates"]),
        }
    account = accounts.account_of(hub)
    return {
        "records": int(state["records"]),
        "ticks": ticks,
        "by_kind": by_kind,
        "instruments": rows,
        "feeds": {feed: told.get("counts", {}) for feed, told in marks.feed_reports(hub).items()},
        "received": account.received,
        "published": account.published,
        "in_flight": account.in_flight,
        "refused": account.refused + account.refused_callers,
        "duplicates": account.duplicates,
        "quarantined": account.quarantined,
        "acknowledged": account.acknowledged,
        "lost_in_producer": account.lost_in_producer,
        "balanced": applied == ticks and account.balanced,
    }


def quarantined_by(ledger: dict[str, Any]) -> list[tuple[tuple[str, str], dict[str, Any]]]:
    """Give what each feed last reported of each symbol: ((feed, symbol), counts)."""
    return [
        ((feed, symbol), counted)
        for feed, symbols in ledger["feeds"].items()
        for symbol, counted in symbols.items()
    ]  # fmt: skip
