"""`tapehub halt` and `tapehub resume`: the kill switch of all agents on a hub."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from tapehub.app.console import note, out
from tapehub.app.hubs import HubOption, NameOption, attach

__all__ = ["halt", "resume"]


def halt(
    reason: Annotated[
        str, typer.Argument(metavar="[REASON]", help="Kept in the log, and given with each refusal.")
    ] = "",
    flatten: Annotated[bool, typer.Option("--flatten", help="Close what is open, too, at the next quotes.")] = False,
    hub: HubOption = None,
    name: NameOption = None,
) -> None:
    """Stop the orders of every agent on a hub until "tapehub resume", also of those that start meanwhile."""
    from tapehub.agents import halts

    with attach(hub, name, "halt") as opened:
        seq = halts.halt(opened, reason or "tapehub halt", by=_who(), flatten=flatten)
        out.print(f"[bold]halted[/] from record {seq} on: agents see the market and order nothing")
        if not flatten:
            note('positions stay open, with their stops; "tapehub halt --flatten" closes them')


def resume(
    reason: Annotated[str, typer.Argument(metavar="[REASON]", help="Kept in the log.")] = "",
    hub: HubOption = None,
    name: NameOption = None,
) -> None:
    """Let agents order again."""
    from tapehub.agents import halts

    with attach(hub, name, "resume") as opened:
        before = halts.halted(opened)
        seq = halts.resume(opened, reason, by=_who())
        was = "" if before is None else f"; it was halted: {before.reason}"
        out.print(f"resumed from record {seq} on{was}")


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
