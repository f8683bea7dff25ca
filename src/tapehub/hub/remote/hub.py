"""`RemoteHub`: a hub on another machine, through its gateway."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import PurePath, PurePosixPath
from typing import Any, NoReturn, Self
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from tapehub._native import Candle, OrderFlowMetrics, Tick, as_candle, as_order_flow, as_tick
from tapehub.errors import ConfigError, InvalidRecord
from tapehub.hub import clock
from tapehub.hub.arguments import check_note
from tapehub.hub.batch import Batch
from tapehub.hub.integrity import Report
from tapehub.hub.remote import answers, reading, sending, values
from tapehub.hub.remote.address import Address
from tapehub.hub.remote.stream import RemoteAsyncStream, RemoteStream
from tapehub.hub.remote.wire import Wire
from tapehub.hub.snapshot import Snapshot
from tapehub.model.policies import ClockMode, OnLap, WaitStrategy
from tapehub.model.sessions import Sessions

__all__ = ["RemoteHub"]


class RemoteHub:
    """Publish to and read from a hub on another machine, with the methods of `DataHub`. Any number of threads.

    A read is a request, some 0.5 ms on the same network, where a local one takes 50 ns: for many values take one
    `snapshot`, a `Batch`, or a `stream`. Errors are those of a local hub; one that cannot be reached is
    `HubNotRunning`.
    """

    def __init__(self, address: Address, *, name: str = "", timeout_s: float = 10.0) -> None:
        self.address = address
        self.name = name
        self.warm_start_errors: dict[str, str] = {}
        self._wire = Wire(address, timeout_s=timeout_s)
        self._instruments: dict[str, dict[str, Any]] = {}
        self._sources: list[str] = []
        self._is_other = False
        self._streams: weakref.WeakSet[RemoteStream] = weakref.WeakSet()
        try:
            self._told("/clock")  # says at once when the address or the token is wrong
        except BaseException:
            self._wire.close()
            raise

    # ------------------------------------------------------------ life

    @property
    def url(self) -> str:
        """The gateway's address."""
        return self.address.url

    @property
    def closed(self) -> bool:
        """Whether this process has closed it."""
        return self._wire.closed

    def close(self) -> None:
        """Close the connections and the streams; the hub does not notice."""
        for stream in list(self._streams):
            stream.close()
        self._wire.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<RemoteHub {self.url}{' (closed)' if self.closed else ''}>"

    @property
    def path(self) -> PurePath:
        """The hub's directory on its own machine."""
        return PurePosixPath(self._told("/status")["path"])

    @property
    def head(self) -> int:
        """The sequence number the next record gets."""
        return int(self._told("/status")["head"])

    @property
    def epoch(self) -> int:
        """Bumped when a recovery had to cut the tail: (epoch, sequence) never means two things."""
        return int(self._told("/status")["epoch"])

    @property
    def hub_id(self) -> str:
        """The identity of this hub's tape, in hex."""
        return str(self._told("/status")["hub_id"])

    def now(self) -> int:
        """Return the hub clock's reading: int64 ns UTC."""
        return values.ns(self._told("/clock")["now"])

    # ------------------------------------------------------------ publish

    def update_tick(self, tick: Tick | Any) -> int:
        """Publish one tick and return its sequence number."""
        return int(self._wire.post("/ticks", values.tick_text(as_tick(tick)))["seq"])

    def update_candle_1m(self, candle: Candle | Any) -> int:
        """Publish a 1-minute candle as final, and return its sequence number: see `DataHub.update_candle_1m`."""
        return int(self._wire.post("/candles", {"candles": [values.candle_text(as_candle(candle))]})["seqs"][0])

    def update_order_flow(self, metrics: OrderFlowMetrics | Any) -> int:
        """Publish order-flow metrics. Returns the sequence number."""
        return int(self._wire.post("/orderflow", values.flow_text(as_order_flow(metrics)))["seq"])

    def publish(
        self,
        array: npt.NDArray[Any],
        symbol: str | None = None,
        *,
        symbols: Sequence[str] | None = None,
        source: str | None = None,
        verified: bool = False,
    ) -> int:
        """Publish many ticks as Arrow, 65,536 a request: see `DataHub.publish`."""
        return sending.ticks(self, array, symbol, symbols, source, verified=verified)

    def warm_start_candles(self, symbol: str, candles: Iterable[Candle]) -> int:
        """Load 1-minute candles from elsewhere, oldest first, and return how many."""
        return sending.warm_start(self, symbol, candles)

    def warm_start_all(
        self, symbols: Iterable[str], db_fetch_func: Callable[[str, int], Iterable[Candle] | None], limit: int = 100
    ) -> int:
        """Warm-start several symbols through ``db_fetch_func(symbol, limit)``, which is called in this process."""
        return sending.warm_start_all(self, symbols, db_fetch_func, limit)

    def clear_symbol(self, symbol: str) -> int:
        """Let the views of a symbol start anew; the log keeps everything. Needs the scope admin."""
        self._quoted(symbol)
        return int(self._wire.post("/clear", {"symbol": symbol})["seq"])

    def clear_all(self) -> int:
        """Let the views of every symbol start anew. Needs the scope admin."""
        return int(self._wire.post("/clear", {"symbol": None})["seq"])

    def note(self, text: str, symbol: str | None = None) -> int:
        """Log a remark of at most 100,000 characters. Returns its sequence number."""
        return int(self._wire.post("/note", {"text": check_note(text).decode(), "symbol": self._named(symbol)})["seq"])

    def flush(self) -> int:
        """Wait until everything published is on stable storage; returns the first sequence that is not."""
        return int(self._wire.post("/flush", timeout_s=max(60.0, self._wire.timeout_s))["synced"])

    def advance(self, now: int | datetime) -> int:
        """Close every interval that ended a grace before ``now``. Needs the scope admin."""
        return int(self._wire.post("/advance", {"now": clock.moment_of(now)})["seq"])

    def set_clock(
        self, mode: ClockMode | str, *, anchor_ns: int | None = None, rate: float = 1.0, skew_ns: int = 0
    ) -> int:
        """Set the hub clock for every process: see `DataHub.set_clock`. Needs the scope admin."""
        chosen = ClockMode.parse(mode)
        anchor_ns, rate, skew_ns = clock.checked(chosen, anchor_ns, rate, skew_ns)
        asked = {"mode": chosen.name.lower(), "anchor": anchor_ns, "rate": rate, "skew_ns": skew_ns}
        return int(self._wire.post("/clock", asked)["seq"])

    # ------------------------------------------------------------ read

    def get_latest_tick(self, symbol: str) -> Tick | None:
        """Return the tick with the greatest ``ts_event``, or None."""
        told = self._wire.get(f"/ticks/{self._quoted(symbol)}/latest")
        return None if told is None else values.tick(told, self._pip_size(told["symbol"]))

    def get_latest_candles(self, symbol: str, limit: int = 100, timeframe: str = "1m") -> list[Candle]:
        """Return the newest final candles as a list, oldest first."""
        return list(reading.candles(self, symbol, timeframe, limit, None, None).objects())

    def get_latest_order_flow(self, symbol: str) -> OrderFlowMetrics | None:
        """Return the latest order-flow metrics of a symbol, or None."""
        told = self._wire.get(f"/orderflow/{self._quoted(symbol)}")
        return None if told is None else values.flow(told)

    def ticks(
        self,
        symbol: str,
        limit: int | None = None,
        start: int | datetime | None = None,
        end: int | datetime | None = None,
    ) -> Batch:
        """Read ticks since the last clear: see `DataHub.ticks`."""
        return reading.ticks(self, symbol, limit, start, end)

    def candles(
        self,
        symbol: str,
        timeframe: str = "1m",
        limit: int | None = None,
        start: int | datetime | None = None,
        end: int | datetime | None = None,
        *,
        forming: bool = False,
        source: str | None = None,
    ) -> Batch:
        """Read the newest candles that open in [start, end): see `DataHub.candles`."""
        return reading.candles(self, symbol, timeframe, limit, start, end, forming=forming, source=source)

    def history(
        self,
        symbol: str,
        timeframe: str = "1m",
        limit: int | None = None,
        start: int | datetime | None = None,
        end: int | datetime | None = None,
        *,
        source: str | None = None,
    ) -> Batch:
        """Build candles anew from everything the log still holds, clears or not."""
        return reading.history(self, symbol, timeframe, limit, start, end, source=source)

    def log(self, start: int = 0, n: int | None = None) -> NoReturn:
        """Refuse: there is no memory to look into.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            f"log() is a window on this machine's memory, and the hub is at {self.url}: expected a call on its own "
            "machine; ticks(), history() and stream() give the same records as copies"
        )

    def snapshot(self, symbol: str, timeframe: str = "1m", limit: int = 100) -> Snapshot:
        """Read tick, candles, order flow, state, age and completeness of a symbol in one consistent read."""
        return reading.snapshot(self, symbol, timeframe, limit)

    def stream(
        self,
        symbols: str | Iterable[str] | None = None,
        kinds: str | Iterable[str] = "tick",
        start: int | str = "now",
        on_lap: OnLap | str = OnLap.SKIP,
        wait: WaitStrategy | str = WaitStrategy.BLOCK,
        *,
        timeframes: str | Iterable[str] = "1m",
        name: str = "",
        durable: bool = False,
    ) -> RemoteStream:
        """Follow the log over a WebSocket: see `DataHub.stream`. It comes back by itself after a cut.

        Args:
            wait: has no meaning over a network; checked all the same.
            name: likewise; the gateway is the reader that the hub lists.

        Raises:
            ConfigError: ``durable``: a cursor lies in the hub's own directory.
        """
        WaitStrategy.parse(wait)
        if durable:
            raise ConfigError(
                f"stream {name!r} is to be durable, and the hub is at {self.url}: expected a call on its own machine, "
                "or a stream whose position you keep, with the hub's epoch, and give as start="
            )
        if self.closed:
            self._told("/clock")  # raises
        return RemoteStream(self, symbols, kinds, start, OnLap.parse(on_lap), timeframes)

    def astream(self, *args: Any, **kwargs: Any) -> RemoteAsyncStream:
        """Follow the log with ``async for``; arguments as for `stream`. Connects before it returns."""
        return RemoteAsyncStream(self.stream(*args, **kwargs))

    # ------------------------------------------------------------ freshness and state

    def require_fresh(self, symbol: str, max_age_s: float) -> Tick:
        """Return the latest tick, or refuse.

        Raises:
            StaleDataError: no tick, one older than ``max_age_s`` by the hub clock, or a state that is not fresh.
        """
        return reading.require_fresh(self, symbol, max_age_s)

    def state(self, symbol: str, source: str | None = None) -> str:
        """Return the liveness of a symbol, by its primary source or the named one: see `Snapshot.state`."""
        return reading.state(self, symbol, source)

    def check_staleness(self, symbol: str, max_age_seconds: dict[str, float] | None = None) -> dict[str, bool]:
        """Flag what is older than its limit (default tick 2 s, candle 120 s, order_flow 5 s), by the hub clock."""
        return reading.check_staleness(self, symbol, max_age_seconds)

    def get_status(self) -> dict[str, Any]:
        """Describe the whole hub: what it holds, its counters, who serves and who reads it."""
        return {**answers.status(self._told("/status")), "warm_start_errors": dict(self.warm_start_errors)}

    def ledger(self) -> dict[str, Any]:
        """Account for every record: received = published + duplicate + refused + quarantined + in flight."""
        return answers.ledger(self._told("/ledger"))

    def gaps(self, symbol: str, source: str | None = None) -> list[dict[str, Any]]:
        """List the spans without a live feed: start, end (None while it lasts), cause, status; oldest first."""
        return reading.gaps(self, symbol, source)

    def quarantined(self, symbol: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
        """List what feeds sent and the gate refused, with reason and raw values; the newest 10,000 at most."""
        return reading.quarantined(self, symbol, limit)

    def comparisons(self, symbol: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
        """List how candles differed from those that the venue built itself; the newest, oldest first."""
        return reading.comparisons(self, symbol, limit)

    def calendar(self, symbol: str) -> Sessions:
        """Give the hours of a symbol's market, holidays included, as all of the hub judge them now: ask each time."""
        return answers.calendar(self._told(f"/calendar/{self._quoted(symbol)}", table="true"))

    @property
    def instruments(self) -> dict[str, dict[str, Any]]:
        """Every defined instrument: pip size, decimals, calendar, primary source."""
        self._instruments = dict(self._told("/instruments")["instruments"])
        return dict(self._instruments)

    @property
    def sources(self) -> list[str]:
        """Every source, by id."""
        self._sources = list(self._told("/sources")["sources"])
        return list(self._sources)

    def readers(self) -> list[dict[str, Any]]:
        """List every stream of every process of the hub's machine: name, pid, position, lag, lost."""
        return list(self._told("/readers")["readers"])

    def processes(self) -> list[dict[str, Any]]:
        """List every process that is or was attached: name, pid, alive, what it published."""
        return list(self._told("/processes")["processes"])

    def server(self) -> tuple[int, datetime, str] | None:
        """Say who serves this hub: (pid, start time, name), or None when it runs without a server."""
        found: tuple[int, datetime, str] | None = answers.status(self._told("/status"))["server"]
        return found

    def verify(self, progress: Callable[[int, int], None] | None = None) -> Report:
        """Let the hub walk its whole log and check every checksum; ``progress`` is called at the end alone."""
        told = self._wire.post("/verify", timeout_s=max(600.0, self._wire.timeout_s))["report"]
        if progress is not None:
            progress(told["records"], told["records"])
        bad = [(int(line), str(why)) for line, why in told["bad"]]
        return Report(told["records"], told["segments"], told["expected_records"], bad)

    # ------------------------------------------------------------ for the modules beside this one

    def _told(self, path: str, **parameters: Any) -> Any:
        return self._wire.get(path, **parameters)

    def _quoted(self, symbol: str) -> str:
        """Write a symbol as a part of a path."""
        if not isinstance(symbol, str):
            raise TypeError(f"symbol is {symbol!r} ({type(symbol).__name__}), expected a str such as 'EUR_USD'")
        if not symbol.strip() or not symbol.isprintable() or len(symbol) > 64:
            raise InvalidRecord(f"symbol {symbol!r}: expected 1 to 31 bytes of printable text; rename it")
        return quote(symbol, safe="")

    def _named(self, symbol: str | None) -> str | None:
        """Check a symbol that may be none."""
        if symbol is not None:
            self._quoted(symbol)
        return symbol

    def _forget(self) -> None:
        """Forget ids: another hub or epoch lies there."""
        self._is_other = True

    def _pip_size(self, symbol: str) -> float:
        self._learn([symbol], [])
        return float(self._instruments.get(symbol, {}).get("pip_size") or 0.0)

    def _numbers(self, symbols: Iterable[str], sources: Iterable[str]) -> tuple[dict[str, int], dict[str, int]]:
        """Give the ids of instruments and sources, read anew when one is not known."""
        self._learn(symbols, sources)
        ids = {symbol: int(row["id"]) for symbol, row in self._instruments.items()}
        return ids, {name: number for number, name in enumerate(self._sources)}

    def _learn(self, symbols: Iterable[str], sources: Iterable[str]) -> None:
        is_other, self._is_other = self._is_other, False
        if is_other or any(symbol not in self._instruments for symbol in symbols):
            _ = self.instruments
        if is_other or any(source not in self._sources for source in sources):
            _ = self.sources

    # What `Batch` asks of its hub.

    def _symbols_of(self, rows: npt.NDArray[Any]) -> dict[int, str]:
        names = {int(row["id"]): symbol for symbol, row in self._instruments.items()}
        return {int(i): names.get(int(i), "") for i in np.unique(rows["instrument"])} if len(rows) else {}

    def _tick_objects(self, lines: npt.NDArray[np.uint8]) -> list[Tick]:
        return reading.tick_objects(self, lines)

    def _candle_objects(self, bodies: npt.NDArray[np.uint8]) -> list[Candle]:
        return reading.candle_objects(self, bodies)
