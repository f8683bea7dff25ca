"""A plain script speaks and orders through the same gate, and its run can be decided again."""

import inspect
from pathlib import Path

import pytest

from tapehub import DataHub, Tick
from tapehub.agents import Agent, Context, Opinion, Runner, Script, attach
from tapehub.agents.digest import Digest
from tapehub.agents.halts import halt, halted, resume
from tapehub.agents.parity import compare
from tapehub.agents.records import AgentRecord, cause_word
from tapehub.agents.scripts import opine
from tapehub.agents.search import find_run, newest, runs
from tapehub.errors import ConfigError
from tapehub.model.records import Kind
from tests.models.paper import TUESDAY, event_hub, settings
from tests.models.waiting import until

SECOND = 1_000_000_000
NOW = settings(paper={"latency_ms": 0})


class Market:
    """Let ticks come, until told to stop."""

    def __init__(self, hub: DataHub, at: int = TUESDAY) -> None:
        self.hub, self.at, self.number = hub, at, 0

    def tick(self, after_s: float = 0.2) -> None:
        self.at += round(after_s * SECOND)
        self.number += 1
        bid = 1.1 + self.number % 3 * 1e-5
        self.hub.update_tick(Tick("EUR_USD", bid, bid + 1e-4, timestamp=self.at))


