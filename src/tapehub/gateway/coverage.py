"""How much of a day is there, minute by minute."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from tapehub.gateway.parameters import moment
from tapehub.hub import reading
from tapehub.hub.gapbook import gap_book

if TYPE_CHECKING:
    from tapehub.hub import DataHub

__all__ = ["MINUTES", "Coverage", "coverage", "today"]

MINUTES = 1440
_MINUTE = 60_000_000_000


@dataclass(frozen=True, slots=True)
class Coverage:
    """Hold a day.

    Attributes:
        start_ns: its first instant, UTC.
        shares: of each minute in which the feed was live; None when the market was closed, or nothing can be said.
        ticks: of each minute.
        outcomes: ``f`` a candle, ``n`` no ticks, ``g`` gap, ``c`` closed, ``-`` not, or not yet.
    """

    start_ns: int
    shares: list[float | None]
    ticks: list[int]
    outcomes: str


def coverage(hub: DataHub, symbol: str, day: date) -> Coverage:
    """Judge each minute of a day, UTC: by its candle, else by the gaps, the calendar, and when anything was logged."""
    start_ns = reading.to_ns(datetime(day.year, day.month, day.day, tzinfo=UTC))
    end_ns = start_ns + MINUTES * _MINUTE
    starts = start_ns + np.arange(MINUTES) * _MINUTE
    shares: list[float | None] = [None] * MINUTES
    ticks, outcomes = [0] * MINUTES, ["-"] * MINUTES
    channel = reading.find_channel(hub, symbol)
    if channel is None:
        return Coverage(start_ns, shares, ticks, "".join(outcomes))
    missing = _missing(gap_book(hub).of(hub, symbol), start_ns, hub.now())
    is_open = hub.calendar(symbol).is_open(starts)
    began_ns, now_ns = _began(hub, symbol, channel), hub.now()
    for minute in range(MINUTES):
        begins = int(starts[minute])
        if not is_open[minute]:
            outcomes[minute] = "c"
        elif begins + _MINUTE > began_ns and begins + _MINUTE <= now_ns:
            share = 1.0 - missing[minute]
            shares[minute], outcomes[minute] = round(share, 4), "g" if share < 0.5 else "n"
    for row in _candles(hub, symbol, start_ns, end_ns):
        minute = (int(row["timestamp"]) - start_ns) // _MINUTE
        shares[minute], outcomes[minute] = round(float(row["coverage"]), 4), "f"
        ticks[minute] = int(row["ticks"])
    return Coverage(start_ns, shares, ticks, "".join(outcomes))


def _candles(hub: DataHub, symbol: str, start_ns: int, end_ns: int) -> Any:
    """Read the minutes from memory, or where it does not reach back so far, from the log."""
    first, last = moment(start_ns), moment(end_ns)
    rows = hub.candles(symbol, "1m", start=first, end=last).numpy()
    oldest = hub.candles(symbol, "1m", limit=1 << 20).numpy()
    if len(oldest) and int(oldest["timestamp"][0]) <= start_ns:
        return rows
    before = hub.history(symbol, "1m", start=first, end=last).numpy()
    known = set(rows["timestamp"].tolist())
    return [*(row for row in before if int(row["timestamp"]) not in known and row["status"]), *rows]


def _missing(gaps: list[dict[str, Any]], start_ns: int, now_ns: int) -> list[float]:
    """Give the share of each minute that lies in a gap."""
    out = np.zeros(MINUTES)
    for gap in gaps:
        first = (gap["start"] - start_ns) / _MINUTE
        last = ((gap["end"] if gap["end"] is not None else now_ns) - start_ns) / _MINUTE
        begin, stop = max(0, int(np.floor(first))), min(MINUTES, int(np.ceil(last)))
        for minute in range(begin, stop):
            out[minute] += min(last, minute + 1) - max(first, minute)
    shares: list[float] = np.clip(out, 0.0, 1.0).tolist()
    return shares


def _began(hub: DataHub, symbol: str, channel: int) -> int:
    """Find when an instrument was first heard of: its oldest candle in memory."""
    rows = hub.candles(symbol, "1m", limit=1 << 20, forming=True).numpy()
    if len(rows):
        return int(rows["timestamp"][0])
    block, _ = reading.channel_state(hub, channel)
    return int(block["latest"]["ts_event"]) if int(block["latest"]["seq"]) else reading.EVER


def today(hub: DataHub) -> date:
    """Give the day that the hub clock shows, UTC."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=max(hub.now(), 0) // 10**9)).date()
