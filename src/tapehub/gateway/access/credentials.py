"""What a request shows to be let in: a header, a cookie, or a WebSocket's sub-protocol. Never its address."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final

from tapehub.hub.secret import Secret

__all__ = ["PROTOCOL", "Credentials", "cookie_name", "credentials_of", "headers_of", "set_cookie"]

PROTOCOL: Final = "tapehub.v1"
"""The sub-protocol that is answered to a WebSocket that shows its token as another one."""
SHOWN_BY: Final = "tapehub.token."


@dataclass(frozen=True, slots=True)
class Credentials:
    """Hold what was shown.

    Attributes:
        token: from ``Authorization: Bearer`` or the sub-protocol ``tapehub.token.…``.
        cookie: of a session.
        faulty: two tokens, or an Authorization of another kind: nobody's.
    """

    token: Secret | None = None
    cookie: Secret | None = None
    faulty: str = ""


def headers_of(scope: Any, name: bytes) -> list[str]:
    """List the values of a header."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def cookie_name(scope: Any) -> str:
    """Name the session's cookie. Cookies know no ports, so the name does: two hubs of one machine log in apart."""
    secure = scope["scheme"] in ("https", "wss")
    server = scope.get("server") or ("", 0)
    return f"{'__Host-' if secure else ''}tapehub-{server[1] or 0}"


def set_cookie(scope: Any, value: str, lifetime_s: float) -> tuple[bytes, bytes]:
    """Make the header that sets the session's cookie, or ends it when the lifetime is 0."""
    secure = "; Secure" if scope["scheme"] in ("https", "wss") else ""
    told = f"{cookie_name(scope)}={value}; Path=/; Max-Age={lifetime_s:.0f}; HttpOnly; SameSite=Strict{secure}"
    return b"set-cookie", told.encode()


def credentials_of(scope: Any) -> Credentials:
    """Read what a request shows; tokens are taken out of the sub-protocols, so that nothing behind sees them."""
    tokens: list[str] = []
    for header in headers_of(scope, b"authorization"):
        kind, _, value = header.strip().partition(" ")
        if kind.lower() != "bearer" or not value.strip():
            return Credentials(faulty="the Authorization header is not of the kind Bearer")
        tokens.append(value.strip())
    if scope["type"] == "websocket":
        offered: list[str] = list(scope.get("subprotocols", ()))
        tokens += [one.removeprefix(SHOWN_BY) for one in offered if one.startswith(SHOWN_BY)]
        scope["subprotocols"] = [one for one in offered if not one.startswith(SHOWN_BY)]
        scope["headers"] = [pair for pair in scope["headers"] if pair[0] != b"sec-websocket-protocol"]
    if len(set(tokens)) > 1:
        return Credentials(faulty="two different tokens were shown")
    cookie = _cookie(headers_of(scope, b"cookie"), cookie_name(scope))
    return Credentials(Secret(tokens[0]) if tokens else None, Secret(cookie) if cookie else None)


def _cookie(headers: Iterable[str], name: str) -> str:
    for header in headers:
        jar: SimpleCookie = SimpleCookie()
        try:
            jar.load(header)
        except CookieError:
            continue
        if name in jar:
            return jar[name].value
    return ""
