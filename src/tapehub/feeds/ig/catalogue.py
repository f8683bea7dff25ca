"""Which market each symbol means to this account, and whether its prices can be read: looked up over REST."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tapehub.errors import ConfigError, VenueError
from tapehub.feeds.ig.account import Account
from tapehub.feeds.ig.epics import best_match, epic_for
from tapehub.feeds.ig.markets import Market
from tapehub.feeds.ig.refusals import Remedy, remedy_of
from tapehub.feeds.ig.scaling import Scaler, WrongScale
from tapehub.model.instruments import InstrumentBook

__all__ = ["Catalogue", "Entries"]


@dataclass(slots=True)
class Entries:
    """Hold what was found out about some symbols.

    Attributes:
        epics, markets, scalers: of those that can be subscribed, by symbol.
        refused: why the others cannot, by symbol.
    """

    epics: dict[str, str] = field(default_factory=dict)
    markets: dict[str, Market] = field(default_factory=dict)
    scalers: dict[str, Scaler] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


class Catalogue:
    """Look symbols up. Blocks; one thread at a time.

    Args:
        configured: epics by symbol, before the built-in table.
        form: which of IG's forms the table gives: CFD, MINI or TODAY.
    """

    def __init__(
        self, account: Account, configured: Mapping[str, str], book: InstrumentBook, form: str = "CFD"
    ) -> None:
        self._account = account
        self._configured = configured
        self._book = book
        self._form = form

    def look_up(self, symbols: Sequence[str]) -> Entries:
        """Find the markets of some symbols: one request for all whose epics are known.

        Raises:
            VenueError: IG does not answer, or refuses more than these symbols.
        """
        found = Entries()
        for symbol in symbols:
            try:
                found.epics[symbol] = epic_for(symbol, self._configured, self._form) or self._searched(symbol)
            except ConfigError as error:
                found.refused[symbol] = str(error)
        markets, unknown = self._account.markets(list(found.epics.values()))
        for symbol, epic in list(found.epics.items()):
            market = markets.get(epic)
            why = unknown.get(epic, f"IG knows no market {epic}")
            if market is not None:
                why = self._reason_against(symbol, market, found)
            if why:
                found.refused[symbol] = f"{symbol}: {why}"
                del found.epics[symbol]
        return found

    def _searched(self, symbol: str) -> str:
        try:
            return best_match(symbol, self._account.search(symbol.replace("_", "/")), self._form).epic
        except VenueError as error:
            if remedy_of(error.code, error.status) is not Remedy.NONE:
                raise
            raise ConfigError(f"{symbol}: {error}") from error

    def _reason_against(self, symbol: str, market: Market, found: Entries) -> str:
        if not market.streaming:
            return f"IG does not stream {market.epic}"
        instrument = self._book.find(symbol)
        if not instrument.declared and market.pip > 0:
            # Not in our table, so IG's own pip is what there is.
            instrument = self._book.declare(symbol, pip_size=market.pip)
        try:
            found.scalers[symbol] = Scaler(market, instrument)
        except WrongScale as error:
            return str(error)
        found.markets[symbol] = market
        return ""
