"""State what every peer can be asked to do.

A *peer* is one way for processes of a machine to share market data. ``start`` brings up what it needs (a server on a
free loopback port, shared memory, files below the given directory) and returns an address: plain data, handed to the
producers and readers in their own processes.
"""

from __future__ import annotations

import importlib
import socket
import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

from benchmarks.data import Quote

__all__ = [
    "Address",
    "Feature",
    "Peer",
    "Producer",
    "Reader",
    "Wait",
    "free_port",
    "optional",
    "package_version",
    "until",
]

Address = dict[str, Any]


class Feature(StrEnum):
    """Name what a peer offers; a row asks only the peers that have what it needs."""

    LATEST = "latest"
    """a reader gets the last tick of a symbol"""
    CANDLES = "candles"
    """a reader gets the last n candles of a symbol"""
    STREAM = "stream"
    """a reader sees every tick"""
    BLOCK = "block"
    """a reader of the stream sleeps until a tick comes"""
    SPIN = "spin"
    """a reader of the stream looks for a tick without sleeping"""


class Wait(StrEnum):
    """Say how a reader of the stream waits."""

    BLOCK = "block"
    SPIN = "spin"


class Producer(Protocol):
    """Publish ticks; made in the producer's own process."""

    def encode(self, quotes: Sequence[Quote]) -> Sequence[Any]:
        """Turn ticks into what an application of this peer holds before it publishes (never timed)."""

    def publish(self, item: Any) -> object:
        """Publish one encoded tick, so that a waiting reader gets it now."""

    def publish_many(self, items: Sequence[Any]) -> None:
        """Publish each item by one call of its own, in the loop that is natural for this peer."""

    def wait_readers(self, count: int) -> None:
        """Return once ``count`` readers will get what is published (no-op where subscribing is synchronous)."""

    def finish(self) -> None:
        """Return once everything published has left this process."""

    def close(self) -> None:
        """Let go of the connection."""


class Reader(Protocol):
    """Read latest ticks, candles and the stream; made in the reader's own process."""

    def latest(self, symbol: str) -> Any:
        """Return the last tick of a symbol as the cheapest usable object of this peer, or None."""

    def bid_of(self, tick: Any) -> float:
        """Return the bid of what ``latest`` returned."""

    def candle_objects(self, symbol: str, count: int) -> Sequence[Any]:
        """Return the last candles as a list of objects."""

    def candle_array(self, symbol: str, count: int) -> Any:
        """Return the last candles as a structured numpy array."""

    def subscribe(self, wait: Wait) -> None:
        """Join the stream at the next tick."""

    def next(self) -> Any:
        """Wait for one tick of the stream and return it undecoded, or None after 5 s."""

    def ts_event_of(self, tick: Any) -> int:
        """Return the event time of what ``next`` returned."""

    def poll(self) -> tuple[int, int]:
        """Return (ticks delivered, event time of the last) of the next batch; waits up to 0.2 s for the first."""

    def close(self) -> None:
        """Let go of the connection."""


class Peer(Protocol):
    """Start and stop one peer, and connect to it."""

    name: str
    title: str
    features: frozenset[Feature]
    stream_count: int
    """ticks in one round of the eight-reader row: about a second's worth"""
    requires: str
    """what to install, for the line that says it was skipped"""

    def missing(self) -> str | None:
        """Return what is not installed, or None."""

    def version(self) -> str:
        """Return the version measured, with the transport where there is a choice."""

    def start(self, work: Path) -> Address:
        """Bring the peer up with ``data.candles`` stored; ``work`` is an empty directory of its own."""

    def stop(self) -> None:
        """Take the peer down and leave nothing behind."""

    def producer(self, address: Address, feature: Feature) -> Producer:
        """Return a producer whose ticks serve ``Feature.LATEST`` or ``Feature.STREAM``."""

    def reader(self, address: Address) -> Reader:
        """Return a reader."""


def optional(name: str) -> Any:
    """Import a module that may be absent; returns None when it is."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def package_version(name: str) -> str:
    """Return the version of an installed distribution, or an empty string."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(ready: Callable[[], bool], what: str, timeout_s: float = 10.0) -> None:
    """Wait until ``ready`` returns True; TimeoutError names what did not come."""
    deadline = time.monotonic() + timeout_s
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} was not ready within {timeout_s:g} s")
        time.sleep(0.02)
