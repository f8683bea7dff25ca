"""Play the parts that several rows share: publishers and readers, each in its own process."""

from __future__ import annotations

from time import monotonic, perf_counter_ns, sleep
from typing import Any

from benchmarks.data import quotes, symbol_cycle
from benchmarks.measure import calibrate, quiet_gc, sample_calls, time_block
from benchmarks.peers import peer
from benchmarks.peers.base import Address, Feature, Reader, Wait
from benchmarks.workers import Link

__all__ = ["FILL", "absorber", "fill", "flat_out", "paced_publisher", "publisher", "reader_of", "stream_reader"]

FILL = 80
"""ticks published before a row that only reads: ten of each symbol"""


def fill(link: Link, name: str, address: Address) -> None:
    """Publish the first ticks and stay, so that what is read was written by another, living process."""
    producer = peer(name).producer(address, Feature.LATEST)
    for item in producer.encode(quotes(FILL)):
        producer.publish(item)
    link.ready()
    while not link.asked():  # a reader that came late gets its first value from some peers only when they look
        producer.finish()
        sleep(0.02)
    for _ in link.requests():
        link.reply(None)
    producer.close()


def reader_of(link: Link, name: str, address: Address, what: str, count: int) -> None:
    """Answer a number of samples with a timed block of reads, and with so many single reads in ns (fewer if slow).

    ``what`` is ``latest``, ``objects`` or ``array``; ``count`` is the number of candles.
    """
    reader = peer(name).reader(address)
    if what == "latest":
        _expect_latest(reader)
        call: Any = reader.latest
    elif what == "objects":
        found = reader.candle_objects("EUR_USD", count)
        _expect_count(name, len(found), count)

        def call(symbol: str) -> object:
            return reader.candle_objects(symbol, count)
    else:
        _expect_count(name, len(reader.candle_array("EUR_USD", count)), count)

        def call(symbol: str) -> object:
            return reader.candle_array(symbol, count)

    calls = calibrate(call, symbol_cycle(200_000))
    items = symbol_cycle(calls)
    link.ready(calls)
    for samples in link.requests():
        link.reply((time_block(call, items), sample_calls(call, symbol_cycle(min(samples, max(calls, 10))))))
    reader.close()


def _expect_count(name: str, found: int, count: int) -> None:
    if found != count:
        raise RuntimeError(f"{name} returned {found} candles of EUR_USD; expected {count}")


def _expect_latest(reader: Reader) -> None:
    wanted = {quote[0]: quote[2] for quote in quotes(FILL)}
    deadline = monotonic() + 5
    for at, symbol in enumerate(symbol_cycle(len(wanted))):
        while True:
            tick = reader.latest(symbol)
            bid = None if tick is None else reader.bid_of(tick)
            if bid == wanted[at]:
                break
            if monotonic() > deadline:
                raise RuntimeError(f"latest tick of {symbol} has bid {bid}; expected {wanted[at]}")
            sleep(0.01)


def publisher(link: Link, name: str, address: Address, feature: str) -> None:
    """Answer (first, count) by publishing those ticks, one call each: (calls, ns in all, ns of the bare loop)."""
    producer = peer(name).producer(address, Feature(feature))
    if feature == Feature.STREAM:
        producer.wait_readers(1)
    link.ready()
    for first, count in link.requests():
        items = producer.encode(quotes(count, first))
        with quiet_gc():
            start = perf_counter_ns()
            producer.publish_many(items)
            producer.finish()
            gross_ns = perf_counter_ns() - start
            start = perf_counter_ns()
            for _ in items:
                pass
            loop_ns = perf_counter_ns() - start
        link.reply((count, gross_ns, loop_ns))
    producer.close()


def absorber(link: Link, name: str, address: Address) -> None:
    """Take every tick of the stream and do nothing with it, so that a publisher publishes to someone."""
    reader = peer(name).reader(address)
    reader.subscribe(Wait.BLOCK)
    link.ready()
    while not link.asked():
        reader.poll()
    reader.close()


def paced_publisher(link: Link, name: str, address: Address, feature: str, readers: int = 0) -> None:
    """Answer (first, count, rate) by publishing at that rate: [before, after] of each call on the system-wide clock.

    It sleeps between ticks as a feed handler would, so that the cores go idle in between.
    """
    producer = peer(name).producer(address, Feature(feature))
    producer.wait_readers(readers)
    link.ready()
    for first, count, rate in link.requests():
        items = producer.encode(quotes(count, first))
        before, after = [0] * count, [0] * count
        step_ns = 1_000_000_000 // rate
        publish = producer.publish
        with quiet_gc():
            due = perf_counter_ns() + 20_000_000
            for at, item in enumerate(items):
                left = due - perf_counter_ns()
                if left > 0:
                    sleep(left / 1e9)
                before[at] = perf_counter_ns()
                publish(item)
                after[at] = perf_counter_ns()
                due += step_ns
        link.reply((before, after))
    producer.close()


def stream_reader(link: Link, name: str, address: Address, wait: str) -> None:
    """Answer a count by receiving that many ticks of the stream: their event times and the clock at each return."""
    reader = peer(name).reader(address)
    reader.subscribe(Wait(wait))
    link.ready()
    for count in link.requests():
        got: list[tuple[int, int]] = []
        with quiet_gc():
            while len(got) < count:
                tick = reader.next()
                at = perf_counter_ns()
                if tick is None:
                    break
                got.append((reader.ts_event_of(tick), at))
        link.reply(got)
    reader.close()


def flat_out(link: Link, name: str, address: Address, batch: int) -> None:
    """Publish distinct ticks without a pause from ``go`` until ``stop``, and answer that with how many."""
    producer = peer(name).producer(address, Feature.LATEST)
    first = FILL
    items = producer.encode(quotes(batch, first))
    link.ready()
    published = 0
    for request in link.requests():
        if request == "stop":
            link.reply(published)
            continue
        while not link.asked():
            at = published % batch
            producer.publish_many(items[at : at + 200])
            published += 200
            if published % batch == 0:
                first += batch
                items = producer.encode(quotes(batch, first))
    producer.close()
