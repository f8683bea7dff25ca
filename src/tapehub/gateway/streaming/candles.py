"""The two newest candles of every instrument, source and timeframe: what a chart needs to stay alive."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tapehub.gateway.encoding import candle_text
from tapehub.hub.reading import EVER, NEVER
from tapehub.model.records import CANDLE
from tapehub.model.timeframes import parse

if TYPE_CHECKING:
    from tapehub.hub import DataHub

__all__ = ["CandleSlots"]

Channel = tuple[str, str]


class CandleSlots:
    """Read candles that may have changed, and tell which did. One event loop."""

    def __init__(self, hub: DataHub, timeframes: Sequence[str]) -> None:
        self._hub = hub
        self._frames = [parse(name) for name in timeframes]
        self._rows = np.empty(2, CANDLE)
        self._bytes = self._rows.view(np.uint8)
        self._all = True
        self._channels: set[Channel] = set()
        self._symbols: set[str] = set()
        self._forming: set[Channel] = set()
        self._told: dict[tuple[str, ...], tuple[Any, ...]] = {}

    @property
    def touched(self) -> bool:
        """Tell whether there is something to read."""
        return bool(self._all or self._channels or self._symbols)

    def touch(self, symbol: str, source: str | None) -> None:
        """Note a tick."""
        self._channels.add((symbol, source or ""))

    def touch_all(self, symbol: str) -> None:
        """Note a candle that somebody pushed, whoever its author."""
        self._symbols.add(symbol)

    def time_passed(self) -> None:
        """Note that candles may have ended without a tick."""
        self._channels |= self._forming

    def clear(self, symbol: str = "") -> None:
        """Forget what was told of an instrument, or of all."""
        self._all = self._all or not symbol
        for key in [key for key in self._told if not symbol or key[1] == symbol]:
            del self._told[key]

    def read(self, channels: Mapping[Channel, int]) -> Iterator[tuple[tuple[str, ...], str]]:
        """Give the candles that changed since they were given last, by key."""
        every, some, symbols = self._all, self._channels, self._symbols
        self._all, self._channels, self._symbols = False, set(), set()
        for channel, number in channels.items():
            if every or channel in some or channel[0] in symbols:
                yield from self._changed(channel, number)

    def _changed(self, channel: Channel, number: int) -> Iterator[tuple[tuple[str, ...], str]]:
        hub, forming = self._hub, False
        for frame in self._frames:
            count = hub._read_candles(number, frame.index, 2, NEVER, EVER, True, self._bytes)
            candles = hub._candle_objects(self._bytes[: count * CANDLE.itemsize].copy()) if count else []
            for place, candle in zip(("newest", "before"), reversed(candles), strict=False):
                forming = forming or candle.status == "forming"
                key = ("candle", *channel, frame.name, place)
                told = (candle.ts_event, candle.seq, candle.status, candle.revision, candle.ticks, candle.coverage)
                if self._told.get(key) != told:
                    self._told[key] = told
                    yield key, candle_text(candle)
        (self._forming.add if forming else self._forming.discard)(channel)
