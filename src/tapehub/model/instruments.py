"""What is known of each instrument: pip, decimals, calendar, plausible prices, and the names it goes by.

Pips are those of OANDA's instrument list (``pipLocation``), which FX charts and brokers share: 0.0001 for most
pairs, 0.01 for pairs quoted in yen, 1.0 for equity indices. Any of it can be overridden in the configuration
(`InstrumentBook.declare`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import lru_cache
from itertools import pairwise
from typing import Any

from tapehub.errors import ConfigError, InvalidRecord
from tapehub.model.calendars import CalendarId
from tapehub.model.epics import symbol_of

__all__ = ["SYMBOL_BYTES_MAX", "TABLE", "Instrument", "InstrumentBook", "meant", "normalise", "symbol_in"]

SYMBOL_BYTES_MAX = 31


def meant(symbol: str) -> str:
    """Say which instrument of the table a mistyped name comes near, as an end of a message; empty where none does."""
    plain = {name.replace("_", ""): name for name in TABLE}
    found = get_close_matches(symbol.upper().replace("_", ""), plain, 1, 0.75)
    return f"; did you mean {plain[found[0]]}?" if found else ""


@dataclass(frozen=True, slots=True)
class Instrument:
    """Describe one instrument.

    Attributes:
        symbol: canonical name, at most 31 bytes, such as ``"EUR_USD"``.
        base, quote: currencies (or asset and currency: ``"DE40"``, ``"EUR"``); empty when unknown.
        pip_size: in price units; 0.0 is *undeclared*, and a spread then is in price units.
        decimals: digits after the point of a venue's quote.
        price_low, price_high: plausible band; 0.0, 0.0 when nothing is known.
        calendar: when its market is open.
        declared: whether the table or the configuration knows it, or it is shaped like a pair.
        input_scale: factor that turns incoming prices into market units; 1.0 unless the configuration says otherwise.
        source: which one reads of the symbol answer from; empty: the first, but a feed goes before what callers push.
    """

    symbol: str
    base: str = ""
    quote: str = ""
    pip_size: float = 0.0
    decimals: int = 5
    price_low: float = 0.0
    price_high: float = 0.0
    calendar: CalendarId = CalendarId.FX
    declared: bool = True
    input_scale: float = 1.0
    source: str = ""

    @property
    def week_days(self) -> int:
        """Count the trading days of its week: 5, ending Friday 17:00 New York, or 7."""
        return 7 if self.calendar is CalendarId.ALWAYS else 5

    @property
    def price_typical(self) -> float:
        """Give the middle of the plausible band (geometric), or 0.0 when there is none."""
        return float((self.price_low * self.price_high) ** 0.5)


# symbol, pip, decimals, plausible low and high. Bands are wide: decades of history with room on both sides.
_FX = """
    EUR_USD .0001 5 .6 2      GBP_USD .0001 5 .8 2.4    AUD_USD .0001 5 .35 1.4   NZD_USD .0001 5 .3 1.2
    USD_CAD .0001 5 .7 2      USD_CHF .0001 5 .5 1.9    USD_JPY .01 3 60 300      EUR_GBP .0001 5 .5 1.2
    EUR_JPY .01 3 75 330      GBP_JPY .01 3 95 420      AUD_JPY .01 3 45 220      NZD_JPY .01 3 40 200
    CAD_JPY .01 3 60 220      CHF_JPY .01 3 60 360      EUR_CHF .0001 5 .7 2      EUR_AUD .0001 5 1 2.6
    EUR_CAD .0001 5 1 2.2     EUR_NZD .0001 5 1.2 3     GBP_CHF .0001 5 .8 3      GBP_AUD .0001 5 1.2 3.4
    GBP_CAD .0001 5 1.2 3     GBP_NZD .0001 5 1.3 3.8   AUD_CAD .0001 5 .6 1.5    AUD_CHF .0001 5 .3 1.4
    AUD_NZD .0001 5 .9 1.6    NZD_CAD .0001 5 .5 1.3    NZD_CHF .0001 5 .3 1.1    CAD_CHF .0001 5 .4 1.3
    EUR_SEK .0001 5 7 15      EUR_NOK .0001 5 6 16      EUR_DKK .0001 5 6.5 8.5   USD_SEK .0001 5 5 15
    USD_NOK .0001 5 4 15      USD_DKK .0001 5 4 10      USD_PLN .0001 5 1.8 6     EUR_PLN .0001 5 3 6
    USD_CZK .0001 5 13 45     EUR_CZK .0001 5 20 40     USD_HUF .01 3 130 600     EUR_HUF .01 3 220 600
    USD_TRY .0001 5 .5 100    EUR_TRY .0001 5 .7 120    USD_ZAR .0001 5 3 30      USD_MXN .0001 5 7 40
    USD_SGD .0001 5 1 2       USD_HKD .0001 5 7 8.5     USD_CNH .0001 5 5 9       USD_THB .01 3 20 60
    USD_INR .01 3 30 150
