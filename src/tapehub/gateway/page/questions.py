"""What the page asks beside the API of everyone: indicators, what silence is usual, the processes of `tapehub up`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from fastapi import APIRouter, Query
from starlette.responses import Response

from tapehub.collector.collector import load_rhythm, rhythm_path
from tapehub.gateway.context import Here, answer
from tapehub.gateway.indicators import LIMIT_MAX, indicators
from tapehub.gateway.instants import iso
from tapehub.gateway.parameters import SourceQuery, SymbolPath, TimeframeQuery
from tapehub.gateway.shapes.base import InstantText, Shape
from tapehub.gateway.shapes.problems import responses
from tapehub.hub import DataHub
from tapehub.hub.latest import latest
from tapehub.quality.rhythm import Rhythm

__all__ = ["Components", "router"]

Components = Callable[[Path], Sequence[dict[str, Any]]]
"""Gives the processes that run a hub, as ``tapehub up`` tells of them; empty where none does."""

Column = list[float | None]


class DonchianShape(Shape):
    """Highest high, lowest low, and their middle."""

    upper: Column
    middle: Column
    lower: Column


class IndicatorsAnswer(Shape):
    """A value for each candle, oldest first; null where there are not enough candles before it."""

    symbol: str
    timeframe: str
    timestamps: list[InstantText]
    ema: dict[str, Column]
    vwap: Column
    donchian: DonchianShape
    rsi: Column
    atr: Column


class ThresholdRow(Shape):
    """From which silence on an instrument is stale, at this hour of the week."""

    symbol: str
    source: str
    stale_after_s: float


class ThresholdsAnswer(Shape):
    """What silence is usual."""

    now: InstantText
    thresholds: list[ThresholdRow]


class ComponentsAnswer(Shape):
    """The processes of `tapehub up`; none where something else runs the hub."""

    components: list[dict[str, Any]]


def router(components: Components | None) -> APIRouter:
    """Make the routes.

    Args:
        components: None where nobody can tell.
    """
    made = APIRouter(tags=["for people"])
    habits = _Habits()

    @made.get("/indicators/{symbol:path}", response_model=IndicatorsAnswer, responses=responses(422, 503))
    async def of_candles(
        here: Here,
        symbol: SymbolPath,
        timeframe: TimeframeQuery = "1m",
        limit: Annotated[int, Query(ge=1, le=LIMIT_MAX, description="Candles, the newest so many.")] = 300,
        source: SourceQuery = None,
    ) -> Response:
        """Give EMA ribbon, session VWAP, Donchian channel, RSI and ATR of the newest candles, with the forming one."""
        found = indicators(here.hub, symbol, timeframe, limit, source)
        return answer(
            {
                "symbol": here.hub._names.canonical(symbol),
                "timeframe": found.timeframe,
                "timestamps": [iso(at) for at in found.timestamps.tolist()],
                "ema": {str(period): _column(values) for period, values in found.ema.items()},
                "vwap": _column(found.vwap),
                "donchian": {
                    "upper": _column(found.donchian_upper),
                    "middle": _column(found.donchian_middle),
                    "lower": _column(found.donchian_lower),
                },
                "rsi": _column(found.rsi),
                "atr": _column(found.atr),
            }
        )

    @made.get("/thresholds", response_model=ThresholdsAnswer, responses=responses())
    async def thresholds(here: Here) -> Response:
        """Tell from which silence on each instrument is stale, as far as its collector has kept what it learnt."""
        now_ns = max(here.hub.now(), 0)
        rows = await here.quick.run(lambda: habits.thresholds(here.hub, now_ns))
        return answer({"now": iso(now_ns), "thresholds": rows})

    @made.get("/components", response_model=ComponentsAnswer, responses=responses())
    async def processes(here: Here) -> Response:
        """List the processes of `tapehub up`: name, phase, pid, restarts, for how long, and what each says."""
        rows = [] if components is None else await here.quick.run(lambda: list(components(here.hub.path)))
        return answer({"components": rows})

    return made


def _column(values: npt.NDArray[np.float64]) -> Column:
    # Ten digits: the sums of a long session make no more of them true.
    return [None if value != value else round(value, 10) for value in values.tolist()]


class _Habits:
    """Keep what collectors wrote down of each feed's rhythm; a file is read anew when it was written anew."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[int, Rhythm]] = {}

    def thresholds(self, hub: DataHub, now_ns: int) -> list[dict[str, Any]]:
        """Judge by what was last written; what a collector learnt since then makes little difference."""
        rows = []
        for feed, told in latest(hub).links(hub).items():
            rhythm = self._of(hub, feed)
            for _, _, group in told["items"]:
                rows += [
                    {"symbol": row[0], "source": row[1], "stale_after_s": rhythm.threshold_ns(row[0], now_ns) / 1e9}
                    for row in group
                ]
        return rows

    def _of(self, hub: DataHub, feed: str) -> Rhythm:
        path = rhythm_path(hub, feed)
        written_ns = path.stat().st_mtime_ns if path.exists() else 0
        known = self._known.get(path)
        if known is None or known[0] != written_ns:
            known = self._known[path] = (written_ns, load_rhythm(hub, feed))
        return known[1]
