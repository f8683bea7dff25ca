"""Requests that change the hub for everyone."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter
from starlette.responses import Response

from tapehub.gateway.context import Here, answer
from tapehub.gateway.instants import instant
from tapehub.gateway.shapes.problems import responses
from tapehub.gateway.shapes.requests import Advance, Clear, ClockIn, Sequence, Verified

__all__ = ["router"]

router = APIRouter(tags=["administration"])


@router.post("/clear", response_model=Sequence, responses=responses(422))
async def clear(here: Here, asked: Clear) -> Response:
    """Let the views of an instrument, or of all, start anew; the log keeps everything."""
    hub = here.hub
    return answer({"seq": hub.clear_all() if asked.symbol is None else hub.clear_symbol(asked.symbol)})


@router.post("/advance", response_model=Sequence, responses=responses(422))
async def advance(here: Here, asked: Advance) -> Response:
    """Close every interval that ended a grace before `now`."""
    return answer({"seq": here.hub.advance(instant(asked.now, "body.now"))})


@router.post("/clock", response_model=Sequence, responses=responses(422))
async def set_clock(here: Here, asked: ClockIn) -> Response:
    """Set the hub clock, for every process."""
    anchor_ns = None if asked.anchor is None else instant(asked.anchor, "body.anchor")
    return answer(
        {"seq": here.hub.set_clock(asked.mode, anchor_ns=anchor_ns, rate=asked.rate, skew_ns=asked.skew_ns)}
    )  # fmt: skip


@router.post("/verify", response_model=Verified, responses=responses())
async def verify(here: Here) -> Response:
    """Walk the whole log and check every checksum. Takes seconds for a log of some GiB."""
    report = await here.pool.run(here.hub.verify)
    return answer({"ok": report.ok, "report": asdict(report)})
