"""Quotes: the latest, and series of them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from tapehub.gateway.arrow import arrow_answer, wants_arrow
from tapehub.gateway.context import Here, answer_text
from tapehub.gateway.encoding import dumps, tick_text
from tapehub.gateway.parameters import EndQuery, LimitQuery, StartQuery, SymbolPath, bound, check_limit
from tapehub.gateway.problems import Problem
from tapehub.gateway.shapes.answers import TicksAnswer
from tapehub.gateway.shapes.problems import responses
from tapehub.gateway.shapes.records import TickShape
from tapehub.hub.batch import Batch

__all__ = ["router"]

router = APIRouter(tags=["ticks"])
_SHORT = 5_000


@router.get("/ticks/{symbol:path}/latest", response_model=TickShape, responses=responses(404, 422))
async def latest_tick(here: Here, symbol: SymbolPath) -> Response:
    """Give the tick with the greatest event time."""
    tick = here.hub.get_latest_tick(symbol)
    if tick is None:
        raise no_data(symbol, "tick", "is its feed running? /api/v1/why says why not")
    return answer_text(tick_text(tick))


@router.get("/fresh/{symbol:path}", response_model=TickShape, responses=responses(409, 422))
async def fresh_tick(
    here: Here,
    symbol: SymbolPath,
    max_age_s: Annotated[float, Query(ge=0, le=1e9, allow_inf_nan=False, description="Seconds.", examples=[2.0])],
) -> Response:
    """Give the latest tick, or refuse when it is older than this, or its state is not fresh."""
    return answer_text(tick_text(here.hub.require_fresh(symbol, max_age_s)))


@router.get("/ticks/{symbol:path}", response_model=TicksAnswer, responses=responses(406, 422, 503, arrow=True))
async def ticks(
    here: Here, request: Request, symbol: SymbolPath, limit: LimitQuery = 1000, start: StartQuery = None,
    end: EndQuery = None,
) -> Response:  # fmt: skip
    """Give ticks since the last clear, oldest first: the newest `limit` of those in [start, end)."""
    as_arrow = wants_arrow(request)
    check_limit(limit, here.limits.rows_arrow if as_arrow else here.limits.rows_json)
    first, last = bound(start, "start"), bound(end, "end")
    name = here.hub._names.canonical(symbol)

    def read() -> Response:
        batch = here.hub.ticks(name, limit, first, last)
        return arrow_answer(batch) if as_arrow else _json(name, batch)

    # What is bounded may have to be looked for in the whole log.
    if limit <= _SHORT and first is None and last is None and not as_arrow:
        return read()
    return await here.pool.run(read)


def _json(symbol: str, batch: Batch) -> Response:
    rows = ",".join([tick_text(tick) for tick in batch.objects()]) if len(batch) else ""
    return answer_text(f'{{"symbol":{dumps(symbol)},"lost":{batch.lost},"ticks":[{rows}]}}')


def no_data(symbol: str, what: str, remedy: str) -> Problem:
    """Say that the hub has no such value of an instrument."""
    return Problem(
        "no-data", f"{symbol} has no {what} in this hub: {remedy}", where="path.symbol", value=symbol, remedy=remedy,
        expected=f"an instrument with a {what}",
    )  # fmt: skip
