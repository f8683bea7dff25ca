"""Four runs that share nothing but the log debate, trade and explain; decided again from the log, they say the same."""

import json
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tapehub import DataHub
from tapehub.agents.debate import explain
from tapehub.agents.digest import Digest
from tapehub.agents.halts import halt, resume
from tapehub.agents.records import AccountState, Fill, Opinion, Order, Signal
from tapehub.agents.run import Run
from tapehub.agents.search import between
from tapehub.app.explaining import drawn
from tapehub.errors import ConfigError
from tapehub.model.records import Kind
from tests.models.paper import event_hub, in_log, plain, replayed
from tests.models.team import TEAM, members, play

MORNING = ("2026-06-02T07:30", "2026-06-02T09:15")
LOOSE = {"risk": {"daily_loss_pct": 20}}


class Played(NamedTuple):
    """A hub on which the team has traded a morning away."""

    hub: DataHub
    runs: dict[str, Run]
    digest: Digest

    def told(self, kind: Kind) -> list[Any]:
        return [one.message for one in between(self.hub, [kind], 0, self.hub.head)]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    with event_hub(tmp_path_factory.mktemp("team") / "hub") as hub:
        yield Played(hub, play(hub, MORNING, limits=LOOSE), Digest(hub))


@pytest.mark.parametrize("name", TEAM)
def test_each_member_decides_the_same_again_byte_for_byte(played: Played, name: str) -> None:
    run = played.runs[name]
    found = in_log(played.hub, run)
    assert len(found) > 10
    assert plain(replayed(played.hub, run, [members(("EUR_USD",))[name]])) == found


def test_one_member_orders_and_every_step_names_its_cause(played: Played) -> None:
    opinions: dict[str, Opinion] = {one.id: one for one in played.told(Kind.OPINION)}
    signals: dict[str, Signal] = {one.id: one for one in played.told(Kind.SIGNAL)}
    orders: list[Order] = played.told(Kind.ORDER)
    fills: list[Fill] = played.told(Kind.FILL)
    assert {one.agent for one in opinions.values()} == {"momentum", "order_flow", "validator"}
    assert {one.agent for one in orders} == {"trader"}
    assert signals
    assert fills
    for signal in signals.values():
        agreed = [opinions[name] for name in signal.data["opinions"]]
        assert {one.side for one in agreed} <= {signal.side, "flat"}
        assert signal.of in signal.data["opinions"]
    opening = [one for one in orders if one.what == "open" and one.status in ("accepted", "refused")]
    assert [one.of for one in opening] == list(signals)
    accepted = {one.id for one in opening if one.accepted}
    assert {one.order for one in fills if one.what == "open"} == accepted
    rejected = [one for one in opinions.values() if one.agent == "validator"]
    assert rejected
    assert all(one.of in opinions and one.data["rule"] for one in rejected)


def test_explanation_tells_the_whole_chain_in_time_order(played: Played) -> None:
    """What is expected is put together here from the records themselves."""
    account: list[AccountState] = played.told(Kind.ACCOUNT)
    fills: list[Fill] = played.told(Kind.FILL)
    parts = Counter(one.position for one in fills)  # a stop may be filled in several, where quotes are small
    close = next(one for one in fills if one.what == "close" and one.why == "stop" and parts[one.position] == 2)
    opened = next(one for one in fills if one.id == close.position)
    order = next(one for one in played.told(Kind.ORDER) if one.id == opened.order)
    signal = next(one for one in played.told(Kind.SIGNAL) if one.id == order.of)
    opinions = [one for one in played.told(Kind.OPINION) if one.id in signal.data["opinions"]]

    debate = explain(played.hub, signal.id)
    assert debate is not None
    *said, setup, traded = debate.steps
    assert [(one.what, one.id, one.agent) for one in said] == [("opinion", one.id, one.agent) for one in opinions]
    assert all(step.values.items() >= one.data.items() for step, one in zip(said, opinions, strict=True))
    assert (setup.what, setup.id, setup.agent) == ("setup", signal.id, "validator")
    assert [(one.what, one.values) for one in setup.steps] == [("gate", signal.judged)]
    assert (traded.what, traded.id, traded.agent) == ("order", order.id, "trader")
    assert [one.what for one in traded.steps] == ["gate", "risk", "fill", "fill", "result"]
    gate, risk, first, second, result = traded.steps
    assert gate.values == order.judged
    assert risk.text == f"allows it: {order.units:,.10g} units"
    assert (first.id, second.id) == (opened.id, close.id)
    assert second.text == (
        f"closes by stop: {close.side} {close.units:,.10g} at {close.price} (quote {close.bid} / {close.ask}), "
        f"{close.pips:+.1f} pips, profit {close.profit}"
    )
    expected = {
        "state": "closed", "units": opened.units, "why": "stop", "pips": close.pips, "profit": close.profit,
        "currency": account[0].currency,
    }  # fmt: skip
    assert debate.result == result.values == expected
    assert Decimal(close.profit) < 0
    times = [one.at for one in (*said, setup, traded)]
    assert times == sorted(times)

    lines = list(drawn(debate))
    assert lines[0].endswith(signal.id)
    assert lines[-1].endswith(f"closed by stop: {close.pips:+.1f} pips, {close.profit} USD")
    assert [line.split(": ", 1)[1] for line in lines if "fill " in line] == [first.text, second.text]
    assert json.loads(json.dumps(debate.plain()))["steps"][0]["values"]["score"] == opinions[0].data["score"]


