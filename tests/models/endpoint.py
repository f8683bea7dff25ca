"""An endpoint for tests: a hub, a key, a port of the system's choice; and a bare connection that has proved the key."""

import io
import os
import pickle
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tapehub import DataHub
from tapehub.gateway.manager import Limits, ManagerEndpoint, ManagerSettings
from tapehub.gateway.manager.frames import BadFrame, Frames
from tapehub.gateway.manager.handshake import MESSAGE_BYTES_MAX, enter
from tests.servers.stock import market_data_models

KEY = "a key of these tests alone"


@contextmanager
def serving(hub: DataHub, *, key: str = KEY, port: int = 0, **settings: Any) -> Iterator[ManagerEndpoint]:
    """Open an endpoint on a hub."""
    limits = Limits(**{"wrong_key_s": 0.0, **settings.pop("limits", {})})
    found = ManagerSettings(key=key.encode(), port=port, limits=limits, **settings)
    with ManagerEndpoint(hub, found) as endpoint:
        yield endpoint


class _Replies(pickle.Unpickler):
    """Find the classes of programs without tapehub where the tests keep them."""

    def find_class(self, module: str, name: str) -> Any:
        if module == "market_data_models":
            return getattr(market_data_models, name)
        return super().find_class(module, name)


class Wire:
    """A connection that sends what bytes it likes."""

    def __init__(self, address: tuple[str, int], *, key: str = KEY, calls: bool = True) -> None:
        self.socket = socket.create_connection(address, 10)
        self.frames = Frames(self.socket, 10.0)
        try:
            enter(self.frames.send, lambda: self.frames.receive(MESSAGE_BYTES_MAX), key.encode(), os.urandom)
        except BaseException:
            self.frames.close()
            raise
        if calls:
            self.send((None, "accept_connection", ("test",), {}))
            assert self.answer() == ("#RETURN", None)

    def send(self, request: Any) -> None:
        self.frames.send(request if isinstance(request, bytes) else pickle.dumps(request))

    def answer(self) -> Any:
        """Receive an answer; None when it hung up."""
        try:
            body = self.frames.receive(1 << 30)
        except (OSError, BadFrame):
            return None
        return None if body is None else _Replies(io.BytesIO(body)).load()

    def ask(self, request: Any) -> Any:
        self.send(request)
        return self.answer()

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *exc: object) -> None:
        self.frames.close()
