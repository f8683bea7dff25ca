"""tapehub's own client of the endpoint.

It does what a stock one does, but reads replies without executing them either, comes back by itself when the hub was
restarted, and its long requests do not wait for an acknowledgement.
"""

from __future__ import annotations

import os
import pickle
import socket
import threading
from collections.abc import Mapping
from typing import Any, Final

from tapehub import errors
from tapehub._native import Candle, OrderFlowMetrics, Tick
from tapehub.errors import ConfigError, HubError, HubNotRunning
from tapehub.gateway.manager.frames import BadFrame, Frames
from tapehub.gateway.manager.handshake import MESSAGE_BYTES_MAX, KeyRefused, enter
from tapehub.gateway.manager.known import symbol_of
from tapehub.gateway.manager.reader import read
from tapehub.gateway.manager.session import OWN_HUB, OWN_NAME, PLACE, VALUE
from tapehub.gateway.manager.values import BadPickle, Record

__all__ = ["HubClient"]

_REPLY_BYTES_MAX = 256 << 20
_OBJECTS_MAX = 50_000_000
_OPCODES_MAX = 500_000_000
_CLASSES: Final = {"Tick": Tick, "Candle": Candle, "OrderFlowMetrics": OrderFlowMetrics}


class HubClient:
    """Call the hub behind an endpoint. Any number of threads, one at a time.

    Args:
        timeout_s: for connecting, and for each reply.

    Raises:
        HubNotRunning: nobody listens there.
        ConfigError: whoever listens there holds another key, or is no such endpoint.
    """

    _frames: Frames | None = None

    def __init__(self, address: tuple[str, int], key: bytes, timeout_s: float = 10.0) -> None:
        self.address = address
        self._key = key
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        try:
            self._once("create", (OWN_NAME,))
        except HubError as error:
            if isinstance(error, HubNotRunning):
                raise
            raise ConfigError(
                f"{self._shown} is served by a manager that is no tapehub: expected a hub's endpoint; end that program"
            ) from error

    def place(self) -> tuple[str, str]:
        """Ask which hub it is: its directory on that machine, and its identity."""
        path, hub_id = self.call(PLACE)
        return str(path), str(hub_id)

    def call(self, method: str, *args: Any, repeat: bool = False, named: Mapping[str, Any] | None = None) -> Any:
        """Call a method of the hub.

        Args:
            named: arguments by name.
            repeat: it changes nothing, so when the connection broke it is asked again over a new one.

        Raises:
            HubNotRunning: the connection broke; the next call makes a new one.
        """
        with self._lock:
            for attempt in (1, 2):
                fresh = self._frames is None
                try:
                    if self._frames is None:
                        self._frames = self._connected()
                        self._ask(self._frames, (None, "accept_connection", ("tapehub",), {}))
                    return self._ask(self._frames, (OWN_HUB, method, args, dict(named or {})))
                except (OSError, EOFError, BadFrame) as error:
                    self._drop()
                    if attempt == 2 or fresh or not repeat:
                        raise HubNotRunning(
                            f"the connection to the hub at {self._shown} broke during {method}: {error}; the next call "
                            "tries anew"
                        ) from error
        raise AssertionError("unreachable")

    def value(self, name: str) -> Any:
        """Read a property of the hub; see `call`."""
        return self.call(VALUE, name, repeat=True)

    def close(self) -> None:
        """Leave; a later call connects anew."""
        with self._lock:
            self._drop()

    def __del__(self) -> None:
        self._drop()

    @property
    def _shown(self) -> str:
        return f"{self.address[0]}:{self.address[1]}"

    def _drop(self) -> None:
        frames, self._frames = self._frames, None
        if frames is not None:
            frames.close()

    def _once(self, function: str, args: tuple[Any, ...]) -> Any:
        frames = self._connected()
        try:
            return self._ask(frames, (None, function, args, {}))
        finally:
            frames.close()

    def _connected(self) -> Frames:
        try:
            connection = socket.create_connection(self.address, self._timeout_s)
        except OSError as error:
            raise HubNotRunning(
                f"no hub at {self._shown}: {error.strerror or error}; start it there: DATA_HUB_AUTHKEY=… tapehub up, "
                "or tapehub.compat.start_data_hub_manager()"
            ) from error
        frames = Frames(connection, self._timeout_s)
        try:
            enter(frames.send, lambda: frames.receive(MESSAGE_BYTES_MAX), self._key, os.urandom)
        except (KeyRefused, BadFrame) as error:
            frames.close()
            raise ConfigError(
                f"{self._shown} does not let this key in: {error}; expected the key that the hub was started with, as "
                "authkey or in DATA_HUB_AUTHKEY"
            ) from error
        except OSError:
            frames.close()
            raise
        return frames

    def _ask(self, frames: Frames, request: tuple[Any, ...]) -> Any:
        frames.send(pickle.dumps(request, 4))
        body = frames.receive(_REPLY_BYTES_MAX)
        if body is None:
            raise EOFError("the hub hung up")
        try:
            reply, refused = read(body, symbol_of, objects_max=_OBJECTS_MAX, opcodes_max=_OPCODES_MAX)
            kind, value = reply
        except (BadPickle, TypeError, ValueError) as error:
            raise BadFrame(f"the answer makes no sense: {error}") from error
        if refused:
            raise HubError(f"{self._shown} answered with {', '.join(refused)}, which no hub does")
        if kind == "#RETURN":
            return _taken(value)
        if kind == "#ERROR":
            raise _error(value)
        raise HubError(f"{self._shown}: {value}")


def _taken(value: Any) -> Any:
    if isinstance(value, Record):
        return _CLASSES[value.kind.name](*value.args)
    if type(value) is list and value and isinstance(value[0], Record):
        return [_taken(one) for one in value]
    return value


def _error(value: Any) -> Exception:
    """Make the error that the hub raised: one of tapehub's, one of Python's, else a HubError that names it."""
    if type(value) is Record or type(value) is not tuple or len(value) != 2:
        return HubError("the hub failed and did not say of what")
    name, text = str(value[0]), str(value[1])
    found = getattr(errors, name, None) if name in errors.__all__ else None
    if name == "NotOfShape":
        return TypeError(text)
    if found is None:
        found = {"ValueError": ValueError, "TypeError": TypeError, "OverflowError": OverflowError}.get(name)
    return found(text) if found not in (None, errors.MissingExtra) else HubError(f"{name}: {text}")
