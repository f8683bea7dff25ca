"""`Broker`: who executes what the desk has cleared. Only a paper one is shipped, see `paper`.

A live one would take `Cleared` orders to a venue and report what the venue answers. Its reports are not a function of
the log: they would have to be written into it as records first, and be taken up from there, as requests of scripts are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from tapehub.errors import ConfigError

if TYPE_CHECKING:
    from decimal import Decimal

    from tapehub.agents.account import Open
    from tapehub.agents.market import Market

__all__ = ["Broker", "Cleared", "Execution"]

_KEY: Final = object()


@dataclass(frozen=True, slots=True)
class Execution:
    """Report that some units were bought or sold.

    Attributes:
        order: identity of the order; of a stop or target, of the one that opened the position.
        position: which it closes; empty when it opens or adds to the order's own.
        sign: 1 bought, -1 sold.
        left: units of the order that are not filled yet.
        why: see `records.Fill`.
    """

    order: str
    position: str
    symbol: str
    sign: int
    units: Decimal
    price: float
    slip_pips: float
    left: Decimal
    why: str


class Reports(Protocol):
    """Take a broker's reports: the desk."""

    def filled(self, execution: Execution) -> None: ...
    def ended(self, order: str, status: str, reason: str) -> None: ...
    def stopping(self, position: Open) -> None: ...


class Cleared:
    """An order that has passed gate and limits. `desk.Desk` alone makes them, and brokers take nothing else.

    Attributes:
        sign: 1 to buy, -1 to sell.
        position: what it closes; empty when it opens one.
        expires: whether it is given up when it is not filled in time; what the desk closes by itself is not.
    """

    __slots__ = ("expires", "order", "position", "sign", "symbol", "units", "why")

    def __init__(
        self, key: object, order: str, symbol: str, sign: int, units: Decimal, position: str, why: str, *, expires: bool
    ) -> None:
        if key is not _KEY:
            raise ConfigError(
                "orders are cleared by the desk alone: give them with Context.order, which asks gate and limits"
            )
        self.order, self.symbol, self.sign, self.units = order, symbol, sign, units
        self.position, self.why, self.expires = position, why, expires


class Broker(Protocol):
    """Execute cleared orders, keep stops and targets, and report.

    Order: reports come in the order things happened. Loss: none. Duplicates: none.
    """

    def submit(self, cleared: Cleared) -> None:
        """Take an order."""

    def cancel(self, symbol: str | None, reason: str) -> None:
        """Give up orders that would open or add to positions; of one instrument, or all."""

    def end(self, reason: str) -> None:
        """Give up all that is under way, also what would close positions."""

    def guard(self, position: Open) -> None:
        """Keep stop and target of a position, or forget a position that is closed."""

    def on_quote(self, market: Market) -> None:
        """See a new quote of an instrument. A venue has its own, and does nothing."""

    def working(self) -> Iterable[Cleared]:
        """List what is under way."""

    def move(self, by_ns: int) -> None:
        """Hear that the log goes by another time line from here on. A venue has its own time, and does nothing."""

    def levels(self, market: Market) -> tuple[float, float, float, float, int]:
        """Say which quote to show next: at or below a bid, above one, below an ask, above one, or from a time on."""
