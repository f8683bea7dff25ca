"""The door: tokens and their scopes, sessions of browsers, and what is refused before an endpoint sees it.

``Access.open(hub_path)`` reads the tokens, ``Guard(app, access)`` stands before the application, and
``Depends(needs(Scope.PUBLISH))`` asks for more than reading. docs/reference/security.md lists the rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tapehub.gateway.access.access import Access, Refusal
from tapehub.gateway.access.bind import TlsFiles, check_bind, names_of, uvicorn_options
from tapehub.gateway.access.guard import Guard
from tapehub.gateway.access.hosts import Hosts, is_loopback
from tapehub.gateway.access.limits import Limits
from tapehub.gateway.access.scopes import KEY, Identity, Scope
from tapehub.gateway.access.sessions import Sessions
from tapehub.gateway.access.tokens import OWNER, Token, Tokens

if TYPE_CHECKING:
    from tapehub.gateway.access.requirement import needs

__all__ = [
    "KEY",
    "OWNER",
    "Access",
    "Guard",
    "Hosts",
    "Identity",
    "Limits",
    "Refusal",
    "Scope",
    "Sessions",
    "TlsFiles",
    "Token",
    "Tokens",
    "check_bind",
    "is_loopback",
    "names_of",
    "needs",
    "uvicorn_options",
]


def __getattr__(name: str) -> Any:
    # FastAPI is loaded for endpoints alone: the token commands do without.
    if name == "needs":
        from tapehub.gateway.access.requirement import needs

        return needs
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
