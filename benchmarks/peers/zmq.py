"""Share data through ZeroMQ with pyzmq over ipc sockets.

The stream is PUB/SUB straight from the producer, without a high-water mark. Latest ticks and candles need a place to
live: one Python server process that gets ticks by PULL and answers REQ, which is how such a cache is usually written.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.data import CANDLE, SYMBOLS, CandleRow, Quote, candles
from benchmarks.peers.base import Address, Feature, Wait, optional, package_version, until
from benchmarks.workers import CONTEXT

__all__ = ["PEER", "Zmq"]

_TICK = struct.Struct("<Iqdd")
_CANDLE = struct.Struct("<qddddd")


def _serve(feed: str, query: str) -> None:
    zmq = optional("zmq")
    context = zmq.Context()
    pull, answer = context.socket(zmq.PULL), context.socket(zmq.REP)
    pull.bind(feed)
    answer.bind(query)
    latest: dict[bytes, bytes] = {}
    names = [symbol.encode() for symbol in SYMBOLS]
    stored = {symbol.encode(): candles(symbol).tobytes() for symbol in SYMBOLS}
    poller = zmq.Poller()
    poller.register(pull, zmq.POLLIN)
    poller.register(answer, zmq.POLLIN)
    while True:
        ready = dict(poller.poll())
        if answer in ready:
            question = answer.recv()
            symbol, _, count = question.partition(b" ")
            answer.send(stored[symbol][-int(count) * CANDLE.itemsize :] if count else latest.get(symbol, b""))
        if pull in ready:
            for _ in range(100):
                try:
                    message = pull.recv(zmq.NOBLOCK)
                except zmq.Again:
                    break
                latest[names[message[0]]] = message


class _Producer:
    def __init__(self, address: Address, feature: Feature) -> None:
        self._zmq = optional("zmq")
        self._context = self._zmq.Context()
        self._feature = feature
        if feature is Feature.LATEST:
            self._socket = self._context.socket(self._zmq.PUSH)
            self._socket.connect(address["feed"])
        else:
            self._socket = self._context.socket(self._zmq.XPUB)
            self._socket.set_hwm(0)
            self._socket.setsockopt(self._zmq.XPUB_VERBOSE, 1)
            self._socket.bind(address["stream"])
        self._send = self._socket.send

    def encode(self, quotes: Sequence[Quote]) -> Sequence[Any]:
        return quotes

    def publish(self, item: Quote) -> None:
        self._send(_TICK.pack(*item))

    def publish_many(self, items: Sequence[Quote]) -> None:
        send = self._send
        pack = _TICK.pack
        for item in items:
            send(pack(*item))

    def wait_readers(self, count: int) -> None:
        for _ in range(count):
            if not self._socket.poll(10_000):
                raise TimeoutError(f"fewer than {count} ZeroMQ subscriptions within 10 s")
            self._socket.recv()

    def finish(self) -> None:
        """Need nothing: the reader's count says when all has arrived."""

    def close(self) -> None:
        self._context.destroy(linger=0)


class _Reader:
    def __init__(self, address: Address) -> None:
        self._zmq = optional("zmq")
        self._address = address
        self._context = self._zmq.Context()
        self._query = self._context.socket(self._zmq.REQ)
        self._query.connect(address["query"])
        self._socket: Any = None

    def latest(self, symbol: str) -> tuple[Any, ...] | None:
        self._query.send(symbol.encode())
        found = self._query.recv()
        return _TICK.unpack(found) if found else None

    def bid_of(self, tick: Any) -> float:
        return float(tick[2])

    def candle_objects(self, symbol: str, count: int) -> list[CandleRow]:
        return list(map(CandleRow._make, _CANDLE.iter_unpack(self._range(symbol, count))))

    def candle_array(self, symbol: str, count: int) -> Any:
        return np.frombuffer(self._range(symbol, count), CANDLE)

    def _range(self, symbol: str, count: int) -> bytes:
        self._query.send(f"{symbol} {count}".encode())
        found: bytes = self._query.recv()
        return found

    def subscribe(self, wait: Wait) -> None:
        self._socket = self._context.socket(self._zmq.SUB)
        self._socket.set_hwm(0)
        self._socket.setsockopt(self._zmq.SUBSCRIBE, b"")
        self._socket.connect(self._address["stream"])
        self._socket.setsockopt(self._zmq.RCVTIMEO, 5_000)

    def next(self) -> Any:
        try:
            return self._socket.recv()
        except self._zmq.Again:
            return None

    def ts_event_of(self, tick: Any) -> int:
        return int(_TICK.unpack(tick)[1])

    def poll(self) -> tuple[int, int]:
        if not self._socket.poll(200):
            return 0, 0
        count, message = 0, b""
        receive, again, flag = self._socket.recv, self._zmq.Again, self._zmq.NOBLOCK
        try:
            while count < 1000:
                message = receive(flag)
                count += 1
        except again:
            pass
        return (count, self.ts_event_of(message)) if count else (0, 0)

    def close(self) -> None:
        self._context.destroy(linger=0)


class Zmq:
    """Run a small cache process, and publish straight from the producer."""

    name = "zmq"
    title = "pyzmq"
    features = frozenset({Feature.LATEST, Feature.CANDLES, Feature.STREAM, Feature.BLOCK})
    stream_count = 120_000
    requires = "the Python package pyzmq"

    def __init__(self) -> None:
        self._process: BaseProcess | None = None

    def missing(self) -> str | None:
        return None if optional("zmq") else "the Python package pyzmq"

    def version(self) -> str:
        return f"{package_version('pyzmq')} (libzmq {optional('zmq').zmq_version()}), ipc"

    def start(self, work: Path) -> Address:
        address = {part: f"ipc://{work / part}" for part in ("feed", "query", "stream")}
        self._process = CONTEXT.Process(target=_serve, args=(address["feed"], address["query"]), daemon=True)
        self._process.start()
        until((work / "query").exists, "the ZeroMQ cache process")
        return address

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.join(5)
            self._process = None

    def producer(self, address: Address, feature: Feature) -> _Producer:
        return _Producer(address, feature)

    def reader(self, address: Address) -> _Reader:
        return _Reader(address)


PEER = Zmq()
