"""Symbols, sources and channels: found, or defined once for every process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tapehub._native import set_pip_lookup
from tapehub.errors import TapehubError
from tapehub.model.instruments import Instrument, InstrumentBook
from tapehub.model.records import INSTRUMENT, NO_INSTRUMENT

if TYPE_CHECKING:
    from tapehub.hub.datahub import DataHub

__all__ = ["DIRECT", "Names", "symbol_of"]

DIRECT = "direct"
"""The source of what callers push themselves."""


class Names:
    """Keep one hub's names. One a process and hub; the records behind it are common to all."""

    def __init__(self, hub: DataHub, book: InstrumentBook | None = None) -> None:
        self._hub = hub
        self.book = book or InstrumentBook()

    def canonical(self, symbol: str) -> str:
        """Give the hub's name for any of a symbol's names."""
        return self.book.name(symbol)

    def channel(self, symbol: str, source: str | None) -> int:
        """Find the channel of a symbol and a source, defining what is missing.

        Raises:
            InvalidRecord: the symbol is empty, too long, or not text.
        """
        hub = self._hub
        instrument = self.define(self.book.find(symbol))
        return hub._define_channel(instrument, hub._define_source((source or DIRECT)[:31]))

    def primary(self, symbol: str) -> int:
        """Find the channel that reads of a symbol answer from, or make it the one of direct pushes."""
        found = self._hub._find(self.canonical(symbol))
        return int(found[1]) if found else self.channel(symbol, None)

    def define(self, row: Instrument, *, redefine: bool = False) -> int:
        """Log an instrument's definition, unless it has one, and give its id."""
        record = np.zeros((), INSTRUMENT)
        record["symbol"] = row.symbol.encode()
        record["pip_size"] = row.pip_size
        record["price_scale"] = row.input_scale
        record["price_low"], record["price_high"] = row.price_low, row.price_high
        record["primary_channel"] = NO_INSTRUMENT
        record["calendar"] = int(row.calendar)
        record["decimals"] = row.decimals
        record["declared"] = row.declared
        record["week_days"] = row.week_days
        record["base"], record["quote"] = row.base.encode()[:7], row.quote.encode()[:7]
        return self._hub._define(record.tobytes(), redefine)


def symbol_of(hub: DataHub, instrument: int) -> str:
    """Give the symbol of an instrument id."""
    return str(np.frombuffer(hub._instrument(instrument), INSTRUMENT)[0]["symbol"].decode())


def _pip_size(symbol: str) -> float:
    try:
        return _book.find(symbol).pip_size
    except TapehubError:
        return 0.0


# Ticks that callers make know their pip by this book; those of a hub have it from the hub.
_book = InstrumentBook()
set_pip_lookup(_pip_size)
