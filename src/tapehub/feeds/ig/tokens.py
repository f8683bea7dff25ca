"""The tokens of a feed: vouched for before every connection, checked while one lasts, lent, and seldom bought.

A login is what IG counts and locks accounts for. REST says whether tokens hold, which costs none; the streaming
server's word against them is taken once, since it also says so when something else is wrong with session or account.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from tapehub.feeds.ig.account import Account, Login
from tapehub.feeds.ig.credentials import Credentials
from tapehub.feeds.ig.lending import Lender
from tapehub.feeds.ig.settings import Settings

__all__ = ["PATIENCE_CEILING_S", "PATIENCE_S", "PER_HOUR", "Tokens"]

_log = logging.getLogger("tapehub.feeds.ig")
PATIENCE_S = 30.0
"""After the streaming server has refused fresh tokens; doubled each time."""
PATIENCE_CEILING_S = 1800.0
PER_HOUR = 3
"""Logins in an hour that only the streaming server's word asks for."""
_HOUR_S = 3600.0


class Tokens:
    """Keep them. In one event loop.

    Args:
        renewed: told of tokens that are others than before, for the connection that lasts.
    """

    def __init__(
        self, account: Account, settings: Settings, credentials: Credentials, renewed: Callable[[Login], None]
    ) -> None:
        self._account = account
        self._settings = settings
        self._credentials = credentials
        self._renewed = renewed
        self._login: Login | None = None
        self._login_at_s = float("-inf")
        self._checked_at_s = float("-inf")
        self._refusals = 0  # of the streaming server, since it last took tokens
        self._mistrusted = False
        self._by_refusal: deque[float] = deque()
        self._lender = Lender(settings.lend_at, self._vouched)

    async def fresh(self, *, wanted: bool = False) -> Login:
        """Give tokens for a connection: those there are when REST vouches for them, else of a new login.

        Args:
            wanted: a login is asked for, as a repair; there is none sooner than `login_every_s` after the last.

        Raises:
            VenueError: IG refused the login, or did not answer.
        """
        login = self._mistrusted or (wanted and self._clock() - self._login_at_s >= self._settings.login_every_s)
        if self._mistrusted:
            self._by_refusal.append(self._clock())
        return await self._ask(refused=login)

    async def check(self) -> None:
        """Ask REST whether the tokens still hold, when they were not asked about for a while, or near their end."""
        asked_s = self._clock() - self._checked_at_s
        if self._account.due() or asked_s >= self._settings.check_every_s:
            await self._ask()

    def refused(self) -> float:
        """Take in that the streaming server refused them; give the seconds to leave it alone at least.

        The first time a login may help. Where fresh ones are refused too it is not about tokens: no login then, and
        patience that grows. One that lasts is given another login an hour later.
        """
        now_s = self._clock()
        while self._by_refusal and self._by_refusal[0] <= now_s - _HOUR_S:
            self._by_refusal.popleft()
        self._refusals += 1
        believed = self._refusals == 1 or now_s - self._login_at_s >= _HOUR_S
        self._mistrusted = believed and len(self._by_refusal) < PER_HOUR
        return 0.0 if self._mistrusted else min(PATIENCE_CEILING_S, PATIENCE_S * 2.0 ** max(0, self._refusals - 2))

    def taken(self) -> None:
        """Take in that the streaming server let them in."""
        self._refusals = 0

    def close(self) -> None:
        """Lend nothing any more."""
        self._lender.close()

    async def _vouched(self, failed: bool) -> None:
        """Ask about them before they are lent: always when a borrower says that they failed, though not in a row."""
        asked_s = self._clock() - self._checked_at_s
        if asked_s >= (_AFTER_FAILURE_S if failed else self._settings.lend_unasked_s):
            await self._ask()

    async def _ask(self, *, refused: bool = False) -> Login:
        logins, before = self._account.logins, self._login
        try:
            login = await asyncio.to_thread(self._account.fresh, before, refused=refused)
        finally:
            self._checked_at_s = self._clock()
            if self._account.logins > logins:
                self._login_at_s = self._clock()
                self._mistrusted = False
        self._mistrusted = False
        self._login = login
        if self._settings.lend:
            self._lender.lend(login, self._credentials)
        if before is not None and login.serial != before.serial:
            self._renewed(login)
        return login

    @staticmethod
    def _clock() -> float:
        return asyncio.get_running_loop().time()


_AFTER_FAILURE_S = 3.0
"""A borrower that goes on saying so, with tokens that hold, is mistaken."""
