"""Who is logged in: CST and X-SECURITY-TOKEN, OAuth tokens, how long each lives by the simulator's clock.

Source: IG's REST guide for the tokens; their lives are settings, as sources disagree about IG's own (6 h, 12 h, 72 h).
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from tapehub.feeds.sim.clock import Clock
from tapehub.feeds.sim.settings import Settings

__all__ = ["Login", "Tokens"]


@dataclass(slots=True)
class Login:
    """Hold one login: its account, and its tokens with the times (ns) at which they end."""

    account: str
    cst: str
    xst: str
    until_ns: int
    access: str = ""
    refresh: str = ""
    access_until_ns: int = 0
    refresh_until_ns: int = 0


class Tokens:
    """Issue tokens and recognise them."""

    def __init__(self, settings: Settings, now: Clock, seed: int) -> None:
        self._settings = settings
        self._now = now
        self._random = random.Random(f"tokens {seed}")
        self._logins: list[Login] = []

    def issue(self, account: str, *, oauth: bool) -> Login:
        """Log in."""
        login = Login(account, self._text(), self._text(), self._life())
        if oauth:
            self._renew(login)
        self._logins.append(login)
        # Nobody logs in a thousand times in one simulation, but a client gone wild must not fill the memory.
        del self._logins[:-1000]
        return login

    def by_headers(self, cst: str, xst: str) -> Login | None:
        """Recognise CST and X-SECURITY-TOKEN, and let their life begin anew."""
        now = self._now()
        for login in reversed(self._logins):
            if login.cst == cst and login.xst == xst and now < login.until_ns:
                login.until_ns = self._life()
                return login
        return None

    def by_access(self, access: str) -> Login | None:
        """Recognise an OAuth access token."""
        now = self._now()
        return next(
            (row for row in self._logins if access and row.access == access and now < row.access_until_ns), None
        )

    def refresh(self, refresh: str) -> Login | None:
        """Exchange a refresh token; the old pair is void."""
        now = self._now()
        for login in self._logins:
            if refresh and login.refresh == refresh and now < login.refresh_until_ns:
                self._renew(login)
                return login
        return None

    def switch(self, login: Login, account: str) -> None:
        """Change a login's account: a new X-SECURITY-TOKEN."""
        login.account = account
        login.xst = self._text()

    def revive(self, login: Login) -> None:
        """Give a login CST and X-SECURITY-TOKEN that are valid from now."""
        if self._now() >= login.until_ns:
            login.cst, login.xst = self._text(), self._text()
        login.until_ns = self._life()

    def end(self, login: Login) -> None:
        """Log out."""
        self._logins = [row for row in self._logins if row is not login]

    def expire(self) -> None:
        """Void every token."""
        self._logins.clear()

    def streams(self, account: str, password: str) -> bool:
        """Tell whether ``CST-…|XST-…`` lets this account stream."""
        cst, _, xst = password.partition("|")
        if not (cst.startswith("CST-") and xst.startswith("XST-")):
            return False
        login = self.by_headers(cst[4:], xst[4:])
        return login is not None and login.account == account

    def _renew(self, login: Login) -> None:
        now = self._now()
        login.access, login.refresh = self._text(), self._text()
        login.access_until_ns = now + round(self._settings.oauth_life_s * 1e9)
        login.refresh_until_ns = now + round(self._settings.refresh_life_s * 1e9)

    def _life(self) -> int:
        return self._now() + round(self._settings.token_life_s * 1e9)

    def _text(self) -> str:
        return f"{self._random.getrandbits(256):064x}"
