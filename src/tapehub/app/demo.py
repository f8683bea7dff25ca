"""The demonstration: a server, a collector and two readers, each a process of its own, and the market between them.

`make demo` runs it. The market clock begins on a Tuesday at 13:00 in London whatever today is; the terminal says
SIMULATED. At the end (Ctrl-C, or after DEMO_SECONDS) every tick must be accounted for, and seen by both readers.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tapehub.app.board import Board
from tapehub.app.console import Exit, complain, count_text, exit_of, note, out
from tapehub.app.market import OPENS_AT
from tapehub.app.stopping import stopping
from tapehub.app.workers import Worker
from tapehub.errors import ConfigError, TapehubError
from tapehub.hub import DataHub, hub_path

__all__ = ["Outcome", "main"]

_READERS = ("reader-1", "reader-2")
_DRAIN_S = 20.0
_REFRESH_S = 0.25


class Outcome:
    """Judge a run: whether the ledger balances and every reader saw every tick.

    Args:
        account: the collector's, with `counts` and `traces` by instrument.
        in_hub: ticks by instrument, as the hub itself counts them.
        readers: what each reader reported.
        lost_in_producer: by the hub's ledger.
    """

    def __init__(
        self,
        account: dict[str, Any],
        in_hub: dict[str, int],
        readers: dict[str, dict[str, Any]],
        lost_in_producer: int = 0,
    ) -> None:
        self.account = account
        self.in_hub = in_hub
        self.readers = readers
        self.faults = [*self._ledger_faults(), *self._reader_faults()]
        if lost_in_producer:
            self.faults.append(f"{lost_in_producer} ticks were lost in a dead producer")

    @property
    def total(self) -> int:
        """Count the ticks that were published."""
        return sum(count["published"] for count in self.account["counts"].values())

    @staticmethod
    def in_flight(count: dict[str, Any]) -> int:
        """Count what was received and has no fate yet."""
        gone = count["published"] + count["duplicates"] + count["refused"] + sum(count["quarantined"].values())
        return int(count["received"] - gone)

    def _ledger_faults(self) -> list[str]:
        faults = []
        if not self.total:
            faults.append("no tick was published at all")
        for symbol, count in self.account["counts"].items():
            if left := self.in_flight(count):
                faults.append(f"{symbol}: {left} of {count['received']} received have no fate")
            if count["published"] != self.in_hub.get(symbol, 0):
                faults.append(f"{symbol}: {count['published']} published, the hub holds {self.in_hub.get(symbol, 0)}")
        faults += [
            f"{symbol}: the hub holds ticks that no one published"
            for symbol in self.in_hub.keys() - self.account["counts"]
        ]
        return faults

    def _reader_faults(self) -> list[str]:
        faults = []
        for name, seen in self.readers.items():
            if seen["lost"] or seen["out_of_order"] or not seen["reached_end"]:
                faults.append(
                    f"{name}: {seen['lost']} lost, {seen['out_of_order']} out of order, "
                    f"{'reached' if seen['reached_end'] else 'did not reach'} the end"
                )
            for symbol, count in self.account["counts"].items():
                got = seen["counts"].get(symbol, 0)
                if got != count["published"]:
                    faults.append(f"{name}: saw {got} of {count['published']} ticks of {symbol}")
                elif got and seen["traces"][symbol] != self.account["traces"][symbol]:
                    faults.append(f"{name}: saw other times or prices of {symbol} than were published")
        return faults

    def table(self) -> Table:
        """Lay the ledger out: a column for each instrument, a line for each fate."""
        counts = dict(sorted(self.account["counts"].items()))
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("ledger")
        for symbol in [*counts, "all"]:
            table.add_column(symbol, justify="right", no_wrap=True)

        def line(label: str, numbers: list[int], style: str = "") -> None:
            table.add_row(label, *map(count_text, [*numbers, sum(numbers)]), style=style)

        line("received", [count["received"] for count in counts.values()], "bold")
        line("= published", [count["published"] for count in counts.values()])
        line("+ duplicate", [count["duplicates"] for count in counts.values()])
        line("+ refused", [count["refused"] for count in counts.values()])
        reasons = sorted({reason for count in counts.values() for reason in count["quarantined"]})
        for reason in reasons:
            line(f"+ quarantined, {reason}", [count["quarantined"].get(reason, 0) for count in counts.values()])
        if not reasons:
            line("+ quarantined", [0] * len(counts))
        line("+ in flight", [self.in_flight(count) for count in counts.values()])
        table.add_section()
        line("in the hub", [self.in_hub.get(symbol, 0) for symbol in counts])
        for name, seen in self.readers.items():
            line(f"seen by {name}", [seen["counts"].get(symbol, 0) for symbol in counts])
        return table


class _Crew:
    """The processes of a demonstration, started in the order data flow and ended in that order too."""

    def __init__(self, path: Path, data: list[Path], seed: int) -> None:
        self._path = path
        self._started: list[Worker] = []
        try:
            self.server = self._start("server", anchor_ns=int(OPENS_AT.timestamp()) * 1_000_000_000)
            self.readers = {name: self._start("reader", label=name, name=name) for name in _READERS}
            self.collector = self._start("collector", data=[str(one.absolute()) for one in data], seed=seed)
        except BaseException:
            self.close()
            raise

    def _start(self, role: str, **arguments: Any) -> Worker:
        worker = Worker(role, path=str(self._path), **arguments)
        self._started.append(worker)
        return worker

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
        for worker in reversed(self._started):
            worker.close()


def main() -> int:
    """Run the demonstration as DEMO_SECONDS and DATA say; return the exit code."""
    home = Path(tempfile.mkdtemp(prefix="tapehub-demo-"))
    # Its own parent of hubs, so that no hub of the user's can be in the way or be touched.
    os.environ["TAPEHUB_HOME"] = str(home)
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


def _run(path: Path, seconds: float | None, data: list[Path], stop: threading.Event) -> int:
    note("starting a server, two readers and a collector, each a process of its own")
    crew = _Crew(path, data, seed=1)
    memory: Path | None = None
    try:
        with DataHub.open(path, name="demo") as hub:
            memory = Path(hub._hub_state()["memory_dir"])
            note(f"SIMULATED: the market clock began on {OPENS_AT:%A %-d %B %Y at %H:%M} in London")
            for remark in crew.collector.ready["remarks"]:
                note(remark)
            note(f"in another terminal: tapehub watch --hub {path}")
            _show(hub, crew, seconds, stop)
            outcome = crew.finish(hub)
    finally:
        crew.close()
        if memory is not None and memory != path and "tapehub" in memory.name:
            shutil.rmtree(memory, ignore_errors=True)  # left over only when a process had to be killed
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


def _show(hub: DataHub, crew: _Crew, seconds: float | None, stop: threading.Event) -> None:
    """Show the market until told to stop, the time is over, the recording has ended, or a process is missing."""
    board = Board(hub, crew.collector.ready["symbols"])
    until = None if seconds is None else time.monotonic() + seconds

    def goes_on(wait_s: float) -> bool:
        left = wait_s if until is None else min(wait_s, max(until - time.monotonic(), 0))
        over = stop.wait(left) or crew.collector.has_ended.is_set() or bool(crew.missing())
        return not over and (until is None or time.monotonic() < until)

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
    """Read DATA: one path, or several with the system's path separator or spaces between them."""
    text = os.environ.get("DATA", "").strip()
    if not text:
        return []
    if Path(text).expanduser().exists():
        return [Path(text).expanduser()]
    return [Path(part).expanduser() for word in text.split(os.pathsep) for part in word.split()]


if __name__ == "__main__":
    sys.exit(main())
