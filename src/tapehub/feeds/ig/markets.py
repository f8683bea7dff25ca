"""What IG's REST API says of a market, as far as streaming needs it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tapehub.errors import FeedError

__all__ = ["OPEN_WORDS", "Market", "is_halted", "is_open", "market_of"]

OPEN_WORDS: Mapping[str, bool | None] = {
    "TRADEABLE": True,
    "CLOSED": False,
    "OFFLINE": False,
    "EDIT": False,
    "EDITS_ONLY": False,
    "SUSPENDED": False,  # nothing trades, and nothing is quoted
    "AUCTION": None,
    "AUCTION_NO_EDIT": None,
    "AUCTION_NO_EDITS": None,
    "ON_AUCTION": None,
    "ON_AUCTION_NO_EDITS": None,
    # The streaming PRICE item's DLG_FLAG abbreviates; which words it knows is documented nowhere.
    "DEAL": True,
    "CLOS": False,
    "OFFL": False,
    "SUSP": False,
}
"""Whether a market trades, by IG's word; None where the word says neither. Source: IG Labs, GET /markets/{epic}."""

_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:[eE]-?\d+)?")


@dataclass(frozen=True, slots=True)
class Market:
    """Describe a market.

    Attributes:
        pip: what IG calls one pip, in market units (``onePipMeans`` "0.0001 USD/EUR"); 0.0 where it does not say.
        scaling_factor: points in one unit of price, where IG quotes in points; it does not say whether it does.
        decimals: digits after the point of IG's own quotes; None where it does not say.
        bid, ask: of the snapshot, as IG quotes them; None when there is none.
        streaming: False when IG says that it does not stream this market.
    """

    epic: str
    name: str = ""
    kind: str = ""
    expiry: str = ""
    status: str = ""
    pip: float = 0.0
    scaling_factor: float = 1.0
    decimals: int | None = None
    bid: float | None = None
    ask: float | None = None
    streaming: bool = True

    @property
    def mid(self) -> float | None:
        """Give the middle of the snapshot, as IG quotes it."""
        sides = [side for side in (self.bid, self.ask) if side]
        return sum(sides) / len(sides) if sides else None


def is_open(word: str) -> bool | None:
    """Tell whether a market trades, by IG's word for its state."""
    return OPEN_WORDS.get(word.strip().upper())


def is_halted(word: str) -> bool:
    """Tell whether a market may be open and without a quote all the same: prices are found by auction."""
    return "AUCTION" in word.upper()


def market_of(row: Mapping[str, Any], epic: str = "") -> Market:
    """Read a market from any of IG's replies: ``{instrument, snapshot}``, or flat as in a search or a watchlist.

    Raises:
        FeedError: it names no epic.
    """
    instrument = row.get("instrument") or row
    snapshot = row.get("snapshot") or row
    epic = instrument.get("epic") or epic
    if not epic:
        raise FeedError(f"a market of IG's reply has no epic, only {', '.join(sorted(row)) or 'nothing'}")
    decimals = snapshot.get("decimalPlacesFactor")
    return Market(
        epic=str(epic),
        name=str(instrument.get("name") or row.get("instrumentName") or "").strip(),
        kind=str(instrument.get("type") or row.get("instrumentType") or ""),
        expiry=str(instrument.get("expiry") or ""),
        status=str(snapshot.get("marketStatus") or ""),
        pip=_pip_of(instrument.get("onePipMeans")),
        scaling_factor=_positive(snapshot.get("scalingFactor")) or 1.0,
        decimals=decimals if isinstance(decimals, int) else None,
        bid=_positive(snapshot.get("bid")),
        ask=_positive(snapshot.get("offer")),
        streaming=instrument.get("streamingPricesAvailable") is not False,
    )


def _pip_of(text: Any) -> float:
    """Read "0.0001 USD/EUR", "1 Index Point", "AUD 1" or a number."""
    match = _NUMBER.search(str(text or ""))
    return float(match.group()) if match else 0.0


def _positive(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if number > 0 else None
