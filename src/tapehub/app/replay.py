"""`tapehub replay`: recorded files into a hub, under a clock that fits them."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from tapehub.app.clocks import change_clock, clock_of
from tapehub.app.config import read_config
from tapehub.app.console import Exit, count_text, err, instant_text, note, out, print_json, span_text
from tapehub.app.hubs import HubOption, NameOption, log_calendars, open_or_create
from tapehub.app.recordings import find_recordings, first_quote_ns, held_of
from tapehub.collector.link import Link
from tapehub.collector.publisher import Publisher, due, sliced
from tapehub.errors import ConfigError, RecordingError, TapehubError
from tapehub.feeds.feed import Quotes, Status, StatusKind
from tapehub.feeds.replay import Recording, merge, rebase
from tapehub.feeds.replay.pacing import speed_of
from tapehub.hub import marks
from tapehub.model.policies import ClockMode
from tapehub.quality import Liveness, Rhythm
from tapehub.stopping import stopping

if TYPE_CHECKING:
    from tapehub.hub import DataHub

__all__ = ["replay"]


def replay(
    paths: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Recorded ticks, or directories of them.")],
    speed: Annotated[
        str | None, typer.Option(metavar="N|max", help="Times faster than it happened. Default: max.")
    ] = None,
    start: Annotated[
        str | None, typer.Option("--from", metavar="T", help="First event time, UTC, as 2019-02-04T07:00.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="T", help="Event time to stop before.")] = None,
    rebase_to: Annotated[
        str | None, typer.Option("--rebase", metavar="now", help="Move all times so that the first tick is now.")
    ] = None,
    symbol: Annotated[str | None, typer.Option(help="The instrument, where a file does not tell.")] = None,
    tz: Annotated[
        str | None, typer.Option(help="Time zone of the file, in place of its format's: UTC, UTC-05.")
    ] = None,
    hour: Annotated[str | None, typer.Option(help="The UTC hour that a Dukascopy file counts from.")] = None,
    source: Annotated[str | None, typer.Option(help="Who quoted, in place of the format's name.")] = None,
    force_clock: Annotated[
        bool, typer.Option("--force-clock", help="Change the hub clock even while others publish under it.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Publish also what the hub holds already.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the account as JSON.")] = False,
    hub: HubOption = None,
    name: NameOption = None,
) -> None:
    """Play recorded ticks into the hub, merged in the order they happened.

    The hub clock follows the recording: it shows the time of the latest tick at --speed max, runs from the first tick
    on at --speed N, and stays the wall's with --rebase now. "tapehub clock wall" goes back. A file whose ticks the hub
    holds already is refused (exit 2): each candle would count them twice.
    """
    moved = rebase_to is not None
    rate = _rate(speed, rebase_to)
    found = find_recordings(paths, symbol=symbol, tz=tz, start=start, end=end, hour=hour, source=source)
    if found.skipped:
        note(found.describe_skipped())
    first_ns = first_quote_ns(found.recordings)
    if first_ns is None:
        raise RecordingError(
            f"{', '.join(map(str, paths))}: no tick from {start or 'the beginning'} to {end or 'the end'}: expected at "
            "least one; widen --from and --to"
        )
    total = found.rows if start is None and end is None else None
    with open_or_create(hub, name, "replay") as opened, stopping() as stop:
        if not moved and not again:
            _refuse_what_is_held(opened, found.recordings)
        _set_clock(opened, rate, first_ns, moved=moved, force=force_clock)
        log_calendars(opened, read_config(note))
        publisher = Publisher(opened, follows_events=math.isinf(rate))
        began = time.monotonic()
        failure: TapehubError | None = None
        try:
            quotes = _timed(opened, found.recordings, rate, moved, stop)
            _play(publisher, _called_replay(opened, quotes) if moved else quotes, total)
        except TapehubError as error:  # a full disk, a damaged file: first say what is in the hub by now
            failure = error
        account = _account(publisher, time.monotonic() - began, stop.is_set())
        if as_json:
            print_json(account | {"clock": str(clock_of(opened)), "hub": str(opened.path)})
        else:
            _report(opened, account, "failed after" if failure else "interrupted after" if stop.is_set() else "read")
        if failure is not None:
            raise failure
    if account["in_flight"]:
        raise typer.Exit(Exit.FAILED)
    if account["interrupted"]:
        raise typer.Exit(Exit.INTERRUPTED)


def _refuse_what_is_held(hub: DataHub, recordings: list[Recording]) -> None:
    for recording in recordings:
        held_ns = held_of(hub, recording)
        if held_ns is not None:
            raise ConfigError(
                f"{recording.path}: the hub holds {recording.symbol} from {recording.source} at "
                f"{instant_text(held_ns)}, which is in this file: {hub.path}; expected ticks that are new to it, since "
                "candles count each that comes: --again publishes them all the same, --source NAME beside those, "
                "--name NAME into another hub"
            )


def _rate(speed: str | None, rebase_to: str | None) -> float:
    """Read the speed; infinite for max."""
    if rebase_to is None:
        return speed_of(speed or "max")
    if rebase_to != "now":
        raise ConfigError(f"--rebase {rebase_to!r}: expected now; a recording can only be moved to the present")
    if speed is not None and speed_of(speed) != 1:
        raise ConfigError(
            f"--speed {speed} with --rebase now: expected 1, as the wall clock runs at that pace; drop one of the two"
        )
    return 1.0


def _set_clock(hub: DataHub, rate: float, first_ns: int, *, moved: bool, force: bool) -> None:
    if moved:
        changed = change_clock(hub, ClockMode.WALL, force=force)
    elif math.isinf(rate):
        # Set anew under older ticks too: else they would all be late by the clock of the replay before.
        afresh = first_ns < clock_of(hub).now_ns
        changed = change_clock(hub, ClockMode.EVENT, afresh=afresh, force=force)
    else:
        changed = change_clock(hub, ClockMode.VIRTUAL, anchor_ns=first_ns, rate=rate, force=force)
    if changed:
        note(f"set the hub clock: {clock_of(hub)}")


def _timed(
    hub: DataHub, recordings: list[Recording], rate: float, moved: bool, stop: threading.Event
) -> Iterator[Quotes]:
    batches = merge(recordings)
    if math.isinf(rate):
        return sliced(batches, stop)
    return due(rebase(batches, hub.now()) if moved else batches, hub.now, rate, stop)


def _called_replay(hub: DataHub, batches: Iterator[Quotes]) -> Iterator[Quotes]:
    """Say in the hub that these are recorded quotes: under the wall's clock nothing else tells them from a market's."""
    link, watched = Link(hub.now(), "REPLAY"), Liveness(hub.calendar, Rhythm())

    def tell() -> None:
        marks.feed_link(hub, "replay", link.tell(hub.now(), watched), hub.now())

    link.on_status(Status(StatusKind.CONNECTED, detail="recorded files"), hub.now())
    tell()
    try:
        for quotes in batches:
            yield quotes
            if link.due(hub.now()):
                tell()
    finally:
        link.stop("the replay has ended", hub.now())
        tell()


def _play(publisher: Publisher, batches: Iterator[Quotes], total: int | None) -> None:
    columns = [
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn() if total is not None else TextColumn("{task.completed:,} ticks"),
        TextColumn("[dim]{task.fields[rate]}[/]"),
        TimeRemainingColumn() if total is not None else TextColumn(""),
    ]
    with Progress(*columns, console=err, disable=not err.is_terminal, transient=True) as progress:
        task = progress.add_task("replaying", total=total, rate="")
        began = time.monotonic()
        for quotes in batches:
            publisher.publish(quotes)
            done = publisher.total.received
            progress.update(
                task,
                completed=done,
                description=instant_text(int(quotes.records["ts_event"][-1])),
                rate=f"{count_text(done / max(time.monotonic() - began, 1e-3))}/s",
            )


def _account(publisher: Publisher, seconds: float, interrupted: bool) -> dict[str, Any]:
    total = publisher.total
    return {
        "received": total.received,
        "published": total.published,
        "duplicates": total.duplicates,
        "refused": total.refused,
        "quarantined": dict(total.quarantined.most_common()),
        "in_flight": total.balance,
        "seconds": round(seconds, 3),
        "ticks_per_s": round(total.received / max(seconds, 1e-6)),
        "interrupted": interrupted,
        "instruments": {
            symbol: {
                "received": count.received,
                "published": count.published,
                "duplicates": count.duplicates,
                "refused": count.refused,
                "quarantined": dict(count.quarantined.most_common()),
            }
            for symbol, count in sorted(publisher.counts.items())
        },
        "refusals": dict(publisher.refusals.most_common(5)),
    }


def _report(hub: DataHub, account: dict[str, Any], verb: str) -> None:
    for why, times in account["refusals"].items():
        note(f"refused {times}: {why}")
    reasons = ", ".join(f"{reason} {count_text(number)}" for reason, number in account["quarantined"].items())
    fates = [f"{count_text(account['published'])} published", f"{count_text(account['duplicates'])} duplicates"]
    if account["refused"]:
        fates.append(f"{count_text(account['refused'])} refused")
    fates.append(
        f"{count_text(sum(account['quarantined'].values()))} quarantined" + (f" ({reasons})" if reasons else "")
    )
    names = " ".join(account["instruments"])
    out.print(
        f"{verb} [bold]{count_text(account['received'])}[/] ticks of {names} in {span_text(account['seconds'])} "
        f"({count_text(account['ticks_per_s'])}/s): {', '.join(fates)}"
    )
    clock = clock_of(hub)
    back = '; "tapehub clock wall" sets it back' if clock.simulated else ""
    note(f"the hub clock stays the {clock}{back}")
