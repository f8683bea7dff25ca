"""How far data can be trusted, told with every answer: state, market hours, age, completeness, the hub clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from tapehub.gateway.instants import iso
from tapehub.gateway.mcp.asking import rounded
from tapehub.gateway.mcp.shapes import Standing, StateName
from tapehub.gateway.states import ChannelState, channel_states
from tapehub.hub.clock import clock_of

if TYPE_CHECKING:
    from tapehub.hub import DataHub
    from tapehub.hub.snapshot import Snapshot

__all__ = ["CURRENT", "FINISHED", "standing_of", "standing_of_all", "state_name"]

CURRENT: Final = frozenset({"LIVE", "QUIET", "UNVERIFIED"})
FINISHED: Final = 2
"""Candles of a snapshot of which one is finished: the newest may be forming."""
_SENTENCES: Final[dict[StateName, str]] = {
    "LIVE": "LIVE: quotes are coming",
    "QUIET": "QUIET: the feed is well, the market is slow",
    "UNVERIFIED": "UNVERIFIED: a program pushes these quotes, no feed vouches for them",
    "STALE": "STALE: nothing has come for too long in an open market, so this is not the price of now",
    "DEAD": "DEAD: the connection to the feed is gone, so this is not the price of now",
    "CLOSED": "CLOSED: the market is closed, so this is the last price before it closed",
    "EMPTY": "EMPTY: no quote has come yet",
}


def standing_of(hub: DataHub, symbol: str, seen: Snapshot | None = None) -> Standing:
    """Tell how an instrument stands.

    Args:
        symbol: the hub's own name of it.
        seen: a snapshot that was taken, with two candles at least; the standing is told of that very moment.
    """
    seen = seen or hub.snapshot(symbol, "1m", FINISHED)
    now_ns, state = max(seen.now_ns, 0), state_name(seen.state)
    hours = hub.calendar(symbol)
    is_open = hours.is_open(now_ns)
    told = [_SENTENCES[state]]
    if not is_open and state != "CLOSED":
        told.append("the market is CLOSED by its calendar")
    if seen.age_s is not None:
        told.append(f"the latest quote is {duration(seen.age_s)} old")
    opens = None if is_open else hours.next_open(now_ns)
    if opens is not None:
        told.append(f"the market opens {iso(opens)[:19]}Z")
    return _made(
        hub,
        now_ns,
        told,
        symbol=symbol,
        state=state,
        market="OPEN" if is_open else "CLOSED",
        current=state in CURRENT and is_open,
        age_s=rounded(seen.age_s),
        completeness=rounded(seen.completeness),
    )


def standing_of_all(hub: DataHub, symbols: Sequence[str] | None = None) -> Standing:
    """Tell how some instruments, or all, stand together, each by its primary source."""
    now_ns = max(hub.now(), 0)
    rows: list[ChannelState] = [
        row for row in channel_states(hub) if row.primary and (symbols is None or row.symbol in symbols)
    ]
    known = [state_name(row.state) for row in rows]
    counted = Counter(known)
    state = next(iter(counted), None) if len(counted) < 2 else None
    if len(counted) > 1:
        told = ["MIXED: " + ", ".join(f"{count} {name}" for name, count in counted.most_common())]
    elif state is None:
        told = ["EMPTY: the hub knows no instrument yet"]
    else:
        told = [_SENTENCES[state]]
    hours = {hub.calendar(row.symbol).is_open(now_ns) for row in rows}
    market = "UNKNOWN" if not hours else "MIXED" if len(hours) > 1 else "OPEN" if hours == {True} else "CLOSED"
    if market == "CLOSED" and state != "CLOSED":
        told.append("all these markets are CLOSED by their calendars")
    ages = [row.age_s for row in rows if row.age_s is not None]
    if ages:
        told.append(f"the youngest quote is {duration(min(ages))} old")
    shares = [share for row in rows if (share := hub.snapshot(row.symbol, "1m", FINISHED).completeness) is not None]
    return _made(
        hub,
        now_ns,
        told,
        symbol=None,
        state=state or ("MIXED" if rows else "EMPTY"),
        market=market,
        current=bool(rows) and set(known) <= CURRENT and hours == {True},
        age_s=rounded(min(ages, default=None)),
        completeness=rounded(min(shares, default=None)),
    )


def state_name(label: str) -> StateName:
    """Give a state as answers write it."""
    return next(name for name in _SENTENCES if name == label.upper())


def duration(seconds: float) -> str:
    """Write an age as people do."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} days"


def _made(hub: DataHub, now_ns: int, told: list[str], **known: Any) -> Standing:
    clock = clock_of(hub)
    if clock.simulated:
        told.append(f"{clock.label}: the hub clock is not the time of day")
    return Standing(
        **known, now=iso(now_ns), clock=clock.to_dict()["mode"], simulated=clock.simulated, note=f"{'; '.join(told)}."
    )
