"""The demonstration: server, simulated IG, collector, page and two readers, each a process of its own, and a market.

`make demo` runs it. The collector is the one that collects IG, with the official clients; the venue is `tapehub sim`'s,
on a market clock that begins on a Tuesday at 13:00 in London whatever today is. The terminal says SIMULATED. After 20 s
one instrument goes mute, unasked. At the end (Ctrl-C, or after DEMO_SECONDS) every tick must be accounted for, and seen
by both readers.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
import time
from datetime import UTC
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.text import Text

from tapehub.app.board import Board
from tapehub.app.console import Exit, complain, count_text, exit_of, note, out
from tapehub.app.feeds import SYMBOLS, Wanted
from tapehub.app.gateway import is_installed, login_link
from tapehub.app.market import OPENS_AT
from tapehub.app.mishap import Mishap, counts_of
from tapehub.app.outcome import Outcome
from tapehub.app.recordings import find_recordings
from tapehub.app.workers import Message, Worker
from tapehub.errors import ConfigError, TapehubError
from tapehub.hub import DataHub, hub_path
from tapehub.stopping import stopping

__all__ = ["main"]

_SECOND = 1_000_000_000
_OPENS_NS = int(OPENS_AT.timestamp()) * _SECOND
_READERS = ("reader-1", "reader-2")
_TICKS_PER_S = 4.0
_SUBSCRIBED_S = 30.0
_DRAIN_S = 20.0
_REFRESH_S = 0.25


class _Crew:
    """The processes of a demonstration, started in the order they need each other and ended in the other."""

    def __init__(self, path: Path, data: list[Path], seed: int) -> None:
        self._path = path
        self._started: list[Worker] = []
        wanted = Wanted("sim", SYMBOLS, seed=seed, rate=_TICKS_PER_S)
        try:
            # The clock all but stands until everyone is there, so that no tick is missed for want of a subscription.
            self.server = self._start("server", clock="virtual", at_ns=_OPENS_NS, rate=1e-9).wait_up()
            self.readers = {name: self._start("reader", label=name, name=name) for name in _READERS}
            self.simulator = self._start(
                "simulator", wanted=wanted.plain(), at_ns=_OPENS_NS + _SECOND, learn=True,
                # Without: one that is mute would show a tick to who subscribes anew, and look alive for a moment.
                snapshot=False, data=[str(one.absolute()) for one in data],
            )  # fmt: skip
            self.venue: Message = self.simulator.wait_up().ready
            plain = {**wanted.plain(), "url": self.venue["url"], "symbols": self.venue["symbols"]}
            self.collector = self._start("collector", wanted=plain, traced=True)
            self.page = self._start("gateway", port=0, control=self.venue["control"]) if is_installed() else None
            for worker in self._started:
                worker.wait_up()
        except BaseException:
            self.close()
            raise

    def _start(self, role: str, *, label: str = "", **arguments: Any) -> Worker:
        name = label or role
        worker = Worker(
            role,
            label=name,
            ready_s=None,
            on_line=lambda line: note(f"{name}: {line}"),
            path=str(self._path),
            **arguments,
        )
        self._started.append(worker)
        return worker

    def open_market(self, hub: DataHub, stop: threading.Event) -> None:
        """Let the market's clock run, as soon as the collector has subscribed to all."""
        until_s = time.monotonic() + _SUBSCRIBED_S
        wanted = len(self.venue["symbols"])
        while counts_of(self.venue["control"]).get("subscribed", 0) < wanted and time.monotonic() < until_s:
            if stop.wait(0.05) or self.missing():
                break
        hub.set_clock("virtual", anchor_ns=_OPENS_NS, rate=1.0)

    def missing(self) -> list[str]:
        """Name those that ended though no one told them to."""
        return [worker.label for worker in self._started if not worker.alive]

    def finish(self, hub: DataHub) -> Outcome:
        """Stop the collector, let the readers read to the end, and judge."""
        account = self.collector.ask("stop")
        seen = {
            name: reader.ask("drain", timeout_s=_DRAIN_S + 5, head=account["head"], within_s=_DRAIN_S)
            for name, reader in self.readers.items()
        }
        ledger = hub.ledger()
        in_hub: dict[str, int] = {}
        for label, row in ledger["instruments"].items():
            symbol = label.partition(" from ")[0]
            in_hub[symbol] = in_hub.get(symbol, 0) + row["ticks"]
        if last_error := self.server.ask("stop")["last_error"]:
            note(f"the server met: {last_error}")
        return Outcome(account, in_hub, seen, ledger["lost_in_producer"])

    def close(self) -> None:
        """End them all; the server last."""
        for worker in self._started[1:]:
            worker.hang_up()
        for worker in reversed(self._started):
            worker.close()


def main() -> int:
    """Run the demonstration as DEMO_SECONDS and DATA say; return the exit code."""
    home = Path(tempfile.mkdtemp(prefix="tapehub-demo-"))
    # Its own parent of hubs, so that no hub of the user's can be in the way or be touched; and no settings of theirs.
    os.environ["TAPEHUB_HOME"] = str(home)
    os.environ["TAPEHUB_CONFIG"] = os.devnull
    try:
        with stopping() as stop:
            return _run(hub_path("demo"), _seconds(), _data(), stop)
    except TapehubError as error:
        complain(error)
        return exit_of(error)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _command() -> str:
    """Give what starts tapehub in a shell: after `make demo` it is in the .venv alone."""
    found = Path(sys.executable).with_name("tapehub")
    if shutil.which("tapehub") or not found.exists():
        return "tapehub"
    return str(found.relative_to(Path.cwd()) if found.is_relative_to(Path.cwd()) else found)


