"""Share data through ``multiprocessing.shared_memory`` with nothing but the standard library and numpy.

The latest tick of a symbol is one line with a sequence at both ends: the writer stores the begin mark, the payload,
then the end mark; a reader unpacks the line once, end mark first. The stream is a ring that is larger than a round,
so nothing is lapped. There is no futex in Python, so a blocked reader sleeps in a read of its own FIFO. No log, no
candles built, no recovery from a writer that dies.
"""

from __future__ import annotations

import os
import select
import struct
from collections.abc import Callable, Sequence
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np

from benchmarks.data import CANDLE, CANDLES_STORED, SYMBOL_INDEX, SYMBOLS, CandleRow, Quote, candles
from benchmarks.peers.base import Address, Feature, Wait

__all__ = ["PEER", "Shm"]

_LINE = 64
_CANDLES = _LINE * len(SYMBOLS)
_CANDLES_BYTES = 8 + CANDLE.itemsize * CANDLES_STORED
_HEAD = _CANDLES + 16_384 * len(SYMBOLS)
_RING = _HEAD + _LINE
_SLOTS = 1 << 20
_SLOT = np.dtype([("instrument", "i8"), ("ts_event", "i8"), ("bid", "f8"), ("ask", "f8")])
_BYTES = _RING + _SLOTS * _SLOT.itemsize

# Native formats copy each word with one store; the standard ones ("<q") go byte by byte and would tear.
_TICK = struct.Struct("@QqddQ")
_BODY = struct.Struct("@qdd")
_WORD = struct.Struct("@Q")
_ENTRY = struct.Struct("@qqdd")
_IDLE_S = 0.0002
_CANDLE = struct.Struct("@qddddd")


class _Producer:
    def __init__(self, address: Address, feature: Feature) -> None:
        self._memory = SharedMemory(address["memory"])
        self._buffer: Any = self._memory.buf
        self._head = 0
        self._mark = 0
        self._fifos = [os.open(path, os.O_RDWR | os.O_NONBLOCK) for path in address["fifos"]] if address["wake"] else []
        latest = feature is Feature.LATEST
        self.publish: Callable[[Quote], None] = self._publish_latest if latest else self._publish_stream

    def encode(self, quotes: Sequence[Quote]) -> Sequence[Any]:
        return quotes

    def _publish_stream(self, item: Quote) -> None:
        head = self._head
        _ENTRY.pack_into(self._buffer, _RING + (head % _SLOTS) * 32, *item)
        self._head = head = head + 1
        _WORD.pack_into(self._buffer, _HEAD, head)
        for fifo in self._fifos:
            os.write(fifo, b"t")

    def _publish_latest(self, item: Quote) -> None:
        instrument, ts_event, bid, ask = item
        at = instrument * _LINE
        self._mark = mark = self._mark + 1
        buffer = self._buffer
        _WORD.pack_into(buffer, at + 32, mark)
        _BODY.pack_into(buffer, at + 8, ts_event, bid, ask)
        _WORD.pack_into(buffer, at, mark)

    def publish_many(self, items: Sequence[Quote]) -> None:
        publish = self.publish
        for item in items:
            publish(item)

    def wait_readers(self, count: int) -> None:
        """Need nothing: a reader is subscribed when ``subscribe`` returns."""

    def finish(self) -> None:
        """Need nothing: a store is visible at once."""

    def close(self) -> None:
        del self._buffer
        self._memory.close()
        for fifo in self._fifos:
            os.close(fifo)


class _Reader:
    def __init__(self, address: Address) -> None:
        self._memory = SharedMemory(address["memory"])
        self._buffer: Any = self._memory.buf
        self._address = address
        self._position = 0
        self._fifo = -1

    def latest(self, symbol: str) -> tuple[Any, ...]:
        at = SYMBOL_INDEX[symbol] * _LINE
        while True:
            line = _TICK.unpack_from(self._buffer, at)
            if line[0] == line[4]:
                return line

    def bid_of(self, tick: Any) -> float:
        return float(tick[2])

    def candle_objects(self, symbol: str, count: int) -> list[CandleRow]:
        return list(map(CandleRow._make, _CANDLE.iter_unpack(self._candles(symbol, count))))

    def candle_array(self, symbol: str, count: int) -> Any:
        return np.frombuffer(self._candles(symbol, count), CANDLE)

    def _candles(self, symbol: str, count: int) -> bytes:
        at = _CANDLES + SYMBOL_INDEX[symbol] * 16_384
        end = at + _CANDLES_BYTES
        while True:
            (before,) = _WORD.unpack_from(self._buffer, at)
            copy = bytes(self._buffer[end - count * CANDLE.itemsize : end])
            (after,) = _WORD.unpack_from(self._buffer, at)
            if before == after and not before & 1:
                return copy

    def subscribe(self, wait: Wait) -> None:
        (self._position,) = _WORD.unpack_from(self._buffer, _HEAD)
        if wait is Wait.BLOCK and self._address["wake"]:
            self._fifo = os.open(self._address["fifos"][0], os.O_RDWR)

    def next(self) -> Any:
        deadline = monotonic() + 5.0
        while True:
            (head,) = _WORD.unpack_from(self._buffer, _HEAD)
            if head > self._position:
                entry = _ENTRY.unpack_from(self._buffer, _RING + (self._position % _SLOTS) * 32)
                self._position += 1
                return entry
            if self._fifo >= 0:
                if not select.select([self._fifo], [], [], 5.0)[0]:
                    return None
                os.read(self._fifo, 4096)
            elif monotonic() > deadline:
                return None

    def ts_event_of(self, tick: Any) -> int:
        return int(tick[1])

    def poll(self) -> tuple[int, int]:
        deadline = monotonic() + 0.2
        while True:
            (head,) = _WORD.unpack_from(self._buffer, _HEAD)
            if head > self._position:
                break
            if monotonic() > deadline:
                return 0, 0
            sleep(_IDLE_S)
        first = self._position % _SLOTS
        count = min(head - self._position, _SLOTS - first, 4096)
        batch = np.frombuffer(self._buffer, _SLOT, count, _RING + first * 32).copy()
        self._position += count
        return count, int(batch["ts_event"][-1])

    def close(self) -> None:
        del self._buffer
        self._memory.close()
        if self._fifo >= 0:
            os.close(self._fifo)


class Shm:
    """Serve latest ticks, candles and a stream from one shared-memory segment."""

    name = "shm"
    title = "Python shm"
    features = frozenset(Feature)
    stream_count = 800_000
    requires = "nothing"

    def __init__(self) -> None:
        self._memory: SharedMemory | None = None

    def missing(self) -> str | None:
        return None

    def version(self) -> str:
        return "multiprocessing.shared_memory"

    def start(self, work: Path) -> Address:
        fifo = str(work / "wake")
        os.mkfifo(fifo)
        memory = self._memory = SharedMemory(create=True, size=_BYTES)
        buffer: Any = memory.buf
        buffer[:_BYTES] = bytes(_BYTES)  # touch every page, so that no contestant pays for first touches
        for symbol in SYMBOLS:
            at = _CANDLES + SYMBOL_INDEX[symbol] * 16_384 + 8
            stored = candles(symbol).tobytes()
            buffer[at : at + len(stored)] = stored
        return {"memory": memory.name, "fifos": [fifo], "wake": False}

    def stop(self) -> None:
        if self._memory is not None:
            self._memory.close()
            self._memory.unlink()
            self._memory = None

    def producer(self, address: Address, feature: Feature) -> _Producer:
        return _Producer(address, feature)

    def reader(self, address: Address) -> _Reader:
        return _Reader(address)


PEER = Shm()
