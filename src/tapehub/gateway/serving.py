"""`Gateway`: the API, the stream and the page, on a port."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tapehub.gateway.access import Access
from tapehub.gateway.background import BackgroundServer
from tapehub.gateway.context import Outside
from tapehub.gateway.settings import GatewaySettings
from tapehub.gateway.web import Web, create_app, guarded
from tapehub.gateway.wire import Wire

if TYPE_CHECKING:
    from fastapi import FastAPI

    from tapehub.hub import DataHub

__all__ = ["Gateway"]

_FAREWELL_S = 0.3


class Gateway(BackgroundServer):
    """Serve one hub over HTTP and WebSocket until closed.

    Raises:
        ConfigError: the port is taken, or the address may not be listened at (see `access.check_bind`).
    """

    def __init__(
        self,
        hub: DataHub,
        settings: GatewaySettings | None = None,
        *,
        outside: Outside | None = None,
        page: Callable[[FastAPI], None] | None = None,
        access: Access | None = None,
    ) -> None:
        chosen = settings or GatewaySettings()
        super().__init__("the gateway", hub.path, chosen, access=access)
        self.web: Web = guarded(create_app(hub, chosen, outside=outside, page=page), self.access)
        self.host(
            self.web.app, message_bytes_max=chosen.limits.message_bytes,
            ws=Wire, ws_per_message_deflate=False, ws_ping_interval=None,
        )  # fmt: skip

    def call(self, what: Callable[[], Any], timeout_s: float = 5.0) -> Any:
        """Call something in the event loop, and wait for what it gives: for counters, and tests."""
        assert self._loop is not None

        async def run() -> Any:
            return what()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(timeout_s)

    async def farewell(self) -> None:
        """Let those who read hear that it was no accident."""
        broadcast = self.web.broadcast
        broadcast.end(1001, "the gateway ends")
        deadline_s = asyncio.get_running_loop().time() + _FAREWELL_S
        while broadcast.sessions and asyncio.get_running_loop().time() < deadline_s:
            await asyncio.sleep(0.01)
