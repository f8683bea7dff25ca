"""Sessions of browsers: a random cookie instead of the token, bounded in number and in time."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from tapehub.gateway.access._vault import Vault
from tapehub.gateway.access.scopes import Identity
from tapehub.gateway.access.tokens import Token, Tokens

__all__ = ["Sessions"]

_FILE: Final = "sessions.json"
_BITS: Final = 256
_ID_CHARS_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class _Session:
    token: bytes = field(repr=False)  # SHA-256 of the token it came by: a new token of the same name revives nothing
    expires_ns: int


class Sessions:
    """Hold who has logged in.

    What is kept is SHA-256 of each cookie, in ``sessions.json`` beside the tokens, so that a page stays logged in when
    the gateway is started again, and so that the file opens nothing. Several gateways of a hub share the file. Looking
    one up by its hash tells nothing about those that are there, however long it takes: nobody chooses a hash.

    Args:
        lifetime_s: after this a browser logs in anew.
        count_max: the oldest makes room for a new one.
        now_ns: the wall clock.
    """

    def __init__(
        self,
        tokens: Tokens,
        *,
        lifetime_s: float = 7 * 86_400,
        count_max: int = 256,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._tokens = tokens
        self._vault = Vault(tokens.folder)
        self._lifetime_s = lifetime_s
        self._count_max = count_max
        self._now_ns = now_ns
        self._held: dict[bytes, _Session] = {}
        self._stamp: tuple[int, ...] | None = None
        self.refresh()

    @property
    def lifetime_s(self) -> float:
        """How long a session lasts."""
        return self._lifetime_s

    def __len__(self) -> int:
        return len(self._held)

    def __repr__(self) -> str:
        return f"<{len(self)} sessions>"

    def open(self, token: Token) -> str:
        """Begin a session, and give what the cookie holds."""
        cookie = secrets.token_urlsafe(_BITS // 8)
        now_ns = self._now_ns()
        with self._changing() as held:
            for key in [key for key, one in held.items() if not self._holds(one, now_ns)]:
                del held[key]
            while len(held) >= self._count_max:
                del held[next(iter(held))]
            held[_digest(cookie)] = _Session(token.digest, now_ns + round(self._lifetime_s * 1e9))
        return cookie

    def find(self, cookie: str) -> Identity | None:
        """Say whose session a cookie is; None when it is nobody's, over, or its token is gone."""
        if len(cookie) > _ID_CHARS_MAX:
            return None
        digest = _digest(cookie)
        found = self._held.get(digest)
        if found is None or not self._holds(found, self._now_ns()):
            return None
        token = self._tokens.row_of(found.token)
        return None if token is None else Identity(token.name, token.scope, token.digest, digest)

    def holds(self, session: bytes) -> bool:
        """Tell whether a session that was found before goes on."""
        found = self._held.get(session)
        return found is not None and self._holds(found, self._now_ns())

    def close(self, session: bytes) -> None:
        """End a session."""
        if session in self._held:
            with self._changing() as held:
                held.pop(session, None)

    def refresh(self) -> None:
        """Read them again when another gateway has changed them."""
        stamp = self._vault.stamp(_FILE)
        if stamp != self._stamp:
            self._held, self._stamp = self._parsed(self._vault.read(_FILE)), stamp

    def _holds(self, session: _Session, now_ns: int) -> bool:
        return now_ns < session.expires_ns and self._tokens.holds(session.token)

    @contextmanager
    def _changing(self) -> Iterator[dict[bytes, _Session]]:
        with self._vault.changing() as change:
            held = self._parsed(change.read(_FILE))
            yield held
            rows = [
                {"sha256": key.hex(), "token": one.token.hex(), "expires_ns": one.expires_ns}
                for key, one in held.items()
            ]
            change.write(_FILE, json.dumps(rows).encode() + b"\n")
        self.refresh()

    def _parsed(self, data: bytes | None) -> dict[bytes, _Session]:
        try:
            rows = json.loads(data or b"[]")
            return {
                bytes.fromhex(row["sha256"]): _Session(bytes.fromhex(row["token"]), int(row["expires_ns"]))
                for row in rows[-self._count_max :]
            }
        except (ValueError, KeyError, TypeError):  # nothing but comfort is lost
            return {}


def _digest(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode("utf-8", "surrogateescape")).digest()