def test_order_and_fill_lead_to_the_same_debate_as_their_signal(played: Played) -> None:
    fill = next(one for one in played.told(Kind.FILL) if one.what == "close")
    opened = next(one for one in played.told(Kind.FILL) if one.id == fill.position)
    whole = explain(played.hub, fill.id)
    assert whole is not None
    assert {"fill", "result"} <= {step.what for one in whole.steps for step in one.steps}
    for name in (opened.id, opened.order, whole.id):
        again = explain(played.hub, name)
        assert again is not None
        assert (again.id, again.steps, again.result) == (whole.id, whole.steps, whole.result)


def test_refusal_and_rejection_are_explained(played: Played) -> None:
    refused = next(one for one in played.told(Kind.ORDER) if one.code == "symbol")
    debate = explain(played.hub, refused.id)
    assert debate is not None
    assert debate.result == {"state": "refused", "reason": refused.reason, "code": "symbol"}
    gate, risk, result = debate.steps[-1].steps
    assert gate.text.startswith("passes: ")
    assert risk.text == f"refuses: symbol: {refused.reason}"
    assert result.text == "refused: symbol"

    rejection = next(one for one in played.told(Kind.OPINION) if one.data.get("rule"))
    debate = explain(played.hub, rejection.id)
    assert debate is not None
    assert debate.result == {"state": "rejected"}
    assert [one.id for one in debate.steps] == [*rejection.data["opinions"], rejection.id]


def test_what_is_not_there_is_none_and_what_is_no_identity_an_error(played: Played) -> None:
    assert explain(played.hub, "00000000cafe.5.0") is None
    with pytest.raises(ConfigError, match="'latest' is no identity: expected RUN"):
        explain(played.hub, "latest")


def test_digest_agrees_with_the_explanations(played: Played) -> None:
    told = played.digest.signals(1000)
    assert [one["id"] for one in told["signals"]] == [one.id for one in reversed(played.told(Kind.SIGNAL))]
    states = set()
    for row in told["signals"]:
        debate = explain(played.hub, row["id"])
        assert debate is not None
        result = dict(row["result"])
        result.pop("order", None)
        assert result == debate.result
        states.add(result["state"])
    assert {"closed", "refused"} <= states
    rejected = [one.id for one in played.told(Kind.OPINION) if one.data.get("rule")]
    assert [one["id"] for one in told["rejections"]] == rejected[::-1]
    assert played.digest.signals(1000, "GBP_USD") == {"signals": [], "rejections": []}


def test_digest_knows_runs_and_positions(played: Played) -> None:
    runs = {row["agent"]: row for row in played.digest.runs()}
    assert list(runs) == sorted(TEAM)
    assert all(row["ended"] and not row["reading"] for row in runs.values())
    last: AccountState = played.told(Kind.ACCOUNT)[-1]
    assert (runs["trader"]["balance"], runs["trader"]["open"]) == (last.balance, len(last.positions))
    rows = played.digest.positions()
    assert [row["id"] for row in rows] == [one.id for one in last.positions]


def test_without_order_flow_the_analyst_abstains_and_the_team_goes_by_momentum(hub_dir: Path) -> None:
    with event_hub(hub_dir) as hub:
        play(hub, ("2026-06-02T07:30", "2026-06-02T08:30"), flow=False)
        told = [one.message for one in between(hub, [Kind.OPINION, Kind.SIGNAL], 0, hub.head)]
    flows = [one for one in told if one.agent == "order_flow"]
    assert len(flows) > 3
    assert all(one.data["abstains"] and one.reason == "abstains: no order flow of EUR_USD has come" for one in flows)
    signals = [one for one in told if isinstance(one, Signal)]
    assert signals
    assert all(one.data["said"]["order_flow"] == "abstains" for one in signals)


def test_digest_follows_the_kill_switch(hub_dir: Path) -> None:
    with event_hub(hub_dir) as hub:
        digest = Digest(hub)
        assert digest.halt() is None
        halt(hub, "news", by="test")
        assert digest.halt() == {"halted": True, "reason": "news", "flatten": False, "by": "test"}
        assert Digest(hub).halt() == digest.halt()
        resume(hub)
        assert digest.halt() is None
