"""`tapehub up`: hub, collector and what they need, as processes of their own, kept running by one command."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tapehub.app.board import Board
from tapehub.app.clocks import change_clock, clock_of
from tapehub.app.collect import PathsArgument, RateOption, SeedOption, SimOption, SymbolsOption
from tapehub.app.config import read_config
from tapehub.app.console import age_text, note, out
from tapehub.app.feeds import NAMES, Wanted, symbols_of
from tapehub.app.hubs import HubOption, NameOption, place
from tapehub.app.stopping import stopping
from tapehub.app.supervisor import Component, Phase, Supervisor
from tapehub.errors import ConfigError
from tapehub.feeds.instants import instant_ns
from tapehub.hub import DataHub
from tapehub.model.policies import ClockMode

if TYPE_CHECKING:
    from tapehub.app.config import Config
    from tapehub.app.workers import Message

__all__ = ["components", "up"]

_STEP_S = 0.1
_SHOWN_EVERY_S = 0.25
_LOCK = "up.lock"
_STYLE = {
    Phase.RUNNING: "green",
    Phase.STARTING: "cyan",
    Phase.WAITING: "dim",
    Phase.RESTARTING: "bold yellow",
    Phase.ENDED: "dim",
    Phase.FAILED: "bold red",
}


def up(
    feed: Annotated[str, typer.Option("--feed", metavar="FEED", help=f"One of {', '.join(NAMES)}, none.")] = "none",
    paths: PathsArgument = None,
    symbols: SymbolsOption = None,
    sim: SimOption = "",
    seed: SeedOption = 1,
    rate: RateOption = 1.0,
    at: Annotated[
        str | None,
        typer.Option(metavar="T", help="Of sim, synthetic, replay: a virtual clock from then on: 2026-06-02T12:00."),
    ] = None,
    hub: HubOption = None,
    name: NameOption = None,
) -> None:
    """Run the hub and its collector (and the simulator for --feed sim), each a process of its own.

    What dies is started again. Ctrl-C or SIGTERM ends them all, the data stay. Where another "up" runs the hub
    already, this one attaches and shows it.
    """
    wanted = _wanted(feed, paths, symbols, sim, seed, rate, at)
    at_ns = instant_ns(at, "--at")
    config = read_config()
    where = place(hub, name)
    with (
        stopping() as stop,
        DataHub.open(where, create=True, name="up", instruments=config.book()) as opened,
        _only_one(opened.path) as owner,
    ):
        if owner:
            note(f'"tapehub up" runs this hub already, as process {owner}: attached to it, nothing was started')
            _show(opened, stop)
            return
        _set_clock(opened, wanted, config, at_ns)
        code = _Screen(opened, components(opened.path, wanted, served=opened.server() is not None)).run(stop)
    if code:
        raise typer.Exit(code)


def components(where: Path, wanted: Wanted | None, *, served: bool = False) -> list[Component]:
    """List what runs: a row for each process, those that others need first.

    Args:
        wanted: the feed; None for a hub alone.
        served: a server runs already.
    """
    path = str(where)

    def server(ready: Mapping[str, Message]) -> dict[str, Any]:
        return {"path": path}

    def simulator(ready: Mapping[str, Message]) -> dict[str, Any]:
        assert wanted is not None
        # On the same port again, so that the collector finds it.
        port = ready.get("simulator", {}).get("port", 0)
        return {"path": path, "wanted": wanted.plain(), "port": port, "log": _log(where, "simulator")}

    def collector(ready: Mapping[str, Message]) -> dict[str, Any]:
        assert wanted is not None
        url = wanted.url or ready.get("simulator", {}).get("url", "")
        return {"path": path, "wanted": {**wanted.plain(), "url": url}, "log": _log(where, "collector")}

    rows = [] if served else [Component("server", "server", server)]
    needs: tuple[str, ...] = () if served else ("server",)
    if wanted is not None and wanted.feed == "sim" and not wanted.url:
        rows.append(Component("simulator", "simulator", simulator, needs))
        needs = (*needs, "simulator")
    if wanted is not None:
        rows.append(Component("collector", "collector", collector, needs))
    return rows


def _wanted(
    feed: str, paths: list[Path] | None, symbols: list[str] | None, sim: str, seed: int, rate: float, at: str | None
) -> Wanted | None:
    if feed == "none":
        if paths or symbols or sim or at:
            raise ConfigError("--feed none with paths, --symbols, --sim or --at: expected them with a feed; name it")
        return None
    if at is not None and feed in ("ig", "kraken"):
        raise ConfigError(
            f"--at with the feed {feed}: expected it with sim, synthetic or replay; venues are at the present"
        )
    found = [str(path.absolute()) for path in paths or ()]
    return Wanted(feed, symbols_of(symbols), tuple(found), sim, seed=seed, rate=rate)


def _log(where: Path, name: str) -> str:
    return str(where / "logs" / f"{name}.jsonl")


def _set_clock(hub: DataHub, wanted: Wanted | None, config: Config, at_ns: int | None) -> None:
    if at_ns is not None:
        change_clock(hub, ClockMode.VIRTUAL, anchor_ns=at_ns)
    elif wanted is None or not change_clock(hub, ClockMode.WALL):
        return
    note(f"set the hub clock: {clock_of(hub)}")


@contextmanager
def _only_one(where: Path) -> Iterator[str]:
    """Hold the lock of the one "up" of a hub, which goes with the process, however that ends; or say who holds it."""
    descriptor = os.open(where / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            return
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield ""
    finally:
        os.close(descriptor)


class _Screen:
    """Run the components and show them: a table that changes on a terminal, lines in a pipe."""

    def __init__(self, hub: DataHub, rows: list[Component]) -> None:
        self._hub = hub
        self._board = Board(hub)
        self._lock = threading.Lock()
        self._supervisor = Supervisor(rows, tell=self._tell, on_line=self._log)
        self._width = max((len(row.name) for row in rows), default=0)

    def run(self, stop: threading.Event) -> int:
        """Run until told to stop, or until a component fails of what nobody but the user can mend.

        Returns:
            the exit code.
        """
        supervisor = self._supervisor
        names = ", ".join(row.name for row in supervisor.components) or "nothing, since a server runs already"
        note(f"starting {names}: {self._hub.path}; Ctrl-C ends it")
        try:
            if out.is_terminal:
                with Live(console=out, auto_refresh=False, transient=True) as live:
                    self._loop(stop, live)
            else:
                self._loop(stop, None)
            code = 0 if supervisor.failed is None else supervisor.exit_code
        finally:
            supervisor.close()
        note("stopped; the data stay")
        return code

    def _loop(self, stop: threading.Event, live: Live | None) -> None:
        looks = 0
        while not stop.wait(_STEP_S) and self._supervisor.failed is None:
            self._supervisor.step()
            looks += 1
            if live is not None and looks * _STEP_S >= _SHOWN_EVERY_S:
                looks = 0
                live.update(self._render(), refresh=True)

    def _render(self) -> RenderableType:
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), show_header=False)
        for row in self._supervisor.rows():
            table.add_row(
                Text(row.name, style="bold"),
                Text(row.phase.value, style=_STYLE[row.phase]),
                Text(f"pid {row.pid}" if row.pid else "", style="dim"),
                Text(age_text(row.for_s), style="dim"),
                Text(f"restarts {row.restarts}" if row.restarts else "", style="yellow"),
                Text(row.told, overflow="ellipsis", no_wrap=True),
            )
        return Group(table, Text(), self._board.render())

    def _tell(self, name: str, text: str) -> None:
        self._print(name, text, "bold")

    def _log(self, name: str, line: str) -> None:
        self._print(name, line, "dim")

    def _print(self, name: str, text: str, style: str) -> None:
        with self._lock:
            out.print(Text(f"{name:<{self._width}}  ", style=style) + Text(text))


def _show(opened: DataHub, stop: threading.Event) -> None:
    """Show a hub that someone else runs."""
    board = Board(opened)
    if not out.is_terminal:
        while not stop.is_set():
            print("\n".join(board.lines()), flush=True)
            stop.wait(1.0)
        return
    with Live(board.render(), console=out, auto_refresh=False) as live:
        while not stop.wait(_SHOWN_EVERY_S):
            live.update(board.render(), refresh=True)
