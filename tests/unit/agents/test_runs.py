"""A run is a function of the log: it goes on exactly once after any death, and a replay decides the same."""

import shutil
import threading
from pathlib import Path

import pytest

from tapehub import DataHub
from tapehub.agents import Agent, Runner, RunSettings
from tapehub.agents.beginning import resumable
from tapehub.agents.journal import read_run
from tapehub.agents.records import AgentRecord
from tapehub.agents.search import newest, runs
from tapehub.errors import HubHeld
from tapehub.hub.cursors import kept
from tapehub.hub.home import home_of
from tapehub.hub.lineage import Identity, identity_of
from tapehub.model.records import Kind
from tests.models.damage import lose_lines
from tests.models.paper import ThreeUp, event_hub, in_log, plain, publish, replayed, rng, series, settings

DAY = ("2026-06-02T07:30", "2026-06-02T11:00")


@pytest.mark.parametrize("seed", range(3))
def test_replay_of_a_run_gives_what_it_gave(hub_dir: Path, seed: int) -> None:
    with event_hub(hub_dir) as hub:
        batches = list(series(seed, *DAY))
        publish(hub, batches[0])
        with Runner(hub, [ThreeUp()], ["ThreeUp"], rng=rng(seed)) as runner:
            for batch in batches[1:]:
                publish(hub, batch)
                while runner.step(0):
                    pass
            runner.end()
        found = in_log(hub, runner.run)
        kinds = {row[0] for row in found}
        assert kinds == {14, 15, 16, 21, 22}, kinds
        assert plain(replayed(hub, runner.run, [ThreeUp()])) == found


def test_run_goes_on_after_its_process_died_wherever_that_was(hub_dir: Path) -> None:
    with event_hub(hub_dir) as hub:
        batches = list(series(5, *DAY))
        publish(hub, batches[0])
        numbers = set()
        for batch in batches[1:]:  # a new process for each quarter of an hour, which dies with half of it read
            publish(hub, batch)
            runner = Runner(hub, [ThreeUp()], ["ThreeUp"], rng=rng(1))
            numbers.add(runner.run.number)
            assert runner.reader is not None
            runner.reader.drive(runner.engine, records_max=300)
            runner.close()
        with Runner(hub, [ThreeUp()], ["ThreeUp"]) as runner:
            while runner.step(0):
                pass
            runner.end()
        assert len(numbers) == 1
        found = in_log(hub, runner.run)
        assert len(found) > 50
        assert plain(replayed(hub, runner.run, [ThreeUp()])) == found


def test_run_goes_on_in_a_new_epoch_and_its_cursor_counts_that_one(hub_dir: Path) -> None:
    with event_hub(hub_dir) as hub:
        batches = list(series(5, *DAY))
        publish(hub, batches[0])
        with Runner(hub, [ThreeUp()], ["ThreeUp"], rng=rng(1)) as runner:
            for batch in batches[1:-2]:
                publish(hub, batch)
                while runner.step(0):
                    pass
            begun, head = runner.run, hub.head
        assert kept(home_of(hub), f"agent-{runner.name}") == (begun.warm_seq, identity_of(hub))
    lose_lines(hub_dir, head - 200, head)
    with DataHub.open(hub_dir) as hub, Runner(hub, [ThreeUp()], ["ThreeUp"]) as runner:
        assert (hub.epoch, runner.run.id) == (2, begun.id)
        assert kept(home_of(hub), f"agent-{runner.name}") == (begun.warm_seq, Identity(hub.hub_id, 2))
        for batch in batches[-2:]:
            publish(hub, batch)
            while runner.step(0):
                pass
        runner.end()
        assert kept(home_of(hub), f"agent-{runner.name}") is None
        found = in_log(hub, runner.run)
        assert len(found) > 50
        assert plain(replayed(hub, runner.run, [ThreeUp()])) == found


def test_cursor_of_another_hub_is_not_that_of_a_run_that_begins(hub_dir: Path, tmp_path: Path) -> None:
    with event_hub(tmp_path / "before") as hub:
        publish(hub, next(series(5, *DAY)))
        with Runner(hub, [ThreeUp()], ["ThreeUp"], rng=rng(1)) as runner:
            before = runner.run
    with event_hub(hub_dir) as hub:  # the new one, in which that of the old one was left
        shutil.copytree(tmp_path / "before" / "cursors", hub_dir / "cursors")
        with Runner(hub, [ThreeUp()], ["ThreeUp"], rng=rng(2)) as runner:
            assert runner.run.number != before.number
            assert kept(home_of(hub), f"agent-{runner.name}") == (runner.run.warm_seq, identity_of(hub))


class Fickle(ThreeUp):
    """Decides by something that is not in the log."""

    mood = 0

    def on_start(self, ctx: object) -> None:
        ctx.log(f"mood {Fickle.mood}")  # type: ignore[attr-defined]


