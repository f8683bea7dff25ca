"""Two trees of this project side by side: what the collector makes of messages, before a change and after it.

    python -m benchmarks.versus BEFORE AFTER [--to FILE] [--rounds 9] [--count 60000]

Each tree is a directory with `src/tapehub`, its native module built in it, and `benchmarks`. Both take turns in one
run, round by round, each in a process of its own: the speed of a virtual machine changes within seconds, so only
what stands next to each other can be compared. Counted is the processor time of the one thread that works.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.machine import describe
from benchmarks.measure import median

__all__ = ["main"]

_SIZES = (1, 8, 256)

_WORKER = """
import json, sys, time
from benchmarks.data import ticks
from benchmarks.measure import quiet_gc
from benchmarks.rows import collector_throughput as row
from tapehub import DataHub

where, count = sys.argv[1], int(sys.argv[2])
works = {}
for size in json.loads(sys.argv[3]):
    hub = DataHub.open(f"{where}/{size}", create=True, sync="none")
    hub.set_clock("event", anchor_ns=int(ticks(1)["ts_event"][0]))
    works[size] = [hub, row._whole(hub, size, count), 0]
print("ready", flush=True)
for line in sys.stdin:
    size = int(line)
    hub, work, turn = works[size]
    works[size][2] += 1
    doing = work(turn)
    with quiet_gc():
        began = time.thread_time_ns()
        doing()
        taken = time.thread_time_ns() - began
    ledger = hub.ledger()
    assert ledger["balanced"] and ledger["ticks"] == count * (turn + 1), ledger
    print(taken, flush=True)
"""


class _Tree:
    """One tree's worker."""

    def __init__(self, tree: Path, room: str, count: int) -> None:
        # Without site: an editable installation would bring its own tree.
        libraries = [path for path in sys.path if path.endswith("site-packages")]
        paths = os.pathsep.join([str(tree / "src"), str(tree), *libraries])
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-c", _WORKER, room, str(count), json.dumps(_SIZES)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tree,
            env=os.environ | {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip
        self._answer()

    def rate(self, size: int, count: int) -> float:
        """Let it take `count` messages, `size` at a time, and give messages a second of processor time."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{size}\n")
        self._process.stdin.flush()
        return count * 1e9 / int(self._answer())

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the worker ended with {self._process.wait()}")
        return line


def main() -> None:
    """Compare two trees, and write what came of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--to", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--count", type=int, default=60_000)
    chosen = parser.parse_args()
    rates: dict[int, tuple[list[float], list[float]]] = {size: ([], []) for size in _SIZES}
    with tempfile.TemporaryDirectory() as room:
        trees = [_Tree(tree.resolve(), f"{room}/{name}", chosen.count)
                 for name, tree in (("before", chosen.before), ("after", chosen.after))]  # fmt: skip
        for turn in range(chosen.rounds + 1):
            for size in _SIZES:
                pair = [tree.rate(size, chosen.count) for tree in trees]
                if turn:  # the first one warms up
                    for row, rate in zip(rates[size], pair, strict=True):
                        row.append(rate)
        for tree in trees:
            tree.close()
        about = describe(Path(room))
    rows = [_row(size, *rates[size]) for size in _SIZES]
    for row in rows:
        before, after = row["before"]["median"], row["after"]["median"]
        times = row["ratio_median"]
        print(f"{row['at_a_time']:>4} at a time: {before:>9,}/s before, {after:>9,}/s after, {times:.2f} times")
    if chosen.to:
        told = {
            "what": "collector: parse → quality → hub, messages a second of one thread's processor time",
            "machine": about,
            "rounds": chosen.rounds,
            "messages_a_round": chosen.count,
            "rows": rows,
        }
        chosen.to.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")


def _row(size: int, before: list[float], after: list[float]) -> dict[str, Any]:
    ratios = [new / old for old, new in zip(before, after, strict=True)]
    spread = {
        name: {"median": round(median(one)), "low": round(min(one)), "high": round(max(one))}
        for name, one in (("before", before), ("after", after))
    }
    return {"at_a_time": size, **spread, "ratio_median": round(median(ratios), 3), "target": 100_000,
            "met": median(after) >= 100_000, "ratios": [round(one, 2) for one in ratios]}  # fmt: skip


if __name__ == "__main__":
    main()
