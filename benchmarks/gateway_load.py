"""The gateway under load: many clients of the stream, some of which stop reading, while ticks pour in.

    python -m benchmarks.gateway_load            200 clients, 5,000 ticks a second for 60 s
    python -m benchmarks.gateway_load --page     one page at 10 Hz, and what it asks over HTTP; 100 instruments at 1,000
                                                 ticks a second

The hub, the gateway, the publisher and the clients are processes of their own. What is measured: from the hub's own
stamp on a record (`ts_publish`) to its arrival in the client's process; CPU time and memory of the gateway's. What is
checked: every lossless client that reads has every tick once and in order, every conflated one ends with the hub's
latest of every instrument, and nobody lost anything.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gateway_clients import run_clients
from benchmarks.gateway_page import ask_as_a_page
from benchmarks.machine import describe
from tapehub import DataHub
from tapehub.app.workers import Worker
from tapehub.feeds.feed import QUOTE
from tapehub.gateway.access.tokens import Tokens
from tapehub.hub.publishing import row_offsets

RESULTS = Path(__file__).resolve().parent / "results"
STEP_S = 0.002


def symbols(count: int) -> list[str]:
    """Name instruments."""
    return [f"A{chr(65 + n // 26)}{chr(65 + n % 26)}_USD" for n in range(count)]


# ---------------------------------------------------------------- the publisher


def publish(path: str, count: int, rate: float, seconds: float, go: Any, out: Any) -> None:
    """Publish at an even pace, and say how many there were."""
    with DataHub.open(path, name="publisher") as hub:
        channels = [hub._names.channel(name, "load") for name in symbols(count)]
        rows = np.zeros(max(1, round(rate * STEP_S)), QUOTE)
        offsets = row_offsets(QUOTE, indexed=True)
        assert offsets is not None
        go.wait()
        began, sent = time.perf_counter(), 0
        while sent < rate * seconds:
            rows["ts_event"] = hub.now()
            numbers = sent + np.arange(len(rows))
            rows["instrument"] = numbers % count
            rows["bid"] = 1.1 + numbers % 1000 * 1e-5
            rows["ask"] = rows["bid"] + 1e-4
            sent += hub._publish_array(rows, offsets, channels, 0)[0]
            time.sleep(max(0.0, began + sent / rate - time.perf_counter()))
        out.put({"published": sent, "seconds": time.perf_counter() - began, "head": hub.head})


# ---------------------------------------------------------------- the run


def plan_of(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Say who the clients are: of each policy, a share stops."""
    stopped_lossless = round(args.stopped * args.lossless / args.clients)
    rows = []
    for number in range(args.clients):
        lossless = number < args.lossless
        stops = number < stopped_lossless if lossless else number - args.lossless < args.stopped - stopped_lossless
        wanted = [{"kinds": ["tick"], "policy": "lossless" if lossless else "conflate"}]
        if not lossless:
            wanted[0]["rate_hz"] = args.rate_hz
        if args.page:
            wanted[0]["kinds"] = ["tick", "state", "gap", "quarantine", "clear", "note", "clock", "epoch"]
            wanted += [
                {"kinds": ["candle"], "timeframes": ["1m"], "policy": "conflate", "rate_hz": 0.5},
                {
                    "kinds": ["candle", "order_flow"],
                    "symbols": symbols(1),
                    "policy": "conflate",
                    "rate_hz": args.rate_hz,
                },
            ]
        subscribe = [{"op": "subscribe", "id": place, **one} for place, one in enumerate(wanted, 1)]
        rows.append({"number": number, "subscribe": subscribe, "stops_after_s": 5.0 if stops else None})
    return rows


class Watch:
    """Read the CPU time and the memory of a process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.rss: list[int] = []

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def look(self) -> None:
        # Of its own: the pages of the log that it has read are the file's, and are as many as were published.
        status = Path(f"/proc/{self.pid}/status").read_text()
        self.rss.append(int(re.findall(r"RssAnon:\s+(\d+) kB", status)[0]) << 10)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Run once, and give what was found."""
    folder = Path(tempfile.mkdtemp(prefix="tapehub-load-"))
    os.environ["TAPEHUB_CONFIG"], os.environ["TAPEHUB_GATEWAY__PORT"] = os.devnull, "0"
    path = folder / "hub"
    context = multiprocessing.get_context("spawn")
    ready, go, end, out = context.Semaphore(0), context.Event(), context.Event(), context.Queue()
    with (
        DataHub.open(path, create=True, name="load") as hub,
        Worker("server", path=str(path)),
        Worker("gateway", path=str(path)) as gateway,
    ):
        for name in symbols(args.instruments):  # defined before anyone comes
            hub._names.channel(name, "load")
        host = str(gateway.ready["url"]).removeprefix("http://")
        token = Tokens.open(path).owner.reveal()
        plan = plan_of(args)
        # Those whose every record is read have a process of their own.
        parts = [
            part
            for part in (
                [row for row in plan if row["subscribe"][0]["policy"] == policy] for policy in ("lossless", "conflate")
            )
            if part
        ]
        processes = [
            context.Process(target=run_clients, args=(part, host, token, ready, go, end, out)) for part in parts
        ]
        answers: Any = context.Queue()
        asking = context.Process(
            target=ask_as_a_page, args=(host, token, symbols(args.instruments), ready, go, end, answers)
        )
        publisher = context.Process(
            target=publish, args=(str(path), args.instruments, args.rate, args.seconds, go, out)
        )
        started = (*processes, publisher, *([asking] if args.page else ()))
        for process in started:
            process.start()
        for _ in range(len(processes) + args.page):
            ready.acquire()
        time.sleep(1.0)
        watch = Watch(gateway.pid)
        cpu_before, began = watch.cpu_s(), time.perf_counter()
        go.set()
        while publisher.is_alive():
            watch.look()
            publisher.join(1.0)
        told = out.get()
        cpu_share = (watch.cpu_s() - cpu_before) / (time.perf_counter() - began)
        time.sleep(1.5)  # what is on the way arrives
        end.set()
        reports = [report for _ in processes for report in out.get()]
        told["answers"] = answers.get() if args.page else {}
        for process in started:
            process.join(30)
        latest = {name: hub.get_latest_tick(name) for name in symbols(args.instruments)}
        newest = {name: found.seq for name, found in latest.items() if found is not None}
        return judge(args, told, reports, newest, watch, cpu_share)


