"""How old data are, by the hub clock and not by anybody's own."""

import pytest

from tapehub import DataHub, StaleDataError
from tapehub.hub import marks
from tapehub.model.states import State
from tests.models.market import EUR, NINE, candle, flow, quotes, tick

SECOND = 10**9


def freeze(hub: DataHub, seconds: float) -> None:
    """Set a virtual clock so many seconds after nine, too slow to matter."""
    hub.set_clock("virtual", anchor_ns=NINE + round(seconds * SECOND), rate=1e-6)


def test_each_kind_has_its_own_limit(hub: DataHub) -> None:
    freeze(hub, 0)
    hub.update_tick(tick(0))
    hub.update_order_flow(flow(0))
    hub.update_candle_1m(candle(0))
    for now, tick_is, candle_is, flow_is in (
        (1.9, False, False, False),
        (2.1, True, False, False),
        (4.9, True, False, False),
        (5.1, True, False, True),
        (119.9, True, False, True),
        (120.1, True, True, True),
    ):
        freeze(hub, now)
        assert hub.check_staleness(EUR) == {"tick": tick_is, "candle": candle_is, "order_flow": flow_is}, now
    freeze(hub, 10)
    assert hub.check_staleness(EUR, {"tick": 11, "order_flow": 9}) == {"tick": False, "order_flow": True}


def test_a_tick_ages_by_its_event_time_and_a_candle_by_its_arrival(hub: DataHub) -> None:
    freeze(hub, 100)
    hub.update_tick(tick(60))
    assert hub.check_staleness(EUR)["tick"], "it was 40 s old when it came"
    hub.update_candle_1m(candle(-600))
    assert not hub.check_staleness(EUR)["candle"], "ten hours old, but it came just now"


def test_an_unknown_symbol_is_stale_in_every_way(hub: DataHub) -> None:
    assert hub.check_staleness("GBP_USD") == {"tick": True, "candle": True, "order_flow": True}


def test_require_fresh_gives_the_tick_or_says_why_not(hub: DataHub) -> None:
    freeze(hub, 0)
    with pytest.raises(StaleDataError, match="EUR_USD has no tick in this hub"):
        hub.require_fresh(EUR, 5)
    hub.update_tick(tick(0))
    assert hub.require_fresh(EUR, 0.5) == tick(0)
    freeze(hub, 3)
    assert hub.require_fresh("EUR/USD", 3.5) == tick(0)
    with pytest.raises(StaleDataError, match=r"EUR_USD is 3\.0\d\d s old and unverified, expected at most 2 s"):
        hub.require_fresh(EUR, 2)


def test_a_quote_pushed_by_a_caller_is_unverified_and_at_last_stale(hub: DataHub) -> None:
    freeze(hub, 0)
    hub.update_tick(tick(0))
    assert hub.state(EUR) == hub.snapshot(EUR).state == "unverified"
    freeze(hub, 31)
    assert hub.state(EUR) == "stale"
    with pytest.raises(StaleDataError):
        hub.require_fresh(EUR, 3600)
    assert hub.state("GBP_USD") == "empty"


def test_a_venues_own_quote_is_live_until_it_is_silent(hub: DataHub) -> None:
    freeze(hub, 0)
    hub.publish(quotes([0]), symbol=EUR, source="oanda", verified=True)
    assert hub.state(EUR) == "live"
    freeze(hub, 31)
    assert hub.state(EUR) == "stale"


def test_ages_follow_a_virtual_clock_that_runs_fast(hub: DataHub) -> None:
    hub.set_clock("virtual", anchor_ns=NINE, rate=1e6)
    hub.update_tick(tick(0))
    first = hub.now()
    while hub.now() < NINE + 10 * SECOND:
        pass
    assert hub.check_staleness(EUR)["tick"]
    assert hub.now() > first
    assert hub.snapshot(EUR).age_s > 10


def test_under_an_event_clock_the_newest_tick_is_now(hub: DataHub) -> None:
    hub.set_clock("event")
    hub.update_tick(tick(5))
    hub.update_tick(tick(1, symbol="GBP_USD"))
    assert hub.now() == NINE + 5 * SECOND
    assert hub.snapshot(EUR).age_s == 0
    assert hub.snapshot("GBP_USD").age_s == 4
    assert hub.require_fresh(EUR, 0) == tick(5)


def test_the_clock_is_everyones(hub: DataHub) -> None:
    freeze(hub, 0)
    with DataHub.open(hub.path) as other:
        assert abs(other.now() - hub.now()) < SECOND
        assert other.get_status()["clock"]["mode"] == "virtual"
        other.set_clock("event")
        other.update_tick(tick(30))
        assert hub.now() == NINE + 30 * SECOND


def test_a_tick_from_before_the_clock_was_set_back_is_not_fresh(hub: DataHub) -> None:
    freeze(hub, 7200)
    hub.update_tick(tick(7200))
    hub.update_candle_1m(candle(119))
    hub.update_order_flow(flow(7200))
    hub.publish(quotes([7200]), symbol="GBP_USD", source="oanda", verified=True)
    freeze(hub, 0)
    assert hub.snapshot(EUR).age_s == pytest.approx(-7200, abs=1)
    assert hub.state(EUR) == hub.snapshot(EUR).state == hub.state("GBP_USD") == "stale"
    assert hub.check_staleness(EUR, dict.fromkeys(("tick", "candle", "order_flow"), 1e9)) == {
        "tick": True, "candle": True, "order_flow": True,
    }  # fmt: skip
    with pytest.raises(StaleDataError, match=r"EUR_USD is stamped 7\d\d\d\.\d+ s ahead of the hub clock and stale"):
        hub.require_fresh(EUR, 1e9)
    hub.clear_symbol(EUR)
    hub.update_tick(tick(0))
    assert hub.require_fresh(EUR, 5) == tick(0)


def test_a_clock_that_runs_a_little_behind_makes_nothing_stale(hub: DataHub) -> None:
    freeze(hub, 0)
    hub.update_tick(tick(50))
    assert hub.state(EUR) == "unverified"
    assert not hub.check_staleness(EUR)["tick"]
    assert hub.require_fresh(EUR, 5) == tick(50)


def test_a_feeds_word_is_not_believed_of_a_tick_of_another_time_line(hub: DataHub) -> None:
    freeze(hub, 7200)
    hub.publish(quotes([7200]), symbol=EUR, source="oanda", verified=True)
    marks.state(hub, EUR, "oanda", State.LIVE, "ticks came", NINE + 7200 * SECOND)
    assert hub.state(EUR) == "live"
    freeze(hub, 0)
    assert hub.state(EUR) == "stale"
