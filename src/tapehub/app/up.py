"""`tapehub up`: hub, collector and what they need, as processes of their own, kept running by one command."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tapehub.app.agent import configured_agents
from tapehub.app.clocks import begin_at, change_clock, clock_of
from tapehub.app.collect import PathsArgument, SimOption, SymbolsOption
from tapehub.app.config import config_path, read_config
from tapehub.app.console import note
from tapehub.app.control import collected, only_one
from tapehub.app.feeds import Wanted, is_live, names, symbols_of
from tapehub.app.gateway import check_settings, is_installed
from tapehub.app.hubs import HubOption, NameOption, log_calendars, place
from tapehub.app.logs import FOLDER, log_to_file
from tapehub.app.manager import settings_of
from tapehub.app.misfits import place_of
from tapehub.app.screen import Screen, follow
from tapehub.app.supervisor import Component
from tapehub.app.terminal import borrowed_terminal
from tapehub.errors import ConfigError, HubHeld
from tapehub.feeds.instants import instant_ns
from tapehub.hub import DataHub
from tapehub.model.policies import ClockMode
from tapehub.stopping import stopping

if TYPE_CHECKING:
    from tapehub.app.config import Config
    from tapehub.app.sections import UpConfig
    from tapehub.app.workers import Message

__all__ = ["components", "up"]


def up(
    feed: Annotated[
        str | None, typer.Option("--feed", metavar="FEED", help=f"One of {', '.join(names())}, none. Default: of [up].")
    ] = None,
    paths: PathsArgument = None,
    symbols: SymbolsOption = None,
    sim: SimOption = "",
    seed: Annotated[int | None, typer.Option("--seed", help="Of made-up quotes.")] = None,
    rate: Annotated[
        float | None, typer.Option("--rate", help="Made-up ticks a second of each instrument, on average.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="T", help="Of sim, synthetic, replay: a virtual clock from then on: 2026-06-02T12:00."),
    ] = None,
    attach: Annotated[
        bool, typer.Option("--attach/--no-attach", help='Attach to an "up" that runs this hub already, or end with 4.')
    ] = True,
    hub: HubOption = None,
    name: NameOption = None,
) -> None:
    """Run the hub and its collector (and the simulator for --feed sim), each a process of its own.

    What the command line leaves open is taken from [up] of tapehub.toml. What dies is started again. Ctrl-C, SIGTERM
    or "tapehub down" ends them all, the data stay. Where another "up" runs the hub already, this one attaches and shows
    it.
    """
    at_ns = instant_ns(at, "--at")
    config = read_config(note)
    wanted = _wanted(config.up, feed, paths, symbols, sim, seed, rate, at)
    where = place(hub, name)
    with (
        borrowed_terminal(),
        stopping() as stop,
        DataHub.open(where, create=True, name="up", instruments=config.book(), group=config.up.group or None) as opened,
        only_one(opened.path) as owner,
    ):
        if owner:
            if not attach:
                raise HubHeld(
                    f'"tapehub up", process {owner}, runs this hub already: {opened.path}; "tapehub down" ends it'
                )
            if feed is not None and (other := collected(opened.path)) not in ("", feed):
                what = "no feed" if other == "none" else f"the feed {other}"
                raise HubHeld(
                    f'"tapehub up", process {owner}, runs this hub already and collects {what}, so that --feed {feed} '
                    f'is not followed: {opened.path}; "tapehub down" ends it, or give another --hub'
                )
            note(f'"tapehub up" runs this hub already, as process {owner}: attached to it, nothing was started')
            follow(opened, stop)
            return
        log_to_file(_log(opened.path, "up", config), stderr=False)
        opened._names.apply_overrides()
        _set_clock(opened, wanted, at_ns)
        log_calendars(opened, config)  # before the server: it keeps what is there
        if config.gateway.enabled:
            check_settings(config.gateway, opened.path)
            if not is_installed():
                note("no page: pip install 'tapehub[server]' brings it")
        rows = components(opened.path, wanted, config, served=opened.server() is not None)
        code = Screen(opened, rows, stop).run()
    if code:
        raise typer.Exit(code)


def components(where: Path, wanted: Wanted | None, config: Config, *, served: bool = False) -> list[Component]:
    """List what runs: a row for each process, those that others need first.

    Args:
        wanted: the feed; None for a hub alone.
        served: a server runs already.
    """
    path = str(where)

    def server(ready: Mapping[str, Message]) -> dict[str, Any]:
        return {"path": path, "log": _log(where, "server", config)}

    def simulator(ready: Mapping[str, Message]) -> dict[str, Any]:
        assert wanted is not None
        # On the same port again, so that the collector finds it.
        port = ready.get("simulator", {}).get("port", 0)
        # Its rhythm is known beforehand: a silence is out of the ordinary from the first minute on.
        known = {"path": path, "wanted": wanted.plain(), "learn": True, "log": _log(where, "simulator", config)}
        return known | {"port": port}

    def collector(ready: Mapping[str, Message]) -> dict[str, Any]:
        assert wanted is not None
        url = wanted.url or ready.get("simulator", {}).get("url", "")
        return {"path": path, "wanted": {**wanted.plain(), "url": url}, "log": _log(where, "collector", config)}

    def alerts(ready: Mapping[str, Message]) -> dict[str, Any]:
        return {"path": path, "log": _log(where, "alerts", config)}

    def endpoint(ready: Mapping[str, Message]) -> dict[str, Any]:
        return {"path": path, "log": _log(where, "manager", config)}

    def shown(ready: Mapping[str, Message]) -> dict[str, Any]:
        # On the same port again, so that pages find it.
        port = ready.get("gateway", {}).get("port")
        control = ready.get("simulator", {}).get("control", "")
        return {"path": path, "port": port, "control": control, "log": _log(where, "gateway", config)}

    rows = [] if served else [Component("server", "server", server)]
    needs: tuple[str, ...] = () if served else ("server",)
    if wanted is not None and wanted.feed == "sim" and not wanted.url:
        rows.append(Component("simulator", "simulator", simulator, needs))
        needs = (*needs, "simulator")
    if wanted is not None:
        rows.append(Component("collector", "collector", collector, needs))
    # Data are worth more than a look at them, and than news of them: these may fail alone.
    if not served and settings_of(config) is not None:  # "tapehub serve" opens it itself
        rows.append(Component("manager", "manager", endpoint, needs[:1], vital=False))
    if config.gateway.enabled and is_installed():
        rows.append(Component("gateway", "gateway", shown, needs, vital=False))
    if config.alerts.urls:
        rows.append(Component("alerts", "alerts", alerts, needs[:1], vital=False))
    for name, plain in configured_agents(config).items():
        rows.append(_agent(where, name, plain, config, needs[:1]))
    return rows


def _agent(where: Path, name: str, wanted: dict[str, Any], config: Config, needs: tuple[str, ...]) -> Component:
    told = {"path": str(where), "wanted": wanted, "log": _log(where, f"agent-{name}", config)}
    return Component(f"agent {name}", "agent", lambda ready: told, needs, vital=False)


def _wanted(
    settings: UpConfig,
    feed: str | None,
    paths: list[Path] | None,
    symbols: list[str] | None,
    sim: str,
    seed: int | None,
    rate: float | None,
    at: str | None,
) -> Wanted | None:
    """Join the command line with the settings, which hold for the feed that they name alone."""
    if feed is None or feed == settings.feed:
        paths = paths or [Path(path).expanduser() for path in settings.paths]
        symbols = symbols or list(settings.symbols)
        sim = sim or settings.sim
    given_by = place_of(config_path(), ("up", "feed")) if feed is None else "--feed"
    feed = settings.feed if feed is None else feed
    if feed == "none":
        given = (("paths", paths), ("--symbols", symbols), ("--sim", sim), ("--at", at))
        if odd := " and ".join(name for name, value in given if value):
            raise ConfigError(f"--feed none with {odd}: expected a feed with that; name one, or drop it")
        return None
    if feed not in names():
        raise ConfigError(f"{given_by} is {feed!r}: expected one of {', '.join(names())}, none")
    found = [str(path.absolute()) for path in paths or ()]
    wanted = Wanted(
        feed, symbols_of(symbols), tuple(found), sim,
        seed=settings.seed if seed is None else seed, rate=settings.rate if rate is None else rate,
    )  # fmt: skip
    if at is not None and is_live(feed):
        raise ConfigError(
            f"--at with the feed {feed}: expected it with sim, synthetic or replay; venues are at the present"
        )
    return wanted


def _log(where: Path, name: str, config: Config) -> dict[str, Any]:
    """Say where a process logs to: what `log_to_file` takes."""
    logs = config.logs
    return {
        "path": str(where / FOLDER / f"{name}.jsonl"), "bytes_max": logs.file_mib << 20, "files_kept": logs.files_kept,
        "level": logs.level,
    }  # fmt: skip


def _set_clock(hub: DataHub, wanted: Wanted | None, at_ns: int | None) -> None:
    if at_ns is not None:
        begin_at(hub, at_ns, "" if wanted is None else wanted.feed)
    elif wanted is None or not change_clock(hub, ClockMode.WALL):
        return
    note(f"set the hub clock: {clock_of(hub)}")
