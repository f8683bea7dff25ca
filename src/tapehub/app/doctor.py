"""`tapehub doctor`: whether everything is as it should be, and if not, why there is no data and what is to be done."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from tapehub.app.checks import Check, Health, about_hub, about_machine
from tapehub.app.console import Exit, err, note, out, print_json
from tapehub.app.facts import Facts, gather
from tapehub.app.hubs import HubOption, NameOption, attach, place
from tapehub.app.probes import try_out
from tapehub.app.proof import prove_live, prove_shared
from tapehub.app.why import Answer, Outcome, explain
from tapehub.errors import HubNotRunning

__all__ = ["doctor"]

_MARKS = {Health.GOOD: "[green]✓[/]", Health.DOUBTFUL: "[yellow]![/]", Health.BAD: "[bold red]✗[/]"}
_LINKS = {
    Outcome.OK: "[green]✓[/]",
    Outcome.FAILED: "[bold red]✗[/]",
    Outcome.CLOSED: "[blue]–[/]",
    Outcome.SKIPPED: "[dim]·[/]",
}
_COLOURS = {Outcome.OK: "green", Outcome.FAILED: "bold red", Outcome.CLOSED: "blue", Outcome.SKIPPED: "dim"}


def doctor(
    symbols: Annotated[
        list[str] | None, typer.Argument(metavar="[SYMBOL…]", help="Instruments; all when none.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    login: Annotated[
        bool,
        typer.Option("--login", help="Log in to IG once; never while a collector runs, whose session it would end."),
    ] = False,
    online: Annotated[
        bool, typer.Option("--online", help="Try whether the venue can be reached, and its certificates.")
    ] = False,
    hub: HubOption = None,
    name: NameOption = None,
) -> None:
    """Check the installation and the hub; say in one sentence why there is no data, or that all is well.

    First of all: three separate processes attach, one publishes, and all three must see the same hub, the same epoch
    and the same counters. What they publish goes to a hub of their own; yours is only read. Then the chain from the
    hub to the candles: its first link that does not hold is the answer. Exit 1 when something is wrong, 3 when no hub
    runs; a closed market is no fault.
    """
    where = place(hub, name)
    checks: list[Check] = []
    with err.status("three processes attach to one hub") as spinner:
        with tempfile.TemporaryDirectory(prefix="tapehub-doctor-") as folder:
            checks.append(prove_shared(Path(folder) / "hub"))
        try:
            with attach(hub, name, "doctor") as opened:
                spinner.update("three processes look at your hub")
                checks.append(prove_live(opened))
                spinner.update("looking at the hub")
                checks += about_hub(opened)
                facts = gather(opened, symbols or [])
        except HubNotRunning:
            facts = Facts(str(where), running=False)
            checks.append(Check("hub", Health.BAD, f"no hub at {where}", 'start one with "tapehub up"'))
        checks += about_machine(where)
        spinner.update("looking for the feed")
        facts, remarks = try_out(facts, login=login, online=online)
    answer = explain(facts)
    code = _verdict(checks, facts, answer)
    sentence = _sentence(checks, facts, answer)
    if as_json:
        print_json(
            {"ok": code is Exit.OK, "sentence": sentence, "exit_code": int(code), "link": answer.link,
             "closed": answer.outcome is Outcome.CLOSED, "chain": _chain(answer), "checks": _plain(checks)}
        )  # fmt: skip
    else:
        _show(checks, answer)
        colour = _COLOURS[answer.outcome] if code is Exit.OK else "bold red"
        out.print(f"[{colour}]{escape(sentence)}[/]")
    for remark in remarks:
        note(remark)
    if code is not Exit.OK:
        raise typer.Exit(code)


def _verdict(checks: list[Check], facts: Facts, answer: Answer) -> Exit:
    bad = [check for check in checks if check.health is Health.BAD]
    if not facts.running and len(bad) == 1:
        return Exit.NOT_RUNNING
    return Exit.FAILED if bad or not answer.ok else Exit.OK


def _sentence(checks: list[Check], facts: Facts, answer: Answer) -> str:
    bad = [check for check in checks if check.health is Health.BAD and (facts.running or check.name != "hub")]
    doubtful = [check.name for check in checks if check.health is Health.DOUBTFUL]
    if bad:
        first = bad[0]
        more = f", and {len(bad) - 1} more" if len(bad) > 1 else ""
        return f"Not well: {first.name}: {first.found}{more}" + (f"; {first.remedy}." if first.remedy else ".")
    if answer.outcome is Outcome.OK and doubtful:
        return f"{answer.sentence.removesuffix('.')}; mind {', '.join(doubtful)}."
    return answer.sentence


def _show(checks: list[Check], answer: Answer) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_header=False)
    table.add_column()
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        remedy = f"\n[dim]→ {escape(check.remedy)}[/]" if check.remedy and check.health is not Health.GOOD else ""
        table.add_row(_MARKS[check.health], check.name, f"{escape(check.found)}{remedy}")
    table.add_section()
    for finding in answer.chain:
        dim = "dim" if finding.outcome is Outcome.SKIPPED else ""
        table.add_row(_LINKS[finding.outcome], finding.link, escape(finding.sentence), style=dim)
    out.print(table)


def _chain(answer: Answer) -> list[dict[str, Any]]:
    return [
        {"link": one.link, "outcome": one.outcome.value, "sentence": one.sentence, "facts": one.facts}
        for one in answer.chain
    ]


def _plain(checks: list[Check]) -> list[dict[str, Any]]:
    return [
        {"name": check.name, "health": check.health.value, "found": check.found, "remedy": check.remedy}
        for check in checks
    ]
