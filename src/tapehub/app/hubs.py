"""Which hub a command is about, and how it attaches to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tapehub.app.console import note
from tapehub.errors import ConfigError, HubNotRunning
from tapehub.hub import DataHub, hub_path
from tapehub.hub.calendars import log_sessions
from tapehub.model.instruments import InstrumentBook

if TYPE_CHECKING:
    from tapehub.app.config import Config

__all__ = ["HubOption", "NameOption", "attach", "log_calendars", "open_or_create", "place"]

HubOption = Annotated[
    Path | None, typer.Option("--hub", metavar="DIRECTORY", help="The hub's directory.", show_default=False)
]
NameOption = Annotated[
    str | None,
    typer.Option("--name", metavar="NAME", help="A hub below TAPEHUB_HOME; else TAPEHUB_NAME, else default."),
]


def place(hub: Path | None, name: str | None) -> Path:
    """Give the directory that the options mean.

    Raises:
        ConfigError: both were given.
    """
    if hub is not None and name is not None:
        raise ConfigError(f"--hub {hub} and --name {name} name two hubs: expected one of them; drop the other")
    return (hub if hub is not None else hub_path(name)).expanduser().absolute()


@contextmanager
def attach(hub: Path | None, name: str | None, listed_as: str) -> Iterator[DataHub]:
    """Attach to the hub there is, and leave it at the end.

    Raises:
        HubNotRunning: there is none; the message says how to start one.
    """
    where = place(hub, name)
    if not where.exists():
        raise HubNotRunning(_absent(where))
    try:
        opened = DataHub.open(where, name=listed_as)
    except HubNotRunning as error:
        raise HubNotRunning(_absent(where)) from error
    with opened:
        yield opened


@contextmanager
def open_or_create(
    hub: Path | None, name: str | None, listed_as: str, instruments: InstrumentBook | None = None
) -> Iterator[DataHub]:
    """Attach to the hub, making it when there is none, and say so when no server runs it."""
    where = place(hub, name)
    existed = where.exists() and any(where.iterdir())
    with DataHub.open(where, create=True, name=listed_as, instruments=instruments) as opened:
        if opened.server() is None:
            what = "no server runs" if existed else "made a new hub without a server"
            note(f"{what}: {where}; ticks close the candles themselves")
        yield opened


def log_calendars(hub: DataHub, config: Config) -> None:
    """Let the hub know the configured holidays, for all who read it; where a server runs, its configuration counts."""
    log_sessions(hub, config.sessions(), replace=hub.server() is None)


def _absent(where: Path) -> str:
    return f'no hub at {where}: expected one that runs; start it with "tapehub up", or name another: --hub or --name'
