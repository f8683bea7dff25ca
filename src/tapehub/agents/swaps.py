"""Swaps: what holding a position over 17:00 New York costs or brings.

Spot trades settle two days later, so what is open on Wednesday at 17:00 is carried over the weekend: three nights.
Friday counts one, and the weekend's own days none. What trades around the clock has one night every day. (Pairs that
settle after one day, such as USD_CAD, have their three nights on Thursday at some brokers; here all have them on
Wednesday.)
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from tapehub.agents.money import exact
from tapehub.model.calendars import CalendarId, local_ns

if TYPE_CHECKING:
    from tapehub.agents.account import Account, Open
    from tapehub.agents.market import Market
    from tapehub.agents.settings import PaperSettings

__all__ = ["nights_at", "swap_of"]

_DAY = 86_400 * 1_000_000_000
_WEDNESDAY = 2


def nights_at(roll_ns: int, calendar: CalendarId) -> int:
    """Give the nights that are charged at a 17:00 New York."""
    if calendar is CalendarId.ALWAYS:
        return 1
    weekday = (int(local_ns(roll_ns)) // _DAY + 3) % 7  # 1970 began on a Thursday; Monday is 0
    if weekday >= 5:
        return 0
    return 3 if weekday == _WEDNESDAY else 1


def swap_of(account: Account, market: Market, position: Open, nights: int, settings: PaperSettings) -> Decimal:
    """Work out the swap of a position, in the account's currency; below zero is paid."""
    market.sync()
    pips = settings.swap_pips.get(market.symbol)
    if pips is not None:
        rate = exact(pips[0] if position.sign > 0 else pips[1])
        amount = rate * exact(market.pip) * position.units * nights
    else:
        middle = (exact(market.bid) + exact(market.ask)) / 2
        amount = -middle * position.units * exact(settings.swap_pct) / 100 / 365 * nights
    return account.in_account(amount, market.instrument.quote)
