"""What a running `tapehub up` shows, and its loop: a table that changes on a terminal, lines in a pipe."""

from __future__ import annotations

import logging
import re
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tapehub.app.board import Board
from tapehub.app.console import age_text, note, out
from tapehub.app.control import Control, described, owner_of, running_up
from tapehub.app.gateway import show_link
from tapehub.app.logs import get_logger
from tapehub.app.notifying import Notifier
from tapehub.app.supervisor import Component, Phase, Supervisor
from tapehub.errors import HubError
from tapehub.hub import DataHub

__all__ = ["Screen", "components_table", "follow"]

_STEP_S = 0.1
_SHOWN_EVERY_S = 0.25
_STYLE = {
    "running": "green",
    "starting": "cyan",
    "waiting": "dim",
    "restarting": "bold yellow",
    "ended": "dim",
    "failed": "bold red",
}
_LEVEL = {"died": logging.WARNING, "loop": logging.ERROR, "failed": logging.ERROR}
_STAMPED = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ")
_LAST_WORDS = 30


class Screen:
    """Run the components, show them, and answer those who ask."""

    def __init__(self, hub: DataHub, rows: Sequence[Component], stop: threading.Event) -> None:
        self._hub = hub
        self._board = Board(hub)
        self._stop = stop
        self._lock = threading.Lock()
        self._log = get_logger("tapehub.up")
        self._words: dict[str, deque[str]] = {row.name: deque(maxlen=_LAST_WORDS) for row in rows}
        self._supervisor = Supervisor(rows, tell=self._tell, on_line=self._relay)
        self._width = max((len(row.name) for row in rows), default=0)
        self._systemd = Notifier()
        self._link_shown = False

    def run(self) -> int:
        """Run until told to stop, or until a vital component fails of what nobody but the user can mend.

        Returns:
            the exit code.
        """
        supervisor = self._supervisor
        names = ", ".join(row.name for row in supervisor.components) or "nothing, since a server runs already"
        note(f"starting {names}: {self._hub.path}; Ctrl-C ends it")
        self._log.info("starting", components=[row.name for row in supervisor.components], hub=str(self._hub.path))
        control = self._control()
        try:
            try:
                if out.is_terminal:
                    with Live(console=out, auto_refresh=False, transient=True) as live:
                        self._loop(control, live)
                else:
                    self._loop(control, None)
                code = 0 if supervisor.failed is None else supervisor.exit_code
            finally:
                self._systemd.stopping()
                supervisor.close()
            self._log.info("stopped", exit_code=code)
            note("stopped; the data stay")
        finally:
            if control is not None:
                control.close()
        return code

    def _control(self) -> Control | None:
        """Listen to those who ask; where that cannot be, the data come all the same."""
        try:
            return Control(self._hub.path, self._stop)
        except (HubError, OSError) as error:
            note(f'no "tapehub down" and the like: {error}')
            self._log.error("nobody can ask", why=str(error))
            return None

    def _loop(self, control: Control | None, live: Live | None) -> None:
        looks = 0
        while not self._stop.wait(_STEP_S) and self._supervisor.failed is None:
            self._supervisor.step()
            with suppress(HubError):  # a call attaches anew where the hub's memory was lost: else nobody lists us
                _ = self._hub.head
            rows = self._supervisor.rows()
            shown = described(rows)
            if control is not None:
                control.step(shown, self._supervisor.restart)
            if all(row.phase not in (Phase.WAITING, Phase.STARTING) for row in rows):
                self._systemd.ready(", ".join(f"{row.name} {row.phase.value}" for row in rows))
            self._systemd.alive()
            looks += 1
            if live is not None and looks * _STEP_S >= _SHOWN_EVERY_S:
                looks = 0
                live.update(Group(components_table(shown), Text(), self._board.render()), refresh=True)

    def _tell(self, word: str, name: str, text: str) -> None:
        told: dict[str, Any] = {}
        if word in ("died", "failed") and self._words[name]:
            told["last_words"] = list(self._words[name])
            self._words[name].clear()
        self._log.log(_LEVEL.get(word, logging.INFO), word, component=name, told=text, **told)
        self._print(name, text, "bold")
        if word == "running" and name == "gateway" and not self._link_shown:
            self._link_shown = True
            with self._lock:
                show_link(self._hub.path, str(self._supervisor.ready[name]["url"]))

    def _relay(self, name: str, line: str) -> None:
        """Show a line of a component's log; one that no logger wrote is kept, as it may be the last thing it says."""
        if not _STAMPED.match(line):
            self._words[name].append(line)
        self._print(name, line, "dim")

    def _print(self, name: str, text: str, style: str) -> None:
        with self._lock:
            out.print(Text(f"{name:<{self._width}}  ", style=style) + Text(text))


def components_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Lay out what runs, a line for each process: rows of `control.running_components`."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), show_header=False)
    for row in rows:
        looping = " (restart loop)" if row["looping"] else ""
        table.add_row(
            Text(row["name"], style="bold"),
            Text(row["phase"], style=_STYLE[row["phase"]]),
            Text(f"pid {row['pid']}" if row["pid"] else "", style="dim"),
            Text(age_text(row["for_s"]), style="dim"),
            Text(f"restarts {row['restarts']}{looping}" if row["restarts"] else "", style="yellow"),
            Text(row["told"], overflow="ellipsis", no_wrap=True),
        )
    return table


def follow(opened: DataHub, stop: threading.Event) -> None:
    """Show a hub that another "up" runs, and its components, until that ends or this is told to."""
    board = Board(opened)
    said = ""
    if not out.is_terminal:
        while not stop.is_set():
            rows, gone = _rows(opened.path)
            if gone:
                break
            told = ", ".join(f"{row['name']} {row['phase']}" for row in rows)
            if told != said:
                said = told
                print(f"components: {told}", flush=True)
            print("\n".join(board.lines()), flush=True)
            stop.wait(1.0)
    else:
        with Live(console=out, auto_refresh=False) as live:
            while not stop.wait(_SHOWN_EVERY_S):
                rows, gone = _rows(opened.path)
                if gone:
                    break
                live.update(Group(components_table(rows), Text(), board.render()), refresh=True)
    if not stop.is_set():
        note(f'the other "tapehub up", process {owner_of(opened.path)}, has ended: nothing keeps this hub running now')


def _rows(where: Path) -> tuple[list[dict[str, Any]], bool]:
    """Ask for the components; one that does not answer for a moment is not gone."""
    try:
        found = running_up(where)
    except HubError as error:
        return [
            {"name": "up", "phase": "failed", "pid": None, "for_s": 0.0, "restarts": 0, "looping": False,
             "told": str(error)}
        ], False  # fmt: skip
    return ([], True) if found is None else (found["components"], False)