def judge(
    args: argparse.Namespace, told: dict[str, Any], reports: list[dict[str, Any]], newest: dict[str, int], watch: Watch,
    cpu_share: float,
) -> dict[str, Any]:  # fmt: skip
    """Hold what clients saw against what was promised."""
    running = [row for row in reports if not row["stopped"]]
    lossless, conflated = ([row for row in running if row["lossless"] is kind] for kind in (True, False))
    stopped = [row for row in reports if row["stopped"]]
    faults = [
        f"client {row['number']}: {row['records']} of {told['published']} ticks"
        for row in lossless
        if row["records"] != told["published"]
    ]
    faults += [f"client {row['number']}: out of order" for row in lossless if not row["in_order"]]
    faults += [f"client {row['number']}: closed with {row['closed']}" for row in running if row["closed"] is not None]
    faults += [f"client {row['number']}: lost {row['lost']}" for row in running if row["lost"]]
    for row in conflated:
        behind = [name for name, seq in newest.items() if row["newest"].get(name) != seq]
        if behind:
            faults.append(f"client {row['number']}: not the latest of {len(behind)} instruments")
    faults += [f"{count} answers {what}" for what, count in told["answers"].items() if not what.endswith(" 200")]
    settled = watch.rss[len(watch.rss) // 4 :] or [0]
    half = len(settled) // 2
    return {
        "what": "page" if args.page else "load",
        "clients": args.clients, "lossless": args.lossless, "stopped": args.stopped, "rate_hz": args.rate_hz,
        "instruments": args.instruments, "ticks_per_s": round(told["published"] / told["seconds"], 1),
        "seconds": round(told["seconds"], 1), "published": told["published"],
        "gateway_cpu_share": round(cpu_share, 4), "answers": told["answers"],
        "own_memory_mib": {
            "start": round(watch.rss[0] / 2**20, 1), "first_half_max": round(max(settled[:half] or [0]) / 2**20, 1),
            "second_half_max": round(max(settled[half:]) / 2**20, 1),
            "every_5_s": [round(size / 2**20, 1) for size in watch.rss[::5]],
        },
        "latency_ms": {"lossless": spread(lossless), "conflated": spread(conflated)},
        "frames": sum(row["frames"] for row in reports), "mib": round(sum(row["bytes"] for row in reports) / 2**20, 1),
        "stopped_closed": dict(Counter(str(row["closed"]) for row in stopped)),
        "faults": faults,
    }  # fmt: skip


def spread(rows: list[dict[str, Any]]) -> dict[str, float] | None:
    """Give percentiles over all clients' records."""
    every = np.concatenate([row["latencies"] for row in rows]) if rows else np.empty(0)
    if not len(every):
        return None
    found = np.percentile(every, [50, 90, 99, 99.9])
    names = ("p50", "p90", "p99", "p99_9")
    return {
        **dict(zip(names, found.round(2).tolist(), strict=True)),
        "max": round(float(every.max()), 2),
        "samples": len(every),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", action="store_true", help="one page at 10 Hz, 1,000 ticks a second")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--lossless", type=int, default=10)
    parser.add_argument("--stopped", type=int, default=20)
    parser.add_argument("--instruments", type=int, default=100)
    parser.add_argument("--rate", type=float, default=5000.0)
    parser.add_argument("--rate-hz", type=float, default=20.0)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--out", type=Path, help="write the result there")
    args = parser.parse_args()
    if args.page:
        args.clients, args.lossless, args.stopped, args.rate, args.rate_hz = 1, 0, 0, 1000.0, 10.0
    found = run(args) | {"machine": describe(Path(tempfile.gettempdir()))}
    text = json.dumps(found, indent=2)
    print(text)
    if args.out is not None:
        args.out.write_text(text + "\n")
    return 1 if found["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
