"""Indicators over a hub's candles: EMA ribbon, VWAP, Donchian, RSI, ATR, a value for each candle.

TA-Lib computes them in one pass over numpy arrays; only the session-anchored VWAP, which it does not have, is summed
here. Each request starts anew from the candles in memory, so that a late tick that revised one is in every number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from tapehub.errors import MissingExtra
from tapehub.model.calendars import intervals_of
from tapehub.model.timeframes import Timeframe, parse

if TYPE_CHECKING:
    from tapehub.hub import DataHub

__all__ = [
    "ATR_PERIOD",
    "DONCHIAN_PERIOD",
    "EMA_PERIODS",
    "LIMIT_MAX",
    "RSI_PERIOD",
    "Indicators",
    "indicators",
    "session_vwap",
]

Values = npt.NDArray[np.float64]

EMA_PERIODS: Final = (8, 13, 21, 34, 55)
DONCHIAN_PERIOD: Final = 20
RSI_PERIOD: Final = 14
ATR_PERIOD: Final = 14
LIMIT_MAX: Final = 5000

# An exponential average forgets by its period: ten of them before the first shown candle, and its seed is below 1e-8.
_WARM_UP: Final = 10 * max(EMA_PERIODS)


@dataclass(frozen=True, slots=True)
class Indicators:
    """Hold a value of each indicator for each candle, oldest first; NaN where there are not enough candles before it.

    Attributes:
        timestamps: open times, int64 ns UTC, shape (n,).
        ema: by period, of the close.
        vwap: of (high + low + close) / 3 by volume, since the session began (17:00 New York), or since the oldest
            candle in memory where that is younger (1s to 15s); the price itself where nothing was traded yet.
        donchian_upper, donchian_lower: highest high and lowest low of 20 candles, this one included.
        rsi: Wilder's, of 14 closes.
        atr: Wilder's average true range of 14 candles, in price units.
    """

    timeframe: str
    timestamps: npt.NDArray[np.int64]
    ema: dict[int, Values]
    vwap: Values
    donchian_upper: Values
    donchian_lower: Values
    rsi: Values
    atr: Values

    @property
    def donchian_middle(self) -> Values:
        """Give the middle of the channel."""
        return (self.donchian_upper + self.donchian_lower) / 2


def indicators(
    hub: DataHub, symbol: str, timeframe: str | Timeframe = "1m", limit: int = 300, source: str | None = None
) -> Indicators:
    """Compute the indicators of the newest ``limit`` candles, the forming one included.

    Raises:
        MissingExtra: TA-Lib is not installed.
        UnknownTimeframe: the hub builds no such candles.
    """
    frame = parse(timeframe)
    # Everything from the beginning of the first shown candle's session on counts into its VWAP.
    wanted = min(limit + max(_WARM_UP, _candles_of_a_day(frame)), frame.capacity + 1)
    rows = hub.candles(symbol, frame.name, wanted, forming=True, source=source).numpy()
    return _compute(frame, rows, limit)


def _compute(frame: Timeframe, rows: npt.NDArray[Any], limit: int) -> Indicators:
    talib = _talib()
    times = rows["timestamp"].astype(np.int64)
    high, low, close, volume = (rows[name].astype(np.float64) for name in ("high", "low", "close", "volume"))
    shown = slice(max(0, len(rows) - limit), None)

    def tail(values: Values) -> Values:
        return values[shown]

    if not len(rows):
        none = np.empty(0, dtype=np.float64)
        return Indicators(frame.name, times, dict.fromkeys(EMA_PERIODS, none), none, none, none, none, none)
    return Indicators(
        frame.name,
        times[shown],
        {period: tail(talib.EMA(close, period)) for period in EMA_PERIODS},
        tail(session_vwap(times, high, low, close, volume)),
        tail(talib.MAX(high, DONCHIAN_PERIOD)),
        tail(talib.MIN(low, DONCHIAN_PERIOD)),
        tail(talib.RSI(close, RSI_PERIOD)),
        tail(talib.ATR(high, low, close, ATR_PERIOD)),
    )


def session_vwap(times: npt.NDArray[np.int64], high: Values, low: Values, close: Values, volume: Values) -> Values:
    """Average the typical price by volume since the session of each candle began.

    Args:
        times: open times, ns UTC, ascending; all of shape (n,).
    """
    typical = (high + low + close) / 3
    session, _ = intervals_of("1d", times)
    first = np.searchsorted(session, session)  # of each candle's session, its place
    # Deviations from the first price are summed: sums of whole prices would lose digits of a long session.
    origin = typical[first]
    traded = np.concatenate([[0.0], np.cumsum(volume)])
    weighted = np.zeros(len(times) + 1)
    weighted[1:] = np.cumsum((typical - origin) * volume)
    amount = traded[1:] - traded[first]
    moved = weighted[1:] - weighted[first]
    mean: Values = np.divide(moved, amount, out=typical - origin, where=amount > 0)
    return origin + mean


def _candles_of_a_day(frame: Timeframe) -> int:
    return min(86_400_000_000_000 // frame.span_ns, frame.capacity)


def _talib() -> Any:
    try:
        import talib
    except ImportError:
        raise MissingExtra("TA-Lib", "indicators", "indicators") from None
    return talib
