"""One WebSocket's connection: uvicorn's, which can also be dropped while it takes nothing."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from tapehub.gateway.streaming.session import ABORT

__all__ = ["Wire"]

_FAREWELL_S = 5.0
_SHUTDOWN_S = 0.5
_BUFFER_BYTES = 256 << 10


class Wire(WebSocketsSansIOProtocol):
    """Bound what waits for a client that takes nothing, and end it without waiting for it."""

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=_BUFFER_BYTES)

    def handle_connect(self, event: Any) -> None:
        """Let the application drop the connection: its task runs after this."""
        super().handle_connect(event)
        if hasattr(self, "scope"):
            self.scope[ABORT] = self.drop  # type: ignore[typeddict-unknown-key]

    def drop(self, code: int, reason: str) -> None:
        """Say farewell, should the client ever read it, and be gone soon in any case."""
        if not self.close_sent and self.handshake_complete and not self.transport.is_closing():
            self.close_sent = self.disconnected = True
            self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
            self.conn.send_close(code, reason)
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.writable.set()  # whoever waits to send need not any more
            self.transport.close()
        self.loop.call_later(_FAREWELL_S, self.transport.abort)

    def shutdown(self) -> None:
        """End with the server, whether the client takes the farewell or not."""
        super().shutdown()
        self.loop.call_later(_SHUTDOWN_S, self.transport.abort)
