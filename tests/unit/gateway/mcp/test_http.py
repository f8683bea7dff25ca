"""Streamable HTTP: nobody asks without a token, and an opinion needs one that may publish."""

import http.client
import json
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import pytest
from mcp import Client

from tapehub import DataHub
from tapehub.agents.search import newest
from tapehub.app.mcp import known, mcp
from tapehub.errors import ConfigError
from tapehub.gateway.access import Scope, Tokens
from tapehub.gateway.mcp.http import McpGateway, author_of
from tapehub.gateway.mcp.server import create_server
from tapehub.gateway.settings import GatewaySettings
from tapehub.model.records import Kind
from tests.models.asking import LAST_NS, RESOURCES, SATURDAY_NS, TOOLS, asked, at, friday, reached, refusal, told
from tests.models.paper import SECOND


@dataclass
class Served:
    hub: DataHub
    gateway: McpGateway
    tokens: dict[str, str]

    def client(self, token: str) -> AbstractAsyncContextManager[Any]:
        return reached(self.gateway.url, self.tokens[token])

    def post(self, path: str = "/mcp", **headers: str) -> tuple[int, Any]:
        sent = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=20)
        try:
            body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
            connection.request("POST", path, json.dumps(body), sent)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        finally:
            connection.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with friday(tmp_path_factory.mktemp("friday") / "hub") as hub:
        made = Tokens.open(hub.path)
        tokens = {scope.label: made.new(scope.label, scope).reveal() for scope in (Scope.READ, Scope.PUBLISH)}
        server = create_server(known(lambda: hub, author_of))
        with McpGateway(server, hub.path, GatewaySettings(port=0)) as gateway:
            yield Served(hub, gateway, tokens)


# The handshake of 2025, which most clients speak, and that of 2026-07-28.
@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_a_reading_token_calls_every_tool_but_publishes_nothing(served: Served, mode: str) -> None:
    at(served.hub, SATURDAY_NS)

    async def all_of_them(client: Client) -> None:
        assert {tool.name for tool in (await client.list_tools()).tools} == TOOLS.keys()
        for name, arguments in TOOLS.items():
            if name != "submit_opinion":
                assert (await told(client, name, **arguments))["standing"]["state"] == "CLOSED", name
        text = await refusal(client, "submit_opinion", **TOOLS["submit_opinion"])
        assert "token 'read' may read, submit_opinion needs publish" in text
        assert "tapehub token new NAME --scope publish" in text
        for uri in RESOURCES:
            assert (await client.read_resource(uri)).contents

    before = served.hub.head
    asked(served.client("read"), all_of_them, mode=mode)
    assert served.hub.head == before


def test_an_opinion_with_a_publishing_token_is_recorded_under_its_name(served: Served) -> None:
    at(served.hub, LAST_NS + SECOND)
    before = served.hub.head
    found = asked(
        served.client("publish"), lambda client: told(client, "submit_opinion", **TOOLS["submit_opinion"])
    )  # fmt: skip
    (record,) = newest(served.hub, [Kind.OPINION], before)
    made: Any = record.message
    assert (record.seq, made.agent, made.side) == (found["sequence"], "mcp-publish", "buy")


def test_without_a_token_of_this_hub_nothing_is_said(served: Served) -> None:
    status, problem = served.post()
    assert (status, problem["type"]) == (401, "urn:tapehub:unauthorised")
    status, _ = served.post(Authorization="Bearer thp_" + "A" * 43)
    assert status == 401


def test_a_page_of_another_site_gets_nothing(served: Served) -> None:
    bearer = f"Bearer {served.tokens['read']}"
    status, problem = served.post(Authorization=bearer, Host="attacker.example")
    assert (status, problem["type"]) == (400, "urn:tapehub:misdirected")
    status, problem = served.post(Authorization=bearer, Origin="https://attacker.example")
    assert (status, problem["type"]) == (403, "urn:tapehub:forbidden")


def test_reading_by_post_is_of_that_one_path(served: Served) -> None:
    status, problem = served.post("/elsewhere", Authorization=f"Bearer {served.tokens['read']}")
    assert (status, problem["type"]) == (403, "urn:tapehub:forbidden")


def test_beyond_loopback_it_listens_with_tls_alone(served: Served) -> None:
    server = create_server(known(lambda: served.hub, author_of))
    with pytest.raises(ConfigError, match=r"--host is 0\.0\.0\.0, which other machines reach, without TLS"):
        McpGateway(server, served.hub.path, GatewaySettings(host="0.0.0.0", port=0))


def test_a_taken_port_is_told_with_what_to_do(served: Served) -> None:
    server = create_server(known(lambda: served.hub, author_of))
    with pytest.raises(ConfigError, match=r"--host, --port 127\.0\.0\.1:.*in use: expected a free address; another"):
        McpGateway(server, served.hub.path, GatewaySettings(port=served.gateway.port))


def test_beside_tokens_no_option_allows_opinions() -> None:
    with pytest.raises(ConfigError, match="there the scope of a token decides; drop the option"):
        mcp(http=True, allow_opinions=True)
