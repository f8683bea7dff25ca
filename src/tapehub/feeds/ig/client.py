"""The official Lightstreamer client, set up for a collector.

Version 1.0.3 is the one that IG's server accepts (TLCP 2.4.0). Importing it starts its network thread, so nothing but
a stream that is about to connect imports this module.

Measured with 1.0.3: it does not notice that the server closed the WebSocket (its reading loop ends without a word),
and stays CONNECTED for keep-alive + 2 s + 3 s. So its timers are shortened, for connections that die silently, and the
end of the reading loop is reported to it as the transport error that it is, for those that are closed.
"""

from __future__ import annotations

from typing import Any

from tapehub.errors import MissingExtra

try:
    from lightstreamer.client import (
        ClientListener,
        LightstreamerClient,
        Subscription,
        SubscriptionListener,
        com_lightstreamer_net,
    )
except ImportError as error:
    raise MissingExtra("lightstreamer-client-lib", "ig", "IG's streaming") from error

__all__ = ["ClientListener", "LightstreamerClient", "Subscription", "SubscriptionListener", "make_client"]

KEEPALIVE_MS = 1_000  # a wish: the server may grant a longer one
STALLED_MS = 1_000
RECONNECT_MS = 1_000
RECOVERY_MS = 8_000
RETRY_MS = 4_000


def make_client(endpoint: str, user: str, password: str) -> LightstreamerClient:
    """Make a client that is not connected yet.

    Source: IG Labs, streaming API guide: user is the active account, password ``CST-…|XST-…``, no adapter set.
    """
    _report_closed_sockets()
    client = LightstreamerClient(endpoint, None)
    client.connectionDetails.setUser(user)
    client.connectionDetails.setPassword(password)
    options = client.connectionOptions
    options.setKeepaliveInterval(KEEPALIVE_MS)
    options.setStalledTimeout(STALLED_MS)
    options.setReconnectTimeout(RECONNECT_MS)
    options.setSessionRecoveryTimeout(RECOVERY_MS)
    options.setRetryDelay(RETRY_MS)
    # A slow reader would otherwise be moved to polling, where a dead connection shows later.
    options.setSlowingEnabled(False)
    return client


def _report_closed_sockets() -> None:
    """Let the client hear of a WebSocket that the other side closed; docs/adr/0011-the-ig-client.md."""
    sockets = com_lightstreamer_net.WsClientPy
    read = getattr(sockets, "_connectAsync", None)  # of a pinned version; without it, the timers notice
    if read is None or getattr(read, "reports_closing", False):
        return

    async def read_and_report(self: Any, *args: Any) -> None:
        told: list[object] = []
        report = self.on_error

        def once(client: Any, why: Any) -> None:
            if not told:
                told.append(why)
                report(client, why)

        self.on_error = once
        await read(self, *args)
        if not self.isDisposed():
            once(self, ConnectionError("closed by the other side"))

    read_and_report.reports_closing = True  # type: ignore[attr-defined]
    sockets._connectAsync = read_and_report
