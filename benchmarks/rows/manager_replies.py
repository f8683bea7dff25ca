"""Time what a stock BaseManager client waits for: this hub's endpoint against a stock manager's server.

The client is the same in both: `multiprocessing.managers` as it comes, in a process of its own.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from multiprocessing.managers import BaseManager
from typing import Any

from benchmarks.bench import Bench
from benchmarks.data import SYMBOLS, Tick, candle_objects, symbol_cycle
from benchmarks.measure import calibrate, collect_blocks, sample_calls, time_block
from benchmarks.peers import HUB
from benchmarks.report import Check, Result, ratio
from benchmarks.workers import Link, Worker
from tapehub import Candle, DataHub
from tapehub.gateway.manager import ManagerEndpoint, ManagerSettings

__all__ = ["run"]

_STOCK = "basemanager"
_NAME = "hub"
_ROWS = (
    ("latest", "manager_get_latest_tick", "a stock BaseManager client: get_latest_tick(symbol)"),
    ("push", "manager_update_tick", "a stock BaseManager client: update_tick(tick)"),
    ("candles", "manager_candles_200", "a stock BaseManager client: 200 candles (over 16 KiB)"),
    ("warm", "manager_send_200", "a stock BaseManager client: send 200 candles (over 16 KiB)"),
)


class _Manager(BaseManager):
    pass


_Manager.register(_NAME)


def serve(link: Link, path: str, key: str) -> None:
    """Be this hub's server with its endpoint, holding the candles that the stock manager holds."""
    with DataHub.open(path, create=True) as hub:
        for symbol in SYMBOLS:
            hub.warm_start_candles(symbol, (Candle(**vars(one)) for one in candle_objects(symbol)))
        settings = ManagerSettings(key=bytes.fromhex(key), port=0, module="benchmarks.data", names=(_NAME,))
        with ManagerEndpoint(hub, settings) as endpoint:
            link.ready(endpoint.address[1])
            for _ in link.requests():
                link.reply(None)


def client(link: Link, port: int, key: str, what: str) -> None:
    """Answer a number of samples with a timed block of calls, and with so many single calls in ns."""
    multiprocessing.current_process().authkey = bytes.fromhex(key)
    manager = _Manager(address=("127.0.0.1", port), authkey=bytes.fromhex(key))
    manager.connect()
    hub = manager.hub()  # type: ignore[attr-defined]
    items: Sequence[Any] = symbol_cycle(20_000)
    if what == "latest":
        call = hub.get_latest_tick
    elif what == "push":
        call = hub.update_tick
        now = datetime.now(UTC)
        items = [Tick(symbol, 1.1, 1.2, 1.15, 0.0, now) for symbol in items]
    elif what == "candles":

        def call(symbol: str) -> object:
            return hub.get_latest_candles(symbol, 200)

        if len(call("EUR_USD")) != 200:
            raise RuntimeError("expected 200 candles of EUR_USD")
    else:
        stored = candle_objects("EUR_USD", 200)

        def call(symbol: str) -> object:
            return hub.warm_start_candles("EUR_USD", stored)

    calls = calibrate(call, items)
    link.ready(calls)
    for samples in link.requests():
        link.reply((time_block(call, items[:calls]), sample_calls(call, items[: min(samples, max(calls, 10))])))


def run(bench: Bench) -> Iterator[Result]:
    """Yield a row for reading a tick, pushing one, reading 200 candles and sending them."""
    errors: dict[str, str] = {}
    names = [name for name in (HUB, _STOCK) if bench.wants(name)]
    with bench.started([name for name in names if name == _STOCK], errors) as addresses:
        ports = {name: (int(address["port"]), str(address["key"])) for name, address in addresses.items()}
        key = "5e" * 16
        with Worker(serve, str(bench.room(HUB) / "hub"), key) as server:
            if HUB in names:
                ports[HUB] = (server.receive(), key)
            for what, name, title in _ROWS:
                row = Result(name, title, "us", errors=dict(errors))
                chosen = {one: (*ports[one], what) for one in names if one in ports}
                with bench.crew(client, chosen, row.errors) as workers:
                    answers = bench.rounds(workers, 2_000, bench.pick(3, 9), row.errors)
                for one, found in answers.items():
                    row.measured[one] = collect_blocks(
                        [block for block, _ in found], [gap for _, gaps in found for gap in gaps]
                    )
                row.checks = _checks(row, what)
                yield row


def _checks(row: Result, what: str) -> list[Check]:
    if what == "candles":
        return [Check.of("≤ 1 ms", lambda: row.median(HUB) <= 1_000)]
    if what == "warm":
        return [Check.of("no 44 ms cliff", lambda: row.p99(HUB) < 40_000)]
    times = 1.0 if what == "latest" else 0.5  # what is sent is read without pickle's own machine, in Python
    return [Check.of(f"≥ {times:g}× BaseManager", lambda: ratio(row, _STOCK) >= times)]
