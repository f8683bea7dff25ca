"""`tapehub doctor`: whether everything is as it should be, and if not, what is to be done."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from tapehub.app.checks import Check, Health, about_hub, about_machine
from tapehub.app.console import Exit, err, out, print_json
from tapehub.app.hubs import HubOption, NameOption, attach, place
from tapehub.app.proof import prove_live, prove_shared
from tapehub.errors import HubNotRunning

__all__ = ["doctor"]

_MARKS = {Health.GOOD: "[green]✓[/]", Health.DOUBTFUL: "[yellow]![/]", Health.BAD: "[bold red]✗[/]"}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    hub: HubOption = None,
    name: NameOption = None,
) -> None:
    """Check the installation and the hub; say in one sentence whether all is well.

    First of all: three separate processes attach, one publishes, and all three must see the same hub, the same epoch
    and the same counters. What they publish goes to a hub of their own; yours is only read.
    """
    where = place(hub, name)
    checks: list[Check] = []
    with err.status("three processes attach to one hub") as spinner:
        with tempfile.TemporaryDirectory(prefix="tapehub-doctor-") as folder:
            checks.append(prove_shared(Path(folder) / "hub"))
        missing: HubNotRunning | None = None
        try:
            with attach(hub, name, "doctor") as opened:
                spinner.update("three processes look at your hub")
                checks.append(prove_live(opened))
                spinner.update("looking at the hub")
                checks += about_hub(opened)
        except HubNotRunning as error:
            missing = error
            checks.append(Check("hub", Health.BAD, f"no hub at {where}", 'start one with "tapehub serve"'))
        checks += about_machine(where)
    code = _verdict(checks, missing)
    sentence = _sentence(checks)
    if as_json:
        print_json({"ok": code is Exit.OK, "sentence": sentence, "exit_code": int(code), "checks": _plain(checks)})
    else:
        _show(checks)
        out.print(f"[{'green' if code is Exit.OK else 'bold red'}]{sentence}[/]")
    if code is not Exit.OK:
        raise typer.Exit(code)


def _verdict(checks: list[Check], missing: HubNotRunning | None) -> Exit:
    bad = [check for check in checks if check.health is Health.BAD]
    if missing is not None and len(bad) == 1:
        return Exit.NOT_RUNNING
    return Exit.FAILED if bad else Exit.OK


def _sentence(checks: list[Check]) -> str:
    bad = [check for check in checks if check.health is Health.BAD]
    doubtful = [check for check in checks if check.health is Health.DOUBTFUL]
    if bad:
        first = bad[0]
        more = f", and {len(bad) - 1} more" if len(bad) > 1 else ""
        return f"Not well: {first.name}: {first.found}{more}" + (f"; {first.remedy}." if first.remedy else ".")
    if doubtful:
        return f"All is well, though mind {', '.join(check.name for check in doubtful)}."
    return "All is well."


def _show(checks: list[Check]) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_header=False)
    table.add_column()
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        remedy = f"\n[dim]→ {check.remedy}[/]" if check.remedy and check.health is not Health.GOOD else ""
        table.add_row(_MARKS[check.health], check.name, f"{check.found}{remedy}")
    out.print(table)


def _plain(checks: list[Check]) -> list[dict[str, Any]]:
    return [
        {"name": check.name, "health": check.health.value, "found": check.found, "remedy": check.remedy}
        for check in checks
    ]
