"""Logging in with a browser: the link, the form, and the way out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from html import escape
from typing import Any, Final
from urllib.parse import parse_qs

from tapehub.gateway.access.access import Access, Refusal
from tapehub.gateway.access.credentials import set_cookie
from tapehub.gateway.access.scopes import Identity
from tapehub.hub.secret import Secret

__all__ = ["LOGIN", "LOGOUT", "STYLE", "Receive", "Send", "answer", "login", "logout", "page", "style"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

LOGIN: Final = "/login"
LOGOUT: Final = "/logout"
STYLE: Final = "/login.css"
_FORM_BYTES_MAX: Final = 4096

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>tapehub: log in</title>
<link rel="stylesheet" href="/login.css">
</head>
<body>
<main>
<h1>tapehub</h1>
<p role="status">{told}</p>
<form method="post" action="/login">
<label for="token">Token of this hub</label>
<input id="token" name="token" type="password" autocomplete="off" spellcheck="false" required autofocus>
<button type="submit">Log in</button>
</form>
<p>In a terminal on the hub's machine, <code>tapehub token show</code> prints it, and, where <code>tapehub up</code>
serves this page, a link that logs in by itself.</p>
</main>
</body>
</html>
"""

_STYLE: Final = """:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; }
main { margin: 12vh auto 0; max-width: 26rem; padding: 0 1rem; }
label, input, button { display: block; width: 100%; box-sizing: border-box; font: inherit; }
input, button { margin: 0.4rem 0 1rem; padding: 0.6rem; }
"""


async def answer(
    send: Send, status: int, body: bytes = b"", kind: bytes = b"text/plain; charset=utf-8", *more: tuple[bytes, bytes]
) -> None:
    """Send a whole response."""
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def page(send: Send, status: int, told: str, *more: tuple[bytes, bytes]) -> None:
    """Send the form, and why it is shown."""
    await answer(send, status, _PAGE.format(told=escape(told)).encode(), b"text/html; charset=utf-8", *more)


async def style(send: Send) -> None:
    """Send how the form looks."""
    await answer(send, 200, _STYLE.encode(), b"text/css; charset=utf-8")


async def login(access: Access, scope: Any, receive: Receive, send: Send, address: str) -> None:
    """Exchange a token for a session, and lead to the page, so that the token leaves the address bar."""
    if scope["method"] == "POST":
        presented = await _form_token(receive)
    else:
        if not scope["query_string"]:
            await page(send, 200, "Log in with the token of this hub.")
            return
        presented = _token_in(scope["query_string"])
    if presented is None:
        await page(send, 400, "The form was not as expected: one token.")
        return
    found = access.check(presented, address)
    if isinstance(found, Refusal):
        retry = [(b"retry-after", str(round(found.retry_s + 0.5)).encode())] if found.retry_s else []
        await page(send, found.status, f"{found.detail}.", *retry)
        return
    cookie = set_cookie(scope, access.sessions.open(found), access.sessions.lifetime_s)
    await answer(send, 303, b"", b"text/plain", (b"location", b"/"), cookie)


async def logout(access: Access, scope: Any, send: Send, who: Identity) -> None:
    """End the session that asks for it, and take its cookie away."""
    access.sessions.close(who.session)
    await answer(send, 303, b"", b"text/plain", (b"location", LOGIN.encode()), set_cookie(scope, "", 0))


async def _form_token(receive: Receive) -> Secret | None:
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > _FORM_BYTES_MAX:
            return None
        if not message.get("more_body"):
            break
    return _token_in(body)


def _token_in(form: bytes) -> Secret | None:
    try:
        given = parse_qs(form.decode("ascii"), max_num_fields=8).get("token", [])
    except ValueError:  # not ASCII, or too many fields
        return None
    return Secret(given[0].strip()) if len(given) == 1 else None
