"""The endpoint: a listener, a thread for each connection, and bounds that hold whatever comes in.

Threads, because a call is some microseconds of work between two waits, and one client that stalls then stalls itself
alone.
"""

from __future__ import annotations

import logging
import selectors
import socket
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from tapehub.errors import ConfigError
from tapehub.gateway.manager.frames import BadFrame, Frames
from tapehub.gateway.manager.handshake import KeyRefused
from tapehub.gateway.manager.session import Counts, Service, Session
from tapehub.gateway.manager.values import BadPickle

if TYPE_CHECKING:
    from tapehub.gateway.manager.settings import ManagerSettings
    from tapehub.hub import DataHub

__all__ = ["ManagerEndpoint"]

_log = logging.getLogger("tapehub.gateway.manager")
_BACKLOG = 128
_REMARKS_MAX, _REMARKS_SPAN_S = 10, 10.0
_JOIN_S = 2.0


class ManagerEndpoint:
    """Let stock `multiprocessing.managers.BaseManager` clients use a hub.

    Raises:
        ConfigError: the address is taken, or is none of this machine.
    """

    def __init__(self, hub: DataHub, settings: ManagerSettings) -> None:
        self._limits = settings.limits
        self._service = Service(hub, settings, self._remark)
        self._listener = _listen(settings.host, settings.port)
        self._waker, self._woken = socket.socketpair()
        self._lock = threading.Lock()
        self._open: dict[threading.Thread, Frames] = {}
        self._strangers: dict[threading.Thread, Frames] = {}  # the longest-waiting first
        self._remarks: list[float] = []
        self._unsaid = 0
        self._closing = False
        self._accepter = threading.Thread(target=self._accept, name="BaseManager endpoint", daemon=True)
        self._accepter.start()
        if settings.is_weak:
            _log.warning(
                "the key of the BaseManager endpoint has fewer than 16 bytes: whoever may connect can guess it"
            )

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, port = self._listener.getsockname()[:2]
        return str(host), int(port)

    @property
    def counts(self) -> Counts:
        """What happened since the start."""
        return self._service.counts

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._open)

    def close(self) -> None:
        """Hang up on everyone; idempotent."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
        self._waker.send(b"x")
        self._accepter.join(_JOIN_S)
        self._listener.close()
        with self._lock:
            open_now = dict(self._open)
        for frames in open_now.values():
            frames.close()
        deadline = time.monotonic() + _JOIN_S
        for thread in open_now:
            thread.join(max(deadline - time.monotonic(), 0.01))
        self._waker.close()
        self._woken.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _accept(self) -> None:
        spacing_s = 1.0 / self._limits.connections_a_second
        next_s = time.monotonic()
        with selectors.DefaultSelector() as ready:
            ready.register(self._listener, selectors.EVENT_READ)
            ready.register(self._woken, selectors.EVENT_READ)
            while not self._closing:
                if any(key.fileobj is self._woken for key, _ in ready.select()):
                    return
                try:
                    connection, _ = self._listener.accept()
                except OSError:  # gone already, or no descriptors left: the next one may do better
                    time.sleep(0.01)
                    continue
                # A few at once are as good as spread out; a flood is taken on at a pace that leaves room for others.
                next_s = max(next_s + spacing_s, time.monotonic() - 0.1)
                time.sleep(max(next_s - time.monotonic(), 0.0))
                self._take_on(connection)

    def _take_on(self, connection: socket.socket) -> None:
        try:
            frames = Frames(connection, self._limits.handshake_s)
        except OSError:
            connection.close()
            return
        thread = threading.Thread(target=self._serve, args=(frames,), name="BaseManager client", daemon=True)
        with self._lock:
            full = self._closing or len(self._open) >= self._limits.connections
            if not full:
                if len(self._strangers) >= self._limits.strangers:
                    self._strangers.pop(next(iter(self._strangers))).close()
                self._open[thread] = self._strangers[thread] = frames
        if full:
            frames.close()
            self._remark(f"{self._limits.connections} connections are open: another one was hung up on")
            return
        self.counts.connections += 1
        thread.start()

    def _serve(self, frames: Frames) -> None:
        thread = threading.current_thread()

        def admitted() -> None:
            frames.be_patient(self._limits.patience_s)
            with self._lock:
                self._strangers.pop(thread, None)

        try:
            Session(self._service, frames, admitted).run()
        except KeyRefused as error:
            self.counts.wrong_keys += 1
            self._remark(f"a client was not let in: {error}")
        except (BadFrame, BadPickle) as error:
            self.counts.refused += 1
            self._remark(f"a client was hung up on: {error}")
        except OSError:
            pass  # it left
        except Exception:
            self.counts.failed += 1
            _log.exception("the BaseManager endpoint failed on a request; only its connection is lost")
        finally:
            with self._lock:
                self._open.pop(thread, None)
                self._strangers.pop(thread, None)
            frames.close()

    def _remark(self, text: str) -> None:
        """Log a line, of many alike only some."""
        now_s = time.monotonic()
        with self._lock:
            self._remarks = [at for at in self._remarks if now_s - at < _REMARKS_SPAN_S]
            if len(self._remarks) >= _REMARKS_MAX:
                self._unsaid += 1
                return
            self._remarks.append(now_s)
            unsaid, self._unsaid = self._unsaid, 0
        _log.warning("%s%s", text, f" ({unsaid} lines like this were left out)" if unsaid else "")


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(_BACKLOG)
            listener.setblocking(False)
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        raise ConfigError(
            f"the BaseManager endpoint cannot listen on {host}:{port}: {error.strerror or error}; is another hub "
            "there? Choose another address: DATA_HUB_HOST, DATA_HUB_PORT, or host and port in [manager] of tapehub.toml"
        ) from error
    return listener
