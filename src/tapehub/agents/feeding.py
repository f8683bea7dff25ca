"""Feed candles to incremental indicators, and keep what they remember bounded."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tapehub._native import Candle

__all__ = ["fed_by"]

_KEPT = 4096
_close = attrgetter("close")


def fed_by(indicator: Any, take: Callable[[Candle], Any] | None) -> Callable[[Candle], None]:
    """Give a function that feeds an indicator one candle.

    An indicator that takes talipp's ``OHLCV`` is fed the candle itself, which has the same attributes; others its
    close. talipp's indicators keep every value they were ever given; of those, the oldest are dropped now and then.
    """
    value = take or ((lambda candle: candle) if _takes_candles(type(indicator)) else _close)
    add, purge = indicator.add, getattr(indicator, "purge_oldest", None)
    if purge is None:
        return lambda candle: add(value(candle))
    fed = 0

    def feed(candle: Candle) -> None:
        nonlocal fed
        add(value(candle))
        fed += 1
        if fed % _KEPT == 0:
            purge(_KEPT // 2)

    return feed


def _takes_candles(made: Any) -> bool:
    """Tell by the declared type of its input whether an indicator takes whole candles."""
    declared = inspect.signature(made).parameters.get("input_values")
    return declared is not None and "OHLCV" in str(declared.annotation)
