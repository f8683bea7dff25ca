"""Candles: from memory, and built anew from the log."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from tapehub.gateway.arrow import arrow_answer, wants_arrow
from tapehub.gateway.context import Context, Here, answer_text
from tapehub.gateway.encoding import candle_text, dumps
from tapehub.gateway.parameters import (
    EndQuery,
    LimitQuery,
    SourceQuery,
    StartQuery,
    SymbolPath,
    TimeframeQuery,
    bound,
    check_limit,
)
from tapehub.gateway.shapes.answers import CandlesAnswer
from tapehub.gateway.shapes.problems import responses
from tapehub.hub.batch import Batch
from tapehub.model.timeframes import parse

__all__ = ["router"]

router = APIRouter(tags=["candles"])
_SHORT = 2_000


@router.get("/candles/{symbol:path}", response_model=CandlesAnswer, responses=responses(406, 422, 503, arrow=True))
async def candles(
    here: Here,
    request: Request,
    symbol: SymbolPath,
    timeframe: TimeframeQuery = "1m",
    limit: LimitQuery = 100,
    start: StartQuery = None,
    end: EndQuery = None,
    forming: Annotated[bool, Query(description="With the one that is not finished.")] = False,
    source: SourceQuery = None,
) -> Response:
    """Give candles from memory, oldest first: the newest `limit` of those that open in [start, end)."""
    frame, name = parse(timeframe).name, here.hub._names.canonical(symbol)
    as_arrow = _form(here, request, limit)
    first, last = bound(start, "start"), bound(end, "end")

    def read() -> Response:
        batch = here.hub.candles(name, frame, limit, first, last, forming=forming, source=source)
        return _answer(batch, name, frame, as_arrow)

    return read() if limit <= _SHORT and not as_arrow else await here.pool.run(read)


@router.get("/history", response_model=CandlesAnswer, responses=responses(406, 422, 503, arrow=True))
async def history(
    here: Here,
    request: Request,
    symbol: Annotated[str, Query(min_length=1, max_length=64, examples=["EUR_USD"])],
    timeframe: TimeframeQuery = "1m",
    limit: LimitQuery = 1000,
    start: StartQuery = None,
    end: EndQuery = None,
    source: SourceQuery = None,
) -> Response:
    """Build candles anew from everything the log still holds, clears or not."""
    frame, name = parse(timeframe).name, here.hub._names.canonical(symbol)
    as_arrow = _form(here, request, limit)
    first: int | datetime | None = bound(start, "start")
    last = bound(end, "end")

    def read() -> Response:
        return _answer(here.hub.history(name, frame, limit, first, last, source=source), name, frame, as_arrow)

    return await here.pool.run(read)


def _form(here: Context, request: Request, limit: int) -> bool:
    as_arrow = wants_arrow(request)
    check_limit(limit, here.limits.rows_arrow if as_arrow else here.limits.rows_json)
    return as_arrow


def _answer(batch: Batch, symbol: str, frame: str, as_arrow: bool) -> Response:
    if as_arrow:
        return arrow_answer(batch)
    rows = ",".join([candle_text(candle) for candle in batch.objects()]) if len(batch) else ""
    return answer_text(
        f'{{"symbol":{dumps(symbol)},"timeframe":"{frame}","lost":{batch.lost},"candles":[{rows}]}}'
    )  # fmt: skip
