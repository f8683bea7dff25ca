"""Run the benchmarks: ``python -m benchmarks [--quick | --full] [--rows a,b] [--peers a,b]``."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine, probe
from benchmarks.bench import Bench, Size
from benchmarks.peers import HUB, PEERS
from benchmarks.peers.base import optional, package_version
from benchmarks.report import Result, print_table, write
from benchmarks.rows import ROWS

__all__ = ["main"]

_RESULTS = Path(__file__).resolve().parent / "results"
_ENGINES = {"nautilus_trader": "nautilus_trader", "polars": "polars"}  # candle builders: only one row asks them
_METHOD = (
    "Producer and readers are separate processes, not pinned. Ticks are distinct over symbols and time. Contestants "
    "alternate in rounds; a number is the median of its rounds, p99 is of single calls. The bare loop and the timer "
    "are measured and subtracted. Delivered ticks are counted at the reader. Encoding a tick to what its transport "
    "sends counts; making the application's own tick object does not."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen rows, print the table, write the results file; 1 when a row of this hub failed."""
    chosen = _parse(arguments)
    names, skipped = _contestants(chosen.peers)
    work = Path(tempfile.mkdtemp(prefix="tapehub-bench-", dir=chosen.work_dir))
    bench = Bench(names, chosen.size, work, probe.available())
    header: dict[str, Any] = {
        "size": chosen.size.name.lower(),
        "machine": machine.describe(work),
        "versions": {name: PEERS[name].version() for name in names if name in PEERS}
        | {name: package_version(_ENGINES[name]) for name in names if name in _ENGINES},
        "git": machine.commit(),
        "method": _METHOD,
        "skipped": skipped,
    }
    for name, why in skipped.items():
        bench.say(f"skipped {name}: not installed: {why}")
    if bench.probe_missing:
        bench.say(f"skipped the C++ probe: {bench.probe_missing}")
    started = time.monotonic()
    try:
        results = _run(bench, chosen.rows)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    header["seconds"] = round(time.monotonic() - started, 1)
    print_table(header, results)
    stamp = header["machine"]["started"].replace(":", "").replace("-", "")[:15]
    out = chosen.out or _RESULTS / f"{stamp}-{header['size']}.json"
    write(out, header, results)
    bench.say(f"{header['seconds']} s; wrote {out}")
    return 1 if any(HUB in result.errors for result in results) else 0


def _run(bench: Bench, rows: Sequence[str]) -> list[Result]:
    results: list[Result] = []
    for name in rows:
        bench.say(f"{time.strftime('%H:%M:%S')} {name}")
        try:
            found = list(ROWS[name](bench))
            results.extend(found)
            for peer, text in ((peer, text) for result in found for peer, text in result.errors.items()):
                bench.say(f"{name}: {peer} failed: {text.strip()}")
        except Exception as error:
            traceback.print_exc()
            results.append(Result(name, name, "us", errors={HUB: f"the row broke off: {error}"}))
    return results


def _contestants(wanted: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    names: list[str] = []
    skipped: dict[str, str] = {}
    for name in wanted:
        if name in _ENGINES:
            why = None if optional(_ENGINES[name]) else f"the Python package {_ENGINES[name]}"
        else:
            why = PEERS[name].missing()
        if why is None:
            names.append(name)
        else:
            skipped[name] = why
    return names, skipped


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    everyone = [*PEERS, *_ENGINES]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", dest="size", action="store_const", const=Size.QUICK, help="under a minute, coarse")
    size.add_argument(
        "--full", dest="size", action="store_const", const=Size.FULL, help="with 100 M records (8 GB of disk)"
    )
    parser.add_argument("--rows", type=_choice(list(ROWS)), default=list(ROWS), help=f"some of {','.join(ROWS)}")
    parser.add_argument("--peers", type=_choice(everyone), default=everyone, help=f"some of {','.join(everyone)}")
    parser.add_argument("--out", type=Path, help="results file (default benchmarks/results/<time>-<size>.json)")
    parser.add_argument(
        "--work-dir", type=Path, help="where hubs and sockets go (default the system's temporary directory)"
    )
    parser.set_defaults(size=Size.NORMAL)
    return parser.parse_args(arguments)


def _choice(known: Sequence[str]) -> Any:
    def chosen(text: str) -> list[str]:
        words = [word for word in text.split(",") if word]
        for word in words:
            if word not in known:
                raise argparse.ArgumentTypeError(f'got "{word}"; expected some of {", ".join(known)}')
        return words

    return chosen


if __name__ == "__main__":
    sys.exit(main())
