"""`tapehub logs`: what the components said, one line for each event, in the order of time."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.text import Text

from tapehub.app.console import note, out
from tapehub.app.hubs import HubOption, NameOption, place
from tapehub.app.logbook import Event, Follower, last_events, names_of, text_of
from tapehub.errors import ConfigError, HubNotRunning
from tapehub.stopping import stopping

__all__ = ["logs"]

_LOOK_EVERY_S = 0.2
_STYLE = {"warning": "yellow", "error": "red", "critical": "bold red", "debug": "dim"}


def logs(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME…]", help="Of components. Default: all.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is logged from now on.")] = False,
    count: Annotated[int, typer.Option("-n", "--lines", min=0, help="How many of the last events.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, as it stands in the files.")] = False,
    hub: HubOption = None,
    name: NameOption = None,
) -> None:
    """Show the logs of the hub's components, merged by time."""
    where = place(hub, name)
    if not where.exists():
        raise HubNotRunning(
            f'no hub at {where}: expected one; start it with "tapehub up", or name another: --hub or --name'
        )
    known = names_of(where)
    wrong = [one for one in names or () if one not in known]
    if wrong:
        raise ConfigError(
            f"component {', '.join(wrong)} has logged nothing: expected of {', '.join(known) or 'none so far'}"
        )
    follower = Follower(where, tuple(names or ()))
    found = last_events(where, names or (), count)
    for event in found:
        _show(event, as_json)
    if not found and not follow:
        note(f"nothing was logged yet: {where}")
    if not follow:
        return
    with stopping() as stop:
        while not stop.wait(_LOOK_EVERY_S):
            for event in follower.read():
                if event not in found:  # logged after the follower had begun, and before the last events were read
                    _show(event, as_json)
            found = []


def _show(event: Event, as_json: bool) -> None:
    if as_json:
        print(json.dumps(event, default=str), flush=True)
    elif out.is_terminal:
        out.print(Text(text_of(event), style=_STYLE.get(str(event.get("level")), "")))
    else:
        print(text_of(event), flush=True)
