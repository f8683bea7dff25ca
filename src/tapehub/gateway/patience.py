"""How long a connection may say nothing: whoever connects and asks nothing would take a place from those who ask.

uvicorn counts connections from the first byte of TCP on, and has a timeout for those that have asked once alone.
"""

from __future__ import annotations

import asyncio
from typing import Any

from tapehub.errors import MissingExtra

try:
    from uvicorn.protocols.http.auto import AutoHTTPProtocol
except ImportError as error:
    raise MissingExtra(error.name or "uvicorn", "server", "the gateway") from error

__all__ = ["patient"]

_Base: Any = AutoHTTPProtocol


def patient(head_s: float, silent_max: int) -> type[Any]:
    """Make a protocol for uvicorn that closes connections which do not come to the point.

    Args:
        head_s: within it the whole head of a request must have come: from the connection's beginning, and again from
            the first byte after an answer.
        silent_max: connections that may owe one; the one that has for longest makes room for the next.
    """
    owing: dict[Any, None] = {}  # the longest first

    class Patient(_Base):  # type: ignore[misc]
        """One connection, until it is closed or becomes a WebSocket."""

        _deadline: asyncio.TimerHandle | None = None
        _answered: Any = None
        _is_socket = False

        def connection_made(self, transport: Any) -> None:
            """Begin to wait."""
            super().connection_made(transport)
            self._owe()

        def data_received(self, data: bytes) -> None:
            """Take bytes; the head of a request ends the waiting, part of one begins it."""
            super().data_received(data)
            if self.cycle is not self._answered:
                self._answered = self.cycle
                self._paid()
            elif self._deadline is None and (self.cycle is None or self.cycle.response_complete):
                self._owe()

        def handle_websocket_upgrade(self, *arguments: Any) -> None:
            """Hand the connection on."""
            self._paid()
            super().handle_websocket_upgrade(*arguments)
            self._is_socket = True

        def connection_lost(self, error: Exception | None) -> None:
            """End."""
            self._paid()
            super().connection_lost(error)

        def _owe(self) -> None:
            if self._is_socket or self.transport.is_closing():
                return
            self._deadline = self.loop.call_later(head_s, self._give_up)
            owing[self] = None
            if len(owing) > silent_max:
                next(iter(owing))._give_up()

        def _paid(self) -> None:
            owing.pop(self, None)
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

        def _give_up(self) -> None:
            self._paid()
            self.transport.abort()

    return Patient
