"""Symbols, sources and channels: found, or defined once for every process."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from tapehub._native import set_pip_lookup
from tapehub.errors import TapehubError
from tapehub.model.instruments import Instrument, InstrumentBook
from tapehub.model.records import CANDLE, INSTRUMENT, NO_INSTRUMENT, CandleFlag, Kind
from tapehub.model.timeframes import parse

if TYPE_CHECKING:
    from tapehub.hub.datahub import DataHub

__all__ = ["DIRECT", "Names", "symbol_of"]

DIRECT = "direct"
"""The source of what callers push themselves."""
NEVER: Final = -(1 << 63)
EVER: Final = (1 << 63) - 1
_OF_THE_HUB = ("id", "primary_channel")
"""Of a definition: what no configuration knows."""


class Names:
    """Keep one hub's names. One a process and hub; the records behind it are common to all."""

    def __init__(self, hub: DataHub, book: InstrumentBook | None = None) -> None:
        self._of = weakref.ref(hub)  # which holds this: a hub that is let go of is closed there and then
        self.book = book or InstrumentBook()
        self._settled: set[tuple[int, int]] = set()  # incarnations and channels of feeds: who is primary was looked at

    @property
    def _hub(self) -> DataHub:
        hub = self._of()
        assert hub is not None, "whoever asks for a name has the hub"
        return hub

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
        """Find the channel that reads of a symbol answer from, or make one: of its configured source, or of pushes."""
        found = self._hub._find(self.canonical(symbol))
        return int(found[1]) if found else self.channel(symbol, self.book.find(symbol).source or None)

    def feed_channel(self, symbol: str, source: str | None) -> int:
        """Find the channel of a venue's feed that has a tick to publish, as `channel` does.

        Reads of the symbol answer from it from here on, in place of what callers push: nobody warm-starts a program to
        keep its feed out of sight. Minutes that were pushed so far go along, so that they are still read; a source that
        the configuration names goes before all others.
        """
        hub = self._hub
        channel = self.channel(symbol, source)
        if (hub._incarnation, channel) in self._settled:
            return channel
        row = self.book.find(symbol)
        instrument, number = hub._channels()[channel]
        found = hub._find(self.canonical(symbol))
        before = int(found[1]) if found else channel
        names = hub.sources
        wanted = row.source or (names[number] if names[hub._channels()[before][1]] == DIRECT else "")
        if before != channel and names[number] == wanted:
            record = np.frombuffer(bytearray(hub._instrument(instrument)), INSTRUMENT)[0]
            record["primary_channel"] = channel
            self._take_along(before, channel)
            hub._define(record.tobytes(), True)
        self._settled.add((hub._incarnation, channel))  # only now: where the disk was full, the next tick tries again
        return channel

    def _take_along(self, before: int, channel: int) -> None:
        """Publish the pushed minutes of one channel into another one, where it has none."""
        hub, frame = self._hub, parse("1m")
        rows, held = (np.empty(frame.capacity + 1, CANDLE) for _ in range(2))
        rows = rows[: hub._read_candles(before, frame.index, len(rows), NEVER, EVER, True, rows.view(np.uint8))]
        held = held[: hub._read_candles(channel, frame.index, len(held), NEVER, EVER, True, held.view(np.uint8))]
        instrument, source = hub._channels()[channel]
        for row in rows[rows["flags"] & CandleFlag.PUSHED != 0]:
            if row["timestamp"] in held["timestamp"]:
                continue
            body = row.copy()
            body["status"], body["flags"] = 1, int(row["flags"]) | CandleFlag.WARM
            hub._publish_record(
                int(Kind.CANDLE), int(row["timestamp"]), instrument=instrument, source=source, payload=body.tobytes()
            )

    def apply_overrides(self) -> int:
        """Define anew what the configuration says otherwise than the hub; returns how many instruments that were."""
        hub, changed = self._hub, 0
        for row in self.book.overridden():
            found = hub._find(row.symbol)
            if found is None:
                continue  # it is defined so when it comes up
            known = np.frombuffer(bytearray(hub._instrument(found[0])), INSTRUMENT)[0]
            wanted = self._record_of(row)
            if any(known[name] != wanted[name] for name in wanted.dtype.names or () if name not in _OF_THE_HUB):
                self.define(row, redefine=True)
                changed += 1
            changed += self._prefer(row, found[0], int(found[1]))
        return changed

    def _prefer(self, row: Instrument, instrument: int, primary: int) -> bool:
        """Let reads of a symbol answer from the source that the configuration names, where there is one so named."""
        hub, sources = self._hub, self._hub.sources
        if row.source not in sources:
            return False
        wanted = (instrument, sources.index(row.source))
        channels = hub._channels()
        if wanted not in channels or channels[primary] == wanted:
            return False
        record = np.frombuffer(bytearray(hub._instrument(instrument)), INSTRUMENT)[0]
        record["primary_channel"] = channels.index(wanted)
        hub._define(record.tobytes(), True)
        return True

    def define(self, row: Instrument, *, redefine: bool = False) -> int:
        """Log an instrument's definition, unless it has one, and give its id."""
        return self._hub._define(self._record_of(row).tobytes(), redefine)

    @staticmethod
    def _record_of(row: Instrument) -> npt.NDArray[Any]:
        record: npt.NDArray[Any] = np.zeros((), INSTRUMENT)
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
        return record


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
