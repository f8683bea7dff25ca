"""What the gateway tells of agents is what their records say; the kill switch asks for the admin's scope."""

from collections.abc import Iterator
from typing import NamedTuple

import httpx
import pytest

from tapehub import DataHub
from tapehub.agents.debate import explain
from tapehub.agents.digest import Digest
from tapehub.agents.halts import halted
from tapehub.app.debates import Debates
from tapehub.gateway.access import Scope
from tapehub.gateway.context import Outside
from tests.models.gateway import API, Served, served
from tests.models.paper import event_hub
from tests.models.team import play

SPAN = ("2026-06-02T07:30", "2026-06-02T08:45")


class Played(NamedTuple):
    """A gateway over a hub on which the team has traded, and what is known of it without the gateway."""

    hub: DataHub
    web: Served
    digest: Digest


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    with event_hub(tmp_path_factory.mktemp("team") / "hub") as hub:
        play(hub, SPAN)
        with served(hub, outside=Outside(agents=Debates())) as web:
            yield Played(hub, web, Digest(hub))


def test_runs_signals_and_positions_are_told(played: Played) -> None:
    told = played.web.get("/agents")
    assert told["agents"] == played.digest.runs()
    assert [row["agent"] for row in told["agents"]] == ["momentum", "order_flow", "trader", "validator"]
    assert told["halt"] is None
    assert played.web.get("/signals?limit=500") == played.digest.signals(500)
    few = played.web.get("/signals?limit=2&symbol=EURUSD")
    assert [len(few["signals"]), len(few["rejections"])] == [2, 2]
    assert played.web.get("/positions")["positions"] == played.digest.positions()


def test_debate_is_told_as_the_command_line_tells_it(played: Played) -> None:
    row = played.web.get("/signals?limit=500")["signals"][-1]
    told = played.web.get(f"/explain/{row['id']}")
    debate = explain(played.hub, row["id"])
    assert debate is not None
    assert told == debate.plain()
    assert [step["what"] for step in told["steps"]][-2:] == ["setup", "order"]


def test_what_cannot_be_explained_is_a_problem_that_says_so(played: Played) -> None:
    assert played.web.get("/explain/00000000cafe.1.0", status=404)["type"] == "urn:tapehub:no-data"
    problem = played.web.get("/explain/latest", status=422)
    assert "'latest' is no identity" in problem["detail"]


def test_kill_switch_is_thrown_with_a_reason_and_taken_back(played: Played) -> None:
    web, hub = played.web, played.hub
    assert web.post("/halt", {}, status=422)["where"] == "body.reason"
    seq = web.post("/halt", {"reason": "news at two"})["seq"]
    assert seq < hub.head
    state = halted(hub)
    assert state is not None
    assert (state.reason, state.by, state.flatten) == ("news at two", "token owner", False)
    assert web.get("/agents")["halt"]["reason"] == "news at two"
    web.post("/resume", {"reason": "over"})
    assert halted(hub) is None
    assert web.get("/agents")["halt"] is None


def test_reader_and_publisher_may_not_halt(played: Played) -> None:
    for scope in (Scope.READ, Scope.PUBLISH):
        token = played.web.gateway.access.tokens.new(scope.label, scope).reveal()
        headers = {"Authorization": f"Bearer {token}"}
        reply = httpx.post(f"{played.web.gateway.url}{API}/halt", json={"reason": "no"}, headers=headers)
        assert reply.status_code == 403, reply.text
    assert halted(played.hub) is None


def test_gateway_without_agents_says_so(hub: DataHub) -> None:
    with served(hub) as web:
        assert "run it as `tapehub gateway`" in web.get("/agents", status=404)["detail"]
