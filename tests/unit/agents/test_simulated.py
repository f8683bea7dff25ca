"""Agents at the simulated venue: a live run is what its replay is, dead or alive, and faults cost no trade."""

from pathlib import Path

import pytest

from tapehub.agents.parity import compare
from tapehub.agents.search import runs
from tapehub.feeds.sim import Fault, FaultKind
from tapehub.model.records import Kind
from tests.models.lively import Lively
from tests.models.paper import in_log, plain, replayed, settings
from tests.models.stage import NOON, SECOND, Chancer, Eager, Stage
from tests.models.venue import MONDAY, Ticks
from tests.models.weekend import CLOSE

EUR = "CHART:CS.D.EURUSD.CFD.IP:TICK"
LATER_S = (NOON - MONDAY) // SECOND
FAULTS = [
    (70, Fault(FaultKind.DUPLICATE, "CHART:*:TICK", share=0.2, duration_s=60)),
    (100, Fault(FaultKind.REORDER, "CHART:*:TICK", share=0.2, duration_s=60)),
    (150, Fault(FaultKind.MUTE, EUR, duration_s=40)),
    (230, Fault(FaultKind.CUT, how="reset")),
    (300, Fault(FaultKind.CROSSED, EUR, count=3)),
]


@pytest.mark.parametrize("seed", range(10))
def test_replay_of_a_live_run_gives_the_same_bytes(tmp_path: Path, seed: int) -> None:
    with Stage(tmp_path, lambda: [Chancer()], seed, minutes=6, faults=FAULTS, served=seed % 2 == 0) as stage:
        stage.play()
        found = in_log(stage.hub, stage.runner.run)
        kinds = {row[0] for row in found}
        assert kinds >= {Kind.OPINION, Kind.SIGNAL, Kind.ORDER, Kind.FILL, Kind.ACCOUNT, Kind.AGENT}
        assert len(stage.fills(0, 360)) >= 4
        assert plain(replayed(stage.hub, stage.runner.run, [Chancer()])) == found
        assert not compare(stage.hub, stage.runner.run, [Chancer()]).differences


@pytest.mark.parametrize("seed", range(3))
def test_agent_that_dies_again_and_again_leaves_what_an_undisturbed_one_would(tmp_path: Path, seed: int) -> None:
    with Stage(tmp_path, lambda: [Chancer()], seed, minutes=6, faults=FAULTS) as stage:
        stage.play(dies_each_s=40)
        assert stage.lives >= 4
        assert len(list(runs(stage.hub))) == 1
        found = in_log(stage.hub, stage.runner.run)
        assert len(stage.fills(0, 360)) >= 4
        assert plain(replayed(stage.hub, stage.runner.run, [Chancer()])) == found


def refused(stage: Stage, begin_s: float, end_s: float) -> set[str]:
    """Give the codes of the refusals between two times, in which nothing may have been accepted, nor filled."""
    orders = stage.orders(begin_s, end_s)
    assert len(orders) >= 4
    assert not [one for one in orders if one.accepted]
    assert not stage.fills(begin_s, end_s)
    for one in orders:
        assert one.reason
        assert stage.start + begin_s * SECOND <= one.judged["clock"]
    return {one.code for one in orders}


def test_before_any_fault_orders_are_filled(tmp_path: Path) -> None:
    with Stage(tmp_path, lambda: [Eager()], 1, minutes=2) as stage:
        stage.play()
        assert len(stage.fills(0, 120)) >= 10
        assert {one.code for one in stage.orders(10, 120)} <= {"", "symbol", "spread"}


def test_mute_item_is_stale_and_fills_nothing(tmp_path: Path) -> None:
    with Stage(
        tmp_path, lambda: [Eager()], 2, minutes=3, faults=[(60, Fault(FaultKind.MUTE, EUR, duration_s=60))]
    ) as stage:
        stage.play()
        assert stage.fills(0, 60)
        assert refused(stage, 72, 120) <= {"stale", "symbol"}
        assert "stale" in refused(stage, 72, 120)
        assert stage.fills(150, 180)


def test_outage_is_dead_then_a_gap_that_has_to_settle(tmp_path: Path) -> None:
    with Stage(tmp_path, lambda: [Eager()], 3, minutes=4, outage_s=(60, 100)) as stage:
        stage.play()
        assert stage.fills(0, 60)
        assert refused(stage, 62, 100) == {"dead"}
        settling = {one.code for one in stage.orders(100, 130)}
        assert "gap" in settling
        assert stage.fills(180, 240)


def test_market_that_closes_for_the_weekend_fills_nothing(tmp_path: Path) -> None:
    limits = settings(risk={"session_start": "", "session_end": "", "spread_max_pips": 2})
    start = CLOSE - 60 * SECOND
    with Stage(
        tmp_path, lambda: [Eager()], 4, minutes=3, start=start, limits=limits, feed=Lively([(start, CLOSE)], 4)
    ) as stage:
        stage.play()
        assert stage.fills(0, 60)
        assert refused(stage, 62, 180) == {"closed"}


def test_spreads_that_widen_and_blow_fill_nothing(tmp_path: Path) -> None:
    """From the second minute on 5 pips wide, in the third 200: the feed's gate lets none of those through."""
    rows = []
    for half in range(480):
        second, bid = half / 2, round(1.1 + (half % 7) * 1e-5, 5)
        wide = 0.00006 if second < 60 or second >= 180 else 0.0005 if second < 120 else 0.02
        rows.append(("EUR_USD", second + LATER_S, bid, round(bid + wide, 5)))
        rows.append(("GBP_USD", second + LATER_S, round(bid + 0.1, 5), round(bid + 0.1001, 5)))
        rows.append(("USD_JPY", second + LATER_S, round(bid + 140, 3), round(bid + 140.01, 3)))
    with Stage(tmp_path, lambda: [Eager()], 5, minutes=4, feed=Ticks(rows)) as stage:
        stage.play()
        assert stage.fills(0, 60)
        assert refused(stage, 62, 120) == {"spread"}
        assert refused(stage, 121, 180) <= {"blown", "stale"}
        assert "blown" in refused(stage, 121, 180)
