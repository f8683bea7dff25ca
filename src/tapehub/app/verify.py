"""`tapehub verify`: whether every byte of the log is what was written."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from tapehub.app.console import Exit, bytes_text, count_text, err, out, print_json, span_text
from tapehub.app.hubs import HubOption, NameOption, attach

__all__ = ["verify"]

_LINE_BYTES = 64


def verify(
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    hub: HubOption = None,
    name: NameOption = None,
) -> None:
    """Walk the whole log and check the checksum of every record; exit 1 when one is wrong."""
    with attach(hub, name, "verify") as opened:
        columns = (TextColumn("verifying"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        began = time.monotonic()
        with Progress(*columns, console=err, disable=not err.is_terminal, transient=True) as progress:
            task = progress.add_task("verifying", total=None)
            report = opened.verify(lambda done, total: progress.update(task, completed=done, total=total))
        seconds = time.monotonic() - began
        if as_json:
            print_json(
                {
                    "ok": report.ok,
                    "records": report.records,
                    "expected_records": report.expected_records,
                    "segments": report.segments,
                    "bad": [{"line": line, "what": what} for line, what in report.bad],
                    "seconds": round(seconds, 3),
                    "hub": str(opened.path),
                }
            )
        elif report.ok:
            segments = "1 segment" if report.segments == 1 else f"{report.segments} segments"
            size = bytes_text(opened.head * _LINE_BYTES)
            out.print(
                f"[green]sound[/]: {count_text(report.records)} records in {segments} ({size}) in "
                f"{span_text(seconds)}: {opened.path}"
            )
        for line, what in report.bad if not as_json else ():
            out.print(f"[bold red]damaged[/] at line {line}: {what}")
        if report.bad and not as_json:
            out.print(
                f"{count_text(report.records)} of {count_text(report.expected_records)} records are sound: "
                f"{opened.path}; "
                "copy the directory before anything else, then replay what is missing from its source"
            )
        if report.missing and not as_json:
            out.print(
                f"[bold red]{count_text(report.missing)} records are missing[/] of the "
                f"{count_text(report.expected_records)} that the hub counts: {opened.path}; copy the directory before "
                f"anything else, then replay what is missing from its source"
            )
        if not report.ok:
            raise typer.Exit(Exit.FAILED)
