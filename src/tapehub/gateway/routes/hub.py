"""The hub as a whole: status, instruments, ledger, who reads and who publishes, the clock, the raw log."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from tapehub.gateway.context import Here, answer
from tapehub.gateway.instants import iso
from tapehub.gateway.plain import plain
from tapehub.gateway.shapes.answers import (
    ClockAnswer,
    InstrumentsAnswer,
    LedgerAnswer,
    ProcessesAnswer,
    ReadersAnswer,
    SourcesAnswer,
    StatusAnswer,
)
from tapehub.gateway.shapes.problems import responses
from tapehub.gateway.states import made_up
from tapehub.hub.clock import clock_of

__all__ = ["router"]

router = APIRouter(tags=["hub"])
_LINES_MAX = 65_536
_OCTETS = "application/octet-stream"
_BINARY = {"type": "string", "format": "binary"}


@router.get("/status", response_model=StatusAnswer, responses=responses())
async def status(here: Here) -> Response:
    """Describe the whole hub: what it holds, its counters, who serves and who reads it."""
    hub = here.hub
    told = hub.get_status()
    server = told["server"]
    feeds = made_up(hub).feeds
    told |= {
        "now": iso(max(hub.now(), 0)),
        "simulated": told["clock"]["simulated"] or bool(feeds),
        "made_up": feeds,
        "version": here.outside.version,
        "server": None if server is None else {"pid": server[0], "started": server[1], "name": server[2]},
    }
    return answer(plain(told))


@router.get("/instruments", response_model=InstrumentsAnswer, responses=responses())
async def instruments(here: Here) -> Response:
    """Describe every defined instrument: pip size, decimals, calendar, sources."""
    return answer({"instruments": here.hub.instruments})


@router.get("/sources", response_model=SourcesAnswer, responses=responses())
async def sources(here: Here) -> Response:
    """List every source, by id."""
    return answer({"sources": here.hub.sources})


@router.get("/ledger", response_model=LedgerAnswer, responses=responses())
async def ledger(here: Here) -> Response:
    """Account for every record: received = published + duplicate + refused + quarantined + in flight."""
    return answer(plain(here.hub.ledger()))


@router.get("/readers", response_model=ReadersAnswer, responses=responses())
async def readers(here: Here) -> Response:
    """List every stream of every process: name, pid, position, lag, lost."""
    return answer({"readers": here.hub.readers()})


@router.get("/processes", response_model=ProcessesAnswer, responses=responses())
async def processes(here: Here) -> Response:
    """List every process that is or was attached: name, pid, alive, what it published."""
    return answer({"processes": here.hub.processes()})


@router.get("/clock", response_model=ClockAnswer, responses=responses())
async def clock(here: Here) -> Response:
    """Give the hub clock: what it shows, and whether that is another time than the wall's."""
    found = clock_of(here.hub)
    return answer({"now": iso(max(found.now_ns, 0)), **found.to_dict()})


@router.get(
    "/log",
    response_class=Response,
    responses={
        **responses(422),
        200: {"description": "Lines of 64 bytes", "content": {_OCTETS: {"schema": _BINARY}}},
    },
)  # fmt: skip
async def log(
    here: Here,
    start: Annotated[int, Query(ge=0, lt=1 << 63, description="First line.", examples=[0])] = 0,
    n: Annotated[int, Query(ge=0, le=_LINES_MAX, description="Lines.", examples=[100])] = 1000,
) -> Response:
    """Give raw log lines, 64 bytes each, dtype TICK; lines of other records are in there too."""
    hub = here.hub
    oldest, head = int(hub._hub_state()["oldest"]), hub.head
    first = min(max(start, oldest), head)
    lines = hub.log(first, min(n, head - first))
    headers = {"Tapehub-Start": str(first), "Tapehub-Head": str(head), "Cache-Control": "no-store"}
    return Response(lines.tobytes(), headers=headers, media_type=_OCTETS)
