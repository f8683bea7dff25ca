"""Messages of `multiprocessing.connection` on a TCP socket: four bytes of length, then the body. Sans pickle.

What CPython's own `Connection` leaves out is here: a bound on the length that is looked at before anything is
allocated, a time by which a message that has begun must have come, and no wait for a delayed acknowledgement.

Source: CPython 3.13, Lib/multiprocessing/connection.py, `Connection._send_bytes` and `_recv_bytes`.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress

from tapehub.errors import TapehubError

__all__ = ["BadFrame", "Frames", "TooLong"]

_HEADER = struct.Struct("!i")
_CHUNK = 1 << 16
_QUICK_ACK = getattr(socket, "TCP_QUICKACK", None)  # Linux


class BadFrame(TapehubError):
    """Report bytes that are no message: the connection is of no more use."""


class TooLong(BadFrame):
    """Report a message longer than allowed; it was read and thrown away, so the connection can answer."""


class Frames:
    """Send and receive whole messages. One thread.

    Args:
        patience_s: within it a message that has begun must come in full, and one sent must be taken.
    """

    def __init__(self, connection: socket.socket, patience_s: float) -> None:
        self._socket = connection
        self._rest = b""
        connection.setblocking(True)
        self.be_patient(patience_s)
        with suppress(OSError):  # a Unix socket has neither
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def be_patient(self, patience_s: float) -> None:
        """Change how long a message may take."""
        self._patience_s = patience_s
        # By the kernel: a Python time-out would cost a poll before every receive.
        span = struct.pack("@ll", int(patience_s), int(patience_s % 1 * 1e6))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, span)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, span)

    def send(self, body: bytes) -> None:
        """Send a message in one write, so that no part of it waits for an acknowledgement of another.

        Raises:
            BadFrame: the other end did not take it in time.
            OSError: the connection is gone.
        """
        whole = _HEADER.pack(len(body)) + body
        sent = 0
        with suppress(BlockingIOError):
            sent = self._socket.send(whole)
        if sent == len(whole):  # as nearly always
            return
        deadline = time.monotonic() + self._patience_s
        left = memoryview(whole)[sent:]
        while True:
            with suppress(BlockingIOError):
                left = left[self._socket.send(left) :]
            if not left:
                return
            if time.monotonic() > deadline:
                raise BadFrame(f"a reply of {len(body):,} bytes was not taken within {self._patience_s:g} s")

    def receive(
        self,
        size_max: int,
        *,
        idle: bool = False,
        skip_max: int = 0,
        small: int = 0,
        make_room: Callable[[], None] | None = None,
    ) -> bytes | None:
        """Wait for the next message.

        Args:
            size_max: bytes of its body.
            idle: it may be as long in coming as it likes, as long as it comes in time once it has begun.
            skip_max: one that is too long, but not longer than this, is read and thrown away first.
            small: a longer one needs room, for which ``make_room`` waits before it is taken.

        Returns:
            the body; None when the other end hung up between two messages.

        Raises:
            TooLong, BadFrame: it is too long, or did not come in time, or ended in the middle.
            OSError: the connection is gone.
        """
        buffer, self._rest = self._rest, b""
        deadline = 0.0 if idle and not buffer else time.monotonic() + self._patience_s
        while len(buffer) < 4:
            chunk = self._take(deadline)
            if chunk is None:
                continue
            if not chunk:
                if buffer:
                    raise BadFrame("the connection ended inside a length")
                return None
            deadline = deadline or time.monotonic() + self._patience_s
            buffer += chunk
        (size,) = _HEADER.unpack_from(buffer)
        if size == -1:
            raise BadFrame("a message over 2 GiB was announced")
        if size < 0:
            raise BadFrame(f"the announced length is {size}")
        if size > size_max:
            self._skip(size, len(buffer) - 4, skip_max, deadline)
            raise TooLong(f"a message of {size:,} bytes was announced, expected at most {size_max:,}")
        if size > small and make_room is not None:
            make_room()
            deadline = time.monotonic() + self._patience_s
        if len(buffer) == 4:
            # CPython's client sends the length of a long message by itself, and the rest when that is acknowledged.
            self._acknowledge()
        if len(buffer) < size + 4:
            buffer = self._fill(buffer, size + 4, deadline)
        self._rest = buffer[size + 4 :]
        return buffer[4 : size + 4]

    def close(self) -> None:
        """Hang up; a thread that waits in `receive` is woken."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _fill(self, buffer: bytes, size: int, deadline: float) -> bytes:
        parts, have = [buffer], len(buffer)
        while have < size:
            chunk = self._take(deadline)
            if chunk is None:
                continue
            if not chunk:
                raise BadFrame(f"the connection ended after {have:,} of {size:,} bytes")
            parts.append(chunk)
            have += len(chunk)
        return b"".join(parts)

    def _skip(self, size: int, have: int, skip_max: int, deadline: float) -> None:
        if size > skip_max:
            return
        self._acknowledge()
        while have < size:
            chunk = self._take(deadline)
            if chunk == b"":
                return
            have += len(chunk or b"")

    def _take(self, deadline: float) -> bytes | None:
        """Receive what is there; None when nothing came for now; a deadline of 0 never passes."""
        if deadline and time.monotonic() > deadline:
            raise BadFrame(f"a message that had begun did not come in full within {self._patience_s:g} s")
        try:
            return self._socket.recv(_CHUNK)
        except BlockingIOError:
            return None

    def _acknowledge(self) -> None:
        if _QUICK_ACK is not None:
            with suppress(OSError):
                self._socket.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)
