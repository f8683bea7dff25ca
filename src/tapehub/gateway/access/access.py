"""The door's book: who may come in, judged by what a request shows and where it comes from."""

from __future__ import annotations

import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from tapehub.errors import ConfigError
from tapehub.gateway.access.credentials import Credentials
from tapehub.gateway.access.hosts import Hosts
from tapehub.gateway.access.limits import Limits
from tapehub.gateway.access.scopes import Identity
from tapehub.gateway.access.sessions import Sessions
from tapehub.gateway.access.throttle import Buckets, place_of
from tapehub.gateway.access.tokens import Token, Tokens
from tapehub.hub.secret import Secret

__all__ = ["Access", "Refusal"]

_REFRESH_S: Final = 1.0
_PROVEN_MAX: Final = 4096
_logger = logging.getLogger("tapehub.gateway.access")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Say why a request is not served.

    Attributes:
        status: of HTTP.
        kind: behind ``urn:tapehub:``.
        title, detail, remedy: as in problem details.
        retry_s: when to come back; 0 when that changes nothing.
    """

    status: int
    kind: str
    title: str
    detail: str
    remedy: str
    retry_s: float = 0.0


class Access:
    """Judge who asks. One thread: the event loop's.

    False tokens are throttled by address. An address that has to wait is not listened to at all, the right token
    included, or guessing would go on; but what was right from that address before still is, so that a program with an
    old token does not lock out those beside it, and sessions go on anyhow.

    Args:
        tokens, sessions, hosts, limits: see there.
        clock: seconds that only ever grow, for throttling.
    """

    def __init__(
        self,
        tokens: Tokens,
        sessions: Sessions,
        hosts: Hosts,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tokens = tokens
        self.sessions = sessions
        self.hosts = hosts
        self.limits = limits or Limits()
        self._clock = clock
        self._refreshed_s = clock()
        made = self.limits
        self._failures = Buckets(1 / made.failure_every_s, made.failures_burst, clock=clock)
        self._unknown = Buckets(made.unknown_per_second, made.unknown_burst, clock=clock)
        self._requests = Buckets(made.requests_per_second, made.requests_burst, clock=clock)
        self._proven: OrderedDict[tuple[str, bytes], None] = OrderedDict()
        self._trouble = ""
        self.failures = 0
        """False tokens that were shown, in all."""

    @classmethod
    def open(
        cls,
        hub_path: Path,
        *,
        allowed_hosts: Iterable[str] = (),
        allowed_origins: Iterable[str] = (),
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> Self:
        """Read the tokens of a hub, making the owner's at the first start.

        Args:
            allowed_hosts: names this server goes by, beside the loopback ones.
            allowed_origins: of pages elsewhere that may use the API.

        Raises:
            ConfigError: a file of tokens is open to others, or a name that cannot be one.
        """
        tokens = Tokens.open(hub_path, now_ns=now_ns)
        return cls(tokens, Sessions(tokens, now_ns=now_ns), Hosts(allowed_hosts, allowed_origins), limits, clock)

    def __repr__(self) -> str:
        return f"<Access by {self.tokens!r}>"

    # ------------------------------------------------------------ who

    def identify(self, shown: Credentials, address: str) -> Identity | Refusal:
        """Find out who asks.

        Args:
            shown: by the request.
            address: of the client.
        """
        self._refresh()
        if shown.faulty:
            return _unauthorised(shown.faulty)
        if shown.token is not None:
            return self.redeem(shown.token, address)
        if shown.cookie is not None:
            found = self.sessions.find(shown.cookie.reveal())
            if found is not None:
                return found
            return _unauthorised("the session is over, or its token was revoked")
        return _unauthorised("no token was shown")

    def redeem(self, secret: Secret, address: str) -> Identity | Refusal:
        """Find out whose token it is; a false one counts against the address."""
        found = self.check(secret, address)
        return found if isinstance(found, Refusal) else Identity(found.name, found.scope, found.digest)

    def check(self, secret: Secret, address: str) -> Token | Refusal:
        """Find a token, or say why it does not open."""
        place = place_of(address)
        proof = (place, hashlib.sha256(secret.reveal().encode("utf-8", "surrogateescape")).digest())
        wait_s = self._failures.wait_s(place)
        if wait_s and proof not in self._proven:
            return _too_many(wait_s, f"{self.limits.failures_burst:g} false tokens came from {place}")
        found = self.tokens.find(secret.reveal())
        if found is None:
            self._proven.pop(proof, None)
            self._failures.take(place)
            self.failures += 1
            if self.failures & (self.failures - 1) == 0:  # a guesser does not fill the disk
                _logger.warning("a false token was shown from %s, %d in all", place, self.failures)
            return _unauthorised("the token is not known here, or its time is up")
        self._proven[proof] = None
        self._proven.move_to_end(proof)
        while len(self._proven) > _PROVEN_MAX:
            self._proven.popitem(last=False)
        return found

    def holds(self, who: Identity) -> bool:
        """Tell whether somebody who came in may still be there: neither token nor session has ended."""
        self._refresh()
        return self.tokens.holds(who.token) and (not who.session or self.sessions.holds(who.session))

    # ------------------------------------------------------------ how often

    def meter(self, who: Identity | None, address: str) -> Refusal | None:
        """Count a request, of somebody or of an address."""
        if who is None:
            wait_s = self._unknown.take(place_of(address))
        else:
            wait_s = self._requests.take((who.session or who.token).hex())
        return _too_many(wait_s, "requests came faster than the limit") if wait_s else None

    def _refresh(self) -> None:
        """Take up tokens and sessions that were made or ended since: by whatever process, within a second."""
        now_s = self._clock()
        if now_s - self._refreshed_s < _REFRESH_S:
            return
        self._refreshed_s = now_s
        try:
            self.tokens.refresh()
            self.sessions.refresh()
            self._trouble = ""
        except ConfigError as error:  # nobody comes in until it is mended
            if str(error) != self._trouble:
                self._trouble = str(error)
                _logger.error("the tokens cannot be read, so nobody comes in: %s", error)


def _unauthorised(why: str) -> Refusal:
    return Refusal(
        401, "unauthorised", "Who are you?", f"{why}: expected a token of this hub",
        'show one as "Authorization: Bearer …"; "tapehub token show" prints the token, and the login link',
    )  # fmt: skip


def _too_many(wait_s: float, why: str) -> Refusal:
    return Refusal(
        429, "too-many-requests", "Too fast", f"{why}: expected a pause of {max(1, round(wait_s + 0.5))} s",
        "wait as Retry-After says", wait_s,
    )  # fmt: skip
