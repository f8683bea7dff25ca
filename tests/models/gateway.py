"""A gateway over a hub, and clients of it: HTTP, and the stream."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tapehub import DataHub
from tapehub.gateway.access import Access
from tapehub.gateway.context import Outside
from tapehub.gateway.serving import Gateway
from tapehub.gateway.settings import GatewaySettings, Limits
from tests.models.waiting import until

WITHIN_S = 20.0
API = "/api/v1"


class Served:
    """A gateway that serves, and a client with the owner's token."""

    def __init__(self, gateway: Gateway, http: httpx.Client, token: str) -> None:
        self.gateway = gateway
        self.http = http
        self.token = token
        self.hub: DataHub = gateway.web.broadcast.hub

    @property
    def broadcast(self) -> Any:
        return self.gateway.web.broadcast

    def get(self, path: str, status: int = 200, **more: Any) -> Any:
        """Get JSON, and see that the status is as expected."""
        reply = self.http.get(API + path, **more)
        assert reply.status_code == status, reply.text
        kind = "application/json" if status < 400 else "application/problem+json"
        assert reply.headers["content-type"] == kind
        return reply.json()

    def post(self, path: str, body: Any = None, status: int = 200, **more: Any) -> Any:
        """Post JSON, and see that the status is as expected."""
        reply = self.http.post(API + path, json=body, **more)
        assert reply.status_code == status, reply.text
        return reply.json()

    def stream(self, **more: Any) -> "Client":
        """Connect to the stream."""
        return Client(self.gateway.url, self.token, **more)

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until something holds inside the gateway's loop."""
        until(lambda: self.gateway.call(condition), what)


@contextmanager
def served(
    hub: DataHub, *, outside: Outside | None = None, tokens: Path | None = None, **limits: Any
) -> Iterator[Served]:
    """Serve a hub at a free port.

    Args:
        tokens: where they are, when not in the hub, which a test is about to delete.
    """
    settings = GatewaySettings(port=0, limits=Limits(**limits))
    access = None if tokens is None else Access.open(tokens)
    with Gateway(hub, settings, outside=outside, access=access) as gateway:
        token = gateway.access.tokens.owner.reveal()
        with httpx.Client(base_url=gateway.url, headers={"Authorization": f"Bearer {token}"}, timeout=30) as http:
            yield Served(gateway, http, token)


class Client:
    """One client of the stream.

    Args:
        room_bytes: of the socket's receive buffer, and then nothing is read ahead: for a client that stalls.
    """

    def __init__(self, url: str, token: str, *, room_bytes: int | None = None) -> None:
        sock = None
        if room_bytes is not None:
            host, _, port = url.removeprefix("http://").partition(":")
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room_bytes)
            sock.connect((host, int(port)))
        self._held = ExitStack()
        opening = connect(
            url.replace("http", "ws") + API + "/stream",
            sock=sock,
            additional_headers={"Authorization": f"Bearer {token}"},
            compression=None,
            max_size=None,
            max_queue=1 if room_bytes is not None else 64,
            ping_interval=None,
            close_timeout=1,
        )
        self.socket: ClientConnection = self._held.enter_context(opening)
        self.messages: list[dict[str, Any]] = []
        self.hello = self.next("hello")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._held.close()

    def cut(self) -> None:
        """Be gone without a word."""
        self.socket.socket.shutdown(socket.SHUT_RDWR)
        self.close()

    def say(self, **message: Any) -> None:
        self.socket.send(json.dumps(message))

    def read(self, within_s: float = WITHIN_S) -> dict[str, Any]:
        """Read one message."""
        message: dict[str, Any] = json.loads(self.socket.recv(timeout=within_s))
        self.messages.append(message)
        return message

    def drain(self) -> None:
        """Read what has come, without waiting: a client that takes nothing for long is closed."""
        with suppress(TimeoutError):
            while True:
                self.read(within_s=0)

    def next(self, op: str) -> dict[str, Any]:
        """Read up to a message of a kind."""
        end_s = time.monotonic() + WITHIN_S
        while time.monotonic() < end_s:
            if (message := self.read())["op"] == op:
                return message
        raise AssertionError(f"no {op}; last {self.messages[-3:]}")

    def subscribe(self, number: int = 1, **more: Any) -> dict[str, Any]:
        """Subscribe, and give what was granted."""
        self.say(op="subscribe", id=number, **more)
        return self.next("subscribed")

    def refused(self, **message: Any) -> dict[str, Any]:
        """Say something that cannot be served, and give the problem."""
        self.say(**message)
        problem: dict[str, Any] = self.next("error")["problem"]
        return problem

    def batches(self, number: int, until: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """Read batches of a subscription until a condition holds for their records."""
        found = [one for one in self.messages if one["op"] == "batch" and one["id"] == number]
        end_s = time.monotonic() + WITHIN_S
        while not until([record for batch in found for record in batch["records"]]):
            assert time.monotonic() < end_s, f"{len(found)} batches, last messages {self.messages[-3:]}"
            message = self.read()
            if message["op"] == "batch" and message["id"] == number:
                found.append(message)
        return found

    def records(self, number: int, until: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """Read records of a subscription until a condition holds for them."""
        return [record for batch in self.batches(number, until) for record in batch["records"]]

    def closed(self) -> tuple[int, str]:
        """Read to the end, and give the code and the reason."""
        try:
            while True:
                self.read()
        except ConnectionClosed as end:
            return (end.rcvd.code, end.rcvd.reason) if end.rcvd else (1006, "")
