"""The tokens of one hub: who may come in, and how far.

Two files in ``access/`` of the hub's directory, both 0600 in a folder 0700, refused when anyone else could have read or
written them:

``owner.token``
    The first token, scope admin, made at the first start, as plain text: the login link is printed from it, and
    programs of the same user read it. Whoever can read it can read and write the hub's own files as well.
``tokens.json``
    All others, by name: SHA-256, scope, when made, when they end. They are shown once, when they are made. A fast hash
    is enough, since what it is made of are 256 random bits and no password.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from tapehub.errors import ConfigError
from tapehub.gateway.access._vault import Change, Vault
from tapehub.gateway.access.scopes import Scope
from tapehub.hub.secret import PREFIX, Secret, new_secret

__all__ = ["FOLDER", "OWNER", "Token", "Tokens"]

FOLDER: Final = "access"
OWNER: Final = "owner"
_OWNER_FILE: Final = "owner.token"
_TABLE: Final = "tokens.json"
_FORMAT: Final = 1
_COUNT_MAX: Final = 256
_DAY_NS: Final = 86_400 * 10**9
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_WORD = re.compile(PREFIX + r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Token:
    """Describe one token, without the secret.

    Attributes:
        digest: SHA-256 of it.
        created_ns: ns UTC; 0 for the owner's.
        expires_ns: ns UTC; None when it does not end.
    """

    name: str
    scope: Scope
    digest: bytes = field(repr=False)
    created_ns: int = 0
    expires_ns: int | None = None

    def is_over(self, now_ns: int) -> bool:
        """Tell whether its time is up."""
        return self.expires_ns is not None and now_ns >= self.expires_ns


class Tokens:
    """Hold the tokens of a hub. Any number of processes; one thread each.

    Args:
        hub_path: the hub's directory.
        now_ns: the wall clock, ns UTC, not the hub's: a replay of 2014 revives no token.
    """

    def __init__(self, hub_path: Path, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._vault = Vault(hub_path / FOLDER)
        self._now_ns = now_ns
        self._rows: dict[str, Token] = {}
        self._by_digest: dict[bytes, Token] = {}
        self._owner: Secret | None = None
        self._stamp: tuple[tuple[int, ...], ...] = ()

    @classmethod
    def open(cls, hub_path: Path, *, create: bool = True, now_ns: Callable[[], int] = time.time_ns) -> Self:
        """Read the tokens of a hub, making the owner's at the first start.

        Raises:
            ConfigError: a file is open to others, somebody else's, a link, or no longer what was written.
        """
        self = cls(hub_path, now_ns)
        if create:
            with self._vault.changing() as change:
                if change.read(_OWNER_FILE) is None:
                    _write_owner(change)
        self.refresh()
        return self

    def __repr__(self) -> str:
        return f"<Tokens of {self.folder}: {', '.join(self._rows) or 'none'}>"

    @property
    def folder(self) -> Path:
        """Where they are kept."""
        return self._vault.folder

    @property
    def owner_file(self) -> Path:
        """The file that holds the owner's token, for programs that take a file."""
        return self.folder / _OWNER_FILE

    @property
    def owner(self) -> Secret:
        """The first token, with which this user does everything.

        Raises:
            ConfigError: there is none.
        """
        if self._owner is None:
            raise ConfigError(f'{self.owner_file} is missing: "tapehub token show" makes one')
        return self._owner

    def rows(self) -> list[Token]:
        """List them: the owner's first, then by name."""
        return list(self._rows.values())

    def refresh(self) -> bool:
        """Read them again when a file has changed since, and tell whether one has.

        Raises:
            ConfigError: as `open`; no token is left.
        """
        stamp = tuple(self._vault.stamp(name) for name in (_OWNER_FILE, _TABLE))
        if stamp == self._stamp:
            return False
        self._rows, self._by_digest, self._owner, self._stamp = {}, {}, None, ()
        owner = self._vault.read(_OWNER_FILE)
        rows = _parse(self._vault.read(_TABLE), self.folder / _TABLE)
        if owner is not None:
            self._owner = _parse_owner(owner, self.owner_file)
            rows = {OWNER: Token(OWNER, Scope.ADMIN, _digest(self._owner.reveal())), **rows}
        self._rows, self._stamp = rows, stamp
        self._by_digest = {row.digest: row for row in rows.values()}
        return True

    def find(self, presented: str) -> Token | None:
        """Find the token somebody shows; None when there is none, or its time is up.

        Every token is compared, each in constant time, whichever it is: how long it takes tells nothing.
        """
        digest = _digest(presented)
        found: Token | None = None
        for row in self._rows.values():
            if hmac.compare_digest(digest, row.digest):
                found = row
        return None if found is None or found.is_over(self._now_ns()) else found

    def holds(self, digest: bytes) -> bool:
        """Tell whether a token that was found before still holds; asked at every message of a stream."""
        row = self._by_digest.get(digest)
        return row is not None and not row.is_over(self._now_ns())

    def row_of(self, digest: bytes) -> Token | None:
        """Give the token that was found before; None when it is gone."""
        return self._by_digest.get(digest)

    def new(self, name: str, scope: Scope, *, days: float | None = None) -> Secret:
        """Make a token, and give it: nobody can show it a second time.

        Raises:
            ConfigError: the name is taken or no name, or it would end before it began.
        """
        if not _NAME.fullmatch(name) or name == OWNER:
            raise ConfigError(
                f"token name {name!r}: expected letters, digits, dots, dashes, at most 64, and not {OWNER!r}"
            )
        if days is not None and not 0 < days < 36_500:
            raise ConfigError(f"a token for {days:g} days: expected above 0, or no limit")
        made, now_ns = new_secret(), self._now_ns()
        with self._vault.changing() as change:
            rows = _parse(change.read(_TABLE), self.folder / _TABLE)
            rows = {other: row for other, row in rows.items() if not row.is_over(now_ns)}
            if name in rows:
                raise ConfigError(f'there is a token {name!r} already: "tapehub token revoke {name}" ends it')
            if len(rows) >= _COUNT_MAX:
                raise ConfigError(f"there are {len(rows)} tokens already, the most there can be: revoke some")
            expires_ns = None if days is None else now_ns + round(days * _DAY_NS)
            rows[name] = Token(name, scope, _digest(made.reveal()), now_ns, expires_ns)
            change.write(_TABLE, _table(rows))
        self.refresh()
        return made

    def revoke(self, name: str) -> None:
        """End a token, and every session and socket that came by it; the owner's is replaced by a new one.

        Raises:
            ConfigError: there is none of that name.
        """
        with self._vault.changing() as change:
            if name == OWNER:
                _write_owner(change)
            else:
                rows = _parse(change.read(_TABLE), self.folder / _TABLE)
                if rows.pop(name, None) is None:
                    known = ", ".join([OWNER, *rows])
                    raise ConfigError(f"there is no token {name!r}: expected one of {known}")
                change.write(_TABLE, _table(rows))
        self.refresh()


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def _write_owner(change: Change) -> None:
    change.write(_OWNER_FILE, new_secret().reveal().encode() + b"\n")


