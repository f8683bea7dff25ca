"""Which records a subscription is about."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tapehub._native import Candle, OrderFlowMetrics, Tick
from tapehub.gateway.streaming.frame import Frame
from tapehub.hub.intervals import IntervalEnd
from tapehub.model.records import Kind
from tapehub.model.timeframes import parse

if TYPE_CHECKING:
    from tapehub.hub import DataHub

__all__ = ["KINDS", "Channels", "Selection", "kind_of"]

KINDS = (*(kind.name.lower() for kind in Kind), "interval", "all")
_KEPT = 8
"""Selections whose part of a frame is kept with it; whoever asks for yet another one has it made each time."""
_TYPES = {Tick: "tick", Candle: "candle", OrderFlowMetrics: "order_flow", IntervalEnd: "interval"}


def kind_of(item: Any) -> str:
    """Name the kind of what a stream delivers."""
    return _TYPES.get(type(item)) or str(item.kind)


class Channels:
    """Know which sources there are of which instrument; read again when there are more. One event loop."""

    def __init__(self, hub: DataHub) -> None:
        self._hub = hub
        self._known = -1
        self._incarnation = -1
        self._numbers: dict[tuple[str, str], int] = {}

    def numbers(self) -> dict[tuple[str, str], int]:
        """Give the number of each channel by (symbol, source)."""
        hub = self._hub
        channels = hub._channels()
        if len(channels) != self._known or hub._incarnation != self._incarnation:
            names = hub.sources
            symbols = {row["id"]: symbol for symbol, row in hub.instruments.items()}
            self._numbers = {
                (symbols[instrument], names[source]): number
                for number, (instrument, source) in enumerate(channels)
                if instrument in symbols and source < len(names)
            }
            self._known, self._incarnation = len(channels), hub._incarnation
        return self._numbers


@dataclass(frozen=True, slots=True)
class Selection:
    """Choose records. Two subscriptions with equal selections share what is made for them.

    Attributes:
        symbols: as the hub names them; None for all.
        kinds: names; ``all`` for every kind of record.
    """

    symbols: frozenset[str] | None
    kinds: frozenset[str]
    timeframes: tuple[str, ...] = ("1m",)
    _every: bool = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_every", "all" in self.kinds)

    @classmethod
    def of(
        cls, hub: DataHub, symbols: Iterable[str] | None, kinds: Iterable[str], timeframes: Iterable[str]
    ) -> Selection:
        """Make one of what a client asked for.

        Raises:
            InvalidRecord: a symbol cannot be.
            UnknownTimeframe: a timeframe is not in the table.
        """
        named = None if symbols is None else frozenset(hub._names.canonical(symbol) for symbol in symbols)
        return cls(named, frozenset(kinds), tuple(dict.fromkeys(parse(one).name for one in timeframes)))

    @property
    def intervals(self) -> bool:
        """Tell whether ends of intervals are wanted, which no frame holds."""
        return "interval" in self.kinds

    def wants_kind(self, kind: str) -> bool:
        """Tell whether records of a kind are wanted at all."""
        return self._every or kind in self.kinds

    def wants_symbol(self, symbol: str) -> bool:
        """Tell whether an instrument is wanted; what concerns the whole hub (no symbol) always is."""
        return self.symbols is None or not symbol or symbol in self.symbols

    def wants(self, item: Any, channels: dict[tuple[str, str], int]) -> bool:
        """Tell whether `DataHub.stream` with these arguments delivers a record."""
        if not self.wants_kind(kind_of(item)):
            return False
        if self.symbols is None or not item.symbol:
            return True
        if type(item) in _TYPES:
            return item.symbol in self.symbols
        # A new channel concerns every stream; what names a source that the instrument has not, concerns none.
        if item.kind == "channel":
            return True
        return item.symbol in self.symbols and (item.symbol, item.source) in channels

    def body(self, frame: Frame, channels: dict[tuple[str, str], int]) -> tuple[str, int]:
        """Give what of a frame is wanted, as the inside of a JSON list, and how many records that is."""
        known = frame.bodies.get(self)
        if known is None:
            texts = [frame.text(index) for index, item in enumerate(frame.items) if self.wants(item, channels)]
            known = (",".join(texts), len(texts))
            if len(frame.bodies) < _KEPT:
                frame.bodies[self] = known
        return known
