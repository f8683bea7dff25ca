"""`tapehub collect`: one process that collects one feed into the hub, until it is told to end."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tapehub.app.clocks import clock_of
from tapehub.app.collecting import account_text, collect_until
from tapehub.app.config import read_config
from tapehub.app.console import Exit, note, out
from tapehub.app.feeds import Wanted, made_up_by, make, names, set_clock_for, symbols_of
from tapehub.app.hubs import HubOption, NameOption, log_calendars, open_or_create
from tapehub.app.logs import log_to
from tapehub.app.workers import Worker
from tapehub.stopping import stopping

if TYPE_CHECKING:
    from tapehub.hub import DataHub

__all__ = ["PathsArgument", "RateOption", "SeedOption", "SimOption", "SymbolsOption", "collect"]

PathsArgument = Annotated[
    list[Path] | None, typer.Argument(metavar="[PATH…]", help="Of replay: recorded ticks, or directories of them.")
]
SymbolsOption = Annotated[
    list[str] | None,
    typer.Option("--symbols", metavar="NAMES", help="With commas, or several times. Default: configured, else majors."),
]
SimOption = Annotated[
    str, typer.Option("--sim", metavar="URL", help="Of sim: a simulator that runs already, by its REST address.")
]
SeedOption = Annotated[int, typer.Option("--seed", help="Of made-up quotes.")]
RateOption = Annotated[float, typer.Option("--rate", help="Made-up ticks a second of each instrument, on average.")]


def collect(
    feed: Annotated[str, typer.Argument(metavar="FEED", help=f"One of {', '.join(names())}.")],
    paths: PathsArgument = None,
    symbols: SymbolsOption = None,
    sim: SimOption = "",
    seed: SeedOption = 1,
    rate: RateOption = 1.0,
    hub: HubOption = None,
    name: NameOption = None,
) -> None:
    """Collect one feed into the hub: quality gate, states, gaps, repairs. Ctrl-C or SIGTERM ends it in order.

    It may be killed and started again at any moment: what the hub acknowledged stays, the time in between becomes a
    gap. The log goes to stderr.
    """
    wanted = Wanted(
        feed, symbols_of(symbols), tuple(str(path.absolute()) for path in paths or ()), sim, seed=seed, rate=rate
    )
    config = read_config(note)
    log_to()
    with open_or_create(hub, name, "collector", config.book()) as opened, stopping() as stop:
        if set_clock_for(wanted, opened, config):
            note(f"set the hub clock: {clock_of(opened)}")
        log_calendars(opened, config)
        opened._names.apply_overrides()
        with _simulator(wanted, opened) as chosen:
            made = make(chosen, opened, config, random.Random())
            collector = collect_until(stop, opened, made, made_up=made_up_by(chosen, config))
    total = collector.core.publisher.total
    out.print(account_text(total))
    if total.balance:
        raise typer.Exit(Exit.FAILED)


@contextmanager
def _simulator(wanted: Wanted, hub: DataHub) -> Iterator[Wanted]:
    """Start a simulator for the feed sim when none is named: a process of its own, on the hub's clock."""
    if wanted.feed != "sim" or wanted.url:
        yield wanted
        return
    with Worker("simulator", path=str(hub.path), wanted=wanted.plain()) as worker:
        note(f"simulating IG at {worker.ready['url']}, on the hub clock; it ends with this command")
        for remark in worker.ready["remarks"]:
            note(remark)
        yield Wanted.read({**wanted.plain(), "url": worker.ready["url"]})
