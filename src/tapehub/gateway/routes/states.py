"""How far the data can be trusted: states, staleness, gaps, quarantine, comparisons."""

from __future__ import annotations

from base64 import b64encode
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from tapehub.gateway.about import reason_label
from tapehub.gateway.context import Here, answer
from tapehub.gateway.instants import iso
from tapehub.gateway.parameters import OptionalSymbol, SourceQuery, SymbolPath
from tapehub.gateway.shapes.answers import (
    ComparisonsAnswer,
    GapsAnswer,
    QuarantineAnswer,
    StalenessAnswer,
    StatesAnswer,
)
from tapehub.gateway.shapes.problems import responses
from tapehub.gateway.states import causes_of, channel_states, made_up
from tapehub.hub.gapbook import gap_book

__all__ = ["router"]

router = APIRouter(tags=["quality"])
NewestQuery = Annotated[int, Query(ge=0, le=10_000, description="The newest so many.", examples=[100])]
SecondsQuery = Annotated[float, Query(ge=0, le=1e9, allow_inf_nan=False, description="Seconds.")]


@router.get("/states", response_model=StatesAnswer, responses=responses(422))
async def states(here: Here, symbol: OptionalSymbol = None) -> Response:
    """Tell the liveness of every instrument and source."""
    hub = here.hub
    name = None if symbol is None else hub._names.canonical(symbol)
    labels = made_up(hub).rows
    found = [row for row in channel_states(hub) if name in (None, row.symbol)]
    rows = [
        {"symbol": row.symbol, "source": row.source, "state": row.state, "age_s": row.age_s, "primary": row.primary,
         "since": iso(row.since_ns) if row.since_ns else None, "cause": cause,
         "made_up": labels.get((row.symbol, row.source), "")}
        for row, cause in zip(found, causes_of(hub, found), strict=True)
    ]  # fmt: skip
    return answer({"now": iso(max(hub.now(), 0)), "states": rows})


@router.get("/staleness/{symbol:path}", response_model=StalenessAnswer, responses=responses(422))
async def staleness(
    here: Here, symbol: SymbolPath, tick: SecondsQuery = 2, candle: SecondsQuery = 120, order_flow: SecondsQuery = 5
) -> Response:
    """Flag what is older than its limit, by the hub clock, or absent."""
    flags = here.hub.check_staleness(symbol, {"tick": tick, "candle": candle, "order_flow": order_flow})
    return answer({"symbol": here.hub._names.canonical(symbol), **flags})


@router.get("/gaps", response_model=GapsAnswer, responses=responses(422, 503))
async def gaps(
    here: Here, symbol: OptionalSymbol = None, source: SourceQuery = None, limit: NewestQuery = 1000
) -> Response:
    """List the spans without a live feed, oldest first."""
    hub = here.hub
    names = [hub._names.canonical(symbol)] if symbol is not None else list(hub.instruments)

    def read() -> Response:
        book = gap_book(hub)
        rows = [{"symbol": name, **gap} for name in names for gap in book.of(hub, name, source)]
        rows.sort(key=lambda row: row["start"])
        return answer({"gaps": [_gap(row) for row in rows[len(rows) - min(limit, len(rows)) :]]})

    return await here.pool.run(read)


def _gap(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"start": iso(row["start"]), "end": None if row["end"] is None else iso(row["end"])}


@router.get("/quarantine", response_model=QuarantineAnswer, responses=responses(422, 503))
async def quarantine(here: Here, symbol: OptionalSymbol = None, limit: NewestQuery = 100) -> Response:
    """List quotes and messages that were refused, and why, oldest first."""

    def read() -> Response:
        return answer({"quarantine": [_quarantined(row) for row in here.hub.quarantined(symbol, limit)]})

    return await here.pool.run(read)


def _quarantined(row: dict[str, Any]) -> dict[str, Any]:
    told = row | {"ts": iso(row["ts"]), "reason": reason_label(row["reason"]), "reason_number": row["reason"]}
    for name in ("ts_event", "ts_recv"):
        if name in told:
            told[name] = iso(told[name])
    if "raw" in told:
        told["raw"] = b64encode(told["raw"]).decode()
    return told


@router.get("/comparisons", response_model=ComparisonsAnswer, responses=responses(422, 503))
async def comparisons(here: Here, symbol: OptionalSymbol = None, limit: NewestQuery = 100) -> Response:
    """List how candles differed from those that the venue built itself, oldest first."""

    def read() -> Response:
        rows = here.hub.comparisons(symbol, limit)
        return answer({"comparisons": [row | {"start": iso(row["start"])} for row in rows]})

    return await here.pool.run(read)
