"""Write the README's table of numbers from one results file: ``python -m benchmarks.table benchmarks/results/FILE``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

__all__ = ["main", "render"]

_ROOT = Path(__file__).resolve().parent.parent
_BEGIN, _END = "<!-- numbers: begin", "<!-- numbers: end -->"


def _cell(measured: dict[str, Any] | None, unit: str) -> str:
    if not measured:
        return "–"
    value, tail = measured["median"], measured.get("p99")
    if unit == "/s":
        return f"{value / 1e6:.3g} M/s" if value >= 1e6 else f"{value / 1e3:.3g} k/s"
    text = f"{value:.3g}"
    if tail is not None:
        text += f" / {tail:.3g}"
    return f"{text} {'µs' if unit == 'us' else unit}"


def render(results: dict[str, Any], source: str) -> str:
    """Give the block between the README's markers, markers included."""
    machine = results["machine"]
    lines = [
        f"{_BEGIN}. Written by `python -m benchmarks.table` from {source}; nothing is typed in by hand. -->",
        f"Medians / p99 of one run side by side ({machine['processor']}, {machine['cores']} cores, "
        f"Python {machine['python']}), from [`{source}`]({source}). Targets that were missed, and the limits "
        "measured beside them, are in [ADR 0016](docs/adr/0016-numbers-missed.md).",
        "",
        "| operation, from Python | this hub | best peer, same run | limit | target |",
        "|---|---|---|---|---|",
    ]
    for row in results["rows"]:
        peers = {name: one for name, one in row["peers"].items() if one}
        better = max if row["unit"] == "/s" else min
        best = better(peers, key=lambda name: peers[name]["median"]) if peers else None
        peer = f"{best}: {_cell(peers[best], row['unit'])}" if best else "–"
        verdict = {True: "met", False: "**missed**", None: ""}[row["met"]]
        target = "; ".join(row["target"])
        lines.append(
            f"| {row['title']} | {_cell(row['tapehub'], row['unit'])} | {peer} | {_cell(row['limit'], row['unit'])} "
            f"| {target} {verdict} |"
        )
    return "\n".join([*lines, _END])


def main() -> None:
    """Rewrite the README's block from the results file named on the command line."""
    path = Path(sys.argv[1]).resolve()
    block = render(json.loads(path.read_text()), str(path.relative_to(_ROOT)))
    readme = _ROOT / "README.md"
    text = readme.read_text()
    start, stop = text.index(_BEGIN), text.index(_END) + len(_END)
    readme.write_text(text[:start] + block + text[stop:])


if __name__ == "__main__":
    main()
