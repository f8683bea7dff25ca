"""Trading agents: what runs, what they propose, what is open, why they did what they did; and their kill switch."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response

from tapehub.gateway.access import Scope, needs
from tapehub.gateway.access.scopes import Identity
from tapehub.gateway.context import Agents, Context, Here, answer
from tapehub.gateway.instants import iso
from tapehub.gateway.problems import Problem
from tapehub.gateway.shapes.agents import (
    AgentsAnswer,
    ExplainAnswer,
    Halt,
    PositionsAnswer,
    Resume,
    SignalsAnswer,
)
from tapehub.gateway.shapes.problems import responses
from tapehub.gateway.shapes.requests import Sequence

__all__ = ["admin", "router"]

router = APIRouter(tags=["agents"])
admin = APIRouter(tags=["agents"])

Owner = Annotated[Identity, Depends(needs(Scope.ADMIN))]


def _agents(here: Context) -> Agents:
    if here.outside.agents is None:
        raise Problem("not-found", "nobody told this gateway of agents: run it as `tapehub gateway`")
    return here.outside.agents


@router.get("/agents", response_model=AgentsAnswer, responses=responses(404, 503))
async def agents(here: Here) -> Response:
    """Describe the newest run of each agent, how far it is behind the log, and whether the kill switch is on."""
    known = _agents(here)

    def read() -> Response:
        return answer(
            {"now": iso(max(here.hub.now(), 0)), "agents": known.runs(here.hub), "halt": known.halted(here.hub)}
        )  # fmt: skip

    return await here.pool.run(read)


@router.get("/signals", response_model=SignalsAnswer, responses=responses(404, 422, 503))
async def signals(
    here: Here,
    limit: Annotated[int, Query(ge=0, le=500, description="The newest so many of each.", examples=[50])] = 50,
    symbol: Annotated[str, Query(max_length=64, description="All instruments when absent.")] = "",
) -> Response:
    """List setups with what came of each, and rejections; newest first."""
    known = _agents(here)
    name = here.hub._names.canonical(symbol) if symbol else ""
    return answer(await here.pool.run(lambda: known.signals(here.hub, limit, name)))


@router.get("/positions", response_model=PositionsAnswer, responses=responses(404, 503))
async def positions(here: Here) -> Response:
    """List what is open in every paper account, with the pips it would bring now."""
    known = _agents(here)
    return answer({"positions": await here.pool.run(lambda: known.positions(here.hub))})


@router.get("/explain/{id}", response_model=ExplainAnswer, responses=responses(404, 422, 503))
async def explain(
    here: Here,
    identity: Annotated[
        str, Path(alias="id", max_length=64, description="Of a signal, order, fill or opinion: `RUN.CAUSE.ORDINAL`.")
    ],
) -> Response:
    """Tell the debate behind a record: opinions, setup, gate, risk, order, fills, result."""
    known = _agents(here)
    told = await here.pool.run(lambda: known.explain(here.hub, identity))
    if told is None:
        raise Problem("no-data", f"the log has no record {identity}: never written, or dropped by retention")
    return answer(told)


@admin.post("/halt", response_model=Sequence, responses=responses(404, 422))
async def halt(here: Here, asked: Halt, who: Owner) -> Response:
    """Stop the orders of every agent until `/resume`, also of those that start meanwhile."""
    known = _agents(here)
    by = f"token {who.name}"
    return answer({"seq": await here.pool.run(lambda: known.halt(here.hub, asked.reason, by, asked.flatten))})


@admin.post("/resume", response_model=Sequence, responses=responses(404, 422))
async def resume(here: Here, asked: Resume, who: Owner) -> Response:
    """Let agents order again."""
    known = _agents(here)
    return answer({"seq": await here.pool.run(lambda: known.resume(here.hub, asked.reason, f"token {who.name}"))})
