"""`BackgroundServer`: an application behind the door, on a port, in a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from tapehub.errors import ConfigError, MissingExtra
from tapehub.gateway.access import Access, check_bind, names_of, uvicorn_options
from tapehub.gateway.listening import listen
from tapehub.gateway.patience import patient

try:
    import uvicorn
except ImportError as error:
    raise MissingExtra(error.name or "uvicorn", "server", "the gateway") from error

if TYPE_CHECKING:
    from tapehub.gateway.settings import GatewaySettings

__all__ = ["BackgroundServer"]

_COME_UP_S: Final = 10.0
_GRACE_S: Final = 1


class BackgroundServer:
    """Hold a port and who may come in; a subclass says what is served, with `host`, before it starts.

    Args:
        name: of what is served, for messages.
        settings: host, port, certificate, names.
        path: what the address of the server ends in.
        where: host and port are set, for messages; default is [gateway] of the configuration.
        access: who may come in; default is what the hub's tokens say.

    Raises:
        ConfigError: the port is taken, or the address may not be listened at (see `access.check_bind`).
    """

    def __init__(
        self,
        name: str,
        hub_path: Path,
        settings: GatewaySettings,
        *,
        path: str = "",
        where: str | None = None,
        access: Access | None = None,
    ) -> None:
        self._name = name
        self._limits = settings.limits.door()
        named = {} if where is None else {"where": where}
        bound = {} if where is None else {"where": where.partition(",")[0]}
        self._files = check_bind(
            settings.host, certificate=settings.tls_cert, key=settings.tls_key, hub_path=hub_path, has_token=True,
            **bound,
        )  # fmt: skip
        names = (*settings.allowed_hosts, *(names_of(self._files) if self._files is not None else ()))
        self.access = access or Access.open(
            hub_path, allowed_hosts=names, allowed_origins=settings.allowed_origins, limits=self._limits
        )
        self._socket = listen(settings.host, settings.port, **named)
        self.port = int(self._socket.getsockname()[1])
        # "0.0.0.0" is no name that a certificate can be for: the first of its own is what clients write.
        everywhere = settings.host in ("0.0.0.0", "::", "") and self._files is not None  # noqa: S104
        host = next(iter(names_of(self._files)), settings.host) if everywhere and self._files else settings.host
        shown = f"[{host}]" if ":" in host else host
        self.url = f"{'http' if self._files is None else 'https'}://{shown}:{self.port}{path}"
        self._server: uvicorn.Server | None = None
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._up = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def host(self, app: Any, *, message_bytes_max: int | None = None, **options: Any) -> None:
        """Say what is served: an ASGI application that is guarded already, and uvicorn's options beside the common."""
        more = {} if message_bytes_max is None else {"message_bytes_max": message_bytes_max}
        common: dict[str, Any] = uvicorn_options(self._files, self._limits, **more) | {
            "access_log": False, "log_config": None, "log_level": "warning", "lifespan": "on",
            "timeout_graceful_shutdown": _GRACE_S, "timeout_keep_alive": 75,
            "http": patient(self._limits.head_s, min(self._limits.silent_max, self._limits.websockets_max)),
        }  # fmt: skip
        self._server = uvicorn.Server(uvicorn.Config(app, **common | options))

    async def farewell(self) -> None:
        """Be told, in the event loop, that the end has come."""

    def start(self) -> Self:
        """Serve from here on.

        Raises:
            ConfigError: it did not come up.
        """
        self._thread.start()
        if not self._up.wait(_COME_UP_S) or self._failure is not None:
            self.close()
            raise ConfigError(f"{self._name} did not come up at {self.url}: {self._failure or 'no answer'}")
        return self

    def close(self) -> None:
        """Say farewell, and end; in at most some two seconds. Idempotent."""
        loop, stop = self._loop, self._stop
        if loop is not None and stop is not None and not loop.is_closed():
            with contextlib.suppress(RuntimeError):  # it ended in between
                loop.call_soon_threadsafe(stop.set)
        if self._thread.is_alive():
            self._thread.join(10.0)
        self._socket.close()

    @property
    def alive(self) -> bool:
        """Tell whether it serves."""
        return self._thread.is_alive()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ------------------------------------------------------------ in the thread

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # SystemExit of a server that could not start, too
            self._failure = error
        finally:
            self._up.set()

    async def _serve(self) -> None:
        assert self._server is not None, "host() comes before start()"
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        stopping = asyncio.create_task(self._stop.wait())
        try:
            while not self._server.started and not serving.done():
                await asyncio.sleep(0.005)
            self._up.set()
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not serving.done():
                await self.farewell()
                self._server.should_exit = True
            await serving
        finally:
            stopping.cancel()
