"""What IG says of the markets: by stream where there is an item for it, over REST where there is none, or for a doubt.

A word that came by stream holds until the next one, so at a calendar's turn it is asked for again: on a holiday that no
calendar knows the market was CLOSED before and stays so, and its item says nothing new.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

from tapehub.feeds.ig.account import Account
from tapehub.feeds.ig.markets import is_open

__all__ = ["States"]

_ANSWER_WITHIN_S = 5.0


class States:
    """Ask and remember. In one event loop.

    Args:
        say: takes a symbol and IG's word for its market.
    """

    def __init__(self, account: Account, say: Callable[[str, str], None]) -> None:
        self._account = account
        self._say = say
        self._connected = False
        self._early: dict[str, str] = {}
        self._wanted: set[str] = set()
        self._doubted: set[str] = set()
        self.streamed: set[str] = set()
        """Symbols whose words come by stream on this connection."""

    def connecting(self) -> None:
        """Begin a connection: nothing is streamed yet."""
        self._connected = False
        self.streamed.clear()

    def connected(self) -> None:
        """Say what was found out before there was a connection: nothing comes before that."""
        self._connected = True
        early, self._early = self._early, {}
        for symbol, word in early.items():
            self.found(symbol, word)

    def found(self, symbol: str, word: str) -> None:
        """Take a word that REST gave."""
        if not word:
            return
        if not self._connected:
            self._early[symbol] = word
        else:
            self._say(symbol, word)

    def want(self, symbols: Iterable[str]) -> None:
        """Have these asked for soon, streamed or not, and until they are open: their calendars say that they are."""
        self._wanted |= set(symbols)

    @property
    def wanted(self) -> bool:
        """Tell whether somebody waits for an answer."""
        return bool(self._wanted)

    async def ask_wanted(self, epics: Mapping[str, str]) -> None:
        """Ask for those that somebody waits for."""
        wanted, self._wanted = self._wanted, set()
        self._doubted |= wanted
        await self._ask({symbol: epic for symbol, epic in epics.items() if symbol in wanted})

    async def ask_others(self, epics: Mapping[str, str]) -> None:
        """Ask for those that no stream tells, and those that were closed when they should have been open."""
        await self._ask(
            {symbol: epic for symbol, epic in epics.items() if symbol not in self.streamed or symbol in self._doubted}
        )

    async def none_is_open(self, epics: Mapping[str, str]) -> bool:
        """Tell whether IG says of all these markets that they are closed; False when it does not answer in time."""
        try:
            words = await asyncio.wait_for(self._ask(epics), _ANSWER_WITHIN_S)
        except Exception:  # whatever it is: the repair that this was asked for goes on
            return False
        return bool(words) and all(is_open(words.get(symbol, "")) is False for symbol in epics)

    async def _ask(self, epics: Mapping[str, str]) -> dict[str, str]:
        if not epics:
            return {}
        by_epic = await asyncio.to_thread(self._account.statuses, list(epics.values()))
        words = {symbol: by_epic[epic] for symbol, epic in epics.items() if epic in by_epic}
        for symbol, word in words.items():
            if is_open(word) is not False:
                self._doubted.discard(symbol)
            elif symbol in self.streamed:
                self._doubted.add(symbol)
            self.found(symbol, word)
        return words
