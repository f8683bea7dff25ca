"""`Guard`: what stands before the whole application, so that no endpoint can forget to ask."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any, Final

from tapehub.gateway.access import login
from tapehub.gateway.access.access import Access, Refusal
from tapehub.gateway.access.credentials import PROTOCOL, credentials_of, headers_of
from tapehub.gateway.access.headers import secured
from tapehub.gateway.access.scopes import KEY, Identity, Scope

__all__ = ["Guard"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Receive, Send], Awaitable[None]]

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OPEN: Final = frozenset({"/healthz", login.LOGIN, login.STYLE})
_CLOSE: Final = {401: 4401, 403: 4403, 400: 4403, 429: 4429}
_logger = logging.getLogger("tapehub.gateway.access")


class Guard:
    """Let a request through to the application when it may pass, and answer it here when not. Pure ASGI.

    In this order: the Host is one of ours (400); the Origin is our own, of every WebSocket and of every method that
    changes something (403), and given where a cookie speaks for the caller; somebody is known (401, 429); not too fast
    (429); reaches as far as READ, and PUBLISH where something changes (403); not too large (413). Endpoints ask for
    more with `needs`. Behind it, ``scope[KEY]`` is the caller's `Identity`.

    WebSockets are refused before they are accepted, with the same statuses where the server can say them, else with
    4401, 4403 or 4429; one whose token is revoked meanwhile is closed with 4401 at the next message.

    Args:
        reading: paths at which every method needs READ alone: what is posted there are calls, and the application
            checks what each may do.
    """

    def __init__(self, app: App, access: Access, *, reading: Collection[str] = ()) -> None:
        self._app = app
        self.access = access
        self._reading = frozenset(reading)
        self._sockets: Counter[bytes] = Counter()

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve one connection, as ASGI asks."""
        if scope["type"] == "http":
            await self._http(scope, receive, _Secured(send, scope["path"]))
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._app(scope, receive, send)

    # ------------------------------------------------------------ HTTP

    async def _http(self, scope: Any, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        address = _address(scope)
        shown = credentials_of(scope)
        by_cookie = shown.cookie is not None and shown.token is None
        refusal = self._foreign(scope, strict=method not in SAFE, by_cookie=by_cookie)
        if refusal is not None:
            await _refuse(send, scope, refusal)
            return
        if path in _OPEN:
            refusal = None if path == "/healthz" else self.access.meter(None, address)
            if refusal is not None:
                await _refuse(send, scope, refusal)
            elif path == "/healthz":
                await self._app(scope, receive, send)
            elif path == login.STYLE and method in SAFE:
                await login.style(send)
            elif path == login.LOGIN and method in ("GET", "POST"):
                await login.login(self.access, scope, receive, send, address)
            else:
                await _refuse(send, scope, _method_not_allowed(method))
            return
        who = self.access.identify(shown, address)
        known = who if isinstance(who, Identity) else None
        too_fast = self.access.meter(known, address)
        if too_fast is not None:
            await _refuse(send, scope, too_fast)
        elif known is None:
            assert isinstance(who, Refusal)
            await _refuse(send, scope, who)
        elif path == login.LOGOUT:
            await self._logout(scope, send, method, known)
        elif method not in SAFE and path not in self._reading and not known.scope.includes(Scope.PUBLISH):
            await _refuse(send, scope, _out_of_scope(known, Scope.PUBLISH))
        else:
            scope[KEY] = known
            await self._limited(scope, receive, send)

    async def _logout(self, scope: Any, send: Send, method: str, who: Identity) -> None:
        if method == "POST":
            await login.logout(self.access, scope, send, who)
        else:
            await _refuse(send, scope, _method_not_allowed(method))

    async def _limited(self, scope: Any, receive: Receive, send: Send) -> None:
        """Pass a body on as long as it is no longer than it may be."""
        most = self.access.limits.body_bytes_max
        told = headers_of(scope, b"content-length")
        if told and (not told[0].isdigit() or int(told[0]) > most):
            await _refuse(send, scope, _too_large(most))
            return
        body = _Body(receive, send, most)
        try:
            await self._app(scope, body.receive, body.send)
        except Exception as error:
            # Whatever a framework made of the exception that ended its reading.
            if not body.is_over or body.has_begun:
                raise
            _logger.debug("a body over %d bytes: %s", most, type(error).__name__)
        if body.is_over and not body.has_begun:
            await _refuse(send, scope, _too_large(most))

    # ------------------------------------------------------------ WebSocket

    async def _websocket(self, scope: Any, receive: Receive, send: Send) -> None:
        address = _address(scope)
        shown = credentials_of(scope)
        by_cookie = shown.cookie is not None and shown.token is None
        offered = PROTOCOL in scope.get("subprotocols", ())
        refusal = self._foreign(scope, strict=True, by_cookie=by_cookie)
        who: Identity | Refusal = refusal or self.access.identify(shown, address)
        known = who if isinstance(who, Identity) else None
        if refusal is None and (too_fast := self.access.meter(known, address)) is not None:
            who, known = too_fast, None
        if known is not None and (full := self._full(known)) is not None:
            who, known = full, None
        if known is None:
            assert isinstance(who, Refusal)
            await _refuse_websocket(scope, receive, send, who)
            return
        scope[KEY] = known
        self._sockets[known.token] += 1
        try:
            socket = _Socket(self.access, known, receive, send, offered)
            await self._app(scope, socket.receive, socket.send)
        finally:
            self._sockets[known.token] -= 1
            if not self._sockets[known.token]:
                del self._sockets[known.token]

    @property
    def sockets(self) -> int:
        """How many WebSockets are open."""
        return self._sockets.total()

    def _full(self, who: Identity) -> Refusal | None:
        limits = self.access.limits
        if self.sockets < limits.websockets_max and self._sockets[who.token] < limits.websockets_each:
            return None
        return Refusal(
            429, "too-many-requests", "Too many streams",
            f"{self.sockets} streams are open, {self._sockets[who.token]} of token {who.name!r}: "
            f"expected below {limits.websockets_max}, and {limits.websockets_each} of one token",
            "close some, or raise websockets_max in [gateway.limits]", 5.0,
        )  # fmt: skip

    # ------------------------------------------------------------ where from

    def _foreign(self, scope: Any, *, strict: bool, by_cookie: bool) -> Refusal | None:
        """Refuse what a page of another site may have sent."""
        hosts = headers_of(scope, b"host")
        own = (scope.get("server") or (None, 0))[0]
        if len(hosts) != 1 or not self.access.hosts.allows_host(hosts[0], own):
            return Refusal(
                400, "misdirected", "Not the server of that name",
                f"the Host header is {', '.join(hosts)[:100] or 'missing'}: expected a name this server goes by",
                "add the name to allowed_hosts in [gateway]",
            )  # fmt: skip
        origins = headers_of(scope, b"origin")
        told = ", ".join(origins)[:100]
        if strict:
            if origins and (
                len(origins) > 1 or not self.access.hosts.allows_origin(origins[0], scope["scheme"], hosts[0])
            ):
                return _cross_site(f"the request comes from a page of {told}: expected this server's own pages")
            if not origins and by_cookie:
                return _cross_site("a cookie came without an Origin: expected the Origin of this server's own pages")
        site = headers_of(scope, b"sec-fetch-site")
        navigates = headers_of(scope, b"sec-fetch-mode") == ["navigate"] and scope.get("method") in SAFE
        if by_cookie and site and site[0] in ("cross-site", "same-site") and not navigates:
            return _cross_site("another site's page asked for this: expected this server's own pages")
        return None


class _Secured:
    """Send responses with the headers that protect them."""

    def __init__(self, send: Send, path: str) -> None:
        self._send = send
        self._path = path

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = secured(list(message.get("headers", ())), self._path)
        await self._send(message)


class _Body:
    """Count what is received, and end it when it is too much."""

    def __init__(self, receive: Receive, send: Send, most: int) -> None:
        self._receive = receive
        self._send = send
        self._left = most
        self.is_over = False
        self.has_begun = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                self.is_over = True
                return {"type": "http.disconnect"}  # to the application, the client has gone
        return message

    async def send(self, message: Message) -> None:
        if self.is_over and not self.has_begun:
            return  # its own idea of what went wrong: the guard says it better
        self.has_begun = True
        await self._send(message)


class _Socket:
    """Watch over an open WebSocket: answer the sub-protocol, and close it when its token ends."""

    def __init__(self, access: Access, who: Identity, receive: Receive, send: Send, offered: bool) -> None:
        self._access = access
        self._who = who
        self._receive = receive
        self._send = send
        self._offered = offered
        self._ended = False

    async def receive(self) -> Message:
        if self._ended:
            return {"type": "websocket.disconnect", "code": 4401, "reason": "the token was revoked"}
        return await self._receive()

    async def send(self, message: Message) -> None:
        if self._ended:
            return
        if message["type"] == "websocket.accept" and self._offered and not message.get("subprotocol"):
            message = {**message, "subprotocol": PROTOCOL}
        if message["type"] == "websocket.send" and not self._access.holds(self._who):
            self._ended = True
            message = {"type": "websocket.close", "code": 4401, "reason": "the token was revoked, or its time is up"}
        await self._send(message)


def _address(scope: Any) -> str:
    client = scope.get("client")
    return client[0] if client else "local"


def _cross_site(detail: str) -> Refusal:
    return Refusal(403, "forbidden", "Another site's request", detail, "open the page at this server's own address")


def _out_of_scope(who: Identity, needed: Scope) -> Refusal:
    return Refusal(
        403, "forbidden", "Out of the token's scope",
        f"token {who.name!r} may {who.scope.label}, this needs {needed.label}",
        f'make one: "tapehub token new NAME --scope {needed.label}"',
    )  # fmt: skip


def _too_large(most: int) -> Refusal:
    return Refusal(413, "too-large", "Too large", f"the body is over {most:,} bytes", "send it in parts")


def _method_not_allowed(method: str) -> Refusal:
    return Refusal(405, "method-not-allowed", "Not that way", f"{method} does nothing here", "see docs/reference")


def problem(refusal: Refusal) -> bytes:
    """Write a refusal as problem details, RFC 9457."""
    told = {
        "type": f"urn:tapehub:{refusal.kind}",
        "title": refusal.title,
        "status": refusal.status,
        "detail": f"{refusal.detail}; {refusal.remedy}",
        "remedy": refusal.remedy,
    }
    return json.dumps(told).encode()


def _headers(refusal: Refusal) -> list[tuple[bytes, bytes]]:
    more: list[tuple[bytes, bytes]] = []
    if refusal.status == 401:
        more.append((b"www-authenticate", b'Bearer realm="tapehub"'))
    if refusal.retry_s:
        more.append((b"retry-after", str(max(1, round(refusal.retry_s + 0.5))).encode()))
    return more


async def _refuse(send: Send, scope: Any, refusal: Refusal) -> None:
    wants_page = any("text/html" in one for one in headers_of(scope, b"accept"))
    if refusal.status == 401 and scope["method"] == "GET" and wants_page:
        await login.page(send, 401, "Log in with the token of this hub.", *_headers(refusal))
        return
    body = b"" if scope["method"] == "HEAD" else problem(refusal)
    await login.answer(send, refusal.status, body, b"application/problem+json", *_headers(refusal))


async def _refuse_websocket(scope: Any, receive: Receive, send: Send, refusal: Refusal) -> None:
    await receive()  # websocket.connect
    if "websocket.http.response" in scope.get("extensions", {}):
        body = problem(refusal)
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(body)).encode()),
            *_headers(refusal),
        ]
        headers = secured(headers, scope["path"])
        await send({"type": "websocket.http.response.start", "status": refusal.status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": body})
    else:
        await send({"type": "websocket.close", "code": _CLOSE[refusal.status], "reason": refusal.title})
