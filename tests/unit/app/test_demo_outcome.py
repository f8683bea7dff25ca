"""The demonstration's verdict: zero only when the ledger balances and every reader saw every tick."""

from typing import Any

import pytest
from rich.console import Console

from tapehub.app.outcome import Outcome


def account() -> dict[str, Any]:
    """Describe a run in which nothing went wrong."""
    counts = {"received": 10, "published": 7, "duplicates": 1, "refused": 0, "quarantined": {"crossed": 2}}
    return {"counts": {"EUR_USD": counts}, "traces": {"EUR_USD": 99}, "head": 80}


def reader() -> dict[str, Any]:
    """Describe a reader that saw everything."""
    return {
        "counts": {"EUR_USD": 7},
        "traces": {"EUR_USD": 99},
        "lost": 0,
        "out_of_order": 0,
        "last_seq": 79,
        "reached_end": True,
    }


def test_a_run_in_which_everything_adds_up_has_no_fault() -> None:
    outcome = Outcome(account(), {"EUR_USD": 7}, {"a": reader(), "b": reader()})
    assert outcome.faults == []
    assert outcome.total == 7


@pytest.mark.parametrize(
    "spoil",
    [
        lambda account, hub, seen: account["counts"]["EUR_USD"].update(received=11),
        lambda account, hub, seen: hub.update(EUR_USD=6),
        lambda account, hub, seen: hub.update(GBP_USD=1),
        lambda account, hub, seen: seen.update(lost=1),
        lambda account, hub, seen: seen.update(out_of_order=1),
        lambda account, hub, seen: seen.update(reached_end=False),
        lambda account, hub, seen: seen["counts"].update(EUR_USD=6),
        lambda account, hub, seen: seen["traces"].update(EUR_USD=98),
        lambda account, hub, seen: account["counts"].clear(),
    ],
    ids=[
        "no fate",
        "hub holds less",
        "hub holds more",
        "lost",
        "out of order",
        "not at the end",
        "saw less",
        "saw other prices",
        "no tick at all",
    ],
)
def test_any_tick_unaccounted_for_is_a_fault(spoil: Any) -> None:
    of_collector, of_hub, of_reader = account(), {"EUR_USD": 7}, reader()
    spoil(of_collector, of_hub, of_reader)
    assert Outcome(of_collector, of_hub, {"a": reader(), "b": of_reader}).faults


def test_an_instrument_of_which_no_tick_came_is_no_fault() -> None:
    outcome = Outcome(account(), {"EUR_USD": 7, "GBP_USD": 0}, {"a": reader()})
    assert outcome.faults == []
    assert not outcome.is_empty


def test_a_run_without_a_tick_is_empty() -> None:
    nothing = {"counts": {}, "lost": 0, "out_of_order": 0, "last_seq": 0, "reached_end": True}
    outcome = Outcome({"counts": {}, "traces": {}, "head": 80}, {"EUR_USD": 0}, {"a": nothing})
    assert outcome.is_empty
    assert outcome.faults == ["no tick was published at all"]
    assert not Outcome({"counts": {}, "traces": {}}, {"EUR_USD": 1}, {"a": nothing}).is_empty
    assert not Outcome({"counts": {}, "traces": {}}, {}, {"a": nothing | {"counts": {"EUR_USD": 1}}}).is_empty


def test_ticks_lost_in_a_dead_producer_are_a_fault() -> None:
    assert Outcome(account(), {"EUR_USD": 7}, {"a": reader()}, lost_in_producer=3).faults


def test_the_ledger_shows_every_fate_and_every_reader(capsys: pytest.CaptureFixture[str]) -> None:
    Console(width=80).print(Outcome(account(), {"EUR_USD": 7}, {"a": reader(), "b": reader()}).table())
    shown = capsys.readouterr().out
    lines = [
        "received",
        "= published",
        "+ duplicate",
        "+ quarantined, crossed",
        "+ in flight",
        "in the hub",
        "seen by b",
    ]
    assert all(line in shown for line in lines)
