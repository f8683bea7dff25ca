"""Hold the rows of a run, judge them against the targets, print them and write them down."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.machine import one_line
from benchmarks.measure import Measurement
from benchmarks.peers import HUB, PEERS

__all__ = ["Check", "Result", "Unit", "Unmeasured", "as_json", "best_peer", "print_table", "ratio", "write"]

Unit = str
"""``us`` (microseconds, lower is better), ``s`` (seconds, lower) or ``/s`` (a second, higher)."""


class Unmeasured(LookupError):
    """Say that a check needs a number that this run has not."""


@dataclass(frozen=True, slots=True)
class Check:
    """Hold one condition of a target; ``met`` is None when the run has not what it needs."""

    text: str
    met: bool | None

    @staticmethod
    def of(text: str, holds: Callable[[], bool]) -> Check:
        """Judge a condition; a number that was not measured leaves it open."""
        try:
            return Check(text, holds())
        except Unmeasured:
            return Check(text, None)


@dataclass(slots=True)
class Result:
    """Hold one row of the table."""

    name: str
    title: str
    unit: Unit
    measured: dict[str, Measurement] = field(default_factory=dict)
    limit: Measurement | None = None
    checks: list[Check] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def median(self, name: str) -> float:
        """Return a contestant's median; Unmeasured when it has none."""
        if name not in self.measured:
            raise Unmeasured(f"{self.name} has no number of {name}")
        return self.measured[name].median

    def p99(self, name: str) -> float:
        """Return a contestant's p99; Unmeasured when it has none."""
        found = self.measured[name].p99 if name in self.measured else None
        if found is None:
            raise Unmeasured(f"{self.name} has no p99 of {name}")
        return found

    @property
    def met(self) -> bool | None:
        """Return whether every check holds; None when one is open and none fails."""
        verdicts = [check.met for check in self.checks]
        if False in verdicts:
            return False
        return None if not verdicts or None in verdicts else True


def best_peer(result: Result, value: Callable[[str], float] | None = None) -> tuple[str, float]:
    """Return the best contestant other than this hub, and its number."""
    number = value or result.median
    found: list[tuple[float, str]] = []
    for name in result.measured:
        if name != HUB:
            try:
                found.append((number(name), name))
            except Unmeasured:
                continue
    if not found:
        raise Unmeasured(f"{result.name} has no number of any peer")
    best = max(found) if result.unit == "/s" else min(found)
    return best[1], best[0]


def ratio(result: Result, peer: str) -> float:
    """Return how many times better this hub is than a peer."""
    ours, theirs = result.median(HUB), result.median(peer)
    return ours / theirs if result.unit == "/s" else theirs / max(ours, 1e-9)


def as_json(result: Result) -> dict[str, Any]:
    """Return a row as plain values."""
    peers = {name: found.as_dict() for name, found in result.measured.items() if name != HUB}
    ours = result.measured.get(HUB)
    ratios = {name: round(ratio(result, name), 3) for name in peers} if ours else {}
    return {
        "name": result.name,
        "title": result.title,
        "unit": result.unit,
        "tapehub": ours.as_dict() if ours else None,
        "peers": peers,
        "ratios": ratios,
        "limit": result.limit.as_dict() if result.limit else None,
        "target": [check.text for check in result.checks],
        "checks": [{"text": check.text, "met": check.met} for check in result.checks],
        "met": result.met,
        "errors": {name: _last_line(error) for name, error in result.errors.items()},  # a traceback names the machine
        "notes": result.notes,
    }


def write(path: Path, header: Mapping[str, Any], results: Sequence[Result]) -> None:
    """Write a results file; replaced as a whole, so that a run cut short leaves the last one intact."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".tmp")
    text = json.dumps({**header, "rows": [as_json(result) for result in results]}, indent=1, ensure_ascii=False)
    fresh.write_text(text + "\n", encoding="utf-8")
    fresh.replace(path)


def print_table(header: Mapping[str, Any], results: Sequence[Result]) -> None:
    """Print the table, with rich when it is installed."""
    shown = [name for name in PEERS if any(name in result.measured for result in results)]
    columns = ["row", *(PEERS[name].title for name in shown), "others", "limit", "best peer", "target", "met"]
    rows = [_cells(result, shown) for result in results]
    print(f"\n{one_line(header['machine'])}")
    print("Cells: median / p99 in µs unless marked; rates a second. Producer and readers in separate processes.")
    try:
        _print_rich(columns, rows)
    except ImportError:
        _print_plain(columns, rows)
    for result in results:
        for note in result.notes:
            print(f"  {result.name}: {note}")
        for name, error in result.errors.items():
            print(f"  {result.name}: {name} FAILED: {_last_line(error)}")


def _last_line(error: str) -> str:
    return error.strip().splitlines()[-1] if error.strip() else "no reason given"


def _cells(result: Result, shown: Sequence[str]) -> list[str]:
    others = [f"{name} {_cell(result, found)}" for name, found in result.measured.items() if name not in PEERS]
    try:
        name, _ = best_peer(result)
        best = f"{PEERS[name].title if name in PEERS else name} {ratio(result, name):.3g}×"
    except Unmeasured:
        best = ""
    marks = {True: "yes", False: "NO", None: "open"}
    return [
        result.title,
        *(
            _cell(result, result.measured[name])
            if name in result.measured
            else ("failed" if name in result.errors else "–")
            for name in shown
        ),
        "\n".join(others),
        _cell(result, result.limit) if result.limit else "",
        best,
        "\n".join(f"{check.text} [{marks[check.met]}]" for check in result.checks),
        marks[result.met] if result.checks else "",
    ]


def _cell(result: Result, found: Measurement) -> str:
    if result.unit == "/s":
        return _rate(found.median)
    suffix = " s" if result.unit == "s" else ""
    middle = f"{found.median:.3g}" if found.median < 1000 else f"{found.median:.0f}"
    tail = "" if found.p99 is None else f" / {found.p99:.3g}" if found.p99 < 1000 else f" / {found.p99:.0f}"
    return middle + tail + suffix


def _rate(value: float) -> str:
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {letter}/s"
    return f"{value:.3g}/s"


def _print_rich(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    console = importlib.import_module("rich.console")
    table = importlib.import_module("rich.table").Table(show_lines=True)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(cell.replace("[", r"\[") for cell in row))
    out = console.Console()
    out = out if out.is_terminal else console.Console(width=200)
    out.print(table)


def _print_plain(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    for row in rows:
        print(f"\n{row[0]}")
        for column, cell in zip(columns[1:], row[1:], strict=True):
            if cell and cell != "–":
                print(f"  {column:12} {cell.replace(chr(10), '; ')}")
