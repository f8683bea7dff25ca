"""`tapehub mcp` as a client starts it: a process that speaks the protocol on stdin and stdout, and nothing else."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from tapehub import DataHub
from tapehub.agents.search import newest
from tapehub.gateway.access import Tokens
from tapehub.model.records import Kind
from tests.models.asking import RESOURCES, SATURDAY_NS, TOOLS, asked, at, friday, reached, refusal, told
from tests.servers.commands import COMMAND, running

pytestmark = pytest.mark.timeout(90)


@pytest.fixture(scope="module")
def saturday(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataHub]:
    with friday(tmp_path_factory.mktemp("friday") / "hub") as hub:
        at(hub, SATURDAY_NS)
        yield hub


def test_by_stdio_the_official_client_calls_every_tool_and_on_a_saturday_reads_closed(saturday: DataHub) -> None:
    async def all_of_them(client: Client) -> dict[str, Any]:
        assert "Never take\na price for the price of now" in (client.instructions or "")
        assert {tool.name for tool in (await client.list_tools()).tools} == TOOLS.keys()
        found = {}
        for name, arguments in TOOLS.items():
            found = await told(client, name, **arguments)
            assert (found["standing"]["state"], found["standing"]["market"]) == ("CLOSED", "CLOSED"), name
        for uri in RESOURCES:
            (content,) = (await client.read_resource(uri)).contents
            assert json.loads(content.text)["standing"]["state"] == "CLOSED"  # type: ignore[union-attr]
        assert "did you mean EUR_USD?" in await refusal(client, "snapshot", symbol="EURUDS")
        return found

    command = StdioServerParameters(
        command=COMMAND[0],
        args=["-W", "error", *COMMAND[1:], "mcp", "--allow-opinions", "--hub", str(saturday.path)],
        env=dict(os.environ),  # with the mark of this test run
    )
    before = saturday.head
    found = asked(command, all_of_them)
    (record,) = newest(saturday, [Kind.OPINION], before)
    made: Any = record.message
    assert record.seq == found["sequence"]
    assert made.agent.startswith("mcp-")


class Talk:
    """A process, and one message of the protocol a line."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", *COMMAND[1:], "mcp", *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._id = 0

    def send(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def ask(self, method: str, **params: Any) -> Any:
        """Ask, and take the next line as the answer."""
        assert self.process.stdout is not None
        self._id += 1
        self.send(json.dumps({"jsonrpc": "2.0", "id": self._id, "method": method, "params": params}))
        answer = json.loads(self.process.stdout.readline())
        assert answer["id"] == self._id, answer
        return answer["result"]


def test_stdout_holds_the_protocol_alone_and_a_hub_may_come_later(hub_dir: Path) -> None:
    talk = Talk("--hub", str(hub_dir))
    greeted = talk.ask(
        "initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo={"name": "test", "version": "1"}
    )  # fmt: skip
    assert greeted["serverInfo"]["name"] == "tapehub"
    talk.send(json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}))
    # Opinions were not allowed, so that nothing writes.
    assert {tool["name"] for tool in talk.ask("tools/list")["tools"]} == TOOLS.keys() - {"submit_opinion"}
    refused = talk.ask("tools/call", name="submit_opinion", arguments=TOOLS["submit_opinion"])
    assert refused["isError"] is True
    absent = talk.ask("tools/call", name="why_no_data", arguments={})
    assert f'no hub at {hub_dir}: expected one that runs; start it with "tapehub up"' in absent["content"][0]["text"]
    with DataHub.open(hub_dir, create=True):
        there = talk.ask("tools/call", name="states", arguments={})
        assert there["structuredContent"]["standing"]["state"] == "EMPTY"
        talk.process.send_signal(signal.SIGTERM)
        rest, said = talk.process.communicate(timeout=20)
    assert talk.process.returncode == 0, said
    assert rest == ""
    assert "Traceback" not in said


def test_by_http_it_says_where_it_serves_and_ends_on_ctrl_c(saturday: DataHub) -> None:
    with running("mcp", "--http", "--port", "0", "--hub", str(saturday.path)) as run:
        run.says(r"at http://127\.0\.0\.1:\d+/mcp")
        found = re.search(r"http://127\.0\.0\.1:\d+/mcp", run.said)
        assert found is not None
        token = Tokens.open(saturday.path).owner.reveal()
        seen = asked(reached(found[0], token), lambda client: told(client, "snapshot", symbol="EUR_USD"))
        assert seen["standing"]["state"] == "CLOSED"
        assert run.end(signal.SIGINT) == 0
    assert token not in run.said
