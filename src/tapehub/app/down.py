"""`tapehub down` and `tapehub restart`: what a running "up" is told to do."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated

import typer

from tapehub.app.console import note, out
from tapehub.app.control import ask, running_components, running_up
from tapehub.app.hubs import HubOption, NameOption, place
from tapehub.errors import ConfigError, HubError, HubNotRunning
from tapehub.hub import DataHub

__all__ = ["down", "restart"]

_STOPS_WITHIN_S = 12.0
_GONE_WITHIN_S = 5.0
_RESTARTS_WITHIN_S = 12.0


def down(hub: HubOption = None, name: NameOption = None) -> None:
    """Stop the running "tapehub up" and all it runs, wait until they have ended, and say what that was.

    The data stay. Ends with 3 where no "up" runs.
    """
    where = place(hub, name)
    told = ask(where, "stop", timeout_s=_STOPS_WITHIN_S)
    if told is None:
        raise HubNotRunning(_nothing(where))
    pid = int(told["pid"])
    deadline_s = time.monotonic() + _GONE_WITHIN_S
    while _runs(pid) and time.monotonic() < deadline_s:
        time.sleep(0.01)
    if not told["ended"] or _runs(pid):
        raise HubError(f'"tapehub up", process {pid}, was told to stop and has not ended yet: {where}; kill it')
    what = ", ".join(told["stopped"]) or "nothing of its own"
    out.print(f'stopped "tapehub up", process {pid}, and what it ran: {what}; the data stay in {where}')


def restart(
    component: Annotated[str, typer.Argument(metavar="NAME", help='Of a component, as "tapehub status" lists them.')],
    hub: HubOption = None,
    name: NameOption = None,
) -> None:
    """End one component of the running "tapehub up" in order, and start it anew."""
    where = place(hub, name)
    rows = running_components(where)
    if not rows and running_up(where) is None:
        raise HubNotRunning(_nothing(where))
    names = [str(row["name"]) for row in rows]
    chosen = _complete(component, names)
    if chosen != component:
        note(f"{component}: taken for {chosen}")
    before = next(row for row in rows if row["name"] == chosen)
    told = ask(where, "restart", timeout_s=_RESTARTS_WITHIN_S, name=chosen)
    if told is None:
        raise HubNotRunning(_nothing(where))
    was = f", process {before['pid']}," if before["pid"] else ""
    out.print(f"{chosen}{was} was ended and is started again")


def _complete(word: str, names: list[str]) -> str:
    """Take a name, or the beginning of one and no other.

    Raises:
        ConfigError: it means none of them.
    """
    if word in names:
        return word
    fitting = [one for one in names if one.startswith(word)]
    if len(fitting) == 1:
        return fitting[0]
    raise ConfigError(f"component {word!r}: expected one of {', '.join(names) or 'none, as nothing runs'}")


def _nothing(where: Path) -> str:
    """Say that no "up" runs, and who runs the hub instead if somebody does."""
    served = None
    if where.exists():
        try:
            with DataHub.open(where, name="down", read_only=True) as opened:
                served = opened.server()
        except HubNotRunning:
            served = None
    if served is not None:
        return f'no "tapehub up" runs the hub at {where}: process {served[0]} serves it by itself; end that by Ctrl-C'
    return f'no "tapehub up" runs the hub at {where}: start it with "tapehub up", or name another: --hub or --name'


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _is_defunct(pid)


def _is_defunct(pid: int) -> bool:
    """Tell whether it has ended and only its parent has not looked yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False
