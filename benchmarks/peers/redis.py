"""Share data through a Redis server on loopback TCP with redis-py.

The latest tick is a 28-byte value under its symbol's key, candles are one value a symbol, the stream is
publish/subscribe.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from benchmarks.data import CANDLE, SYMBOLS, CandleRow, Quote, candles
from benchmarks.peers.base import Address, Feature, Wait, free_port, optional, package_version, until

__all__ = ["PEER", "Redis"]

_TICK = struct.Struct("<Iqdd")
_CANDLE = struct.Struct("<qddddd")


def _client(address: Address) -> Any:
    return optional("redis").Redis(host="127.0.0.1", port=address["port"])


class _Producer:
    def __init__(self, address: Address, feature: Feature) -> None:
        self._client = _client(address)
        self._client.ping()
        self._set = self._client.set
        self._send = self._client.publish
        latest = feature is Feature.LATEST
        self.publish: Callable[[Quote], None] = self._publish_latest if latest else self._publish_stream

    def encode(self, quotes: Sequence[Quote]) -> Sequence[Any]:
        return quotes

    def _publish_stream(self, item: Quote) -> None:
        self._send("ticks", _TICK.pack(*item))

    def _publish_latest(self, item: Quote) -> None:
        self._set(SYMBOLS[item[0]], _TICK.pack(*item))

    def publish_many(self, items: Sequence[Quote]) -> None:
        publish = self.publish
        for item in items:
            publish(item)

    def wait_readers(self, count: int) -> None:
        until(lambda: self._client.pubsub_numsub("ticks")[0][1] >= count, "Redis subscription")

    def finish(self) -> None:
        """Need nothing: a call returns when the server has the tick."""

    def close(self) -> None:
        self._client.close()


class _Reader:
    def __init__(self, address: Address) -> None:
        self._client = _client(address)
        self._get = self._client.get
        self._pubsub: Any = None

    def latest(self, symbol: str) -> tuple[Any, ...] | None:
        found = self._get(symbol)
        return None if found is None else _TICK.unpack(found)

    def bid_of(self, tick: Any) -> float:
        return float(tick[2])

    def candle_objects(self, symbol: str, count: int) -> list[CandleRow]:
        return list(map(CandleRow._make, _CANDLE.iter_unpack(self._range(symbol, count))))

    def candle_array(self, symbol: str, count: int) -> Any:
        return np.frombuffer(self._range(symbol, count), CANDLE)

    def _range(self, symbol: str, count: int) -> bytes:
        found: bytes = self._client.getrange(f"candles.{symbol}", -count * CANDLE.itemsize, -1)
        return found

    def subscribe(self, wait: Wait) -> None:
        self._pubsub = self._client.pubsub(ignore_subscribe_messages=True)
        self._pubsub.subscribe("ticks")
        self._pubsub.get_message(timeout=1.0)

    def next(self) -> Any:
        deadline = monotonic() + 5.0
        while monotonic() < deadline:
            message = self._pubsub.get_message(timeout=1.0)
            if message is not None:
                return message["data"]
        return None

    def ts_event_of(self, tick: Any) -> int:
        return int(_TICK.unpack(tick)[1])

    def poll(self) -> tuple[int, int]:
        message = self._pubsub.get_message(timeout=0.2)
        if message is None:
            return 0, 0
        return 1, self.ts_event_of(message["data"])

    def close(self) -> None:
        if self._pubsub is not None:
            self._pubsub.close()
        self._client.close()


class Redis:
    """Run a private redis-server without persistence."""

    name = "redis"
    title = "Redis"
    features = frozenset({Feature.LATEST, Feature.CANDLES, Feature.STREAM, Feature.BLOCK})
    stream_count = 6_000
    requires = "redis-server (a distribution package) and the Python package redis"

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def missing(self) -> str | None:
        if shutil.which("redis-server") is None:
            return "redis-server"
        return None if optional("redis") else "the Python package redis"

    def version(self) -> str:
        words = subprocess.run(["redis-server", "--version"], capture_output=True, text=True, check=True).stdout.split()
        server = next((word[2:] for word in words if word.startswith("v=")), "")
        parser = "hiredis" if optional("hiredis") else "pure-Python parser"
        return f"{server}, redis-py {package_version('redis')} ({parser}), TCP loopback"

    def start(self, work: Path) -> Address:
        port = free_port()
        options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(work)]
        options += ["--client-output-buffer-limit", "pubsub 0 0 0"]  # a slow reader may lag, never be cut off
        self._process = subprocess.Popen(
            ["redis-server", "--port", str(port), *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        address = {"port": port}
        client = _client(address)
        errors = optional("redis").exceptions

        def answers() -> bool:
            try:
                return bool(client.ping())
            except (errors.ConnectionError, errors.BusyLoadingError):
                return False

        until(answers, "redis-server")
        for symbol in SYMBOLS:
            client.set(f"candles.{symbol}", candles(symbol).tobytes())
        client.close()
        return address

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def producer(self, address: Address, feature: Feature) -> _Producer:
        return _Producer(address, feature)

    def reader(self, address: Address) -> _Reader:
        return _Reader(address)


PEER = Redis()