"""
_METALS = """
    XAU_USD .01 3 200 12000   XAG_USD .0001 5 3 250     XPT_USD .01 3 300 5000    XPD_USD .01 3 100 6000
    XAU_EUR .01 3 200 12000   XAG_EUR .0001 5 3 250
"""
# CFDs on indices and oil break daily at 17:00 New York as metals do. Behind the stroke stands the currency they are
# quoted in, without which their profit could not be converted.
_BREAKING = """
    US500/USD 1 1 500 20000   US30/USD 1 1 5000 120000  NAS100/USD 1 1 900 80000  US2000/USD 1 1 300 8000
    DE40/EUR 1 1 2000 60000   UK100/GBP 1 1 2500 25000  FR40/EUR 1 1 2000 20000   EU50/EUR 1 1 1500 15000
    ES35/EUR 1 1 4000 30000   AU200/AUD 1 1 2500 20000  HK50/HKD 1 1 6000 80000   JP225/JPY 1 1 6000 150000
    WTI/USD .01 3 5 300       BRENT/USD .01 3 5 300     NATGAS/USD .001 3 .8 40   COPPER/USD .0001 5 .5 15
"""
_CRYPTO = """
    BTC_USD 1 1 100 2000000   BTC_EUR 1 1 100 2000000   BTC_USDT 1 1 100 2000000  ETH_USD .01 2 20 100000
    ETH_EUR .01 2 20 100000   ETH_USDT .01 2 20 100000  LTC_USD .01 2 2 5000      BCH_USD .01 2 30 20000
    XRP_USD .0001 5 .01 100   SOL_USD .01 3 .5 10000    ADA_USD .0001 6 .01 100   DOGE_USD .0001 6 .0005 20
"""

_CRYPTO_CODES = "BTC ETH LTC BCH XRP SOL ADA DOGE DOT LINK XMR XLM USDT USDC"
_METAL_CODES = "XAU XAG XPT XPD"
_MONEY_CODES = """
    USD EUR GBP JPY CHF AUD NZD CAD SEK NOK DKK PLN CZK HUF TRY ZAR MXN SGD HKD CNH CNY THB INR RUB ILS RON BRL KRW TWD
    IDR MYR PHP CLP COP SAR AED BGN ISK
