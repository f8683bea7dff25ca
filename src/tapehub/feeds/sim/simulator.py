"""The simulator as tests and programs use it: `Simulator` in an event loop, `SimulatorThread` beside anything else."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from tapehub.errors import FeedError
from tapehub.feeds.sim.clock import Clock
from tapehub.feeds.sim.faults import Fault, FaultKind
from tapehub.feeds.sim.journal import Journal
from tapehub.feeds.sim.rest import BASE
from tapehub.feeds.sim.script import Line, fault_from, timed
from tapehub.feeds.sim.settings import Settings
from tapehub.feeds.sim.source import Source, SyntheticSource
from tapehub.feeds.sim.venue import Venue

if TYPE_CHECKING:
    from tapehub.feeds.sim.server import Server

__all__ = ["SYMBOLS", "Simulator", "SimulatorThread"]

SYMBOLS = ("EUR_USD", "GBP_USD", "USD_JPY", "AUD_USD", "XAU_USD", "DE40")
_START_S = 20.0
T = TypeVar("T")


class Simulator:
    """Simulate IG on a port of the loopback interface, within ``async with``.

    Args:
        source: default: synthetic quotes of the major pairs, gold and an index.
        clock: UTC ns; default: the wall clock. `VirtualClock` runs from another instant and at another pace, and
            `DataHub.now` follows a hub.
        script: faults and when they begin, as `read_script` gives them.
        port: 0 lets the system choose.

    Raises:
        ConfigError: the port is taken, or a setting makes no sense.
        MissingExtra: aiohttp is not installed.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        source: Source | None = None,
        clock: Clock = time.time_ns,
        script: Iterable[Line] = (),
        seed: int = 1,
        port: int = 0,
    ) -> None:
        self.settings = settings or Settings()
        lines = list(script)
        start_ns = clock()
        self.venue = Venue(
            source or SyntheticSource(SYMBOLS, seed), clock, self.settings, script=timed(lines, start_ns), seed=seed
        )
        self._wanted = port
        self._server: Server | None = None

    async def __aenter__(self) -> Self:
        from tapehub.feeds.sim.server import Server

        self._server = Server(self.venue, self._wanted)
        await self._server.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None
        await self._server.stop()
        if error is None:
            self._server.check()

    @property
    def port(self) -> int:
        """Give the port, once it listens."""
        return 0 if self._server is None else self._server.port

    @property
    def rest_url(self) -> str:
        """Give what IG's ``https://demo-api.ig.com/gateway/deal`` is there."""
        return f"http://127.0.0.1:{self.port}{BASE}"

    @property
    def stream_url(self) -> str:
        """Give the Lightstreamer server's address; a login names it as `lightstreamerEndpoint` too."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Journal:
        """Give what was asked and done."""
        return self.venue.journal

    def inject(self, kind: Fault | FaultKind | str, **fields: Any) -> None:
        """Let a fault begin now: a `Fault`, or a kind with the keys of a script (`for_` is ``for``).

        Raises:
            ConfigError: a key or a value makes no sense.
        """
        self.venue.inject(_fault(kind, fields))

    def check(self) -> None:
        """Raise what stopped the simulation, if anything did."""
        if self._server is not None:
            self._server.check()


class SimulatorThread:
    """Run a `Simulator` in a thread with an event loop of its own, within ``with``; arguments are the simulator's.

    Any thread may call. `venue` belongs to the other thread: look at it through `call`.
    """

    def __init__(self, settings: Settings | None = None, **options: Any) -> None:
        self._make: Callable[[], Simulator] = lambda: Simulator(settings, **options)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._started: Future[Simulator] = Future()
        self._thread = threading.Thread(target=self._run, name="tapehub simulator", daemon=True)
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._sim = self._started.result(_START_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_START_S)
        if self._thread.is_alive():
            raise FeedError(f"the simulator did not stop within {_START_S:g} s: expected it to; a client holds it up")
        if self._failure is not None and error is None:
            raise self._failure

    @property
    def port(self) -> int:
        """Give the port."""
        return self._sim.port

    @property
    def rest_url(self) -> str:
        """Give the REST base address."""
        return self._sim.rest_url

    @property
    def stream_url(self) -> str:
        """Give the Lightstreamer server's address."""
        return self._sim.stream_url

    @property
    def settings(self) -> Settings:
        """Give the settings."""
        return self._sim.settings

    @property
    def log(self) -> Journal:
        """Give what was asked and done: counters may be read at any time, `entries` through `call`."""
        return self._sim.log

    def inject(self, kind: Fault | FaultKind | str, **fields: Any) -> None:
        """Let a fault begin now, and return when it has: see `Simulator.inject`."""
        made = _fault(kind, fields)
        self.call(lambda sim: sim.inject(made))

    def check(self) -> None:
        """Raise what stopped the simulation, if anything did."""
        self.call(Simulator.check)

    def call(self, function: Callable[[Simulator], T]) -> T:
        """Run a function of the simulator in its own thread, and give what it gives."""
        assert self._loop is not None

        async def run() -> T:
            return function(self._sim)

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(_START_S)

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:
            self._failure = error
            if not self._started.done():
                self._failure = None
                self._started.set_exception(error)

    async def _main(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with self._make() as sim:
            self._started.set_result(sim)
            await self._stop.wait()


def _fault(fault: Fault | FaultKind | str, fields: dict[str, Any]) -> Fault:
    if isinstance(fault, Fault):
        return fault
    kind = fault.value if isinstance(fault, FaultKind) else fault
    return fault_from({"kind": kind, **{key.rstrip("_"): value for key, value in fields.items()}})