def test_run_that_decides_otherwise_than_the_log_says_is_over(hub_dir: Path) -> None:
    said: list[str] = []
    with event_hub(hub_dir) as hub:
        publish(hub, next(series(1, *DAY)))
        Fickle.mood = 1
        with Runner(hub, [Fickle()], ["Fickle"], rng=rng(1)) as first:
            pass
        Fickle.mood = 2
        with Runner(hub, [Fickle()], ["Fickle"], rng=rng(2), make=lambda: [Fickle()], tell=said.append) as second:
            pass
        assert second.run.number != first.run.number
        assert "not a function of the log" in said[0]


def test_changed_parameters_begin_a_new_run_that_keeps_the_account(hub_dir: Path) -> None:
    with event_hub(hub_dir) as hub:
        batches = list(series(0, *DAY))
        publish(hub, batches[0])
        with Runner(hub, [ThreeUp()], ["ThreeUp"], rng=rng(1)) as first:
            for batch in batches[1:]:
                publish(hub, batch)
                while first.step(0):
                    pass
            balance = first.engine.desk.account.balance
        assert balance != 10_000
        with Runner(hub, [ThreeUp(rows=4)], ["ThreeUp"], rng=rng(2)) as second:
            assert second.run.number != first.run.number
            assert second.engine.desk.account.balance == balance
            assert [run.number for run in runs(hub, "threeup")] == [second.run.number, first.run.number]


def test_one_process_runs_an_agent_of_a_name(hub_dir: Path) -> None:
    with event_hub(hub_dir) as hub, Runner(hub, [ThreeUp()], ["ThreeUp"]):
        with pytest.raises(HubHeld, match="runs agent threeup on this hub already"):
            Runner(hub, [ThreeUp()], ["ThreeUp"])
        Runner(hub, [ThreeUp()], ["ThreeUp"], name="another").close()


def test_ended_run_is_not_taken_up_again(hub_dir: Path) -> None:
    with event_hub(hub_dir) as hub:
        publish(hub, next(series(1, *DAY)))
        with Runner(hub, [Agent(symbols="EUR_USD")], ["Agent"]) as first:
            first.end()
        assert read_run(hub, first.run).ended is not None
        with Runner(hub, [Agent(symbols="EUR_USD")], ["Agent"]) as second:
            assert second.run.number != first.run.number


def test_run_is_told_how_far_behind_it_is_and_a_replay_is_told_the_same(hub_dir: Path) -> None:
    class Slow(Agent):
        symbols = ("EUR_USD",)
        seen: list[float]

        def on_start(self, ctx) -> None:  # type: ignore[no-untyped-def]
            self.seen = []
            ctx.every(1)

        def on_timer(self, ctx, name) -> None:  # type: ignore[no-untyped-def]
            if [ctx.behind_s] != self.seen[-1:]:
                self.seen.append(ctx.behind_s)
                ctx.log(f"{ctx.behind_s} s behind")

    with event_hub(hub_dir) as hub:
        batches = list(series(1, *DAY))
        publish(hub, batches[0])
        agent = Slow()
        with Runner(hub, [agent], ["Slow"], rng=rng()) as runner:
            publish(hub, batches[1])
            seconds, records = runner.lag()
            assert seconds > 600
            assert records > 500
            while runner.step(0):  # all of it was waiting, and the agent knows at the first record of it
                pass
            assert agent.seen == [round(seconds, 3)]
            publish(hub, batches[2].replace(records=batches[2].records[:1]))
            assert runner.lag()[0] == 0
            while runner.step(0):
                pass
            assert agent.seen[1:] == [0.0]
            assert [row["name"] for row in hub.readers()] == ["slow"]
        again = Slow()
        assert plain(replayed(hub, runner.run, [again])) == in_log(hub, runner.run)
        assert again.seen == agent.seen


def test_run_that_was_behind_when_it_died_is_told_when_it_is_no_longer(hub_dir: Path) -> None:
    class Telling(Agent):
        symbols = ("EUR_USD",)

        def on_tick(self, ctx, tick) -> None:  # type: ignore[no-untyped-def]
            self.behind_s = ctx.behind_s
            ctx.log("seen")  # so that a restart reads as far

    with event_hub(hub_dir) as hub:
        batches = list(series(1, *DAY))
        publish(hub, batches[0])
        with Runner(hub, [Telling()], ["Telling"], rng=rng()) as runner:
            publish(hub, batches[1])
            assert runner.step(0)
            number = runner.run.number
        agent = Telling()
        with Runner(hub, [agent], ["Telling"]) as again:
            assert again.run.number == number
            while again.step(0):
                pass
            publish(hub, batches[2].replace(records=batches[2].records[:1]))
            assert again.lag()[0] == 0
            while again.step(0):
                pass
            assert agent.behind_s == 0.0