def _run(path: Path, seconds: float | None, data: list[Path], stop: threading.Event) -> int:
    note("starting a hub server, a simulated IG, its collector, the page and two readers, each a process of its own")
    crew = _Crew(path, data, seed=1)
    memory: Path | None = None
    try:
        with DataHub.open(path, name="demo") as hub:
            memory = Path(hub._hub_state()["memory_dir"])
            for remark in crew.venue["remarks"]:
                note(remark)
            if not data:
                note("DATA=path plays real files")
            note(f"in another terminal: {_command()} watch --hub {path}")
            if crew.page is None:
                note("no page: pip install 'tapehub[server]' brings it")
            else:  # the token opens this hub alone, which ends with the demonstration
                out.print(f"the page: {login_link(path, crew.page.ready['url'])}", soft_wrap=True, markup=False)
            crew.open_market(hub, stop)
            note(
                f"SIMULATED: the market clock began on {OPENS_AT:%A %-d %B %Y at %H:%M} in London, "
                f"{OPENS_AT.astimezone(UTC):%H:%M} UTC; times below are UTC"
            )
            mishap = Mishap(hub, crew.venue, seconds, _say)
            _show(hub, crew, mishap, seconds, stop)
            outcome = crew.finish(hub)
    finally:
        crew.close()
        if memory is not None and memory != path and "tapehub" in memory.name:
            shutil.rmtree(memory, ignore_errors=True)  # left over only when a process had to be killed
    if stop.is_set() and outcome.is_empty:
        note("ended before the first tick: there is nothing to account for")
        return Exit.INTERRUPTED
    out.print(outcome.table())
    for fault in outcome.faults:
        out.print(f"[bold red]wrong:[/] {fault}")
    if outcome.faults:
        return Exit.FAILED
    last = max(reader["last_seq"] for reader in outcome.readers.values())
    out.print(
        "[green]the ledger balances[/], "
        f"and both readers saw all {count_text(outcome.total)} ticks, in order, none lost "
        f"(last sequence {last:,})"
    )
    return Exit.OK


def _say(text: str) -> None:
    out.print(Text(text, style="bold yellow"))


def _show(hub: DataHub, crew: _Crew, mishap: Mishap, seconds: float | None, stop: threading.Event) -> None:
    """Show the market until told to stop, the time is over, the recording has ended, or a process is missing."""
    board = Board(hub, crew.venue["symbols"])
    began = time.monotonic()
    until = None if seconds is None else began + seconds

    def goes_on(wait_s: float) -> bool:
        end = time.monotonic() + wait_s
        while True:
            now = time.monotonic()
            over = crew.simulator.has_ended.is_set() or bool(crew.missing()) or (until is not None and now >= until)
            if over or stop.is_set():
                return False
            mishap.step(now - began)
            if now >= end:
                return True
            stop.wait(min(_REFRESH_S, max(end - now, 0.01), max((until or now + 1) - now, 0.01)))

    if not out.is_terminal:
        every_s = 5.0 if seconds is None else min(5.0, max(seconds / 4, 0.5))
        while goes_on(every_s):
            print("\n".join(board.lines()), flush=True)
    else:
        with Live(console=out, auto_refresh=False) as live:
            live.update(Group(board.render(), _footer(hub, until)), refresh=True)
            while goes_on(_REFRESH_S):
                live.update(Group(board.render(), _footer(hub, until)), refresh=True)
    if missing := crew.missing():
        note(f"ended before its time: {', '.join(missing)}")


def _footer(hub: DataHub, until: float | None) -> Text:
    parts = [
        f"{row['name']} {count_text(row['delivered'])} ticks"
        + (f", {row['lag']} behind" if row["lag"] else "")
        + (f", {row['lost']} lost" if row["lost"] else "")
        for row in sorted(hub.readers(), key=lambda row: str(row["name"]))
    ]
    end = "Ctrl-C ends it" if until is None else f"{max(until - time.monotonic(), 0):.0f} s left"
    return Text("   ".join([*parts, end]), style="dim")


def _seconds() -> float | None:
    text = os.environ.get("DEMO_SECONDS", "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e7:
        raise ConfigError(
            f"DEMO_SECONDS is {text!r}: expected a number of seconds above 0, as DEMO_SECONDS=20 make demo"
        )
    return seconds


def _data() -> list[Path]:
    """Read DATA: one path, or several with the system's path separator or spaces between them.

    Raises:
        ConfigError: a path names nothing.
        RecordingError: there is nothing to play; it is said before any process starts.
    """
    text = os.environ.get("DATA", "").strip()
    if not text:
        return []
    whole = Path(text).expanduser()
    paths = [whole] if whole.exists() else [Path(part).expanduser() for part in text.replace(os.pathsep, " ").split()]
    find_recordings(paths)
    return paths


if __name__ == "__main__":
    sys.exit(main())
