"""`tapehub bench`: how fast the hub is on this machine."""

from __future__ import annotations

import platform
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from tapehub.app.console import err, note, out, print_json
from tapehub.app.measure import MEASUREMENTS, Measurement, measure
from tapehub.stopping import stopping

__all__ = ["bench"]


def bench(
    context: typer.Context,
    short: Annotated[bool, typer.Option("--short", help="Measure this hub alone, in seconds.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the short measurement as JSON.")] = False,
) -> None:
    """Measure the hub on this machine.

    In a clone of the repository, runs its benchmarks, this hub and its peers side by side; what follows the options is
    passed on to them (--quick, --rows, --peers). Elsewhere, or with --short, measures this hub alone. Either way in a
    hub of its own.
    """
    root = None if short or as_json else _repository()
    if root is not None:
        note(f"running the benchmarks of {root}; --short measures this hub alone")
        raise typer.Exit(
            subprocess.run([sys.executable, "-m", "benchmarks", *context.args], cwd=root, check=False).returncode
        )
    if context.args:
        note(f"ignored: {' '.join(context.args)}; only the repository's benchmarks take it")
    with stopping() as stop, tempfile.TemporaryDirectory(prefix="tapehub-bench-") as folder:
        columns = (TextColumn("{task.description}"), BarColumn())
        with Progress(*columns, console=err, disable=not err.is_terminal, transient=True) as progress:
            task = progress.add_task("preparing", total=len(MEASUREMENTS))
            found = []
            for measurement in measure(Path(folder) / "hub"):
                found.append(measurement)
                progress.update(task, advance=1, description=measurement.name)
                if stop.is_set():
                    raise KeyboardInterrupt
    if as_json:
        print_json({row.name: {"us": row.us, "per_s": row.per_s, "goal_us": row.goal_us} for row in found})
    else:
        _show(found)


def _show(found: list[Measurement]) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("operation, from Python")
    for name in ("median", "per second", "goal"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in found:
        style = "green" if row.us <= row.goal_us else "yellow"
        table.add_row(row.name, f"[{style}]{row.us:.3f} µs[/]", f"{row.per_s:,.0f}", f"≤ {row.goal_us:g} µs")
    out.print(table)
    note(
        f"Python {platform.python_version()}, tapehub {version('tapehub')}; median of rounds, without the bare loop. "
        "Goals are those of a two-core machine"
    )


def _repository() -> Path | None:
    """Find the clone this package runs from, or the one we stand in."""
    for root in (Path(__file__).resolve().parents[3], Path.cwd()):
        if (root / "benchmarks" / "__main__.py").is_file() and (root / "src" / "tapehub").is_dir():
            return root
    return None