def test_run_that_was_quiet_is_not_behind(hub_dir: Path) -> None:
    with event_hub(hub_dir) as hub:
        batches = list(series(1, *DAY))
        publish(hub, batches[0])
        with Runner(hub, [Agent(symbols="EUR_USD")], ["Agent"]) as runner:
            while runner.step(0):
                pass
            publish(hub, batches[4].replace(records=batches[4].records[:1]))  # half an hour later
            assert runner.lag()[0] == 0.0


def test_what_an_agent_raises_ends_its_process_and_stands_in_the_log(hub_dir: Path) -> None:
    class Clumsy(Agent):
        symbols = ("EUR_USD",)

        def on_tick(self, ctx, tick) -> None:  # type: ignore[no-untyped-def]
            raise ZeroDivisionError("by my own fault")

    with event_hub(hub_dir) as hub:
        batches = list(series(1, *DAY))
        publish(hub, batches[0])
        with Runner(hub, [Clumsy()], ["Clumsy"]) as runner:
            publish(hub, batches[1])
            with pytest.raises(ZeroDivisionError):
                runner.serve(threading.Event())
        told = next(newest(hub, [Kind.AGENT])).message
        assert isinstance(told, AgentRecord)
        assert (told.what, told.text) == ("error", "ZeroDivisionError: by my own fault")
        assert read_run(hub, runner.run).ended is None


def test_run_that_fails_twice_at_one_record_is_over_and_a_new_one_begins(hub_dir: Path) -> None:
    said: list[str] = []

    class Clumsy(Agent):
        symbols = ("EUR_USD",)
        count = 0

        def on_tick(self, ctx, tick) -> None:  # type: ignore[no-untyped-def]
            Clumsy.count += 1
            ctx.log("here it comes")
            if Clumsy.count < 3:
                raise ZeroDivisionError("by my own fault")

    with event_hub(hub_dir) as hub:
        batches = list(series(1, *DAY))
        publish(hub, batches[0])
        with Runner(hub, [Clumsy()], ["Clumsy"], rng=rng(1)) as first:
            publish(hub, batches[1])
            with pytest.raises(ZeroDivisionError):
                first.serve(threading.Event())
        with pytest.raises(ZeroDivisionError):  # while it goes over what is in the log
            Runner(hub, [Clumsy()], ["Clumsy"], rng=rng(2))
        with Runner(hub, [Clumsy()], ["Clumsy"], rng=rng(2), tell=said.append) as second:
            assert second.run.number != first.run.number
            assert said[0] == (
                f"begins a new run: run {first.run.id} has failed twice at one record: "
                "ZeroDivisionError: by my own fault"
            )
            publish(hub, batches[2])
            assert second.step(0)


def test_new_run_reads_what_its_account_has_open_whatever_its_agents_name(hub_dir: Path) -> None:
    class Buyer(Agent):
        symbols = ("GBP_USD",)
        warmup = 0

        def on_tick(self, ctx, tick) -> None:  # type: ignore[no-untyped-def]
            if not ctx.positions():
                ctx.order(tick.symbol, "buy", 1_000, stop_pips=90)

    limits = settings(gate={"late_s": 1e9}, risk={"spread_max_pips": 9})
    with event_hub(hub_dir) as hub:
        batches = list(series(1, *DAY, symbols=("EUR_USD", "GBP_USD")))
        publish(hub, batches[2])
        with Runner(hub, [Buyer()], ["Buyer"], name="one", settings=limits) as first:
            publish(hub, batches[3])
            while first.step(0):
                pass
            first.end()
            assert first.engine.positions("GBP_USD")
        with Runner(hub, [Agent(symbols="EUR_USD")], ["Agent"], name="one", settings=limits) as second:
            assert sorted(second.run.watched) == ["EUR_USD", "GBP_USD"]
            assert second.engine.positions("GBP_USD")


def test_run_whose_log_is_gone_is_not_gone_on_with(hub_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with event_hub(hub_dir) as hub:
        publish(hub, next(series(1, *DAY)))
        with Runner(hub, [Agent(symbols="EUR_USD", warmup=1)], ["Agent"]) as runner:
            assert kept(home_of(hub), f"agent-{runner.name}") == (runner.run.warm_seq, identity_of(hub))
        again = [Agent(symbols="EUR_USD", warmup=1)]
        assert resumable(hub, "agent", again, ["Agent"], RunSettings())[0] == runner.run
        state = hub._hub_state()
        monkeypatch.setattr(hub, "_hub_state", lambda: {**state, "oldest": runner.run.warm_seq + 1})
        assert resumable(hub, "agent", again, ["Agent"], RunSettings()) == (None, "the log it began with is gone")
