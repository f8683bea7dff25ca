"""Problems, as OpenAPI shows them."""

from __future__ import annotations

from typing import Any

from tapehub.gateway.arrow import ARROW_STREAM
from tapehub.gateway.problems import PROBLEM_JSON
from tapehub.gateway.shapes.base import Shape

__all__ = ["ProblemShape", "responses"]

_ALWAYS = (400, 401, 403, 404, 429, 500, 503)
_MEANT = {
    400: "A foreign Host or Origin", 401: "No token", 403: "The token does not reach so far",
    404: "There is none, or no such path", 406: "Neither JSON nor Arrow is accepted", 409: "Too old", 413: "Too large",
    415: "Another type of body", 422: "What was asked cannot be", 429: "Too many requests", 500: "A fault of tapehub",
    502: "No answer from there", 503: "The hub cannot be read, or written, at the moment",
}  # fmt: skip


class ProblemShape(Shape):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    where: str | None = None
    value: str | None = None
    expected: str | None = None
    remedy: str | None = None
    published: int | None = None
    errors: list[dict[str, str]] | None = None


def responses(*statuses: int, arrow: bool = False) -> dict[int | str, dict[str, Any]]:
    """Describe the problems that a route answers with, and that it can give Arrow."""
    schema = {"schema": {"$ref": "#/components/schemas/ProblemShape"}}
    out: dict[int | str, dict[str, Any]] = {
        status: {"description": _MEANT[status], "content": {PROBLEM_JSON: schema}}
        for status in sorted({*_ALWAYS, *statuses})
    }
    if arrow:
        stream = {"schema": {"type": "string", "format": "binary"}}
        out[200] = {"description": "Rows, oldest first", "content": {ARROW_STREAM: stream}}
    return out
