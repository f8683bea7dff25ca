"""The dashboard: one page, its modules and all they need, served as they lie here. Nothing comes from elsewhere.

There is no build step: `static/js` holds ES modules, one noun each, and `static/vendor` the one library, as its makers
publish it. The page keeps to a policy of ``default-src 'self'``: no inline script, no inline style.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tapehub.errors import MissingExtra

try:
    from fastapi import Depends, FastAPI
    from starlette.exceptions import HTTPException
    from starlette.responses import FileResponse, Response
    from starlette.staticfiles import StaticFiles
    from starlette.types import Scope
except ImportError as error:
    raise MissingExtra(error.name or "fastapi", "server", "the dashboard") from error

from tapehub.gateway.access import Scope as Right
from tapehub.gateway.access import needs
from tapehub.gateway.page.questions import Components, router

__all__ = ["STATIC", "mount"]

STATIC: Final = Path(__file__).resolve().parent / "static"

# Named here: what a machine's own table says of .mjs or .woff2 varies, and browsers run no module of another type.
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
    "": "text/plain; charset=utf-8",
}


class _Files(StaticFiles):
    """Serve files by a table of types; a browser keeps them and asks each time whether they changed."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        suffix = Path(path).suffix
        if suffix not in _TYPES:
            raise HTTPException(status_code=404)
        response = await super().get_response(path, scope)
        if response.status_code == 200:
            response.headers["Content-Type"] = _TYPES[suffix]
        response.headers["Cache-Control"] = "no-cache"
        return response


def mount(app: FastAPI, components: Components | None = None) -> None:
    """Serve the page at ``/``, its files below ``/static``, and what it asks beside the API of everyone.

    Args:
        components: gives the processes that run the hub; None where nobody can tell.
    """

    async def index() -> FileResponse:
        """Send the page."""
        return FileResponse(STATIC / "index.html", media_type=_TYPES[".html"], headers={"Cache-Control": "no-cache"})

    read = [Depends(needs(Right.READ))]
    app.include_router(router(components), prefix="/api/v1", dependencies=read)
    app.add_api_route("/", index, methods=["GET", "HEAD"], include_in_schema=False, dependencies=read)
    app.mount("/static", _Files(directory=STATIC), name="static")
