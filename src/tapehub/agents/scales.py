"""What is usual of an instrument that is no currency pair: how wide it is quoted, and what sizes it is traded in.

A pip is a unit of price, and says nothing of how an instrument trades: gold at a spread of $0.30 is quoted as ever, and
is 30 pips wide. The numbers are about twice what CFD brokers publish as their typical spread in trading hours; what is
no market is ten times that. Sizes are ounces, barrels, coins, and units of an index.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["BLOWN_PIPS", "SPREAD_MAX_PIPS", "UNITS_STEP", "pips_of"]

# symbol, widest spread to order at, in pips, and the step of sizes
_ROWS: Final = """
    XAU_USD 50 1     XAG_USD 500 10   XPT_USD 800 1    XPD_USD 1500 1   XAU_EUR 60 1     XAG_EUR 600 10
    US500 1.2 .1     US30 5 .1        NAS100 4 .1      US2000 1 .1      DE40 3 .1        UK100 2.5 .1
    FR40 3 .1        EU50 3.5 .1      ES35 10 .1       AU200 4 .1       HK50 20 .1       JP225 16 1
    WTI 6 10         BRENT 6 10       NATGAS 8 100     COPPER 60 100
    BTC_USD 60 .01   BTC_EUR 60 .01   BTC_USDT 60 .01  ETH_USD 300 .1   ETH_EUR 300 .1   ETH_USDT 300 .1
    LTC_USD 30 1     BCH_USD 100 .1   XRP_USD 20 100   SOL_USD 15 1     ADA_USD 20 100   DOGE_USD 10 1000
"""
_WORDS: Final = _ROWS.split()
_BLOWN_TIMES: Final = 10.0
_PAIR_PIPS: Final = 1.2  # the widest spread to order a currency pair at

SPREAD_MAX_PIPS: Final[Mapping[str, float]] = dict(zip(_WORDS[::3], map(float, _WORDS[1::3]), strict=True))
UNITS_STEP: Final[Mapping[str, float]] = dict(zip(_WORDS[::3], map(float, _WORDS[2::3]), strict=True))
BLOWN_PIPS: Final[Mapping[str, float]] = {name: pips * _BLOWN_TIMES for name, pips in SPREAD_MAX_PIPS.items()}


def pips_of(pair: float) -> Mapping[str, float]:
    """Give what some pips of a currency pair are of each instrument that is none, in proportion to their spreads."""
    return {name: round(pair * pips / _PAIR_PIPS, 2) for name, pips in SPREAD_MAX_PIPS.items()}
