"""`needs`: what an endpoint asks of its caller, as a FastAPI dependency."""

from __future__ import annotations

from functools import cache

from tapehub.errors import MissingExtra
from tapehub.gateway.access.scopes import KEY, Identity, Scope

try:
    from fastapi.exceptions import HTTPException
    from fastapi.openapi.models import HTTPBearer
    from fastapi.security.base import SecurityBase
    from starlette.requests import HTTPConnection
except ImportError as error:
    raise MissingExtra(error.name or "fastapi", "server", "the gateway") from error

__all__ = ["needs"]


class _Needs(SecurityBase):
    """Let in who reaches far enough. Without a guard before the app nobody does."""

    def __init__(self, scope: Scope) -> None:
        self.model = HTTPBearer(description='A token of the hub: "tapehub token show", "tapehub token new".')
        self.scheme_name = "token"
        self.scope = scope

    async def __call__(self, connection: HTTPConnection) -> Identity:
        who = connection.scope.get(KEY)
        if not isinstance(who, Identity):
            raise HTTPException(401, "no token was shown: expected a token of this hub", {"www-authenticate": "Bearer"})
        if not who.scope.includes(self.scope):
            raise HTTPException(
                403,
                f"token {who.name!r} may {who.scope.label}, this needs {self.scope.label}: "
                f'"tapehub token new NAME --scope {self.scope.label}" makes one that may',
            )
        return who


@cache
def needs(scope: Scope) -> _Needs:
    """Ask for a scope: ``Depends(needs(Scope.PUBLISH))``, of a request or of a WebSocket; gives the `Identity`.

    Raises:
        HTTPException: 401 for nobody, 403 for who does not reach that far.
    """
    return _Needs(scope)
