"""`tapehub sim`: an IG to test against, on a port of this machine."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tapehub.app.console import count_text, instant_text, note, out
from tapehub.app.recordings import find_recordings, first_quote_ns
from tapehub.errors import ConfigError, RecordingError
from tapehub.feeds.instants import instant_ns
from tapehub.feeds.replay import Replay
from tapehub.feeds.replay.pacing import speed_of
from tapehub.feeds.sim import RecordedSource, Settings, SimulatorThread, SyntheticSource, VirtualClock, read_script
from tapehub.feeds.sim.simulator import SYMBOLS
from tapehub.stopping import stopping

if TYPE_CHECKING:
    from tapehub.feeds.sim import Clock, Journal, Source

__all__ = ["sim"]

_CHECK_S = 0.5


def sim(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of 127.0.0.1; 0 lets the system choose.")] = 0,
    script: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Faults and when they begin, TOML or JSON.")
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", help="Recorded ticks to quote, or directories of them; also several times."),
    ] = None,
    symbol: Annotated[
        list[str] | None, typer.Option(help="What to make quotes of without --data; also several times.")
    ] = None,
    speed: Annotated[str, typer.Option(metavar="N", help="Simulated seconds in a second.")] = "1",
    seed: Annotated[int, typer.Option(help="Of made-up quotes and of faults that hit by chance.")] = 1,
    rate: Annotated[float, typer.Option(help="Made-up ticks a second of each instrument, on average.")] = 1.0,
    anchor: Annotated[
        str | None,
        typer.Option(
            metavar="T",
            help="When it is, UTC, as 2026-06-02T12:00. Default: now, or the first recorded tick. "
            "With --data, now moves the recording to the present.",
        ),
    ] = None,
) -> None:
    """Run a simulated IG: REST and Lightstreamer on one port, quotes that flow, and faults on demand.

    Official clients and "tapehub collect" work with it as with IG. Ctrl-C or SIGTERM ends it.
    """
    pace = speed_of(speed)
    if math.isinf(pace):
        raise ConfigError("--speed max: expected a number; clients need some time to read what is said")
    if data and symbol:
        raise ConfigError("--symbol with --data: the recordings tell their instruments; drop one of the two")
    lines = read_script(script) if script is not None else []
    source, start_ns, moved = _recorded(data, anchor) if data else _made_up(symbol, seed, rate, anchor)
    clock: Clock = time.time_ns if start_ns is None and pace == 1 else VirtualClock(start_ns or time.time_ns(), pace)
    settings = Settings(always_open=moved)
    with (
        stopping() as stop,
        SimulatorThread(settings, source=source, clock=clock, script=lines, seed=seed, port=port) as server,
    ):
        out.print(f"simulating IG at [bold]{server.rest_url}[/], streams at [bold]{server.stream_url}[/]")
        out.print(
            f"user {settings.username}, password {settings.password}, API key {settings.api_key}, accounts "
            + ", ".join(account.id for account in settings.accounts)
        )
        names = ", ".join(source.symbols)
        out.print(f"quotes of {names} from {instant_text(clock())}, {pace:g} simulated seconds a second")
        closed = server.call(lambda sim: not any(sim.venue.market.is_open(name, clock()) for name in source.symbols))
        if closed:
            note(
                "markets are closed at that time: each gives its last quote and no new one; --anchor 2026-06-02T12:00 "
                "begins on a Tuesday"
            )
        if lines:
            note(f"{count_text(len(lines))} faults to come, from {script}")
        note(f'Ctrl-C ends it; POST {server.stream_url}/sim/fault {{"kind": "mute"}} as JSON plays a fault')
        while not stop.wait(_CHECK_S):
            server.check()
        out.print(_account(server.log))


def _recorded(paths: list[Path], anchor: str | None) -> tuple[Source, int, bool]:
    """Find what to play, when that begins, and whether it was moved to another day."""
    found = find_recordings(paths)
    if found.skipped:
        note(found.describe_skipped())
    first_ns = first_quote_ns(found.recordings)
    if first_ns is None:
        raise RecordingError(f"{', '.join(map(str, paths))}: no tick: expected at least one to quote")
    feed = Replay(found.recordings)
    if anchor == "now":
        now_ns = time.time_ns()
        return RecordedSource(feed, now_ns - first_ns), now_ns, True
    start_ns = instant_ns(anchor, "--anchor")
    return RecordedSource(feed), first_ns if start_ns is None else start_ns, False


def _made_up(symbols: list[str] | None, seed: int, rate: float, anchor: str | None) -> tuple[Source, int | None, bool]:
    start_ns = None if anchor == "now" else instant_ns(anchor, "--anchor")
    return SyntheticSource(symbols or SYMBOLS, seed, rate), start_ns, False


def _account(log: Journal) -> str:
    counts = log.counts
    return (
        f"stopped: {count_text(counts['request'])} requests, {count_text(counts['login'])} logins, "
        f"{count_text(counts['session created'])} streams, {count_text(counts['session recovered'])} recovered, "
        f"{count_text(counts['subscribed'])} subscriptions, {count_text(counts['fault'])} faults"
    )
