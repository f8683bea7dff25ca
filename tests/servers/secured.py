"""A gateway in this process, and requests to it that no library would send."""

import http.client
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tapehub import DataHub
from tapehub.gateway.access import Scope, Tokens
from tapehub.gateway.serving import Gateway
from tapehub.gateway.settings import GatewaySettings


@dataclass
class Secured:
    """A gateway, and a token of each scope."""

    gateway: Gateway
    hub: DataHub
    tokens: dict[str, str]

    def ask(
        self, method: str, path: str, *, token: str | None = "admin", body: Any = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Send one request; a token is named by its scope."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent["Authorization"] = f"Bearer {self.tokens[token]}"
        data = None if body is None else json.dumps(body)
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=20)
        try:
            connection.request(method, path, data, sent)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()


@contextmanager
def secured(path: Path, **settings: Any) -> Iterator[Secured]:
    """Serve a new hub on a free port."""
    with DataHub.open(path, create=True, segment_lines=1 << 12) as hub:
        made = Tokens.open(path)
        tokens = {scope.label: made.new(scope.label, scope).reveal() for scope in (Scope.READ, Scope.PUBLISH)}
        tokens["admin"] = made.owner.reveal()
        with Gateway(hub, GatewaySettings(port=0, **settings)) as gateway:
            yield Secured(gateway, hub, tokens)


def trusting(authority: Path) -> ssl.SSLContext:
    """Make a context that believes one authority alone, as strictly as OpenSSL can."""
    context = ssl.create_default_context(cafile=str(authority))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context
