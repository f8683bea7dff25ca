"""`tapehub watch`: the market as the hub sees it, live."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.live import Live

from tapehub.app.board import Board
from tapehub.app.console import out
from tapehub.app.hubs import HubOption, NameOption, attach
from tapehub.stopping import stopping

__all__ = ["watch"]


def watch(
    symbols: Annotated[
        list[str] | None, typer.Argument(metavar="[SYMBOL…]", help="Instruments; all when none.")
    ] = None,
    every_s: Annotated[float, typer.Option("--every", metavar="S", min=0.05, help="Seconds between looks.")] = 0.25,
    once: Annotated[bool, typer.Option("--once", help="Show the table one time and end.")] = False,
    hub: HubOption = None,
    name: NameOption = None,
) -> None:
    """Show bid, ask, spread in pips, age, state, ticks per minute and the last minute of each instrument.

    A clock that is not the wall's is named: SIMULATED, or EVENT TIME. In a pipe, prints a line for each look.
    """
    with attach(hub, name, "watch") as opened, stopping() as stop:
        board = Board(opened, symbols or [])
        if once:
            out.print(board.render())
        elif not out.is_terminal:
            while not stop.is_set():
                print("\n".join(board.lines()), flush=True)
                stop.wait(max(every_s, 1.0))
        else:
            with Live(board.render(), console=out, auto_refresh=False, transient=False) as live:
                while not stop.wait(every_s):
                    live.update(board.render(), refresh=True)
