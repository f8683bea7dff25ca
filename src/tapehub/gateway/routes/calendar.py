"""When a market is open: what comes next, and the whole table that the hub judges by."""

from __future__ import annotations

from base64 import b64encode
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from tapehub.gateway.context import Here, answer
from tapehub.gateway.instants import iso
from tapehub.gateway.parameters import SymbolPath
from tapehub.gateway.shapes.answers import CalendarAnswer
from tapehub.gateway.shapes.problems import responses

__all__ = ["router"]

router = APIRouter(tags=["hub"])


@router.get("/calendar/{symbol:path}", response_model=CalendarAnswer, responses=responses(422))
async def calendar(
    here: Here,
    symbol: SymbolPath,
    table: Annotated[bool, Query(description="With all sessions, holidays taken out.", examples=[False])] = False,
) -> Response:
    """Tell when the market of a symbol is open, holidays included."""
    hours, now = here.hub.calendar(symbol), here.hub.now()
    opens, closes = hours.next_open(now), hours.next_close(now)
    return answer(
        {
            "calendar": hours.name,
            "open": bool(hours.is_open(now)),
            "next_open": None if opens is None else iso(opens),
            "next_close": None if closes is None else iso(closes),
            "table": b64encode(hours.to_bytes()).decode() if table else None,
        }
    )
