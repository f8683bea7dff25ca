"""Coverage of a day."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from tapehub.gateway.context import Here, answer
from tapehub.gateway.coverage import coverage, today
from tapehub.gateway.instants import iso
from tapehub.gateway.parameters import SymbolPath
from tapehub.gateway.problems import Problem
from tapehub.gateway.shapes.answers import CoverageAnswer
from tapehub.gateway.shapes.problems import responses

__all__ = ["router"]

router = APIRouter(tags=["for people"])


@router.get("/coverage/{symbol:path}", response_model=CoverageAnswer, responses=responses(422, 503))
async def day_coverage(
    here: Here,
    symbol: SymbolPath,
    day: Annotated[date | None, Query(description="UTC; today by the hub clock.", examples=["2026-06-02"])] = None,
) -> Response:
    """Give for each minute of a day the share in which the feed was live, and the ticks."""
    if day is not None and not 1700 <= day.year <= 2260:
        raise Problem(
            "invalid-request", f"query.day is {day}: expected a day of the years 1700 to 2260", where="query.day",
            value=str(day), expected="a day of the years 1700 to 2260", remedy="correct query.day",
        )  # fmt: skip
    name, chosen = here.hub._names.canonical(symbol), day or today(here.hub)
    found = await here.pool.run(lambda: coverage(here.hub, name, chosen))
    return answer(
        {
            "symbol": name,
            "day": chosen.isoformat(),
            "start": iso(found.start_ns),
            "minutes": found.shares,
            "ticks": found.ticks,
            "outcomes": found.outcomes,
        }
    )
