"""Logging in and out by REST: sessions of version 1, 2 and 3, refresh, change of account, encrypted passwords.

Source: labs.ig.com REST guide and session reference; trading-ig for the encryption (it encodes the text in base64
before it encrypts it, IG's guide does not say so; both are accepted).
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tapehub.errors import MissingExtra
from tapehub.feeds.sim.faults import FaultKind
from tapehub.feeds.sim.tokens import Login

if TYPE_CHECKING:
    from tapehub.feeds.sim.bodies import Bodies
    from tapehub.feeds.sim.venue import Venue

__all__ = ["ErrorReply", "Logins", "Reply"]

# Enough for passwords of a simulation, and made in a tenth of the time of 2048.
_KEY_BITS = 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """Hold a reply: status, body to be written as JSON (None for none), headers."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


class ErrorReply(Exception):
    """Answer with a status and ``{"errorCode": …}``."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code


class Logins:
    """Answer what begins, describes and ends a session."""

    def __init__(self, venue: Venue, bodies: Bodies) -> None:
        self._venue = venue
        self._settings = venue.settings
        self._bodies = bodies
        self._key: Any = None
        self._stamps: set[str] = set()

    def open(self, version: int, method: str, parts: list[str], body: Callable[[], dict[str, Any]]) -> Reply | None:
        """Answer what needs no token; None when it does.

        Raises:
            ErrorReply: refused.
        """
        match method, parts:
            case "POST", ["session"]:
                return self._login(version, body())
            case "POST", ["session", "refresh-token"]:
                login = self._venue.tokens.refresh(str(body().get("refresh_token", "")))
                if login is None:
                    raise ErrorReply(401, "error.security.oauth-token-invalid")
                self._venue.said("refresh", login.account)
                return Reply(200, self._bodies.oauth(login))
            case "GET", ["session", "encryptionKey"]:
                return Reply(200, self._encryption_key())
        return None

    def of(self, header: Callable[[str], str]) -> Login:
        """Recognise who asks: OAuth first, as a client that has both means that.

        Raises:
            ErrorReply: nobody who is logged in.
        """
        scheme, _, access = header("Authorization").partition(" ")
        if scheme:
            login = self._venue.tokens.by_access(access)
            if login is None:
                raise ErrorReply(401, "error.security.oauth-token-invalid")
            account = header("IG-ACCOUNT-ID")
            if not account:
                raise ErrorReply(400, "error.request.invalid.account-id")  # ours
            if self._settings.account(account) is None:
                raise ErrorReply(401, "error.security.account-access-denied")
            if account != login.account:
                self._venue.tokens.switch(login, account)
            return login
        cst, xst = header("CST"), header("X-SECURITY-TOKEN")
        if not cst:
            raise ErrorReply(401, "error.security.client-token-missing")
        if not xst:
            raise ErrorReply(401, "error.security.account-token-missing")
        login = self._venue.tokens.by_headers(cst, xst)
        if login is None:
            raise ErrorReply(401, "error.security.client-token-invalid")
        return login

    def session(self, method: str, login: Login, query: dict[str, str], body: Callable[[], dict[str, Any]]) -> Reply:
        """Answer GET, PUT and DELETE of /session.

        Raises:
            ErrorReply: refused.
        """
        venue = self._venue
        if method == "GET":
            headers = {}
            if query.get("fetchSessionTokens") == "true":
                venue.tokens.revive(login)
                headers = _headers(login)
            account = self._settings.account(login.account)
            assert account is not None
            return Reply(200, self._bodies.session(account, venue.endpoint), headers)
        if method == "PUT":
            wanted = str(body().get("accountId", ""))
            if self._settings.account(wanted) is None:
                raise ErrorReply(400, "invalid.input.accountId")  # ours
            if wanted == login.account:
                raise ErrorReply(412, "error.switch.accountId-must-be-different")
            venue.tokens.switch(login, wanted)
            venue.said("switch", wanted)
            return Reply(200, self._bodies.switched(), {"X-SECURITY-TOKEN": login.xst})
        if method == "DELETE":
            venue.tokens.end(login)
            venue.said("logout", login.account)
            return Reply(204)
        raise ErrorReply(405, "invalid.url")

    def _login(self, version: int, body: dict[str, Any]) -> Reply:
        venue, settings = self._venue, self._settings
        fault = venue.hit(FaultKind.REFUSE_LOGIN)
        if fault is not None:
            venue.said("login refused", fault.code)
            code = fault.code or "error.security.invalid-details"
            raise ErrorReply(_status_of(code), code)
        user, password = str(body.get("identifier") or ""), str(body.get("password") or "")
        if not user or not password:
            raise ErrorReply(401, "error.public-api.failure.missing.credentials")
        if body.get("encryptedPassword"):
            password = self._decrypted(password)
        elif settings.encryption_required:
            raise ErrorReply(400, "error.public-api.failure.encryption.required")
        if (user, password) != (settings.username, settings.password):
            venue.said("login refused", "error.security.invalid-details")
            raise ErrorReply(401, "error.security.invalid-details")
        account = settings.accounts[0]
        login = venue.tokens.issue(account.id, oauth=version >= 3)
        venue.said("login", f"v{version}")
        if version >= 3:
            return Reply(200, self._bodies.session_v3(account, venue.endpoint, login))
        return Reply(200, self._bodies.session_v2(account, venue.endpoint), _headers(login))

    def _encryption_key(self) -> dict[str, Any]:
        stamp = self._venue.now_ns // 1_000_000
        self._stamps.add(str(stamp))
        public: bytes = self._private().publickey().export_key("DER")
        return {"encryptionKey": b64encode(public).decode(), "timeStamp": stamp}

    def _decrypted(self, text: str) -> str:
        from Crypto.Cipher import PKCS1_v1_5

        try:
            plain = PKCS1_v1_5.new(self._private()).decrypt(b64decode(text), b"")
        except (ValueError, Base64Error):
            plain = b""
        if b"|" not in plain:
            try:
                plain = b64decode(plain, validate=True)
            except Base64Error:
                plain = b""
        password, _, stamp = plain.decode(errors="replace").rpartition("|")
        return password if stamp in self._stamps else ""

    def _private(self) -> Any:
        """Make the key pair when it is first needed: that takes a second."""
        if self._key is None:
            try:
                from Crypto.PublicKey import RSA
            except ImportError as error:
                raise MissingExtra(error.name or "pycryptodome", "sim", "the simulator's encryption key") from error
            self._key = RSA.generate(_KEY_BITS)
        return self._key


def _headers(login: Login) -> dict[str, str]:
    return {"CST": login.cst, "X-SECURITY-TOKEN": login.xst}


def _status_of(code: str) -> int:
    if code in ("error.public-api.failure.encryption.required", "error.security.api-key-missing"):
        return 400
    forbidden = ("exceeded-", "api-key-invalid", "api-key-disabled", "stockbroking-not-supported")
    return 403 if any(part in code for part in forbidden) else 401
