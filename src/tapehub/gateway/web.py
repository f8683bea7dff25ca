"""The application: routes, scopes, stream, page; and the door before all of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tapehub.errors import MissingExtra

try:
    from fastapi import APIRouter, Depends, FastAPI, WebSocket
    from fastapi.openapi.utils import get_openapi
except ImportError as error:
    raise MissingExtra(error.name or "fastapi", "server", "the gateway") from error

from tapehub.gateway.access import Access, Guard, Scope, needs
from tapehub.gateway.context import Context, Outside
from tapehub.gateway.metrics import Metrics
from tapehub.gateway.pool import Pool
from tapehub.gateway.problems import add_handlers
from tapehub.gateway.routes import (
    admin,
    agents,
    calendar,
    candles,
    coverage,
    health,
    hub,
    people,
    pipeline,
    publish,
    states,
    ticks,
    values,
)
from tapehub.gateway.settings import GatewaySettings
from tapehub.gateway.shapes.problems import ProblemShape
from tapehub.gateway.shapes.records import FlowShape, IntervalShape, RecordShape
from tapehub.gateway.shapes.requests import TickIn, TicksIn
from tapehub.gateway.streaming.broadcast import Broadcast
from tapehub.gateway.streaming.session import Session
from tapehub.gateway.traffic import API, Traffic

if TYPE_CHECKING:
    from tapehub.hub import DataHub

__all__ = ["API", "Web", "create_app", "guarded"]

_READ = (calendar, hub, values, ticks, candles, states, people, pipeline, coverage, agents)
_QUICK_READS, _QUICK_WAITING = 4, 64
# Of the stream, and of bodies that a route reads by itself: no route names them.
_SHAPES = (ProblemShape, TickIn, TicksIn, FlowShape, RecordShape, IntervalShape)


@dataclass(frozen=True, slots=True)
class Web:
    """Hold what serves: the ASGI application with its door, and what its clients share."""

    app: Any
    api: FastAPI
    broadcast: Broadcast


def create_app(
    hub: DataHub,
    settings: GatewaySettings,
    *,
    outside: Outside | None = None,
    page: Callable[[FastAPI], None] | None = None,
) -> FastAPI:
    """Make the application of one hub; `guarded` puts the door before it.

    Args:
        outside: what the layers above know.
        page: mounts the dashboard.
    """
    known = outside or Outside()
    broadcast, traffic = Broadcast(hub, settings.limits), Traffic()
    metrics = Metrics(hub, broadcast, traffic, known.version)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        pool, quick = Pool(settings.limits.long_reads), Pool(_QUICK_READS, "gateway-quick", waiting=_QUICK_WAITING)
        app.state.context = Context(hub, settings, pool, quick, broadcast, metrics, known)
        await broadcast.start()
        try:
            yield
        finally:
            await broadcast.stop()
            pool.close()
            quick.close()

    app = FastAPI(
        title="tapehub",
        version=known.version,
        description="One market-data hub. docs/reference/http-api.md has the rules, and the stream.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.broadcast, app.state.traffic = broadcast, traffic
    add_handlers(app)
    _add_routes(app)
    _add_stream(app, broadcast, known.version)
    if page is not None:
        page(app)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def guarded(app: FastAPI, access: Access) -> Web:
    """Put the door before an application, and the counting of requests before the door."""
    traffic: Traffic = app.state.traffic
    traffic.app = Guard(app, access)
    return Web(traffic, app, app.state.broadcast)


def _add_routes(app: FastAPI) -> None:
    read, write, change = ([Depends(needs(scope))] for scope in (Scope.READ, Scope.PUBLISH, Scope.ADMIN))
    app.include_router(health.open_router)
    app.include_router(health.router, dependencies=read)
    app.include_router(health.metrics, dependencies=read)
    # Writing first: the path of POST /candles/{symbol}/warm must not be taken for a symbol.
    routers: list[tuple[APIRouter, list[Any]]] = [
        (publish.router, write),
        (admin.router, change),
        (people.admin, change),
        (agents.admin, change),
    ]
    routers += [(module.router, read) for module in _READ]
    for router, dependencies in routers:
        app.include_router(router, prefix=API, dependencies=dependencies)


def _add_stream(app: FastAPI, broadcast: Broadcast, version: str) -> None:
    @app.websocket(f"{API}/stream", dependencies=[Depends(needs(Scope.READ))])
    async def stream(socket: WebSocket) -> None:
        await Session(socket, broadcast, version).run()


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        schemas = made.setdefault("components", {}).setdefault("schemas", {})
        for shape in _SHAPES:
            found = shape.model_json_schema(ref_template="#/components/schemas/{model}")
            for name, definition in found.pop("$defs", {}).items():
                schemas.setdefault(name, definition)
            schemas.setdefault(shape.__name__, found)
        # Every route tells what is wrong as a problem.
        schemas.pop("HTTPValidationError", None)
        schemas.pop("ValidationError", None)
        app.openapi_schema = made
    return app.openapi_schema
