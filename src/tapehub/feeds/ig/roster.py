"""Which symbols are subscribed, which are refused and when they are tried again, and what the feed goes on without."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tapehub.errors import VenueError
from tapehub.feeds.backoff import Backoff
from tapehub.feeds.ig.account import Account
from tapehub.feeds.ig.budget import Item, Plan, Role, plan_of, tick_item
from tapehub.feeds.ig.catalogue import Catalogue, Entries
from tapehub.feeds.ig.refusals import concerns_one

if TYPE_CHECKING:
    from tapehub.feeds.ig.feed import IgFeed

__all__ = ["Retry", "Roster"]


class Refuse(Protocol):
    """Whoever says that a symbol is refused."""

    def __call__(self, symbol: str, why: str) -> None:
        """Say it."""


@dataclass(slots=True)
class Retry:
    """Hold when something is tried again, and how long it rests after that."""

    backoff: Backoff
    at_s: float


class Roster:
    """Keep it. In one event loop; look-ups run in a thread.

    Args:
        refuse: told of symbols that cannot be had for now.
        state: told of a symbol and IG's word for its market.

    Attributes:
        known: what was found out about the symbols.
        plan: what is subscribed, as far as is known.
        limit: how many subscriptions there may be; 0 until it is known.
    """

    def __init__(self, feed: IgFeed, account: Account, refuse: Refuse, state: Callable[[str, str], None]) -> None:
        self._feed = feed
        self._settings = feed.settings
        self._account = account
        self._refuse = refuse
        self._state = state
        self._catalogue = Catalogue(account, feed.epics, feed.book, feed.form)
        self._retries: dict[str, Retry] = {}
        self.known = Entries()
        self.plan = Plan((), {}, {})
        self.limit = 0

    @property
    def epics(self) -> dict[str, str]:
        """Give the epics of the symbols whose ticks are subscribed."""
        return {one: epic for one, epic in self.known.epics.items() if self.plan.has(Role.TICK, one)}

    @property
    def refused(self) -> dict[str, str]:
        """Say why the others cannot be had."""
        return {**self.known.refused, **self.plan.refused}

    def item(self, name: str) -> Item | None:
        """Find a planned item."""
        return next((one for one in self.plan.items if one.name == name), None)

    async def make(self) -> Plan:
        """Find out what the symbols mean, once; plan the subscriptions for what is known.

        Raises:
            VenueError: IG does not answer, or refuses more than single symbols.
        """
        known = self.known
        unknown = [one for one in self._feed.symbols if one not in known.epics and one not in known.refused]
        if unknown:
            self._add(await asyncio.to_thread(self._catalogue.look_up, unknown))
        self.limit = self._account.allowances.subscriptions
        if self._settings.subscriptions_max is not None:
            self.limit = min(self.limit, self._settings.subscriptions_max)
        login = self._account.login()
        wanted = {symbol: known.epics[symbol] for symbol in self._feed.symbols if symbol in known.epics}
        self.plan = plan_of(
            self.limit, wanted, login.account, heartbeat=self._settings.heartbeat, states=self._settings.states,
            candles=self._settings.candles,
        )  # fmt: skip
        self._feed.remarks.clear()  # what an item is refused for is said anew with each connection
        self._feed.remarks.update(self.plan.left_out)
        self.remark_limits()
        return self.plan

    def remark_limits(self) -> None:
        """Say whether the account's limits are assumed."""
        assumed = self._account.allowances
        if assumed.as_read:
            self._feed.remarks.pop("limits", None)
        else:
            self._feed.remarks["limits"] = (
                f"IG did not tell this key's limits: {assumed.subscriptions} subscriptions and {assumed.account} "
                "requests a minute are assumed until it does"
            )

    def due(self) -> list[str]:
        """Name the refused symbols whose time has come."""
        return [symbol for symbol, retry in self._retries.items() if _clock() >= retry.at_s]

    def retry_later(self, symbol: str) -> None:
        """Have a symbol tried again after a while that grows."""
        retry = self._retries.get(symbol)
        if retry is None:
            backoff = Backoff(self._feed.rng, self._settings.item_retry_first_s, self._settings.item_retry_ceiling_s)
            retry = self._retries[symbol] = Retry(backoff, 0.0)
        retry.at_s = _clock() + retry.backoff.next_s()

    def taken(self, symbol: str) -> None:
        """Take in that the server took a symbol's ticks."""
        self._retries.pop(symbol, None)

    async def reconsider(self, symbol: str) -> tuple[Item | None, Item | None]:
        """Look a refused symbol up again, and give it a place if it can be had.

        Returns:
            the item to subscribe to, and the one that gave way to it.

        Raises:
            VenueError: IG does not answer, or refuses more than this symbol.
        """
        self.retry_later(symbol)
        try:
            found = await asyncio.to_thread(self._catalogue.look_up, [symbol])
        except VenueError as error:
            if not concerns_one(error.code, error.status):
                raise
            found = Entries(refused={symbol: f"{symbol}: {error}"})
        self._add(found)
        if symbol not in found.epics:
            return None, None
        item = tick_item(symbol, found.epics[symbol])
        if self.plan.has(Role.TICK, symbol):
            return item, None
        plan = self.plan.with_ticks(item, self.limit)
        if plan is None:
            why = f"all {self.limit} subscriptions that IG allows are taken by ticks; name fewer symbols"
            self._refuse(symbol, f"{symbol}: {why}")
            return None, None
        gone = next((one for one in self.plan.items if one not in plan.items), None)
        self.plan = plan
        self._feed.remarks.update(plan.left_out)
        return item, gone

    def _add(self, found: Entries) -> None:
        known = self.known
        for symbol, epic in found.epics.items():
            known.refused.pop(symbol, None)
            self._feed.book.alias(epic, symbol)
        known.epics.update(found.epics)
        known.markets.update(found.markets)
        known.scalers.update(found.scalers)
        known.refused.update(found.refused)
        for symbol, why in found.refused.items():
            self._refuse(symbol, why)
            self.retry_later(symbol)
        for symbol, market in found.markets.items():
            self._state(symbol, market.status)


def _clock() -> float:
    return asyncio.get_running_loop().time()
