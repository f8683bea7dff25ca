"""`tapehub status`: what the hub holds, who is there, and whether the counts add up."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from tapehub.app.board import Board
from tapehub.app.clocks import clock_of
from tapehub.app.console import Exit, bytes_text, count_text, note, out, print_json, span_text
from tapehub.app.control import running_components
from tapehub.app.facts import Facts, gather
from tapehub.app.hours import hours, hours_text
from tapehub.app.hubs import HubOption, NameOption, attach
from tapehub.app.screen import components_table
from tapehub.app.why import explain
from tapehub.errors import HubError

if TYPE_CHECKING:
    from tapehub.hub import DataHub

__all__ = ["status"]

_LINE_BYTES = 64
_BAD_STATES = ("stale", "dead")
_AHEAD_MS = 500.0


def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    hub: HubOption = None,
    name: NameOption = None,
) -> None:
    """Show the hub: clock, server, processes, readers, instruments, ledger.

    Exit 1 when an instrument is stale or dead or the ledger does not add up, 3 when nobody runs the hub.
    """
    with attach(hub, name, "status") as opened:
        facts = opened.get_status()
        ledger = opened.ledger()
        states = {symbol: opened.state(symbol) for symbol in opened.instruments}
        known = gather(opened)
        others = [row for row in facts["processes"] if row["slot"] != opened._slot()]
        code = _verdict(states, ledger, others)
        if as_json:
            told: dict[str, Any] = {"components": _components(opened.path)}
            told["markets"] = hours(opened, known.now_ns)
            told |= {"states": states, "sources": _sources(known), "why": explain(known).sentence}
            told["without"] = {feed.name: list(feed.remarks) for feed in known.feeds if feed.alive and feed.remarks}
            print_json(facts | told | {"processes": others, "ledger": ledger, "exit_code": int(code)})
        else:
            _show(opened, facts, ledger, others, _markets(opened, known.now_ns), _feeds(known, facts["feeds"]))
            if rows := _components(opened.path):
                out.print(components_table(rows))
                out.print()
            out.print(_sentence(code, known, ledger))
    if code is not Exit.OK:
        raise typer.Exit(code)


def _verdict(states: dict[str, str], ledger: dict[str, Any], others: list[dict[str, Any]]) -> Exit:
    if not others:
        return Exit.NOT_RUNNING
    if not ledger["balanced"] or any(state in _BAD_STATES for state in states.values()):
        return Exit.FAILED
    return Exit.OK


def _components(where: Path) -> list[dict[str, Any]]:
    """Ask the "up" that runs the hub; one that does not answer is told of, and ends nothing."""
    try:
        return running_components(where)
    except HubError as error:
        note(str(error))
        return []


def _sources(facts: Facts) -> list[dict[str, Any]]:
    return [
        {"symbol": item.symbol, "source": item.source, "state": item.state, "cause": item.cause,
         "state_s": item.state_s, "tick_s": item.tick_s}
        for item in facts.items
    ]  # fmt: skip


def _sentence(code: Exit, facts: Facts, ledger: dict[str, Any]) -> str:
    if code is Exit.NOT_RUNNING:
        return f'[yellow]resting[/]: no process runs this hub; start it with "tapehub up --hub {facts.path}"'
    if not ledger["balanced"]:
        return '[bold red]the ledger does not add up[/]: run "tapehub verify"'
    if code is Exit.FAILED:
        bad = ", ".join(f"{item.symbol} {item.state}" for item in facts.items if item.state in _BAD_STATES)
        return f"[bold red]not fresh[/]: {bad}. {escape(explain(facts).sentence)}"
    return "[green]all is well[/]"


def _markets(hub: DataHub, now_ns: int) -> str:
    return "; ".join(hours_text(told, now_ns) for told in hours(hub, now_ns).values())


def _show(
    hub: DataHub,
    facts: dict[str, Any],
    ledger: dict[str, Any],
    others: list[dict[str, Any]],
    markets: str,
    feeds: list[str],
) -> None:
    server = facts["server"]
    facts_table = Table.grid(padding=(0, 2))
    facts_table.add_column(style="dim")
    facts_table.add_column()
    held = bytes_text((facts["head"] - facts["oldest"]) * _LINE_BYTES)
    left = "" if facts["days_left"] is None else f", the oldest goes in {facts['days_left']:,.0f} days"
    since = "" if server is None else f"process {server[0]}, since {server[1]:%Y-%m-%d %H:%M:%S} UTC"
    for label, text in (
        ("hub", f"[bold]{facts['path']}[/]"),
        ("instance", f"{facts['hub_id']}, epoch {facts['epoch']}"),
        ("clock", str(clock_of(hub))),
        ("server", since or "none: ticks close the candles"),
        ("markets", markets or "no instrument yet"),
        *(("feed", escape(text)) for text in feeds),
        ("log", f"{count_text(facts['records'])} records, {held}{left}"),
        ("ledger", _ledger_text(ledger)),
    ):
        facts_table.add_row(label, text)
    out.print(facts_table)
    if facts["symbols_tracked"]:
        out.print(Board(hub).table())
    if others:
        out.print(_processes(others, facts["readers"]))


def _feeds(known: Facts, reports: dict[str, Any]) -> list[str]:
    """Say of each feed how it stands, how its clock does, and what it goes on without."""
    texts = []
    for feed in known.feeds:
        if not feed.alive:
            continue
        text = f"{feed.name} {feed.phase}"
        skew_ms = reports.get(feed.name, {}).get("skew_ms")
        if skew_ms is not None and skew_ms <= -_AHEAD_MS:
            text += f", its clock {-skew_ms / 1e3:.1f} s ahead of the hub's: check NTP"
        elif skew_ms is not None:
            text += f", quotes {span_text(skew_ms / 1e3)} old at best"
        texts += [text, *(f"{feed.name} goes on without: {remark}" for remark in feed.remarks)]
    return texts


def _ledger_text(ledger: dict[str, Any]) -> str:
    parts = [f"{count_text(ledger['ticks'])} ticks"]
    if ledger["received"]:
        parts[0] = f"{count_text(ledger['received'])} received by feeds, {parts[0]} in the log"
    parts += [
        f"{count_text(ledger[key])} {label}"
        for key, label in (
            ("duplicates", "duplicates"),
            ("refused", "refused"),
            ("quarantined", "quarantined"),
            ("lost_in_producer", "[red]lost in dead producers[/]"),
        )
        if ledger[key]
    ]
    return ", ".join(parts)


def _processes(others: list[dict[str, Any]], readers: list[dict[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("process")
    for name in ("pid", "attached", "published"):
        table.add_column(name, justify="right")
    table.add_column("reads")
    now_s = datetime.now(UTC).timestamp()
    for row in others:
        streams = [
            f"{reader['name'] or 'stream'} {count_text(reader['delivered'])}"
            + (f", {count_text(reader['lag'])} behind" if reader["lag"] else "")
            + (f", [red]{count_text(reader['lost'])} lost[/]" if reader["lost"] else "")
            for reader in readers
            if reader["pid"] == row["pid"]
        ]
        table.add_row(
            row["name"],
            str(row["pid"]),
            span_text(max(now_s - row["attached_ns"] / 1e9, 0)),
            count_text(row["published"]),
            "; ".join(streams),
        )
    return table
