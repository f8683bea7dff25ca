"""A door with an application behind it that answers everything, and clocks that stand."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tapehub.gateway.access import Access, Guard, Hosts, Limits, Scope, Sessions, Tokens
from tests.models.asgi import HOST, Answer, request

OWN = f"http://{HOST}"


class Clock:
    def __init__(self) -> None:
        self.s = 1_000.0

    def __call__(self) -> float:
        return self.s

    def now_ns(self) -> int:
        return int(self.s * 1e9)


class App:
    """Answer everything, and keep what came through."""

    def __init__(self) -> None:
        self.scopes: list[Any] = []
        self.bodies: list[bytes] = []
        self.between: Callable[[], None] = lambda: None

    @property
    def served(self) -> int:
        return len(self.scopes)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": "one"})
            self.between()
            await send({"type": "websocket.send", "text": "two"})
            await send({"type": "websocket.send", "text": "three"})
            await receive()
            return
        body, message = b"", {"more_body": True}
        while message.get("more_body"):
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ConnectionError("the client has gone")
            body += message["body"]
        self.bodies.append(body)
        headers = [(b"content-type", b"application/json"), (b"server", b"uvicorn"), (b"cache-control", b"public")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})


class Door:
    def __init__(self, place: Path, limits: Limits, hosts: Hosts) -> None:
        self.clock = Clock()
        self.tokens = Tokens.open(place, now_ns=self.clock.now_ns)
        sessions = Sessions(self.tokens, lifetime_s=3600, count_max=4, now_ns=self.clock.now_ns)
        self.access = Access(self.tokens, sessions, hosts, limits, self.clock)
        self.app = App()
        self.guard = Guard(self.app, self.access)
        self.owner = self.tokens.owner.reveal()

    def bearer(self, token: str | None = None) -> dict[str, str]:
        return {"Authorization": f"Bearer {token or self.owner}"}

    def made(self, scope: Scope, name: str = "") -> str:
        made = self.tokens.new(name or scope.label, scope).reveal()
        self.clock.s += 2
        return made

    def cookie(self, token: str | None = None, **more: Any) -> dict[str, str]:
        answer = request(self.guard, f"/login?token={token or self.owner}", **more)
        assert answer.status == 303, answer
        return {"Cookie": answer.header("set-cookie").partition(";")[0]}


def problem(answer: Answer) -> Any:
    assert answer.header("content-type") == "application/problem+json"
    told = json.loads(answer.body)
    assert told["status"] == answer.status
    assert told["type"].startswith("urn:tapehub:")
    return told
