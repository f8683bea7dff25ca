"""One instrument, or all, at one instant."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query
from starlette.responses import Response

from tapehub.gateway.context import Here, answer_text
from tapehub.gateway.encoding import candle_text, dumps, flow_text, tick_text
from tapehub.gateway.instants import iso
from tapehub.gateway.parameters import SymbolPath, TimeframeQuery
from tapehub.gateway.routes.ticks import no_data
from tapehub.gateway.shapes.answers import SnapshotAnswer, SnapshotsAnswer
from tapehub.gateway.shapes.problems import responses
from tapehub.gateway.shapes.records import FlowShape
from tapehub.hub import DataHub
from tapehub.hub.snapshot import Snapshot

__all__ = ["router"]

router = APIRouter(tags=["values"])
_MINUTE = 60_000_000_000
CandlesQuery = Annotated[int, Query(ge=0, le=5000, description="Candles, the newest so many.", examples=[100])]
FewQuery = Annotated[int, Query(ge=0, le=100, description="Candles of each.", examples=[2])]


@router.get("/orderflow/{symbol:path}", response_model=FlowShape, responses=responses(404, 422))
async def order_flow(here: Here, symbol: SymbolPath) -> Response:
    """Give the latest order-flow metrics."""
    metrics = here.hub.get_latest_order_flow(symbol)
    if metrics is None:
        raise no_data(symbol, "order flow", "does somebody publish it?")
    return answer_text(flow_text(metrics))


@router.get("/snapshot", response_model=SnapshotsAnswer, responses=responses(422))
async def snapshots(here: Here, timeframe: TimeframeQuery = "1m", limit: FewQuery = 2) -> Response:
    """Read every instrument: what a page shows first."""
    hub = here.hub
    texts = [
        _text(
            hub.snapshot(symbol, timeframe, limit),
            ticks_per_minute=_ticks_per_minute(hub, symbol),
            decimals=row["decimals"],
            pip_size=row["pip_size"],
        )
        for symbol, row in hub.instruments.items()
    ]
    return answer_text(f'{{"now":"{iso(max(hub.now(), 0))}","snapshots":[{",".join(texts)}]}}')


@router.get("/snapshot/{symbol:path}", response_model=SnapshotAnswer, responses=responses(422))
async def snapshot(
    here: Here, symbol: SymbolPath, timeframe: TimeframeQuery = "1m", limit: CandlesQuery = 100
) -> Response:
    """Read tick, candles, order flow, state, age and completeness of an instrument in one consistent read."""
    return answer_text(_text(here.hub.snapshot(symbol, timeframe, limit)))


def _text(seen: Snapshot, **more: Any) -> str:
    """Write a snapshot; its records are written by hand, as everywhere."""
    rest = {
        "symbol": seen.symbol, "source": seen.source, "timeframe": seen.timeframe, "state": seen.state,
        "age_s": seen.age_s, "completeness": seen.completeness, "now": iso(max(seen.now_ns, 0)),
        "seq": seen.seq, **more,
    }  # fmt: skip
    tick = "null" if seen.tick is None else tick_text(seen.tick)
    flow = "null" if seen.order_flow is None else flow_text(seen.order_flow)
    candles = ",".join([candle_text(candle) for candle in seen.candles])
    return f'{dumps(rest)[:-1]},"tick":{tick},"order_flow":{flow},"candles":[{candles}]}}'


def _ticks_per_minute(hub: DataHub, symbol: str) -> int:
    seconds = hub.candles(symbol, "1s", limit=62, forming=True).numpy()
    return int(np.sum(seconds["ticks"][seconds["timestamp"] > hub.now() - _MINUTE])) if len(seconds) else 0
