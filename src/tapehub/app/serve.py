"""`tapehub serve` and `tapehub clock`: the hub server alone, and the clock that everyone in the hub goes by."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from tapehub.app.clocks import change_clock, clock_of
from tapehub.app.config import read_config
from tapehub.app.console import count_text, note, out, span_text
from tapehub.app.hubs import HubOption, NameOption, attach, place
from tapehub.app.logs import FOLDER, get_logger, log_to
from tapehub.app.manager import endpoint_of, settings_of, told_of
from tapehub.errors import ConfigError
from tapehub.feeds.instants import instant_ns
from tapehub.hub.server import HubServer
from tapehub.model.policies import ClockMode
from tapehub.stopping import stopping

__all__ = ["clock", "serve"]

_CLOCK = "wall, virtual or event."
_AT = "Where a virtual clock starts, UTC, as 2026-06-02T12:00."
_RATE = "Hub seconds in a second, of a virtual clock."


def serve(
    mode: Annotated[str | None, typer.Option("--clock", help=f"Hub clock: {_CLOCK} Default: as it was.")] = None,
    at: Annotated[str | None, typer.Option(metavar="T", help=_AT)] = None,
    rate: Annotated[float, typer.Option(help=_RATE)] = 1.0,
    price_basis: Annotated[str, typer.Option(help="Price of candles in a new hub: mid, bid or ask.")] = "mid",
    sync: Annotated[
        str, typer.Option(help="When the log of a new hub goes to stable storage: interval (1 s), always or none.")
    ] = "interval",
    hub: HubOption = None,
    name: NameOption = None,
) -> None:
    """Run the hub server: it closes candles on time, keeps segments ready, and drops old ones.

    One server runs a hub; a second one is told who does. Ctrl-C or SIGTERM ends it, the data stay.
    """
    chosen = _mode(mode, at)
    config = read_config(note)
    programs = settings_of(config)
    with (
        stopping() as stop,
        HubServer(
            place(hub, name),
            calendars=config.sessions(),
            instruments=config.book(),
            price_basis=price_basis,
            sync=sync,
            **config.hub.model_dump(),
        ) as server,  # fmt: skip
        endpoint_of(server.hub, programs) as endpoint,
    ):
        if chosen is not None:
            server.set_clock(chosen, anchor_ns=instant_ns(at, "--at"), rate=rate)
        opened = server.hub
        logs = config.logs
        log_to(
            opened.path / FOLDER / "server.jsonl",
            bytes_max=logs.file_mib << 20, files_kept=logs.files_kept, level=logs.level,
        )  # fmt: skip
        log = get_logger("tapehub.server")
        log.info("serving", epoch=opened.epoch, head=opened.head)
        before = opened.head
        out.print(f"serving [bold]{opened.path}[/] as process {os.getpid()}, epoch {opened.epoch}, record {before:,}")
        out.print(str(clock_of(opened)))
        if endpoint is not None:
            out.print(told_of(endpoint))
        note('Ctrl-C ends the server; "tapehub watch" in another terminal shows the market')
        began = opened.get_status()["records"]
        server.run(stop)
        log.info("stopped", head=opened.head, last_error=server.last_error)
        status = opened.get_status()
        took_s = (status["clock"]["now"] - server.started).total_seconds() if not clock_of(opened).simulated else None
        after = f" after {span_text(took_s)}" if took_s is not None else ""
        out.print(f"stopped{after}: {count_text(status['records'] - began)} records came in, all of them kept")


def clock(
    mode: Annotated[str | None, typer.Argument(metavar="[MODE]", help=_CLOCK)] = None,
    at: Annotated[str | None, typer.Option(metavar="T", help=_AT)] = None,
    rate: Annotated[float, typer.Option(help=_RATE)] = 1.0,
    force_clock: Annotated[
        bool, typer.Option("--force-clock", help="Change it even while others publish under it.")
    ] = False,
    hub: HubOption = None,
    name: NameOption = None,
) -> None:
    """Show the hub clock, or set it: "tapehub clock wall" goes back to the present after a replay."""
    chosen = _mode(mode, at)
    with attach(hub, name, "clock") as opened:
        if chosen is not None:
            corrected = clock_of(opened).skew_ns != 0  # asked for the wall's time, that of this machine is meant
            change_clock(
                opened, chosen, anchor_ns=instant_ns(at, "--at"), rate=rate, afresh=corrected, force=force_clock
            )
        out.print(str(clock_of(opened)))


def _mode(mode: str | None, at: str | None) -> ClockMode | None:
    chosen = None if mode is None else ClockMode.parse(mode)
    if (chosen is ClockMode.VIRTUAL) != (at is not None):
        raise ConfigError(
            f"clock {mode or 'unchanged'}, --at {at or 'not given'}: expected virtual and --at "
            "together, as --clock virtual --at 2026-06-02T12:00"
        )
    return chosen
