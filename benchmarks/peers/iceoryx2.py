"""Share data through iceoryx2: shared memory without a server process, from its Python package.

The latest tick is a publish/subscribe service a symbol whose buffer holds one sample: a reader takes the new one or
keeps what it has. Candles are entries of a blackboard. The stream retries until delivered, and a blocked reader waits
for an event. Files lie in the row's own directory, memory has a prefix of its own.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np

from benchmarks.data import CANDLE, SYMBOL_INDEX, SYMBOLS, Quote, candles
from benchmarks.peers.base import Address, Feature, Wait, optional, package_version

__all__ = ["PEER", "Iceoryx2"]

_BUFFER = 8192
_IDLE_S = 0.0002


class _Tick(ctypes.Structure):
    _fields_ = (
        ("instrument", ctypes.c_int64),
        ("ts_event", ctypes.c_int64),
        ("bid", ctypes.c_double),
        ("ask", ctypes.c_double),
    )


class _Row(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_int64 if name == "timestamp" else ctypes.c_double) for name in CANDLE.names or ())


class _Candles100(ctypes.Structure):
    _fields_ = (("rows", _Row * 100),)


class _Candles200(ctypes.Structure):
    _fields_ = (("rows", _Row * 200),)


_TABLES: dict[int, Any] = {100: _Candles100, 200: _Candles200}


class _Node:
    def __init__(self, address: Address) -> None:
        iox2 = self.iox2 = optional("iceoryx2")
        iox2.set_log_level(iox2.LogLevel.Fatal)
        config = iox2.config.default()
        config.global_cfg.prefix = iox2.FileName.new(address["prefix"])
        config.global_cfg.root_path = iox2.Path.new(address["root"])
        self.node = iox2.NodeBuilder.new().config(config).create(iox2.ServiceType.Ipc)

    def service(self, name: str) -> Any:
        return self.node.service_builder(self.iox2.ServiceName.new(name))

    def stream(self) -> Any:
        builder = self.service("ticks").publish_subscribe(_Tick)
        builder = builder.enable_safe_overflow(False).subscriber_max_buffer_size(_BUFFER)
        return builder.max_subscribers(16).max_nodes(24).open_or_create()

    def latest(self, symbol: str) -> Any:
        builder = self.service(f"latest/{symbol}").publish_subscribe(_Tick)
        builder = builder.enable_safe_overflow(True).subscriber_max_buffer_size(1).history_size(1)
        return builder.max_subscribers(16).max_nodes(24).open_or_create()

    def event(self) -> Any:
        return self.service("wake").event().max_listeners(16).max_notifiers(16).max_nodes(24).open_or_create()

    def board(self, name: str) -> Any:
        return self.service(name).blackboard_opener(ctypes.c_uint64).open()


class _Producer:
    def __init__(self, address: Address, feature: Feature) -> None:
        self._node = node = _Node(address)
        self._publishers: list[Any] = []
        self.publish: Callable[[Any], object]
        if feature is Feature.LATEST:
            publishers = [node.latest(symbol).publisher_builder().create() for symbol in SYMBOLS]
            self._publishers = publishers
            self._updates = [publisher.send_copy for publisher in publishers]
            self.publish = self._publish_latest
        else:
            builder = node.stream().publisher_builder()
            builder = builder.backpressure_strategy(node.iox2.BackpressureStrategy.RetryUntilDelivered)
            self._publisher = builder.create()
            self._send = self._publisher.send_copy
            self.publish = self._send
            if address["wake"]:
                self._notify = node.event().notifier_builder().create().notify
                self.publish = self._publish_and_notify

    def encode(self, quotes: Sequence[Quote]) -> Sequence[Any]:
        return [_Tick(*quote) for quote in quotes]

    def _publish_latest(self, item: _Tick) -> None:
        self._updates[item.instrument](item)

    def _publish_and_notify(self, item: _Tick) -> None:
        self._send(item)
        self._notify()

    def publish_many(self, items: Sequence[Any]) -> None:
        publish = self.publish
        for item in items:
            publish(item)

    def wait_readers(self, count: int) -> None:
        """Need nothing: the publisher connects to the subscribers that exist when it is made."""

    def finish(self) -> None:
        for publisher in self._publishers:
            publisher.update_connections()  # a subscriber that came since gets the sample kept as history

    def close(self) -> None:
        self.__dict__.clear()


class _Reader:
    def __init__(self, address: Address) -> None:
        self._address = address
        self._node = node = _Node(address)
        subscribers = {symbol: node.latest(symbol).subscriber_builder().create() for symbol in SYMBOLS}
        self._receive = {symbol: subscriber.receive for symbol, subscriber in subscribers.items()}
        self._last: dict[str, Any] = {}
        self._subscribers = subscribers
        self._readers = [node.board(f"candles{count}").reader_builder().create() for count in _TABLES]
        self._tables = {
            (symbol, count): reader.entry(ctypes.c_uint64(at), table)
            for reader, (count, table) in zip(self._readers, _TABLES.items(), strict=True)
            for symbol, at in SYMBOL_INDEX.items()
        }
        self._subscriber: Any = None
        self._listener: Any = None

    def latest(self, symbol: str) -> Any:
        sample = self._receive[symbol]()
        if sample is not None:
            self._last[symbol] = sample.payload().contents
        return self._last.get(symbol)

    def bid_of(self, tick: Any) -> float:
        return float(tick.bid)

    def candle_objects(self, symbol: str, count: int) -> list[Any]:
        return list(self._tables[symbol, count].get().decode_as(_TABLES[count]).rows)

    def candle_array(self, symbol: str, count: int) -> Any:
        return np.frombuffer(self._tables[symbol, count].get().data, CANDLE)

    def subscribe(self, wait: Wait) -> None:
        self._subscriber = self._node.stream().subscriber_builder().buffer_size(_BUFFER).create()
        if wait is Wait.BLOCK:
            self._listener = self._node.event().listener_builder().create()
            self._limit = self._node.iox2.Duration.from_secs(1)

    def next(self) -> Any:
        deadline = monotonic() + 5.0
        receive = self._subscriber.receive
        while True:
            sample = receive()
            if sample is not None:
                return sample
            if monotonic() > deadline:
                return None
            if self._listener is not None:
                self._listener.timed_wait(self._limit)

    def ts_event_of(self, tick: Any) -> int:
        ts_event = int(tick.payload().contents.ts_event)
        tick.delete()  # a borrowed sample is limited to two; give it back now, not when it is collected
        return ts_event

    def poll(self) -> tuple[int, int]:
        deadline = monotonic() + 0.2
        receive = self._subscriber.receive
        count, last = 0, 0
        while True:
            sample = receive()
            if sample is not None:
                last = sample.payload().contents.ts_event
                sample.delete()
                count += 1
                if count < 1000:
                    continue
            if count:
                return count, last
            if monotonic() > deadline:
                return 0, 0
            sleep(_IDLE_S)

    def close(self) -> None:
        self.__dict__.clear()


class Iceoryx2:
    """Keep the blackboards open; everything else is made by the processes that use it."""

    name = "iceoryx2"
    title = "iceoryx2"
    features = frozenset(Feature)
    stream_count = 80_000
    requires = "the Python package iceoryx2 (0.10 or later)"

    def __init__(self) -> None:
        self._kept: list[Any] = []
        self._prefix = ""

    def missing(self) -> str | None:
        module = optional("iceoryx2")
        return None if module is not None and hasattr(module, "BlackboardKey") else self.requires

    def version(self) -> str:
        return f"{package_version('iceoryx2')}, shared memory"

    def start(self, work: Path) -> Address:
        self._prefix = f"bench{os.getpid()}x{len(self._kept)}_"
        address = {"prefix": self._prefix, "root": str(work), "wake": False}
        node = _Node(address)
        self._kept = [node, *(node.latest(symbol) for symbol in SYMBOLS)]
        for count, table in _TABLES.items():
            board = node.service(f"candles{count}").blackboard_creator(ctypes.c_uint64).max_readers(16).max_nodes(24)
            for symbol, at in SYMBOL_INDEX.items():
                board = board.add(ctypes.c_uint64(at), table.from_buffer_copy(candles(symbol)[-count:].tobytes()))
            self._kept.append(board.create())
        return address

    def stop(self) -> None:
        self._kept = []
        if self._prefix:
            for path in Path("/dev/shm").glob(f"{self._prefix}*"):
                path.unlink(missing_ok=True)
            self._prefix = ""

    def producer(self, address: Address, feature: Feature) -> _Producer:
        return _Producer(address, feature)

    def reader(self, address: Address) -> _Reader:
        return _Reader(address)


PEER = Iceoryx2()
