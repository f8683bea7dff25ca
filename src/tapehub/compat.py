"""For programs written around a `multiprocessing` manager that holds a data hub: change the import, keep the rest.

    from tapehub.compat import connect_to_data_hub, get_data_hub_from_env, start_data_hub_manager

    manager = start_data_hub_manager()      # or attach to the hub that is there
    hub = manager.DataHub()                 # the one hub, whoever asks
    hub.update_tick(...)

Where the hub is on the same machine, a proxy reads and writes its memory itself, in a microsecond; else it asks over
the connection. Programs that cannot change their import talk to the same endpoint as they are:
docs/howto/keep-basemanager-clients.md.
"""

from __future__ import annotations

import os
import subprocess
import threading
import weakref
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

from tapehub._native import Candle, OrderFlowMetrics, Tick
from tapehub.errors import ConfigError, HubNotRunning, NotOffered, TapehubError
from tapehub.gateway.access import Tokens
from tapehub.gateway.manager import child
from tapehub.gateway.manager.client import HubClient
from tapehub.gateway.manager.methods import METHODS, PROPERTIES
from tapehub.gateway.manager.settings import HOST, PORT, port_of
from tapehub.hub import DataHub as _Hub
from tapehub.hub import connect, hub_path

__all__ = [
    "Candle",
    "DataHub",
    "DataHubManager",
    "DataHubProxy",
    "OrderFlowMetrics",
    "Tick",
    "connect_to_data_hub",
    "get_data_hub_from_env",
    "start_data_hub_manager",
]

Address = tuple[str, int]


def start_data_hub_manager(
    address: Address | None = (HOST, PORT), authkey: bytes | str | None = None
) -> DataHubManager:
    """Start a hub behind an address, or attach to the one that serves it already.

    Args:
        address: host and port; port 0 lets the system choose.
        authkey: default ``DATA_HUB_AUTHKEY``, else this user's token.

    Returns:
        DataHubManager: its ``shutdown()`` ends what was started here, and only detaches from what was not.

    Raises:
        ConfigError: no key is known, the hub there holds another one, or something else has the address.
        HubNotRunning: it did not come up.
    """
    manager = DataHubManager(address, authkey)
    try:
        manager.connect()
    except HubNotRunning:
        manager.start()
    return manager


def connect_to_data_hub(address: Address = (HOST, PORT), authkey: bytes | str | None = None) -> DataHubProxy:
    """Connect to the hub behind an address; arguments as for `start_data_hub_manager`.

    Raises:
        HubNotRunning: there is none.
    """
    manager = DataHubManager(address, authkey)
    manager.connect()
    return manager.DataHub()


def get_data_hub_from_env() -> DataHubProxy:
    """Connect to the hub at ``DATA_HUB_HOST``:``DATA_HUB_PORT`` with ``DATA_HUB_AUTHKEY``."""
    return connect_to_data_hub((os.environ.get("DATA_HUB_HOST") or HOST, port_of(os.environ) or PORT))