"""
_CRYPTO_SET, _METAL_SET = frozenset(_CRYPTO_CODES.split()), frozenset(_METAL_CODES.split())
_CODES = frozenset(_MONEY_CODES.split()) | _CRYPTO_SET | _METAL_SET
# Pip by quote currency where it is not 0.0001: a unit of these buys too little for a fourth decimal to mean anything.
_QUOTE_PIPS = {"IDR": 1.0} | dict.fromkeys(("JPY", "HUF", "THB", "INR", "KRW", "CLP", "COP", "ISK"), 0.01)
_ALIASES = {
    "SPX500": "US500", "SPX": "US500", "USA500": "US500", "DJ30": "US30", "WS30": "US30", "USA30": "US30",
    "US100": "NAS100", "USTEC": "NAS100", "DE30": "DE40", "GER30": "DE40", "GER40": "DE40", "DAX": "DE40",
    "FTSE100": "UK100", "CAC40": "FR40", "STOXX50": "EU50", "IBEX35": "ES35", "NIKKEI225": "JP225", "USOIL": "WTI",
    "WTICO": "WTI", "UKOIL": "BRENT", "BCO": "BRENT", "GOLD": "XAU_USD", "SILVER": "XAG_USD",
}  # fmt: skip
_SYNONYMS = {"XBT": "BTC", "XDG": "DOGE"}  # Kraken's codes, and ISO's for bitcoin
_SHAPE = re.compile(r"([A-Za-z0-9]{2,7})[_/.: -]([A-Za-z0-9]{2,7})\Z", re.ASCII)


def _rows(text: str, calendar: CalendarId) -> Iterable[Instrument]:
    words = text.split()
    for i in range(0, len(words), 5):
        name, pip, decimals, low, high = words[i : i + 5]
        symbol, _, currency = name.partition("/")
        base, _, quote = symbol.partition("_")
        quote = quote or currency
        yield Instrument(symbol, base, quote, float(pip), int(decimals), float(low), float(high), calendar)


TABLE: Mapping[str, Instrument] = {
    row.symbol: row
    for text, calendar in (
        (_FX, CalendarId.FX),
        (_METALS, CalendarId.METALS),
        (_BREAKING, CalendarId.METALS),
        (_CRYPTO, CalendarId.ALWAYS),
    )
    for row in _rows(text, calendar)
}


@lru_cache(maxsize=4096)
def normalise(symbol: str) -> str:
    """Give the canonical name of a symbol.

    ``EURUSD``, ``EUR/USD``, ``eur_usd``, ``EUR-USD`` are ``EUR_USD``; ``XBT/USD`` is ``BTC_USD``; ``SPX500_USD`` is
    ``US500``. A name that is neither a pair nor in the table is returned as it came: case may carry meaning in a
    venue's codes.

    Raises:
        InvalidRecord: the name is empty, longer than 31 bytes, or has control characters.
    """
    text = symbol.strip()
    if not text or not text.isprintable() or len(text.encode()) > SYMBOL_BYTES_MAX:
        raise InvalidRecord(f"symbol {symbol!r}: expected 1 to {SYMBOL_BYTES_MAX} bytes of printable text; rename it")
    upper = text.upper()
    if upper in TABLE:
        return upper
    if upper in _ALIASES:
        return _ALIASES[upper]
    if match := _SHAPE.match(upper):
        base, quote = (_SYNONYMS.get(code, code) for code in match.groups())
        known = _ALIASES.get(base, base)
        if known in TABLE and "_" not in known and quote in _CODES:  # an index or a commodity, with its currency
            return known
        if {base, quote} <= _CODES or (len(base) == len(quote) == 3 and (base + quote).isalpha()):
            return f"{base}_{quote}"
        return text
    return _split(upper) or text


def _split(upper: str) -> str | None:
    for cut in (3, 4):  # EURUSD, BTCUSDT; DOGEUSD
        base, quote = (_SYNONYMS.get(code, code) for code in (upper[:cut], upper[cut:]))
        if {base, quote} <= _CODES:
            return f"{base}_{quote}"
    return None


def symbol_in(text: str) -> str | None:
    """Find the one instrument that a file name mentions, or None.

    ``DAT_ASCII_EURUSD_T_201901`` and ``ticks-EUR-USD-2026-7-13`` mention ``EUR_USD``. Two different ones are none.
    """
    words = [word for word in re.split(r"[^A-Za-z0-9]+", text.upper()) if word]
    names = (_split(word) or _ALIASES.get(word) or (word if word in TABLE else None) for word in words)
    found = {name for name in names if name}
    if not found:
        found = {f"{a}_{b}" for a, b in pairwise(words) if a != b and {a, b} <= _CODES}
    return found.pop() if len(found) == 1 else None


def _by_rule(symbol: str) -> Instrument:
    base, _, quote = symbol.partition("_")
    if not (len(base) == len(quote) == 3 and (base + quote).isalpha()) and not {base, quote} <= _CODES:
        return Instrument(symbol, declared=False, calendar=CalendarId.ALWAYS)
    pip = _QUOTE_PIPS.get(quote, 0.0001)
    decimals = {0.0001: 5, 0.01: 3}.get(pip, 1)
    calendar = CalendarId.FX
    if {base, quote} & _CRYPTO_SET:
        calendar = CalendarId.ALWAYS
    elif base in _METAL_SET:
        calendar = CalendarId.METALS
    return Instrument(symbol, base, quote, pip, decimals, calendar=calendar)


class InstrumentBook:
    """Hold the instruments of one hub: the table, what the configuration overrides, and venues' own names.

    One per process; not locked, so declare at the start and look up from anywhere.
    """

    def __init__(self, overrides: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self._rows: dict[str, Instrument] = {}
        self._aliases: dict[str, str] = {}
        for symbol, fields in (overrides or {}).items():
            self.declare(symbol, **fields)

    def find(self, symbol: str) -> Instrument:
        """Describe an instrument by any of its names: overridden, from the table, by its shape, or undeclared."""
        name = self.name(symbol)
        return self._rows.get(name) or TABLE.get(name) or _by_rule(name)

    def name(self, symbol: str) -> str:
        """Give the canonical name; aliases declared here come first, then IG's epics of `tapehub.model.epics`."""
        if not isinstance(symbol, str):
            raise TypeError(f"symbol is {symbol!r} ({type(symbol).__name__}), expected a str such as 'EUR_USD'")
        return self._aliases.get(symbol) or symbol_of(symbol.strip()) or normalise(symbol)

    def overridden(self) -> Iterable[Instrument]:
        """Give what was declared here, over the table."""
        return tuple(self._rows.values())

    def alias(self, alias: str, symbol: str) -> None:
        """Let a venue's own name (an IG epic) stand for a symbol.

        Raises:
            ConfigError: the alias already stands for another symbol.
        """
        name = normalise(symbol)
        if self._aliases.setdefault(alias, name) != name:
            raise ConfigError(f"alias {alias!r} means {self._aliases[alias]}, not {name}; give each instrument its own")

    def declare(self, symbol: str, **fields: Any) -> Instrument:
        """Override what is known of an instrument; `calendar` may be a name.

        Raises:
            ConfigError: a field is unknown or its value cannot be.
        """
        row = replace(self.find(symbol), declared=True)
        if isinstance(name := fields.get("calendar"), str):
            if name.upper() not in CalendarId.__members__:
                raise ConfigError(f"calendar {name!r} of {row.symbol}: expected fx, metals or always")
            fields["calendar"] = CalendarId[name.upper()]
        try:
            row = replace(row, **fields)
        except TypeError as error:
            known = ", ".join(sorted(set(Instrument.__dataclass_fields__) - {"symbol", "declared"}))
            raise ConfigError(f"instrument {row.symbol}: {error}; the fields are {known}") from None
        if not isinstance(fields.get("source", ""), str) or len(row.source.encode()) > SYMBOL_BYTES_MAX:
            raise ConfigError(f"instrument {row.symbol}: source is {row.source!r}, expected the name of one, as 'ig'")
        if not (0 < row.pip_size < 1e6 and row.input_scale > 0 and 0 <= row.price_low <= row.price_high):
            raise ConfigError(
                f"instrument {row.symbol}: pip_size {row.pip_size}, input_scale {row.input_scale}, price_low "
                f"{row.price_low}, price_high {row.price_high}: expected pip_size and input_scale above 0, low <= high"
            )
        self._rows[row.symbol] = row
        return row