def _parse_owner(data: bytes, where: Path) -> Secret:
    text = data.decode(errors="replace").strip()
    if not _WORD.fullmatch(text):
        raise ConfigError(f"{where} holds no token: remove it, and the next start makes a new one")
    return Secret(text)


def _table(rows: dict[str, Token]) -> bytes:
    told = [
        {
            "name": row.name,
            "scope": row.scope.label,
            "sha256": row.digest.hex(),
            "created_ns": row.created_ns,
            "expires_ns": row.expires_ns,
        }
        for row in rows.values()
    ]
    return json.dumps({"format": _FORMAT, "tokens": told}, indent=1).encode() + b"\n"


def _parse(data: bytes | None, where: Path) -> dict[str, Token]:
    if data is None:
        return {}
    try:
        told = json.loads(data)
        if told["format"] != _FORMAT:
            raise ConfigError(f"{where} has format {told['format']}, this tapehub reads {_FORMAT}: use the newer one")
        return {row.name: row for row in sorted(map(_row, told["tokens"]), key=lambda row: row.name)}
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{where} cannot be read ({type(error).__name__}): remove it, and make its tokens anew"
        ) from None


def _row(told: dict[str, Any]) -> Token:
    digest = bytes.fromhex(told["sha256"])
    if len(digest) != hashlib.sha256().digest_size:
        raise ValueError
    expires = told["expires_ns"]
    return Token(
        str(told["name"]), Scope.parse(told["scope"]), digest, int(told["created_ns"]),
        None if expires is None else int(expires),
    )  # fmt: skip
