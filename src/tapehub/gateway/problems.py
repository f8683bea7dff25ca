"""Errors as RFC 9457 problem details: the value, what was expected, where, and what to do."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from tapehub.errors import (
    ConfigError,
    HubClosed,
    HubCorrupt,
    HubError,
    HubNotRunning,
    HubStalled,
    InvalidRecord,
    MissingExtra,
    StaleDataError,
    TapehubError,
    UnknownTimeframe,
)
from tapehub.gateway.encoding import dumps
from tapehub.hub.secret import redact_tokens

__all__ = ["PROBLEM_JSON", "Problem", "add_handlers", "as_problem"]

PROBLEM_JSON = "application/problem+json"
_log = logging.getLogger("tapehub.gateway")

_TITLES = {
    "invalid-request": (422, "A parameter or the body cannot be"),
    "invalid-record": (422, "A record no hub may hold"),
    "unknown-timeframe": (422, "No such timeframe"),
    "unauthorised": (401, "Who are you?"),
    "forbidden": (403, "Out of the token's scope"),
    "no-data": (404, "The hub has no such value"),
    "not-found": (404, "No such path"),
    "method-not-allowed": (405, "Not with this method"),
    "stale-data": (409, "The data are older than accepted"),
    "not-acceptable": (406, "Neither JSON nor Arrow is accepted"),
    "unsupported-media-type": (415, "The body is of another type"),
    "too-large": (413, "Too large"),
    "hub-stalled": (503, "A writer that is alive but stopped holds the hub"),
    "hub-gone": (503, "There is no hub at the moment"),
    "busy": (503, "Too many long reads at once"),
    "no-simulator": (404, "Nothing is simulated here"),
    "upstream": (502, "The simulator did not answer"),
    "internal": (500, "A fault of tapehub"),
}
_BY_STATUS = {
    401: "unauthorised", 403: "forbidden", 404: "not-found", 405: "method-not-allowed", 413: "too-large",
    415: "unsupported-media-type",
}  # fmt: skip
_SHOWN = 200


class Problem(Exception):
    """Answer a request with a problem.

    Args:
        kind: its type, without ``urn:tapehub:``.
        detail: one sentence: value, expectation, place, remedy.
        told: `where`, `value`, `expected`, `remedy`, `published`, `errors`: what of these is known.
    """

    def __init__(self, kind: str, detail: str, headers: Mapping[str, str] | None = None, **told: Any) -> None:
        super().__init__(detail)
        self.kind = kind
        self.status, self.title = _TITLES[kind]
        self.headers = dict(headers or {})
        self.told = told

    def body(self) -> dict[str, Any]:
        """Give the problem details."""
        about = {"type": f"urn:tapehub:{self.kind}", "title": self.title, "status": self.status, "detail": str(self)}
        # A client that sent its token in the wrong place finds it in no answer, which others may read.
        told: dict[str, Any] = _hidden(about | {name: value for name, value in self.told.items() if value is not None})
        return told

    def response(self) -> Response:
        """Make the answer."""
        return Response(dumps(self.body()), self.status, self.headers, PROBLEM_JSON)


def _hidden(value: Any) -> Any:
    if isinstance(value, str):
        return redact_tokens(value)
    if isinstance(value, dict):
        return {name: _hidden(inner) for name, inner in value.items()}
    return [_hidden(inner) for inner in value] if isinstance(value, list) else value


def as_problem(error: Exception) -> Problem:
    """Say what an error means to a client."""
    if isinstance(error, Problem):
        return error
    text = " ".join(str(error).split())
    told: dict[str, Any] = {"remedy": text.rpartition("; ")[2] if "; " in text else None}
    if isinstance(error, TapehubError) and error.published:
        told["published"] = error.published
    if isinstance(error, UnknownTimeframe):
        return Problem("unknown-timeframe", text, **told)
    if isinstance(error, StaleDataError):
        return Problem("stale-data", text, **told)
    if isinstance(error, HubStalled):
        return Problem("hub-stalled", text, {"Retry-After": "2"}, **told)
    if isinstance(error, HubNotRunning | HubClosed):
        return Problem("hub-gone", text, {"Retry-After": "1"}, **told)
    if isinstance(error, InvalidRecord):
        return Problem("invalid-record", text, **told)
    if isinstance(error, MissingExtra):
        return Problem("not-acceptable", text, **told)
    if isinstance(error, ConfigError):
        return Problem("invalid-request", text, **told)
    if isinstance(error, HubError) and not isinstance(error, HubCorrupt):
        return Problem("hub-gone", text, {"Retry-After": "1"}, **told)
    return Problem("internal", f"{type(error).__name__}: {text}" if isinstance(error, TapehubError) else "see the log")


def add_handlers(app: FastAPI) -> None:
    """Let an application answer every error with a problem."""

    async def on_known(request: Request, error: Exception) -> Response:
        return as_problem(error).response()

    async def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return invalid(error).response()

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _of_http(error, request).response()

    async def on_fault(request: Request, error: Exception) -> Response:
        _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return as_problem(error).response()

    app.add_exception_handler(Problem, on_known)
    app.add_exception_handler(TapehubError, on_known)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(Exception, on_fault)


def invalid(error: RequestValidationError) -> Problem:
    """Say which parameters cannot be."""
    rows = [
        {
            "where": ".".join(str(part) for part in one["loc"]),
            "value": _shown(one.get("input")),
            "expected": _expected(str(one["msg"])),
        }
        for one in error.errors()[:20]
    ]
    first = rows[0]
    remedy = f"correct {first['where']}"
    detail = f"{first['where']} is {first['value']}: expected {first['expected']}; {remedy}"
    return Problem("invalid-request", detail, None, **first, remedy=remedy, errors=rows)


def _expected(message: str) -> str:
    for start in ("Input should be ", "Value error, "):
        message = message.removeprefix(start)
    return message[:1].lower() + message[1:]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _of_http(error: HTTPException, request: Request) -> Problem:
    kind = _BY_STATUS.get(error.status_code)
    where = f"{request.method} {request.url.path}"
    if kind == "not-found":
        return Problem(kind, f"{where} is no path of this API; /openapi.json lists them", where=where)
    if kind == "method-not-allowed":
        allowed = (error.headers or {}).get("Allow", "")
        return Problem(kind, f"{where}: expected {allowed}", error.headers, where=where, expected=allowed)
    if kind is not None:
        return Problem(kind, f"{where}: {error.detail}", error.headers, where=where)
    if 400 <= error.status_code < 500:
        return Problem("invalid-request", f"{where}: {error.detail}", error.headers, where=where)
    return Problem("internal", f"{where}: {error.detail}", error.headers, where=where)