class DataHubManager:
    """Stand where a `BaseManager` with a registered ``DataHub`` stood. Any number of threads.

    As a context manager it starts, or attaches, and shuts down at the end.
    """

    def __init__(self, address: Address | None = (HOST, PORT), authkey: bytes | str | None = None) -> None:
        host, port = address or (HOST, 0)
        self._address = (str(host), int(port))
        self._key = _key(authkey)
        self._client: HubClient | None = None
        self._hub: _Hub | None = None
        self._lock = threading.Lock()
        self._end: weakref.finalize[[subprocess.Popen[str]], DataHubManager] | None = None

    @property
    def address(self) -> Address:
        """Where the hub is served."""
        return self._address

    @property
    def is_owner(self) -> bool:
        """Whether the hub's server was started here, and `shutdown` ends it."""
        return self._end is not None and self._end.alive

    def connect(self) -> None:
        """Attach to the hub that serves the address.

        Raises:
            HubNotRunning: there is none.
            ConfigError: it holds another key.
        """
        with self._lock:
            self._client = HubClient(self._address, self._key)
            self._hub = _same_machine(self._client)

    def start(self) -> None:
        """Start a server for this user's hub in a process of its own, which ends with this one.

        Raises:
            ConfigError, HubNotRunning: it did not come up; the message says why.
        """
        host, port = self._address
        process, said = child.start(hub=str(hub_path()), key=self._key.hex(), host=host, port=port)
        if "error" in said:
            child.stop(process)
            self._attach_instead(str(said["error"]))
            return
        self._address = (str(said["address"][0]), int(said["address"][1]))
        # As a manager's: also when nobody holds it any more, and at the end of the program.
        self._end = weakref.finalize(self, child.stop, process)
        self.connect()

    def DataHub(self) -> DataHubProxy:  # noqa: N802 - the name under which managers register it
        """Give the hub: the same one to everyone, everywhere."""
        if self._client is None:
            raise HubNotRunning(
                f"not connected to {self._address[0]}:{self._address[1]} yet: call connect() or start()"
            )
        return DataHubProxy(self, self._client, self._hub)

    def shutdown(self) -> None:
        """End the server that was started here; from one that was not, only detach. Idempotent."""
        with self._lock:
            client, self._client, self._hub = self._client, None, None
        if client is not None:
            client.close()
        if self._end is not None:
            self._end()

    def join(self, timeout: float | None = None) -> None:
        """Return at once: the server is a process of its own, and ends with `shutdown`."""

    def _process_id(self) -> int | None:
        """Name the process of the server that was started here."""
        alive = self._end.peek() if self._end is not None else None
        return alive[2][0].pid if alive else None

    def __enter__(self) -> Self:
        if self._client is None:
            try:
                self.connect()
            except HubNotRunning:
                self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()

    def __repr__(self) -> str:
        state = "not connected" if self._client is None else "owner" if self.is_owner else "attached"
        return f"<DataHubManager {self._address[0]}:{self._address[1]} ({state})>"

    def _attach_instead(self, why: str) -> None:
        """Attach to whom another process started in the same moment; else report why none came up."""
        try:
            self.connect()
        except HubNotRunning:
            raise ConfigError(why) from None