def test_script_hears_of_the_data_as_they_are_by_the_hub_clock(hub_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with event_hub(hub_dir) as hub:
        market = Market(hub)
        market.tick()
        with attach(hub, "mine", ["EURUSD"], settings=NOW) as desk:
            market.tick()
            assert until(lambda: desk.fresh("EUR_USD").age_s == 0, "a quote of now")
            monkeypatch.setattr(hub, "now", lambda: market.at + 6 * SECOND)  # and nothing is published
            verdict = desk.fresh("EUR_USD")
            assert (verdict.code, verdict.age_s, verdict.clock) == ("stale", 6.0, market.at + 6 * SECOND)
            assert desk.signal("EUR_USD", "buy", 0.8, "I say so", 5, 8).refused == verdict.reason
            monkeypatch.setattr(hub, "now", lambda: market.at)
            monkeypatch.setattr(hub, "state", lambda *of: "dead")  # as when the collector was killed
            market.tick(7)
            assert until(lambda: desk.fresh("EUR_USD").code == "dead", "a dead EUR_USD")
            assert desk.fresh("EUR_USD").by == "hub"


def test_script_gets_gate_limits_and_fills(hub_dir: Path) -> None:
    with event_hub(hub_dir) as hub:
        market = Market(hub)
        market.tick()
        with attach(hub, "mine", ["EURUSD"], settings=NOW) as desk:
            market.tick()
            signal = desk.signal("EUR_USD", "buy", 0.8, "I say so", 5, 8, mood="good")
            assert signal.refused == ""
            order = desk.order("EUR/USD", "buy", 1_000, stop_pips=5, reason="I say so")
            assert order.accepted
            for _ in range(3):
                market.tick()
            (position,) = until(lambda: desk.positions("EUR_USD"), "a position")
            assert position.units == 1_000
            assert desk.order("EUR_USD", "buy", 1_000, stop_pips=5).code == "symbol"
            halt(hub, "enough", by="a test")
            assert desk.order("EUR_USD", "sell", 1_000, stop_pips=5).code == "halted"
            assert desk.close_position(position).accepted
            for _ in range(3):
                market.tick()
            until(lambda: not desk.positions(), "no position")
            assert desk.account.balance != 10_000
            with pytest.raises(ConfigError, match="GBP_USD is not watched"):
                desk.order("GBP_USD", "buy", 1_000)
            name = desk.run
        run = find_run(hub, name)
        assert run is not None
        again = compare(hub, run, [Agent(symbols="EURUSD", timeframes=(), warmup=0)])
        assert not again.differences
        assert again.compared >= 6
        assert not compare(hub, run).differences  # found by its spec


class Listener(Agent):
    """Writes down what others think."""

    symbols = ("EUR_USD",)

    def on_opinion(self, ctx: Context, opinion: Opinion) -> None:
        ctx.log(f"{opinion.agent}: {opinion.side} {opinion.confidence}, {opinion.reason}")


def test_what_is_thought_outside_of_any_run_is_heard_by_agents_and_acts_on_nothing(hub_dir: Path) -> None:
    with event_hub(hub_dir) as hub:
        market = Market(hub)
        market.tick()
        cause = hub.snapshot("EUR_USD").seq
        with Runner(hub, [Listener()], ["Listener"]) as runner, attach(hub, "mine", ["EUR_USD"]) as desk:
            said = desk.opinion("EURUSD", "buy", 0.5, "it rose", mood="good")
            sequence, other = opine(hub, "nobody", "EUR_USD", "flat", 1.0, "é" * 1000 + "!", of=said.id)
            with pytest.raises(ConfigError, match="buy, sell, flat and a number from 0 to 1"):
                opine(hub, "nobody", "EUR_USD", "long", 0.5, "no such side")
            market.tick()
            while runner.step(0):
                pass
        found = {one.message.agent: one for one in newest(hub, [Kind.OPINION])}  # type: ignore[union-attr]
        assert found["mine"].message == said
        assert (said.symbol, said.data) == ("EUR_USD", {"mood": "good"})
        assert (found["nobody"].seq, found["nobody"].cause, found["nobody"].run) == (sequence, cause, 0)
        heard = [one.message.text for one in newest(hub, [Kind.AGENT]) if one.message.what == "log"]  # type: ignore[union-attr]
        assert heard[::-1] == ["mine: buy 0.5, it rose", f"nobody: flat 1.0, {other.reason}"[:1000]]
        assert not list(newest(hub, [Kind.ORDER]))


def test_script_and_agent_speak_and_act_by_the_same_names() -> None:
    for name in ("opinion", "signal", "order", "close_position", "fresh", "positions"):
        own, other = (inspect.signature(getattr(made, name)) for made in (Script, Context))
        assert list(own.parameters.values()) == list(other.parameters.values()), name


def test_script_orders_on_a_signal_and_names_what_it_answers(hub_dir: Path) -> None:
    with event_hub(hub_dir) as hub:
        market = Market(hub)
        market.tick()
        with attach(hub, "mine", ["EURUSD"], settings=NOW) as desk:
            market.tick()
            heard = desk.opinion("EUR_USD", "buy", 0.5, "it rose")
            signal = desk.signal("EUR_USD", "buy", 0.8, "I say so", 5, 8, of=heard.id, mood="good")
            assert (signal.of, signal.data) == (heard.id, {"mood": "good"})
            order = desk.order("EUR_USD", "buy", 1_000, signal=signal, target_pips=9)
            assert (order.status, order.stop_pips, order.target_pips) == ("accepted", 5, 9)
            request = next(one.message for one in newest(hub, [Kind.ORDER]) if one.message.status == "requested")  # type: ignore[union-attr]
            assert (request.id, request.of, request.reason) == (order.of, signal.id, "I say so")  # type: ignore[union-attr]
            (told,) = Digest(hub).signals(10)["signals"]
            assert (told["id"], told["result"]["order"]) == (signal.id, order.id)


def test_what_makes_no_sense_is_the_scripts_error_and_not_the_end_of_its_desk(hub_dir: Path) -> None:
    with event_hub(hub_dir) as hub:
        market = Market(hub)
        market.tick()
        with attach(hub, "mine", ["EURUSD"], settings=NOW) as desk:
            market.tick()
            with pytest.raises(ConfigError, match="order units is -5"):
                desk.order("EUR_USD", "buy", -5)
            with pytest.raises(ConfigError, match="order side is 'long'"):
                desk.order("EUR_USD", "long", 1_000)
            with pytest.raises(ConfigError, match="confidence 3: expected buy, sell and a number from 0 to 1"):
                desk.signal("EUR_USD", "buy", 3, "very sure")
            with pytest.raises(ConfigError, match="no position 'another' is open"):
                desk.close_position("another")
            assert desk.order("EUR_USD", "buy", 1_000, stop_pips=5).accepted


def test_requests_to_another_desk_are_left_alone(hub_dir: Path) -> None:
    with event_hub(hub_dir) as hub:
        market = Market(hub)
        market.tick()
        with attach(hub, "mine", ["EUR_USD"]) as mine, attach(hub, "yours", ["EUR_USD"]) as yours:
            market.tick()
            assert mine.order("EUR_USD", "buy", 1_000, stop_pips=5).accepted
            assert yours.order("EUR_USD", "buy", 2_000, stop_pips=5).accepted
            assert [one.agent for one in runs(hub)] == ["yours", "mine"]


def test_kill_switch_outlives_everybody(hub_dir: Path) -> None:
    with event_hub(hub_dir) as hub:
        market = Market(hub)
        market.tick()
        halt(hub, "weekend")
    with DataHub.open(hub_dir) as hub:
        told = halted(hub)
        assert told is not None
        assert told.reason == "weekend"
        market = Market(hub, TUESDAY + SECOND)
        market.tick()
        with attach(hub, "mine", ["EUR_USD"]) as desk:
            market.tick()
            assert desk.order("EUR_USD", "buy", 1_000, stop_pips=5).code == "halted"
            resume(hub)
            assert halted(hub) is None
            assert desk.order("EUR_USD", "buy", 1_000, stop_pips=5).accepted


def test_switch_that_was_never_thrown_is_not_searched_for(hub_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    searched = []

    def newest_from(hub: DataHub, kinds: object, oldest: int = 0) -> object:
        searched.append(oldest)
        return newest(hub, kinds, oldest)  # type: ignore[arg-type]

    monkeypatch.setattr("tapehub.agents.halts.newest", newest_from)
    with event_hub(hub_dir) as hub:
        assert halted(hub) is None
        assert searched == []
        halt(hub, "enough")
        assert halted(hub) is not None
        state = {**hub._hub_state(), "segment_lines": 1}  # as if the record were far back: the file holds it
        monkeypatch.setattr(hub, "_hub_state", lambda: state)
        monkeypatch.setattr("tapehub.agents.halts.newest", lambda *of: iter(()))
        told = halted(hub)
        assert told is not None
        assert told.reason == "enough"


def test_desk_whose_run_cannot_be_decided_again_begins_a_new_one(hub_dir: Path) -> None:
    with event_hub(hub_dir) as hub:
        Market(hub).tick()
        dead = attach(hub, "mine", ["EURUSD"], settings=NOW)
        dead._stop.set()
        dead._thread.join()
        # As another version of tapehub would have: something that this one does not decide.
        run, told = dead._runner.run, AgentRecord("other", "mine", "log", "I was here")
        dead._runner.log.write(Kind.AGENT, hub.now(), cause_word(run.begin_seq, 7), "", told.encode())
        dead._runner.close()
        Market(hub).tick(1)
        with attach(hub, "mine", ["EURUSD"], settings=NOW) as desk:
            until(lambda: desk.run != run.id or desk._failed, "another run")
            assert desk.run != run.id
