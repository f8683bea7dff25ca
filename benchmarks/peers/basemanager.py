"""Share data through a ``multiprocessing`` BaseManager on loopback TCP: what callers of this hub run today.

One server process holds dictionaries under a lock; every read and write is a pickled call through a proxy. Replies
over 16 KiB leave as two packets and then wait for a delayed acknowledgement of about 40 ms, so candles are measured
on both sides.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from multiprocessing.managers import BaseManager
from pathlib import Path
from platform import python_version
from typing import Any

import numpy as np

from benchmarks.data import CANDLE, SYMBOLS, Candle, Quote, Tick, candle_objects
from benchmarks.peers.base import Address, Feature, Wait
from benchmarks.workers import CONTEXT

__all__ = ["PEER", "BaseManagerPeer", "DictHub"]

_EPOCH = datetime.fromtimestamp(0, UTC)
_KEPT = 200_000


class DictHub:
    """Keep ticks and candles in dictionaries; lives in the server process."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._ticks: dict[str, Tick] = {}
        self._log: deque[Tick] = deque(maxlen=_KEPT)
        self._count = 0
        self._candles = {symbol: candle_objects(symbol) for symbol in SYMBOLS}

    def update_tick(self, tick: Tick) -> None:
        """Store the latest tick and wake every reader that waits."""
        with self._changed:
            self._ticks[tick.symbol] = tick
            self._log.append(tick)
            self._count += 1
            self._changed.notify_all()

    def get_latest_tick(self, symbol: str) -> Tick | None:
        """Return the latest tick of a symbol."""
        with self._changed:
            return self._ticks.get(symbol)

    def get_latest_candles(self, symbol: str, limit: int = 100) -> list[Candle]:
        """Return the last candles of a symbol, oldest first."""
        with self._changed:
            return self._candles[symbol][-limit:]

    def warm_start_candles(self, symbol: str, candles: list[Candle]) -> int:
        """Take candles from a caller."""
        with self._changed:
            self._candles[symbol][-len(candles) :] = candles
            return len(candles)

    def count(self) -> int:
        """Return how many ticks have come."""
        return self._count

    def wait_ticks(self, after: int, limit: int, timeout_s: float) -> list[Tick]:
        """Return up to ``limit`` ticks after the first ``after``; waits for the first."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._count > after, timeout_s):
                return []
            fresh = min(self._count - after, limit)
            start = len(self._log) - (self._count - after)
            return [self._log[start + at] for at in range(fresh)]


_hub: DictHub | None = None


def _the_hub() -> DictHub:
    global _hub
    if _hub is None:
        _hub = DictHub()
    return _hub


class _Manager(BaseManager):
    pass


_Manager.register("hub", callable=_the_hub)


def _connect(address: Address) -> Any:
    key = bytes.fromhex(address["key"])
    multiprocessing.current_process().authkey = key
    manager = _Manager(address=("127.0.0.1", address["port"]), authkey=key)
    manager.connect()
    return manager.hub()  # type: ignore[attr-defined]


class _Producer:
    def __init__(self, address: Address) -> None:
        self._hub = _connect(address)
        self.publish = self._hub.update_tick

    def encode(self, quotes: Sequence[Quote]) -> Sequence[Tick]:
        return [
            Tick(SYMBOLS[which], bid, ask, (bid + ask) / 2, 0.0, _EPOCH + timedelta(microseconds=ts_event // 1000))
            for which, ts_event, bid, ask in quotes
        ]

    def publish_many(self, items: Sequence[Any]) -> None:
        publish = self.publish
        for item in items:
            publish(item)

    def wait_readers(self, count: int) -> None:
        """Need nothing: readers ask the server for what they have not seen."""

    def finish(self) -> None:
        """Need nothing: a call returns when the server has the tick."""

    def close(self) -> None:
        del self._hub


class _Reader:
    def __init__(self, address: Address) -> None:
        self._hub = _connect(address)
        self._position = 0
        self.latest = self._hub.get_latest_tick

    def bid_of(self, tick: Any) -> float:
        return float(tick.bid)

    def candle_objects(self, symbol: str, count: int) -> list[Candle]:
        found: list[Candle] = self._hub.get_latest_candles(symbol, count)
        return found

    def candle_array(self, symbol: str, count: int) -> Any:
        found = self._hub.get_latest_candles(symbol, count)
        rows = [(0, c.open, c.high, c.low, c.close, c.volume) for c in found]
        return np.array(rows, CANDLE)

    def subscribe(self, wait: Wait) -> None:
        self._position = self._hub.count()

    def next(self) -> Any:
        found = self._hub.wait_ticks(self._position, 1, 5.0)
        if not found:
            return None
        self._position += 1
        return found[0]

    def ts_event_of(self, tick: Any) -> int:
        passed: timedelta = tick.timestamp - _EPOCH
        return (passed // timedelta(microseconds=1)) * 1000

    def poll(self) -> tuple[int, int]:
        # 100 ticks pickle to less than 16 KiB, so that the reply stays on the fast side of the cliff.
        found = self._hub.wait_ticks(self._position, 100, 0.2)
        if not found:
            return 0, 0
        self._position += len(found)
        return len(found), self.ts_event_of(found[-1])

    def close(self) -> None:
        del self._hub


class BaseManagerPeer:
    """Serve everything from one Python process behind proxies."""

    name = "basemanager"
    title = "BaseManager"
    features = frozenset({Feature.LATEST, Feature.CANDLES, Feature.STREAM, Feature.BLOCK})
    stream_count = 2_000
    requires = "nothing"

    def __init__(self) -> None:
        self._manager: _Manager | None = None

    def missing(self) -> str | None:
        return None

    def version(self) -> str:
        return f"Python {python_version()}, TCP loopback"

    def start(self, work: Path) -> Address:
        key = os.urandom(16)
        manager = _Manager(address=("127.0.0.1", 0), authkey=key, ctx=CONTEXT)
        manager.start()
        self._manager = manager
        return {"port": int(manager.address[1]), "key": key.hex()}  # type: ignore[index]

    def stop(self) -> None:
        if self._manager is not None:
            self._manager.shutdown()
            self._manager = None

    def producer(self, address: Address, feature: Feature) -> _Producer:
        return _Producer(address)

    def reader(self, address: Address) -> _Reader:
        return _Reader(address)


PEER = BaseManagerPeer()
