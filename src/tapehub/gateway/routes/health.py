"""Whether the process lives, whether the hub can be read, and what is counted."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from tapehub.errors import TapehubError
from tapehub.gateway.context import Context, Here
from tapehub.gateway.encoding import dumps
from tapehub.gateway.shapes.base import Shape
from tapehub.gateway.shapes.problems import responses
from tapehub.hub.status import SERVER_BEATS_WITHIN_S, silent_s

__all__ = ["metrics", "open_router", "router"]

open_router = APIRouter(tags=["health"])
router = APIRouter(tags=["health"])
metrics = APIRouter(tags=["health"])


class Alive(Shape):
    """The process answers."""

    alive: bool


class Ready(Shape):
    """The hub is attached and its server beats."""

    ready: bool
    hub: bool
    server: bool
    detail: str


@open_router.get("/healthz", response_model=Alive)
async def healthz() -> Response:
    """Tell that the process answers."""
    return _json({"alive": True})


@router.get("/readyz", response_model=Ready, responses={**responses(), 503: {"model": Ready}})
async def readyz(here: Here) -> Response:
    """Tell whether the hub is attached and its server beats."""
    told = ready(here)
    return _json(told, 200 if told["ready"] else 503)


def ready(here: Context) -> dict[str, Any]:
    """Look at the hub and its server."""
    try:
        served = here.hub.server() is not None
        silent = silent_s(here.hub)
    except TapehubError as error:
        return {"ready": False, "hub": False, "server": False, "detail": " ".join(str(error).split())}
    if not served:
        detail = "no server runs this hub: start one with `tapehub up`"
    elif silent > SERVER_BEATS_WITHIN_S:
        detail = f"the server has not beaten for {silent:.1f} s: expected one every quarter of a second"
    else:
        detail = ""
    return {"ready": not detail, "hub": True, "server": not detail, "detail": detail}


@metrics.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}, **responses(503)})
async def prometheus(here: Here) -> Response:
    """Give everything that is counted, as Prometheus reads it."""
    clients = here.metrics.of_clients()
    text, kind = await here.quick.run(lambda: here.metrics.render(clients))
    return Response(text, media_type=None, headers={"Content-Type": kind, "Cache-Control": "no-store"})


def _json(value: Any, status: int = 200) -> Response:
    return Response(dumps(value), status, {"Cache-Control": "no-store"}, "application/json")
