"""`tapehub agent explain`: the whole debate behind a signal, an order or a fill, as a tree in time order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tapehub.app.console import Exit, note, out, print_json
from tapehub.app.hubs import HubOption, NameOption, attach

if TYPE_CHECKING:
    from tapehub.agents.debate import Debate

__all__ = ["drawn", "explain"]

# Said in the step's sentence already, or links that the tree shows.
_SAID = frozenset("side confidence mean ttl_s abstains opinions said rule proposed agree stop_pips target_pips".split())
_WITH_VALUES = frozenset({"opinion", "setup", "rejection"})


def explain(
    identity: Annotated[
        str, typer.Argument(metavar="ID", help="Of a signal, an order, a fill or an opinion: 3fa9c2d1b7e0.123456.1")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with all values.")] = False,
    hub: HubOption = None,
    name: NameOption = None,
) -> None:
    """Print why an agent did what it did: opinions, what was made of them, gate, risk, order, fills, result.

    Exit codes: 0 it is told, 1 the log has no such record, 2 that is no identity, 3 no hub.
    """
    from tapehub.agents.debate import explain as told_of

    with attach(hub, name, "explain") as opened:
        debate = told_of(opened, identity)
        if debate is None:
            note(f"the log of {opened.path} has no record {identity}: never written, or dropped by retention")
            raise typer.Exit(Exit.FAILED)
        if as_json:
            print_json(debate.plain())
            return
        for line in drawn(debate):
            out.print(line, markup=False, soft_wrap=True)


def drawn(debate: Debate) -> Iterator[str]:
    """Draw a debate, a line at a time; times are UTC."""
    told = debate.plain()
    yield f"{told['title']}  {told['id']}"
    yield from _branches(told["steps"], "")


def _branches(steps: Sequence[Mapping[str, Any]], before: str) -> Iterator[str]:
    for number, step in enumerate(steps):
        last = number == len(steps) - 1
        yield f"{before}{'└─' if last else '├─'} {step['at'][11:23]} {step['what']:9} {step['agent']}: {step['text']}"
        below = f"{before}{'   ' if last else '│  '}"
        if step["what"] in _WITH_VALUES and (values := _values(step["values"])):
            yield f"{below}{'│' if step.get('steps') else ' '}  {values}"
        yield from _branches(step.get("steps", ()), below)


def _values(values: Mapping[str, Any]) -> str:
    shown = ((name, value) for name, value in values.items() if name not in _SAID and value is not None)
    return ", ".join(f"{name} {_value(value)}" for name, value in shown)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(_value(one) for one in value)
    return f"{value:.10g}" if isinstance(value, float) else str(value)
