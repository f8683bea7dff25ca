"""`tapehub mcp`: the hub for language models, by the Model Context Protocol."""

from __future__ import annotations

import getpass
import importlib.util
import os
import threading
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tapehub.app.config import read_config
from tapehub.app.console import Exit, note
from tapehub.app.hubs import HubOption, NameOption, attach, place
from tapehub.app.logs import log_to
from tapehub.errors import ConfigError, HubNotRunning, MissingExtra
from tapehub.hub import DataHub
from tapehub.stopping import stopping

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tapehub.gateway.mcp.server import Known

__all__ = ["DEFAULT_PORT", "Attached", "known", "mcp"]

DEFAULT_PORT = 8766
_LISTED_AS = "mcp"


def mcp(
    http: Annotated[bool, typer.Option("--http", help="Serve streamable HTTP at a port, instead of stdio.")] = False,
    host: Annotated[
        str, typer.Option(help="Address to listen at; any but a loopback one needs TLS. With --http.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 for any free one. With --http.")] = DEFAULT_PORT,
    allow_opinions: Annotated[
        bool, typer.Option("--allow-opinions", help="Offer submit_opinion by stdio; with --http the token decides.")
    ] = False,
    hub: HubOption = None,
    name: NameOption = None,
) -> None:
    """Let a language model ask this hub: quotes, candles, states, gaps, agents; it can order nothing.

    Without --http it speaks on stdin and stdout, as a program that a client starts: it has your rights, and nothing but
    the protocol is written there. With --http each request shows a token of the hub: "tapehub token new".
    """
    if importlib.util.find_spec("mcp") is None:
        raise MissingExtra("mcp", "mcp", "tapehub mcp")
    if http and allow_opinions:
        raise ConfigError("--allow-opinions with --http: there the scope of a token decides; drop the option")
    log_to(level="warning")
    if http:
        _serve_http(hub, name, host, port)
    else:
        _serve_stdio(place(hub, name), allow_opinions=allow_opinions)


class Attached:
    """Attach to a hub when it is first asked for, so that a client may be started before the hub. Any thread."""

    def __init__(self, where: Path, *, read_only: bool) -> None:
        self._where = where
        self._read_only = read_only
        self._lock = threading.Lock()
        self._hub: DataHub | None = None

    def __call__(self) -> DataHub:
        """Give the hub.

        Raises:
            HubNotRunning: there is none; the next call looks again.
        """
        with self._lock:
            if self._hub is None:
                self._hub = self._open()
            return self._hub

    def _open(self) -> DataHub:
        absent = f'no hub at {self._where}: expected one that runs; start it with "tapehub up"'
        if not self._where.exists():
            raise HubNotRunning(absent)
        try:
            return DataHub.open(self._where, name=_LISTED_AS, read_only=self._read_only)
        except HubNotRunning as error:
            raise HubNotRunning(absent) from error
        except OSError as error:
            raise HubNotRunning(f"{self._where}: {error.strerror}: expected a hub this user may read") from error

    def close(self) -> None:
        """Leave the hub."""
        with self._lock:
            if self._hub is not None:
                self._hub.close()
                self._hub = None


def known(hub: Callable[[], DataHub], author: Callable[[Any], str] | None) -> Known:
    """Give the server what lies beside and above it."""
    from tapehub.app.trading import AgentsInLog
    from tapehub.gateway.mcp.server import Known

    return Known(hub, _why, AgentsInLog(), author, version("tapehub"))


def _serve_stdio(where: Path, *, allow_opinions: bool) -> None:
    import anyio

    from tapehub.gateway.mcp.server import create_server

    attached = Attached(where, read_only=not allow_opinions)
    author = f"mcp-{_user()}"
    server = create_server(known(attached, (lambda ctx: author) if allow_opinions else None))

    def end(stop: threading.Event) -> None:
        # A thread sits in a read of stdin, which nothing ends but its other side: there is no orderly way out.
        stop.wait()
        attached.close()
        os._exit(Exit.OK)

    try:
        with stopping() as stop:
            threading.Thread(target=end, args=(stop,), name="end", daemon=True).start()
            anyio.run(server.run_stdio_async)
    finally:
        attached.close()


def _serve_http(hub: Path | None, name: str | None, host: str, port: int) -> None:
    from tapehub.gateway.mcp.http import McpGateway, author_of
    from tapehub.gateway.mcp.server import create_server

    settings = read_config().gateway.model_copy(update={"host": host, "port": port})
    with attach(hub, name, _LISTED_AS) as opened, stopping() as stop:
        server = create_server(known(lambda: opened, author_of))
        with McpGateway(server, opened.path, settings) as served:
            note(f"serving {opened.path} to language models at {served.url}")
            note('each needs a token: "tapehub token new NAME"; --scope publish for submit_opinion; Ctrl-C ends it')
            while served.alive and not stop.wait(0.2):
                pass
        note("stopped")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _why(hub: DataHub, symbols: Sequence[str]) -> dict[str, Any]:
    from tapehub.app.gateway import why_of

    return why_of(hub, symbols)
