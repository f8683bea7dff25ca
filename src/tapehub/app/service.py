"""`tapehub service`: keep `tapehub up` running by the user's own systemd."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from tapehub.app.config import config_path
from tapehub.app.console import Exit, note, out
from tapehub.app.control import running_up
from tapehub.app.hubs import HubOption, NameOption, place
from tapehub.app.unit import render, unit_name
from tapehub.errors import ConfigError, HubError, HubNotRunning
from tapehub.hub.paths import config_home

__all__ = ["group"]

group = typer.Typer(
    no_args_is_help=True, add_completion=False, help='Keep "tapehub up" running by systemd, from log-in or boot on.'
)

_SYSTEMCTL = ("systemctl", "--user", "--no-pager")
_ANSWERS_WITHIN_S = 20.0


@group.command()
def install(
    show: Annotated[bool, typer.Option("--print", help="Print the unit and install nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a unit that is there and differs.")] = False,
    hub: HubOption = None,
    name: NameOption = None,
) -> None:
    """Write a systemd user unit that runs "tapehub up", and say which commands come next.

    What it runs is what [up] of tapehub.toml says. No secret stands in it. Ends with 1 where there is no systemd.
    """
    where = place(hub, name)
    text = _rendered(where)
    if show:
        print(text, end="")
        return
    _need_systemd('"tapehub service install --print" prints the unit for another machine')
    path = _unit_path(where)
    if path.exists() and path.read_text(encoding="utf-8") != text and not force:
        raise ConfigError(f"{path} is there already and differs from what would be written: replace it with --force")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    out.print(f"wrote [bold]{escape(str(path))}[/]")
    out.print("next:")
    for command, why in (
        ("systemctl --user daemon-reload", "let systemd read it"),
        (f"systemctl --user enable --now {path.name}", "start it now, and at every log-in"),
        ("loginctl enable-linger", "start it at boot, and keep it after you log out"),
        (f"journalctl --user -u {path.name} -f", "what it prints; tapehub logs -f shows the same in order"),
    ):
        out.print(f"  {command:<52} [dim]# {why}[/]")


@group.command()
def uninstall(hub: HubOption = None, name: NameOption = None) -> None:
    """Stop the service, let systemd forget it, and remove the unit. The data stay.

    Ends with 3 when there is none.
    """
    path = _unit_path(place(hub, name))
    if not path.exists():
        raise HubNotRunning(f"no unit at {path}: nothing to remove")
    if _systemd() is None:
        _systemctl("disable", "--now", path.name)
    path.unlink(missing_ok=True)
    if _systemd() is None:
        _systemctl("daemon-reload")
    out.print(f"removed [bold]{escape(str(path))}[/]; the data stay")


@group.command()
def status(hub: HubOption = None, name: NameOption = None) -> None:
    """Say whether the service is installed, enabled and active, and whether "tapehub up" answers.

    Ends with 0 when it is active, else with 3.
    """
    where = place(hub, name)
    path = _unit_path(where)
    installed = path.exists()
    differs = installed and path.read_text(encoding="utf-8") != _rendered(where)
    stale = "; it differs from what would be written now: tapehub service install --force" if differs else ""
    out.print(f"unit: {escape(str(path))}{stale}" if installed else "unit: not installed; tapehub service install")
    active = "unknown"
    if (why := _systemd()) is None:
        active, enabled = _systemctl("is-active", path.name), _systemctl("is-enabled", path.name)
        out.print(f"systemd: {active or 'no answer'}, {enabled or 'not found'}")
    else:
        out.print(f"systemd: {why}")
    try:
        found = running_up(where)
    except HubError as error:
        note(str(error))
        found = None
    rows = ", ".join(f"{row['name']} {row['phase']}" for row in found["components"]) if found else ""
    out.print(f"tapehub up: process {found['pid']}: {rows}" if found else "tapehub up: does not run on this hub")
    if active != "active":
        raise typer.Exit(Exit.NOT_RUNNING)


def _rendered(where: Path) -> str:
    config = config_path()
    names = ("TAPEHUB_CONFIG", "TAPEHUB_HOME", "XDG_CONFIG_HOME")
    environment = {name: str(Path(value).expanduser().absolute()) for name in names if (value := os.environ.get(name))}
    folder = config.parent.absolute() if config.exists() else Path.home()
    return render(where, folder, config.parent.absolute() / "environment", environment)


def _unit_path(where: Path) -> Path:
    return config_home(os.environ) / "systemd" / "user" / unit_name(where)


def _systemd() -> str | None:
    """Say why systemd cannot be asked; None when it can."""
    if shutil.which("systemctl") is None:
        return "there is no systemd on this machine"
    done = _run("is-system-running")
    if done is None or "connect to bus" in done.stderr or "not been booted" in done.stderr:
        return "the user's systemd does not answer (no log-in session, or a container)"
    return None


def _need_systemd(instead: str) -> None:
    missing = "there is no systemd on this machine" if shutil.which("systemctl") is None else ""
    done = None if missing else _run("is-system-running")
    # As in a container: no log-in will ever bring it up. A session that is missing is another matter, see below.
    if done is not None and (done.stdout.strip() == "offline" or "not been booted" in done.stderr):
        missing = "systemd does not run on this machine"
    if missing:
        raise HubError(
            f"{missing}: nothing was installed; {instead}, or let what starts your programs "
            'run "tapehub up --no-attach"'
        )
    if (why := _systemd()) is not None:
        note(f"{why}: the unit is written all the same, for when it does")


def _systemctl(*words: str) -> str:
    done = _run(*words)
    return "" if done is None else done.stdout.strip()


def _run(*words: str) -> subprocess.CompletedProcess[str] | None:
    try:
        return subprocess.run(
            [*_SYSTEMCTL, *words], capture_output=True, text=True, timeout=_ANSWERS_WITHIN_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
