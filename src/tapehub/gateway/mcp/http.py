"""`McpGateway`: the server over streamable HTTP, on a port, behind the same door as the API."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tapehub.errors import MissingExtra

try:
    from mcp.server.mcpserver import Context
    from mcp.server.transport_security import TransportSecuritySettings
except ImportError as error:
    raise MissingExtra(error.name or "mcp", "mcp", "tapehub mcp") from error

from tapehub.gateway.access import KEY, Guard, Identity, Scope
from tapehub.gateway.background import BackgroundServer
from tapehub.gateway.mcp.trading import Refused

if TYPE_CHECKING:
    from mcp.server import MCPServer

    from tapehub.gateway.settings import GatewaySettings

__all__ = ["PATH", "McpGateway", "author_of"]

PATH: Final = "/mcp"
_BODY_BYTES: Final = 256 << 10


def author_of(ctx: Context[Any, Any]) -> str:
    """Name whoever publishes an opinion after the token that was shown.

    Raises:
        Refused: it does not reach as far as publishing.
    """
    request = ctx.request_context.request
    who = request.scope.get(KEY) if request is not None else None
    if not isinstance(who, Identity):
        raise Refused("nobody is known here: expected a request that came through the door")
    if not who.scope.includes(Scope.PUBLISH):
        raise Refused(
            f"token {who.name!r} may {who.scope.label}, submit_opinion needs {Scope.PUBLISH.label}: "
            f'"tapehub token new NAME --scope {Scope.PUBLISH.label}" makes one that may'
        )
    return f"mcp-{who.name}"


class McpGateway(BackgroundServer):
    """Serve one hub's tools over streamable HTTP until closed.

    Nothing is kept between requests: a client may come back to another process of the same hub. Each answer is one JSON
    body; no stream stays open.

    Args:
        server: as `create_server` makes it.
        settings: host, port, certificate, names; those of the API's gateway with another port.
        where: host and port are set, for messages.

    Raises:
        ConfigError: the port is taken, or the address may not be listened at (see `access.check_bind`).
    """

    def __init__(
        self, server: MCPServer, hub_path: Path, settings: GatewaySettings, *, where: str = "--host, --port"
    ) -> None:
        super().__init__("tapehub mcp", hub_path, settings, path=PATH, where=where)
        # Host and Origin are the door's to judge, by the names that are configured: once is enough.
        app = server.streamable_http_app(
            streamable_http_path=PATH, stateless_http=True, json_response=True, max_request_body_size=_BODY_BYTES,
            transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
        )  # fmt: skip
        self.host(Guard(app, self.access, reading=(PATH,)), ws="none")
