"""Talk to an ASGI application without a socket, header by header, as no well-behaved client would."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

HOST = "127.0.0.1:8765"


@dataclass
class Answer:
    """What came back: of a WebSocket, `status` is 101 when it was accepted."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    sent: list[Any] = field(default_factory=list)
    close: int = 0
    subprotocol: str | None = None

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")


def _scope(kind: str, path: str, headers: dict[str, str] | Iterable[tuple[str, str]], **more: Any) -> dict[str, Any]:
    target, _, query = path.partition("?")
    pairs = list(headers.items() if isinstance(headers, dict) else headers)
    if not any(name.lower() == "host" for name, _ in pairs):
        pairs.append(("Host", HOST))
    return {
        "type": kind,
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "path": target,
        "raw_path": target.encode(),
        "root_path": "",
        "query_string": query.encode("latin-1"),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 8765),
        "state": {},
        **more,
    }


def request(
    app: Any,
    path: str = "/api/v1/status",
    headers: dict[str, str] | Iterable[tuple[str, str]] = (),
    *,
    method: str = "GET",
    body: bytes | list[bytes] = b"",
    scheme: str = "http",
    client: tuple[str, int] = ("127.0.0.1", 50_000),
    server: tuple[str, int] = ("127.0.0.1", 8765),
) -> Answer:
    """Send one request; a list of bodies comes in parts, without a length."""
    parts = body if isinstance(body, list) else [body]
    waiting = [
        {"type": "http.request", "body": part, "more_body": number + 1 < len(parts)}
        for number, part in enumerate(parts)
    ]
    answer = Answer()

    async def receive() -> Any:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            assert not answer.status, "a response began twice"
            answer.status = message["status"]
            answer.headers = [(name.decode(), value.decode()) for name, value in message["headers"]]
        else:
            answer.body += message.get("body", b"")

    scope = _scope("http", path, headers, method=method, scheme=scheme, client=client, server=server)
    asyncio.run(app(scope, receive, send))
    return answer


def websocket(
    app: Any,
    path: str = "/api/v1/stream",
    headers: dict[str, str] | Iterable[tuple[str, str]] = (),
    *,
    subprotocols: Iterable[str] = (),
    scheme: str = "ws",
    client: tuple[str, int] = ("127.0.0.1", 50_000),
    speaks_http: bool = True,
) -> Answer:
    """Open a WebSocket, and leave when the application waits for a message."""
    answer = Answer()
    waiting: list[Any] = [{"type": "websocket.connect"}]

    async def receive() -> Any:
        return waiting.pop(0) if waiting else {"type": "websocket.disconnect", "code": 1000}

    async def send(message: Any) -> None:
        match message["type"]:
            case "websocket.accept":
                answer.status, answer.subprotocol = 101, message.get("subprotocol")
            case "websocket.close":
                answer.close = message["code"]
            case "websocket.http.response.start":
                answer.status = message["status"]
                answer.headers = [(name.decode(), value.decode()) for name, value in message["headers"]]
            case "websocket.http.response.body":
                answer.body += message["body"]
            case _:
                answer.sent.append(message)

    extensions: dict[str, Any] = {"websocket.http.response": {}} if speaks_http else {}
    scope = _scope(
        "websocket", path, headers, scheme=scheme, client=client, subprotocols=list(subprotocols), extensions=extensions
    )
    asyncio.run(app(scope, receive, send))
    return answer
