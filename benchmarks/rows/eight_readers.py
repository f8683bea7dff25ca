"""Drain one stream with eight reader processes, each counting every tick, while one process publishes tick by tick.

The rate is ticks published over the time until the last reader has the last tick; what no reader counted is lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from time import monotonic, perf_counter_ns
from typing import Any

from benchmarks.bench import Bench
from benchmarks.data import index_of, quotes
from benchmarks.measure import Measurement, median, quiet_gc
from benchmarks.peers import HUB, PEERS, peer
from benchmarks.peers.base import Address, Feature, Wait
from benchmarks.report import Check, Result
from benchmarks.workers import Link, Worker

__all__ = ["READERS", "run"]

READERS = 8
_IDLE_S = 5.0


def run(bench: Bench) -> Iterator[Result]:
    """Yield the row."""
    row = Result("eight_readers", f"{READERS} draining readers in batches, each seeing every tick", "/s")
    passes = bench.pick(1, 3)
    found: dict[str, list[dict[str, Any]]] = {}
    for _ in range(passes):
        for name in bench.having(Feature.STREAM):
            if name in row.errors:
                continue
            try:
                found.setdefault(name, []).append(_one_pass(bench, name, row))
            except (RuntimeError, TimeoutError, LookupError, OSError) as error:
                row.errors[name] = str(error)
    for name, got in found.items():
        if got:
            row.measured[name] = _collect(got)
    row.checks = [
        Check.of("≥ 250 k/s", lambda: row.median(HUB) >= 250e3),
        Check.of("nothing lost", lambda: row.median(HUB) > 0 and row.measured[HUB].extra["lost"] == 0),
    ]
    yield row


def _one_pass(bench: Bench, name: str, row: Result) -> dict[str, Any]:
    count = PEERS[name].stream_count // bench.pick(4, 1)
    with ExitStack() as stack:
        address = stack.enter_context(bench.started([name], row.errors))[name]
        address["wake"] = False
        readers = [stack.enter_context(Worker(drain, name, address)) for _ in range(READERS)]
        for reader in readers:
            reader.receive()
        writer = stack.enter_context(Worker(publisher_to, name, address, READERS))
        writer.receive()
        for reader in readers:
            reader.send(count)
        start_ns, end_ns = writer.ask(count)
        answers = [reader.receive() for reader in readers]
    return {
        "rate": count * 1e9 / (max(answer["end_ns"] for answer in answers) - start_ns),
        "published_rate": count * 1e9 / (end_ns - start_ns),
        "count": count,
        "lost": sum(count - answer["count"] for answer in answers),
        "batch": median([answer["count"] / max(1, answer["batches"]) for answer in answers]),
    }


def _collect(got: list[dict[str, Any]]) -> Measurement:
    rates = [one["rate"] for one in got]
    lost = sum(one["lost"] for one in got)
    extra = {
        "lost": lost,
        "published_per_s": round(median([one["published_rate"] for one in got])),
        "ticks_per_batch": round(median([one["batch"] for one in got]), 1),
    }
    total = sum(one["count"] for one in got)
    note = f"{lost} lost of {total * READERS} deliveries" if lost else ""
    return Measurement(median(rates), None, min(rates), max(rates), len(rates), total, note, extra)


def publisher_to(link: Link, name: str, address: Address, readers: int) -> None:
    """Answer a count by publishing that many ticks, one call each: the clock before the first and after the last."""
    producer = peer(name).producer(address, Feature.STREAM)
    producer.wait_readers(readers)
    link.ready()
    for count in link.requests():
        items = producer.encode(quotes(count))
        with quiet_gc():
            start_ns = perf_counter_ns()
            producer.publish_many(items)
            producer.finish()
            end_ns = perf_counter_ns()
        link.reply((start_ns, end_ns))
    producer.close()


def drain(link: Link, name: str, address: Address) -> None:
    """Answer a count by polling until the last of that many ticks has come, or nothing comes any more."""
    reader = peer(name).reader(address)
    reader.subscribe(Wait.BLOCK)
    link.ready()
    for count in link.requests():
        total, batches, last, quiet_since = 0, 0, -1, monotonic() + 30  # encoding comes first
        end_ns = perf_counter_ns()
        while total < count and last < count - 1:
            fresh, ts_event = reader.poll()
            if fresh:
                total += fresh
                batches += 1
                last = index_of(ts_event)
                end_ns = perf_counter_ns()
                quiet_since = monotonic() + _IDLE_S
            elif monotonic() > quiet_since:
                break
        link.reply({"count": total, "batches": batches, "end_ns": end_ns, "lost": getattr(reader, "lost", 0)})
    reader.close()