class DataHubProxy:
    """Call the hub. Any number of threads.

    Has every method of `tapehub.DataHub` where the hub is on this machine, elsewhere those that its endpoint offers.
    """

    def __init__(self, manager: DataHubManager, client: HubClient, hub: _Hub | None) -> None:
        self._manager = manager
        self._client = client
        self._hub = hub
        self.warm_start_errors: dict[str, str] = {}

    @property
    def is_local(self) -> bool:
        """Whether calls go to the hub's memory, and not over the connection."""
        return self._hub is not None

    @property
    def address(self) -> Address:
        """Where the hub is served."""
        return self._manager.address

    def DataHub(self) -> DataHubProxy:  # noqa: N802
        """Give itself: for programs that take what `connect_to_data_hub` returns for a manager."""
        return self

    def shutdown(self) -> None:
        """Detach."""
        self._manager.shutdown()

    def update_tick(self, tick: Tick) -> int:
        """Publish one tick; returns its sequence number."""
        return int(self._call("update_tick", tick))

    def update_candle_1m(self, candle: Candle) -> int:
        """Publish a 1-minute candle as final; returns its sequence number."""
        return int(self._call("update_candle_1m", candle))

    def update_order_flow(self, metrics: OrderFlowMetrics) -> int:
        """Publish order-flow metrics; returns the sequence number."""
        return int(self._call("update_order_flow", metrics))

    def get_latest_tick(self, symbol: str) -> Tick | None:
        """Return the latest tick of a symbol, or None."""
        found: Tick | None = self._read("get_latest_tick", symbol)
        return found

    def get_latest_candles(self, symbol: str, limit: int = 100) -> list[Candle]:
        """Return the newest final 1-minute candles, oldest first."""
        found: list[Candle] = self._read("get_latest_candles", symbol, limit)
        return found

    def get_latest_order_flow(self, symbol: str) -> OrderFlowMetrics | None:
        """Return the latest order-flow metrics of a symbol, or None."""
        found: OrderFlowMetrics | None = self._read("get_latest_order_flow", symbol)
        return found

    def warm_start_candles(self, symbol: str, candles: Iterable[Candle]) -> int:
        """Load 1-minute candles from elsewhere and return how many."""
        return int(self._call("warm_start_candles", symbol, list(candles)))

    def warm_start_all(
        self, symbols: Iterable[str], db_fetch_func: Callable[[str, int], Iterable[Candle] | None], limit: int = 100
    ) -> int:
        """Call ``db_fetch_func(symbol, limit)`` here for each symbol, and load what it returns.

        One symbol's failure stops no other; `warm_start_errors` keeps it.

        Returns:
            int: how many candles were loaded.
        """
        self.warm_start_errors = {}
        loaded = 0
        for symbol in symbols:
            try:
                loaded += self.warm_start_candles(symbol, db_fetch_func(symbol, limit) or ())
            except Exception as error:  # whatever a caller's database raises
                self.warm_start_errors[symbol] = f"{type(error).__name__}: {error}"
        return loaded

    def get_status(self) -> dict[str, Any]:
        """Describe the whole hub."""
        return dict(self._read("get_status"))

    def check_staleness(self, symbol: str, max_age_seconds: dict[str, float] | None = None) -> dict[str, bool]:
        """Flag what is older than its limit."""
        return dict(self._read("check_staleness", symbol, max_age_seconds))

    def clear_symbol(self, symbol: str) -> int:
        """Let the views of a symbol start anew."""
        return int(self._call("clear_symbol", symbol))

    def clear_all(self) -> int:
        """Let the views of every symbol start anew."""
        return int(self._call("clear_all"))

    def __getattr__(self, name: str) -> Any:
        """Find everything else that the hub can do."""
        if name.startswith("_"):
            raise AttributeError(name)
        if self._hub is not None:
            return getattr(self._hub, name)
        if name in PROPERTIES:
            return self._client.value(name)
        if name not in METHODS:
            raise NotOffered(
                f"the hub at {self.address[0]}:{self.address[1]} has no method {name!r} over this connection, expected "
                f'{", ".join((*METHODS, *PROPERTIES))}; tapehub.connect("https://…") has everything'
            )

        # What changes the hub has a method above: these are questions, and may be asked again.
        def ask(*args: Any, **named: Any) -> Any:
            return self._client.call(name, *args, repeat=True, named=named)

        return ask

    def __repr__(self) -> str:
        return f"<DataHubProxy of {self._hub if self._hub is not None else '{}:{}'.format(*self.address)}>"

    def _call(self, method: str, *args: Any) -> Any:
        if self._hub is not None:
            return getattr(self._hub, method)(*args)
        return self._client.call(method, *args)

    def _read(self, method: str, *args: Any) -> Any:
        if self._hub is not None:
            return getattr(self._hub, method)(*args)
        return self._client.call(method, *args, repeat=True)


class DataHub(_Hub):
    """Be the hub in this process: ``DataHub()`` opens this user's, and makes it when there is none."""

    def __new__(cls) -> _Hub:  # type: ignore[misc]
        """Give a `tapehub.DataHub`."""
        return _Hub.open(create=True)

    @classmethod
    def open(cls, *args: Any, **options: Any) -> _Hub:  # type: ignore[override]
        """See `tapehub.DataHub.open`."""
        return _Hub.open(*args, **options)


def _key(given: bytes | str | None) -> bytes:
    """Choose the key.

    Raises:
        ConfigError: none is known; there is none that everybody knows.
    """
    key = given or os.environ.get("DATA_HUB_AUTHKEY") or _token()
    if not key:
        raise ConfigError(
            "no key for the data hub: pass authkey=, or set DATA_HUB_AUTHKEY to one of your own "
            "(python -c 'import secrets; print(secrets.token_urlsafe())'), the same for every program; or start "
            f'"tapehub up" once, which makes this user\'s token in {hub_path()}'
        )
    return key.encode() if isinstance(key, str) else bytes(key)


def _token() -> str | None:
    """Read the token of this user's hub; None when there is none.

    Raises:
        ConfigError: others could have read or written it.
    """
    tokens = Tokens.open(hub_path(), create=False)
    return tokens.owner.reveal() if tokens.owner_file.exists() else None


def _same_machine(client: HubClient) -> _Hub | None:
    """Attach to the memory of the hub behind a connection, when it is a hub of this machine that we may open."""
    path, hub_id = client.place()
    try:
        hub = connect(path)
    except (TapehubError, OSError):
        return None
    if hub.hub_id != hub_id:
        return None
    client.close()  # not needed any more
    return hub
