"""Which of IG's markets stands for a symbol: by the configuration, by the table here, else by a search.

IG offers the same pair as a CFD, as a mini CFD and as a daily bet; the account decides which of them it may see. A
name in this table that IG does not know, or not for that account, is refused by name when the feed starts.

The table is `tapehub.model.epics`, for every process of a hub knows its names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from tapehub.errors import ConfigError
from tapehub.feeds.ig.markets import Market
from tapehub.model.epics import FORMS, TABLE
from tapehub.model.epics import symbol_of as known_symbol_of
from tapehub.model.instruments import normalise

__all__ = ["FORMS", "TABLE", "best_match", "epic_for", "looks_like_epic", "symbol_of"]

_EPIC = re.compile(r"[A-Z0-9]{2}\.D\.[A-Z0-9]+\.[A-Za-z0-9]+\.IP\Z")


def looks_like_epic(text: str) -> bool:
    """Tell an epic from a symbol: ``CS.D.EURUSD.CFD.IP``."""
    return _EPIC.match(text.strip()) is not None


def epic_for(symbol: str, configured: Mapping[str, str], form: str = "CFD") -> str | None:
    """Name the epic of a symbol by configuration or table; None when only a search can tell.

    Raises:
        ConfigError: the form is none of `FORMS`.
    """
    if form not in FORMS:
        raise ConfigError(f"IG form is {form!r}, expected one of {', '.join(FORMS)}")
    return configured.get(symbol) or TABLE.get(symbol, {}).get(form)


def symbol_of(epic: str, configured: Mapping[str, str]) -> str | None:
    """Name the symbol that an epic stands for; None when neither configuration nor table has it."""
    return next((symbol for symbol, known in configured.items() if known == epic), None) or known_symbol_of(epic)


def best_match(symbol: str, found: Iterable[Market], form: str = "CFD") -> Market:
    """Choose from what a search found the one market that is this symbol.

    Raises:
        ConfigError: none is, or several are; the message names them.
    """
    markets = [market for market in found if market.streaming]
    named = [market for market in markets if _named(market, symbol)]
    in_form = [market for market in named if f".{form}." in market.epic]
    chosen: Sequence[Market] = in_form or named
    if len(chosen) == 1:
        return chosen[0]
    shown = ", ".join(f"{market.epic} ({market.name})" for market in (chosen or markets)[:8]) or "nothing"
    raise ConfigError(
        f"{symbol}: IG's search found {shown}; expected one market of that name; put the right one into [ig.epics] of "
        f'tapehub.toml: {symbol} = "…"'
    )


def _named(market: Market, symbol: str) -> bool:
    """Compare IG's name, such as "EUR/USD" or "EUR/USD Mini", with the symbol."""
    first = market.name.split(" ")[0] if market.name else ""
    names = {name for name in (first, market.name) if name and len(name) <= 31}
    return any(normalise(name) == symbol for name in names) or symbol_of(market.epic, {}) == symbol
