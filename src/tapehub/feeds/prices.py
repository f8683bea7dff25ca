"""Historical candles as venues give them: rows of bid and ask, and what the request left of the allowance."""

from __future__ import annotations

from typing import NamedTuple, Protocol, TypeAlias

__all__ = ["AllowanceNote", "Ohlc", "PriceReply", "PriceRow", "Prices"]

Ohlc: TypeAlias = tuple[float, float, float, float]
"""Open, high, low, close in market units."""


class PriceRow(NamedTuple):
    """One candle of a venue's history.

    Attributes:
        start_ns: open time, ns UTC.
        bid, ask: None where the venue gives that side no prices.
        volume: as the venue counts it.
    """

    start_ns: int
    bid: Ohlc | None
    ask: Ohlc | None
    volume: float


class AllowanceNote(NamedTuple):
    """What a venue says of its historical allowance.

    Attributes:
        remaining, total: points; one row is one point.
        expires_in_s: seconds until it is granted anew.
    """

    remaining: int
    total: int
    expires_in_s: int


class PriceReply(NamedTuple):
    """The answer to one request.

    Attributes:
        unreadable: rows that could not be read, each with why.
    """

    rows: tuple[PriceRow, ...]
    allowance: AllowanceNote | None = None
    unreadable: tuple[str, ...] = ()


class Prices(Protocol):
    """A venue's history. One thread."""

    @property
    def source(self) -> str:
        """Label the venue as in the hub."""

    def fetch(self, symbol: str, start_ns: int, end_ns: int, resolution: str) -> PriceReply:
        """Ask for the candles that open in [start_ns, end_ns), in market units.

        Args:
            resolution: a timeframe of tapehub, such as ``1m``.

        Raises:
            AllowanceExceeded: the venue says that its allowance is used up.
            FeedError: it cannot be had; whether the venue counted the request is not known.
        """
