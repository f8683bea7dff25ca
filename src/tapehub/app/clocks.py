"""The hub clock on the command line: which one is in force, and when it must not be changed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tapehub.app.console import instant_text, note
from tapehub.errors import ConfigError, HubHeld
from tapehub.hub import reading
from tapehub.hub.clock import clock_of
from tapehub.hub.latest import latest
from tapehub.hub.naming import symbol_of
from tapehub.model.policies import ClockMode

if TYPE_CHECKING:
    from tapehub.hub import DataHub

__all__ = ["begin_at", "change_clock", "clock_of", "live_publishers"]

_RECENT_S = 10.0
_DEFINITIONS = 16


def live_publishers(hub: DataHub, watch_s: float = 0.25) -> list[str]:
    """Name the other processes whose ticks flow: those that publish while we look, or did in the last ten seconds.

    The server is none of them: what it publishes are watermarks.
    """
    server = hub.server()
    others = [
        row
        for row in hub.processes()
        if row["alive"] and row["slot"] != hub._slot() and row["pid"] != (server or [0])[0]
    ]
    # Attaching publishes a few definitions; whoever published no more than that is a reader.
    suspects = {row["slot"]: row for row in others if row["received"] or row["published"] > _DEFINITIONS}
    if not suspects:
        return []
    if not _ticked_recently(hub):
        time.sleep(watch_s)
        rows = {row["slot"]: row["published"] for row in hub.processes()}
        suspects = {slot: row for slot, row in suspects.items() if rows.get(slot, 0) > row["published"]}
    return [f"{row['name']} (pid {row['pid']})" for row in suspects.values()]


def change_clock(
    hub: DataHub,
    mode: ClockMode,
    *,
    anchor_ns: int | None = None,
    rate: float = 1.0,
    afresh: bool = False,
    force: bool = False,
) -> bool:
    """Set the hub clock unless it is that one already; tell whether it was changed.

    Args:
        afresh: set it also when it is, so that lateness starts anew; a virtual clock always is.

    Raises:
        HubHeld: another process publishes under the present clock, and `force` is false.
    """
    clock = clock_of(hub)
    if clock.mode is mode and mode is not ClockMode.VIRTUAL and not afresh:
        return False
    if not force and (names := live_publishers(hub)):
        raise HubHeld(
            f"{', '.join(names)} publishes under the hub's {clock}: {hub.path}; use another hub (--name replay), or "
            "--force-clock if those ticks may become late or early"
        )
    hub.set_clock(mode, anchor_ns=anchor_ns, rate=rate)
    return True


def begin_at(hub: DataHub, at_ns: int, feed: str) -> None:
    """Begin a made-up market at a time of its own.

    What the hub holds from after that time is of another time line, and every view orders by event time: the old candle
    would stay the newest for ever. Where that was made up too the views of those symbols begin anew, and the log keeps
    all; what a venue or a caller gave is not taken out of anybody's sight.

    Args:
        feed: what makes the quotes up.

    Raises:
        ConfigError: what lies ahead of that time was not made up.
        HubHeld: another process publishes under the present clock.
    """
    ahead = _ahead_of(hub, at_ns)
    pretended = {feed}
    for name, told in latest(hub).links(hub).items():
        if told.get("made_up"):
            pretended |= {name, *(row[1] for _, _, group in told["items"] for row in group)}
    for (symbol, source), ts_ns in ahead.items():
        if source not in pretended:
            raise ConfigError(
                f"--at {instant_text(at_ns)} in a hub that holds {symbol} from {source} up to {instant_text(ts_ns)}: "
                f"{hub.path}; expected a hub of its own for another time line: add --name {feed or 'made-up'}"
            )
    change_clock(hub, ClockMode.VIRTUAL, anchor_ns=at_ns)
    symbols = sorted({symbol for symbol, _ in ahead})
    for symbol in symbols:
        hub.clear_symbol(symbol)
    if symbols:
        newest = instant_text(max(ahead.values()))
        note(
            f"{', '.join(symbols)}: made-up quotes up to {newest} leave the views, which begin anew; the log keeps them"
        )


def _ahead_of(hub: DataHub, at_ns: int) -> dict[tuple[str, str], int]:
    """Give the time of the newest tick or candle of each symbol and source that has one from after a time."""
    names, found = hub.sources, {}
    for number, (instrument, source) in enumerate(hub._channels()):
        symbol = symbol_of(hub, instrument)
        tick = reading.channel_state(hub, number)[0]["latest"]
        newest = int(tick["ts_event"]) if int(tick["seq"]) else at_ns
        candles = reading.candles(hub, symbol, "1m", 1, None, None, forming=True, source=names[source]).numpy()
        newest = max(newest, *(int(one) for one in candles["timestamp"]), at_ns)
        if newest > at_ns:
            found[symbol, names[source]] = newest
    return found


def _ticked_recently(hub: DataHub) -> bool:
    """Tell whether some tick was published in the last ten seconds."""
    clock = clock_of(hub)
    if clock.mode is ClockMode.EVENT:  # it says nothing about how long ago
        return False
    cut = clock.now_ns - int(_RECENT_S * 1e9 * max(clock.rate, 1.0))
    since = int(hub._hub_state()["clock_seq"])  # what was published under another clock says nothing about this one
    newest = (hub.ticks(symbol, limit=1).numpy() for symbol in hub.instruments)
    return any(len(ticks) and int(ticks["seq"][0]) > since and int(ticks["ts_publish"][0]) >= cut for ticks in newest)
