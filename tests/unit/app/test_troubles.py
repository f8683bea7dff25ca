"""What counts as trouble in a hub: what was well before or is watched, in an open market, and gaps from now on."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from tapehub import DataHub
from tapehub.app.alerting import View
from tapehub.app.troubles import Watch, component_troubles
from tapehub.hub import marks
from tapehub.model.states import GapStatus, State

SECOND = 1_000_000_000
TUESDAY = int(datetime(2026, 6, 2, 12, tzinfo=UTC).timestamp()) * SECOND
SATURDAY = int(datetime(2026, 6, 6, 12, tzinfo=UTC).timestamp()) * SECOND
KEY = "data EUR_USD test"


@pytest.fixture
def market(hub: DataHub) -> DataHub:
    """Give a hub on a Tuesday with a tick of EUR_USD from a feed."""
    hub.set_clock("virtual", anchor_ns=TUESDAY)
    quote = np.array([(TUESDAY, 1.1, 1.1001)], dtype=[("ts_event", "i8"), ("bid", "f8"), ("ask", "f8")])
    hub.publish(quote, symbol="EUR_USD", source="test", verified=True)
    return hub


def say(hub: DataHub, state: State, cause: str = "") -> None:
    marks.state(hub, "EUR_USD", "test", state, cause, hub.now())


def kinds(view: View) -> list[tuple[str, str]]:
    return [(trouble.kind, trouble.why) for trouble in view.troubles]


def test_one_that_was_well_and_is_stale_is_trouble_until_it_is_well_again(market: DataHub) -> None:
    watch = Watch(market, list, 10)
    say(market, State.LIVE)
    assert watch.look().states[KEY] == "live"
    say(market, State.STALE, "silent for 9 s")
    view = watch.look()
    assert [(one.key, one.kind, one.name, one.symbol) for one in view.troubles] == [
        (KEY, "stale", "EUR_USD (test)", "EUR_USD")
    ]
    say(market, State.LIVE)
    assert watch.look().troubles == []
    watch.close()


def test_what_lies_in_the_hub_from_another_day_is_no_trouble_and_not_well_either(market: DataHub) -> None:
    say(market, State.DEAD, "collector stopped")
    watch = Watch(market, list, 10)
    view = watch.look()
    assert view.troubles == []
    assert KEY in view.unwatched
    assert KEY not in view.states
    watch.close()


def test_a_closed_market_is_no_trouble(market: DataHub) -> None:
    watch = Watch(market, list, 10)
    say(market, State.LIVE)
    watch.look()
    say(market, State.CLOSED, "by the venue's word")
    view = watch.look()
    assert (view.troubles, view.closed, view.all_closed) == ([], frozenset({"EUR_USD"}), True)
    market.set_clock("virtual", anchor_ns=SATURDAY)
    say(market, State.DEAD, "disconnected")
    view = watch.look()
    assert (view.troubles, view.closed, view.all_closed) == ([], frozenset({"EUR_USD"}), True)
    watch.close()


def test_gaps_are_told_from_now_on_when_they_have_ended_and_until_they_are_settled(market: DataHub) -> None:
    def gap(start_s: int, end_s: int | None, status: GapStatus = GapStatus.OPEN) -> None:
        end = None if end_s is None else TUESDAY + end_s * SECOND
        noted = status is not GapStatus.OPEN
        marks.gap(market, "EUR_USD", "test", TUESDAY + start_s * SECOND, end, "silent", status, noted=noted)

    gap(-100, -50)
    watch = Watch(market, list, 10)
    gap(0, None)
    gap(1, 9)
    assert kinds(watch.look()) == []
    gap(0, 41)
    assert kinds(watch.look()) == [("gap", "41.0 s, 12:00:00 to 12:00:41 UTC, silent")]
    assert kinds(watch.look()) == [("gap", "41.0 s, 12:00:00 to 12:00:41 UTC, silent")]
    gap(0, 41, GapStatus.UNFILLABLE)
    view = watch.look()
    assert kinds(view) == []
    assert view.states[f"gap EUR_USD test {TUESDAY}"] == "unfillable"
    watch.close()


def row(name: str, **changes: Any) -> dict[str, Any]:
    return {"name": name, "phase": "running", "looping": False, "told": "well", **changes}


def test_a_component_in_a_loop_or_failed_for_good_is_trouble_and_its_countdown_is_no_news() -> None:
    found, states = component_troubles(
        [
            row("server"),
            row("collector", phase="restarting", looping=True, told="killed by signal 9; again in 12.0 s"),
            row("gateway", phase="failed", told="port 8787 is taken"),
            row("alerts", phase="restarting", told="killed by signal 9; again in 0.5 s"),
        ]
    )
    assert [(one.name, one.kind, one.why) for one in found] == [
        ("collector", "restart_loop", "killed by signal 9"),
        ("gateway", "restart_loop", "port 8787 is taken"),
    ]
    assert states == {"component server": "running", "component alerts": "restarting"}
