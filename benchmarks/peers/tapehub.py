"""Measure this hub: one directory, no server, the producer's own helper thread prefaults and syncs.

Every tick is logged, checksummed, counted, made the latest value and applied to the candles of all timeframes before
the call returns; none of the peers does that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import sleep
from typing import Any

from benchmarks.data import SYMBOLS, Quote, ticks
from benchmarks.peers.base import Address, Feature, Wait, optional, package_version

__all__ = ["PEER", "TapeHub", "open_hub", "warm"]

_EPOCH = datetime.fromtimestamp(0, UTC)
_FILL = 40_000
_FILL_STEP_NS = 500_000_000  # 20,000 s of ticks: 330 one-minute candles a symbol


def open_hub(path: str, **options: Any) -> Any:
    """Open or create the hub at ``path`` on the event clock, so that ticks of any day are in time."""
    hub = optional("tapehub").DataHub.open(path, create=True, **options)
    hub.set_clock("event")
    return hub


def warm(hub: Any) -> None:
    """Make this process a writer and wait until the segments ahead are prefaulted: first use is not the row."""
    hub._repair()
    state = hub._hub_state()
    wanted = (state["head"] // state["segment_lines"] + 2) * state["segment_lines"]
    for _ in range(500):
        if hub._hub_state()["ready"] >= wanted:
            break
        sleep(0.01)
    sleep(0.2)


class _Producer:
    def __init__(self, address: Address) -> None:
        self.hub = optional("tapehub").DataHub.open(address["path"], create=False)
        warm(self.hub)
        self.publish: Callable[[Any], object] = self.hub.update_tick

    def encode(self, quotes: Sequence[Quote]) -> Sequence[Any]:
        make = optional("tapehub").Tick
        return [
            make(SYMBOLS[which], bid, ask, timestamp=_EPOCH + timedelta(microseconds=ts_event // 1000))
            for which, ts_event, bid, ask in quotes
        ]

    def publish_many(self, items: Sequence[Any]) -> None:
        publish = self.publish
        for item in items:
            publish(item)

    def wait_readers(self, count: int) -> None:
        """Need nothing: a stream begins at the head of the log when it is made."""

    def finish(self) -> None:
        """Need nothing: a call returns when every reader can see the tick."""

    def close(self) -> None:
        self.hub.close()


class _Reader:
    def __init__(self, address: Address) -> None:
        self.hub = optional("tapehub").connect(path=address["path"])
        self.latest = self.hub.get_latest_tick
        self._stream: Any = None
        self.lost = 0

    def bid_of(self, tick: Any) -> float:
        return float(tick.bid)

    def candle_objects(self, symbol: str, count: int) -> Sequence[Any]:
        found: Sequence[Any] = self.hub.get_latest_candles(symbol, count)
        return found

    def candle_array(self, symbol: str, count: int) -> Any:
        return self.hub.candles(symbol, "1m", limit=count).numpy()

    def subscribe(self, wait: Wait) -> None:
        how = "spin" if wait is Wait.SPIN else "block"
        self._stream = self.hub.stream(kinds=["tick"], start="now", wait=how)

    def next(self) -> Any:
        return next(self._stream)

    def ts_event_of(self, tick: Any) -> int:
        passed: timedelta = tick.timestamp - _EPOCH
        return (passed // timedelta(microseconds=1)) * 1000

    def poll(self) -> tuple[int, int]:
        batch = self._stream.poll(8192)
        self.lost += batch.lost
        records = batch.numpy()
        return (len(records), int(records["ts_event"][-1])) if len(records) else (0, 0)

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
        self.hub.close()


class TapeHub:
    """Create a hub in the row's own directory and fill it with five and a half hours of ticks."""

    name = "tapehub"
    title = "tapehub"
    features = frozenset(Feature)
    stream_count = 800_000
    requires = "this package, built (make dev)"

    def missing(self) -> str | None:
        module = optional("tapehub")
        return None if module is not None and hasattr(module, "DataHub") else self.requires

    def version(self) -> str:
        return package_version("tapehub") or "source tree"

    def start(self, work: Path) -> Address:
        path = str(work / "hub")
        hub = open_hub(path, sync="interval")
        # The fill ends where the rows' own ticks begin, so that event time only goes forward.
        fill = ticks(_FILL, -_FILL, _FILL_STEP_NS)
        hub.publish(fill, symbols=list(SYMBOLS))
        hub.close()
        return {"path": path}

    def stop(self) -> None:
        """Need nothing: the directory goes with the row's."""

    def producer(self, address: Address, feature: Feature) -> _Producer:
        return _Producer(address)

    def reader(self, address: Address) -> _Reader:
        return _Reader(address)


PEER = TapeHub()
