"""Requests that add records."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError
from starlette.responses import Response

from tapehub._native import Candle, OrderFlowMetrics, Tick
from tapehub.errors import InvalidRecord, TapehubError
from tapehub.gateway.arrow import ARROW_STREAM, rows_of
from tapehub.gateway.context import Context, Here, answer
from tapehub.gateway.instants import instant
from tapehub.gateway.parameters import OptionalSymbol, SourceQuery, SymbolPath
from tapehub.gateway.problems import Problem
from tapehub.gateway.shapes.base import InstantIn
from tapehub.gateway.shapes.problems import responses
from tapehub.gateway.shapes.requests import (
    CandleIn,
    CandlesIn,
    Flow,
    Loaded,
    Note,
    Published,
    Sequence,
    Synced,
    TickIn,
    TicksIn,
)

__all__ = ["router"]

router = APIRouter(tags=["publishing"])
_JSON = "application/json"
_TICKS: TypeAdapter[TickIn | TicksIn] = TypeAdapter(TickIn | TicksIn)
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            _JSON: {
                "schema": {"anyOf": [{"$ref": "#/components/schemas/TickIn"}, {"$ref": "#/components/schemas/TicksIn"}]}
            },
            ARROW_STREAM: {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


@router.post("/ticks", response_model=Published, responses=responses(413, 415, 422, 503), openapi_extra=_BODY)
async def publish_ticks(
    here: Here,
    request: Request,
    symbol: OptionalSymbol = None,
    source: SourceQuery = None,
    verified: Annotated[bool, Query(description="Of an Arrow body: quotes of a venue's feed.")] = False,
) -> Response:
    """Publish one quote, several, or an Arrow table of them."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == ARROW_STREAM:
        body = await request.body()

        def publish() -> int:
            rows, symbols = rows_of(body, symbol, here.limits.rows_arrow)
            if not len(rows):
                return 0
            return here.hub.publish(rows, symbol, symbols=symbols, source=source, verified=verified)

        return answer({"published": await here.pool.run(publish), "seq": None})
    if kind != _JSON:
        raise Problem(
            "unsupported-media-type", f"content-type is {kind[:80]!r}: expected {_JSON} or {ARROW_STREAM}",
            where="header.content-type", value=kind[:80], expected=f"{_JSON} or {ARROW_STREAM}",
        )  # fmt: skip
    asked = _read_ticks(await request.body())
    if isinstance(asked, TickIn):
        return answer({"published": 1, "seq": here.hub.update_tick(_tick(asked, "timestamp"))})
    _check_count(here, len(asked.ticks))
    ticks = [_tick(one, f"ticks.{number}.timestamp") for number, one in enumerate(asked.ticks)]
    seqs = _one_by_one([lambda tick=tick: here.hub.update_tick(tick) for tick in ticks])
    return answer({"published": len(seqs), "seqs": seqs})


def _read_ticks(body: bytes) -> TickIn | TicksIn:
    # By hand, since the same path takes Arrow.
    try:
        return _TICKS.validate_json(body)
    except ValidationError as error:
        rows = [{**row, "loc": ("body", *row["loc"])} for row in error.errors(include_url=False)]
        raise RequestValidationError(rows) from None


@router.post("/candles", response_model=Published, responses=responses(413, 422))
async def publish_candles(here: Here, asked: CandlesIn) -> Response:
    """Publish 1-minute candles as final, each instead of the one built from ticks."""
    _check_count(here, len(asked.candles))
    candles = _candles(asked.candles)
    seqs = _one_by_one([lambda candle=candle: here.hub.update_candle_1m(candle) for candle in candles])
    return answer({"published": len(seqs), "seqs": seqs})


@router.post("/candles/{symbol:path}/warm", response_model=Loaded, responses=responses(413, 422))
async def warm_start(here: Here, symbol: SymbolPath, asked: CandlesIn) -> Response:
    """Load 1-minute candles of one instrument from elsewhere."""
    _check_count(here, len(asked.candles))
    return answer({"loaded": here.hub.warm_start_candles(symbol, _candles(asked.candles))})


@router.post("/orderflow", response_model=Sequence, responses=responses(413, 422))
async def publish_order_flow(here: Here, asked: Flow) -> Response:
    """Publish order-flow metrics."""
    fields: dict[str, Any] = asked.model_dump()
    fields["timestamp"] = _ns(asked.timestamp, "body.timestamp")
    try:
        metrics = OrderFlowMetrics(**fields)
    except ValueError as error:
        raise InvalidRecord(str(error)) from None
    return answer({"seq": here.hub.update_order_flow(metrics)})


@router.post("/note", response_model=Sequence, responses=responses(413, 422))
async def note(here: Here, asked: Note) -> Response:
    """Log a remark, of one instrument or of the whole hub."""
    return answer({"seq": here.hub.note(asked.text, asked.symbol)})


@router.post("/flush", response_model=Synced, responses=responses())
async def flush(here: Here) -> Response:
    """Wait until everything published so far is on stable storage."""
    return answer({"synced": await here.pool.run(here.hub.flush)})


# ---------------------------------------------------------------- helpers


def _one_by_one(calls: list[Any]) -> list[int]:
    """Publish in order; an error says how many are in the log."""
    seqs: list[int] = []
    for call in calls:
        try:
            seqs.append(call())
        except TapehubError as error:
            error.published = len(seqs)
            raise
    return seqs


def _tick(asked: TickIn, where: str) -> Tick:
    fields: dict[str, Any] = asked.model_dump()
    fields["timestamp"] = _ns(asked.timestamp, f"body.{where}")
    try:
        return Tick(**fields)
    except ValueError as error:
        raise InvalidRecord(str(error)) from None


def _candles(asked: list[CandleIn]) -> list[Candle]:
    out = []
    for number, one in enumerate(asked):
        fields: dict[str, Any] = one.model_dump()
        fields["timestamp"] = _ns(one.timestamp, f"body.candles.{number}.timestamp")
        try:
            out.append(Candle(**fields))
        except ValueError as error:
            raise InvalidRecord(f"body.candles.{number}: {error}") from None
    return out


def _ns(value: InstantIn | None, where: str) -> int | None:
    return None if value is None else instant(value, where)


def _check_count(here: Context, count: int) -> None:
    if count > here.limits.batch_rows:
        raise Problem(
            "invalid-request", f"body has {count} rows: expected at most {here.limits.batch_rows}; send several",
            where="body", value=str(count), expected=f"at most {here.limits.batch_rows} rows", remedy="send several",
        )  # fmt: skip
