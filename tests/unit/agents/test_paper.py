"""The paper broker fills on quotes of the log, never better than they are."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapehub.agents import Agent
from tapehub.agents.broker import Cleared
from tapehub.agents.paper import PaperBroker
from tapehub.agents.records import HaltRecord
from tapehub.errors import ConfigError
from tapehub.model.records import Kind
from tests.models.paper import Desktop

CALM = (1.10010, 1.10020)
FREE = {"session_start": "", "session_end": "", "hold_max_min": 0, "positions_per_symbol": 20, "stop_required": False,
        "spread_max_pips": 50, "pause_after_losses": 0, "trades_per_day": 1000, "daily_loss_pct": 100}  # fmt: skip


def test_order_fills_on_the_first_tick_after_its_latency() -> None:
    desk = Desktop(paper={"latency_ms": 200})
    desk.tick(*CALM)
    desk.ctx.order("EUR_USD", "buy", 10_000, stop_pips=20)
    desk.tick(1.10030, 1.10040, after_s=0.199)
    assert not desk.fills
    desk.tick(1.10050, 1.10060, after_s=0.001)
    (fill,) = desk.fills
    assert (fill.price, fill.bid, fill.ask, fill.slip_pips) == (1.10060, 1.10050, 1.10060, 0.0)


def test_order_that_no_tick_fills_in_time_expires() -> None:
    desk = Desktop(paper={"good_for_s": 5})
    desk.tick(*CALM)
    order = desk.ctx.order("EUR_USD", "buy", 10_000, stop_pips=20)
    desk.tick(*CALM, after_s=8)
    assert not desk.fills
    told = desk.told(Kind.ORDER)
    assert [(one.id, one.status) for one in told] == [(order.id, "accepted"), (order.id, "expired")]
    assert not list(desk.engine.desk.broker.working())


def test_what_is_under_way_when_a_run_ends_is_cancelled() -> None:
    desk = Desktop(symbols=["EUR_USD", "GBP_USD"], paper={"latency_ms": 300})
    desk.tick(1.25, 1.2501, symbol="GBP_USD")
    desk.tick(*CALM)
    held = desk.ctx.order("EUR_USD", "buy", 10_000, stop_pips=20)
    desk.tick(*CALM)
    opening = desk.ctx.order("GBP_USD", "buy", 10_000, stop_pips=20)
    closing = desk.ctx.close(desk.ctx.positions()[0])
    desk.engine.stop()
    told = [(one.id, one.status) for one in desk.told(Kind.ORDER)]
    assert told == [
        (held.id, "accepted"), (opening.id, "accepted"), (closing.id, "accepted"),
        (closing.id, "cancelled"), (opening.id, "cancelled"),
    ]  # fmt: skip
    assert desk.told(Kind.AGENT)[-1].what == "stop"


def test_stop_fills_at_the_worse_price_when_the_market_jumps_over_it() -> None:
    desk = Desktop(paper={"latency_ms": 0})
    desk.tick(*CALM)
    desk.ctx.order("EUR_USD", "buy", 10_000, stop_pips=5, target_pips=5)
    desk.tick(*CALM, after_s=0.1)
    assert desk.ctx.positions()[0].stop == 1.09970
    desk.tick(1.09971, 1.09981)
    assert len(desk.fills) == 1
    desk.tick(1.09900, 1.09910)
    assert (desk.fills[1].why, desk.fills[1].price) == ("stop", 1.09900)


def test_target_fills_at_its_price_though_the_market_jumps_over_it() -> None:
    desk = Desktop(paper={"latency_ms": 0, "slippage_pips": 0.3})
    desk.tick(*CALM)
    desk.ctx.order("EUR_USD", "sell", 10_000, stop_pips=5, target_pips=5)
    desk.tick(*CALM, after_s=0.1)
    position = desk.ctx.positions()[0]
    assert (position.price, position.target) == (1.10007, 1.09957)  # sold 0.3 pips below the bid
    desk.tick(1.09900, 1.09910)
    assert (desk.fills[1].why, desk.fills[1].price, desk.fills[1].slip_pips) == ("target", 1.09957, 0.0)


def test_slippage_is_against_us_on_both_sides() -> None:
    desk = Desktop(paper={"latency_ms": 0, "slippage_pips": 0.2, "slippage_random_pips": 0.5})
    desk.tick(*CALM)
    desk.ctx.order("EUR_USD", "buy", 10_000, stop_pips=20)
    desk.tick(*CALM, after_s=0.1)
    desk.ctx.close(desk.ctx.positions()[0])
    desk.tick(*CALM, after_s=0.1)
    bought, sold = desk.fills
    assert 0.2 <= bought.slip_pips <= 0.7
    assert bought.price == pytest.approx(1.10020 + bought.slip_pips * 1e-4, abs=1e-12)
    assert sold.price == pytest.approx(1.10010 - sold.slip_pips * 1e-4, abs=1e-12)
    assert bought.slip_pips != sold.slip_pips


def test_no_more_is_filled_than_the_quote_has_size() -> None:
    desk = Desktop(paper={"latency_ms": 0})
    desk.tick(*CALM)
    desk.ctx.order("EUR_USD", "buy", 10_000, stop_pips=20)
    desk.tick(1.10010, 1.10020, after_s=0.1, ask_size=4_000, bid_size=1)
    desk.tick(1.10020, 1.10030, after_s=0.1, ask_size=5_000)
    desk.tick(1.10030, 1.10040, after_s=0.1, ask_size=5_000)
    assert [(one.units, one.left) for one in desk.fills] == [(4_000, 6_000), (5_000, 1_000), (1_000, 0)]
    (position,) = desk.ctx.positions()
    # (1.10020 x 4,000 + 1.10030 x 5,000 + 1.10040 x 1,000) / 10,000 = 1.10027; the stop 20 pips below
    assert (position.units, position.price, position.stop) == (10_000, 1.10027, 1.09827)


def test_stop_is_filled_by_size_and_works_on_wherever_the_price_goes() -> None:
    desk = Desktop(paper={"latency_ms": 0})
    desk.tick(*CALM)
    desk.ctx.order("EUR_USD", "buy", 10_000, stop_pips=5, target_pips=50)
    desk.tick(*CALM, after_s=0.1)
    desk.tick(1.09900, 1.09910, bid_size=4_000)
    assert desk.ctx.close(desk.ctx.positions()[0]).code == "closing"
    desk.tick(1.10100, 1.10110, bid_size=5_000)  # above the stop again, which is a market order by now
    desk.tick(1.10600, 1.10610, bid_size=5_000)  # beyond the target
    closed = desk.fills[1:]
    assert [(one.why, one.units, one.price, one.left) for one in closed] == [
        ("stop", 4_000, 1.09900, 6_000), ("stop", 5_000, 1.10100, 1_000), ("stop", 1_000, 1.10600, 0),
    ]  # fmt: skip
    assert not desk.ctx.positions()


def test_target_is_filled_by_size_as_long_as_the_price_is_there() -> None:
    desk = Desktop(paper={"latency_ms": 0})
    desk.tick(*CALM)
    desk.ctx.order("EUR_USD", "buy", 10_000, stop_pips=5, target_pips=5)
    desk.tick(*CALM, after_s=0.1)
    desk.tick(1.10070, 1.10080, bid_size=4_000)
    desk.tick(1.10060, 1.10070, bid_size=4_000)
    desk.tick(1.10075, 1.10085)
    assert [(one.why, one.units, one.price) for one in desk.fills[1:]] == [
        ("target", 4_000, 1.10070), ("target", 6_000, 1.10070),
    ]  # fmt: skip


def test_stops_and_orders_share_the_size_of_one_quote() -> None:
    desk = Desktop(paper={"latency_ms": 0}, risk=FREE)
    desk.tick(*CALM)
    desk.ctx.order("EUR_USD", "buy", 10_000, stop_pips=5)
    desk.tick(*CALM, after_s=0.1)
    desk.ctx.order("EUR_USD", "sell", 10_000)
    desk.tick(1.09900, 1.09910, bid_size=12_000)
    assert [(one.what, one.units) for one in desk.fills[1:]] == [("close", 10_000), ("open", 2_000)]


def test_stop_takes_the_place_of_an_order_to_close() -> None:
    desk = Desktop(paper={"latency_ms": 500})
    desk.tick(*CALM)
    desk.ctx.order("EUR_USD", "buy", 10_000, stop_pips=5)
    desk.tick(*CALM)
    desk.tick(*CALM)
    closing = desk.ctx.close(desk.ctx.positions()[0])
    desk.tick(1.09900, 1.09910, after_s=0.1, bid_size=4_000)
    assert [(one.id, one.status) for one in desk.told(Kind.ORDER)[-2:]] == [
        (closing.id, "accepted"), (closing.id, "cancelled"),
    ]  # fmt: skip
    desk.tick(1.09900, 1.09910)
    assert [(one.why, one.units) for one in desk.fills[1:]] == [("stop", 4_000), ("stop", 6_000)]


def test_target_and_an_order_to_close_never_close_more_than_there_is() -> None:
    desk = Desktop(paper={"latency_ms": 0})
    desk.tick(*CALM)
    desk.ctx.order("EUR_USD", "buy", 10_000, stop_pips=5, target_pips=5)
    desk.tick(*CALM, after_s=0.1)
    desk.ctx.close(desk.ctx.positions()[0])
    desk.tick(1.10080, 1.10090, bid_size=4_000)
    desk.tick(1.10050, 1.10060)
    assert [(one.why, one.units) for one in desk.fills[1:]] == [("target", 4_000), ("agent", 6_000)]


def test_order_to_close_ends_what_is_left_of_the_order_to_open() -> None:
    desk = Desktop(paper={"latency_ms": 0, "good_for_s": 60})
    desk.tick(*CALM)
    opening = desk.ctx.order("EUR_USD", "buy", 10_000, stop_pips=50)
    desk.tick(*CALM, after_s=0.1, ask_size=4_000)
    desk.ctx.close(desk.ctx.positions()[0])
    assert (desk.told(Kind.ORDER)[-1].id, desk.told(Kind.ORDER)[-1].status) == (opening.id, "cancelled")
    desk.tick(*CALM)
    assert [(one.what, one.units) for one in desk.fills] == [("open", 4_000), ("close", 4_000)]
    assert not desk.ctx.positions()


def test_two_orders_share_the_size_of_one_quote() -> None:
    desk = Desktop(paper={"latency_ms": 0}, risk=FREE)
    desk.tick(*CALM)
    for _ in range(2):
        desk.ctx.order("EUR_USD", "buy", 10_000)
    desk.tick(*CALM, after_s=0.1, ask_size=12_000)
    assert [one.units for one in desk.fills] == [10_000, 2_000]


def test_rest_of_an_order_dies_with_the_position_that_its_stop_closed() -> None:
    desk = Desktop(paper={"latency_ms": 0, "good_for_s": 60})
    desk.tick(*CALM)
    desk.ctx.order("EUR_USD", "buy", 10_000, stop_pips=5)
    desk.tick(*CALM, after_s=0.1, ask_size=4_000)
    desk.tick(1.09900, 1.09910, after_s=0.1)
    desk.tick(1.09900, 1.09910, after_s=0.1)
    assert [one.what for one in desk.fills] == ["open", "close"]
    assert desk.told(Kind.ORDER)[-1].status == "cancelled"
    assert not desk.ctx.positions()


def test_agent_hears_of_its_fills_after_the_tick_that_made_them() -> None:
    heard = []

    class Listener(Agent):
        symbols = ("EUR_USD",)

        def on_tick(self, ctx: object, tick: object) -> None:
            heard.append("tick")

        def on_fill(self, ctx: object, fill: object) -> None:
            heard.append(f"fill {fill.what}")  # type: ignore[attr-defined]

    desk = Desktop(Listener(), paper={"latency_ms": 0})
    desk.tick(*CALM)
    desk.ctx.order("EUR_USD", "buy", 10_000, stop_pips=5)
    desk.tick(*CALM, after_s=0.1)
    assert heard == ["tick", "fill open", "tick"]


def test_broker_takes_what_the_desk_has_cleared_and_nothing_else() -> None:
    desk = Desktop()
    broker = desk.engine.desk.broker
    assert isinstance(broker, PaperBroker)
    with pytest.raises(ConfigError, match="cleared by the desk alone"):
        Cleared(object(), "1.2.3", "EUR_USD", 1, 1000, "", "market", expires=True)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="takes cleared orders"):
        broker.submit("buy")  # type: ignore[arg-type]
    reachable = {name for name in dir(desk.ctx) if not name.startswith("_")}
    assert not reachable & {"desk", "broker", "engine", "hub"}


COIN = {"gate": {"frozen_s": 1e6}, "risk": {**FREE, "spread_max_pips_of": {"BTC_USD": 60}}, "paper": {"latency_ms": 0}}


def coins(units: float = 0.06, **told: Any) -> Desktop:
    """Hold bitcoins, which trade in steps of 0.01."""
    desk = Desktop(symbols=["BTC_USD"], **{**COIN, **told})
    desk.tick(60_000, 60_001, symbol="BTC_USD")
    assert desk.ctx.order("BTC_USD", "buy", units, stop_pips=100, target_pips=100).accepted
    desk.tick(60_000, 60_001, symbol="BTC_USD")
    assert [one.units for one in desk.fills] == [units]
    return desk


@pytest.mark.parametrize(("bid", "why"), [(59_800, "stop"), (60_200, "target"), (60_000, "agent")])
def test_fraction_of_a_coin_is_enough_to_close_a_smaller_one(bid: float, why: str) -> None:
    desk = coins()
    if why == "agent":
        desk.ctx.close(desk.ctx.positions()[0])
    desk.tick(bid, bid + 1, symbol="BTC_USD", bid_size=0.8, ask_size=0.9)
    assert [(one.why, one.units, one.left) for one in desk.fills[1:]] == [(why, 0.06, 0.0)]


def test_size_is_filled_in_steps_of_the_instrument() -> None:
    desk = Desktop(symbols=["BTC_USD"], **COIN)
    desk.tick(60_000, 60_001, symbol="BTC_USD")
    desk.ctx.order("BTC_USD", "buy", 0.1, stop_pips=100, target_pips=100)
    for size in (0.057, 0.0099, 0.8):  # of less than a step nothing is opened
        desk.tick(60_000, 60_001, symbol="BTC_USD", ask_size=size)
    assert [(one.units, one.left) for one in desk.fills] == [(0.05, 0.05), (0.05, 0.0)]
    desk.tick(60_200, 60_201, symbol="BTC_USD", bid_size=0.009)  # nor does a target have to be filled
    desk.tick(60_200, 60_201, symbol="BTC_USD", bid_size=0.029)
    assert [(one.why, one.units) for one in desk.fills[2:]] == [("target", 0.02)]


@pytest.mark.parametrize("why", ["stop", "agent", "halt"])
def test_what_has_to_be_closed_gets_a_step_of_every_quote(why: str) -> None:
    desk = coins(0.03)
    bid = 59_800 if why == "stop" else 60_000
    if why == "agent":
        desk.ctx.close(desk.ctx.positions()[0])
    if why == "halt":
        desk.engine.desk.on_halt(HaltRecord(True, "fire", True))
    for _ in range(4):
        desk.tick(bid, bid + 1, symbol="BTC_USD", bid_size=0.001)
    assert [(one.why, one.units, one.left) for one in desk.fills[1:]] == [
        (why, 0.01, 0.02), (why, 0.01, 0.01), (why, 0.01, 0.0),
    ]  # fmt: skip
    assert not desk.ctx.positions()


def test_step_that_a_quote_does_not_have_is_given_once() -> None:
    desk = coins(0.02)
    assert desk.ctx.order("BTC_USD", "buy", 0.02, stop_pips=100).accepted
    desk.tick(60_000, 60_001, symbol="BTC_USD")
    for count in range(1, 5):
        desk.tick(59_800, 59_801, symbol="BTC_USD", bid_size=0.001)
        assert [one.units for one in desk.fills[2:]] == [0.01] * count
    assert not desk.ctx.positions()


def test_less_than_a_step_is_closed_as_a_whole() -> None:
    # What a run without these steps has left open.
    desk = coins()
    told = desk.told(Kind.ACCOUNT)[-1].plain()
    told["positions"][0]["units"] = 0.0025
    again = Desktop(symbols=["BTC_USD"], start=desk.at, opening=told, **COIN)
    again.tick(59_800, 59_801, symbol="BTC_USD", bid_size=0.001)
    assert [(one.why, one.units) for one in again.fills] == [("stop", 0.0025)]


prices = st.lists(
    st.tuples(
        st.integers(109_900, 110_100),
        st.integers(0, 12),
        st.integers(1, 3_000),
        st.sampled_from([0.0, 700.0, 90_000.0]),
        st.sampled_from(["", "buy", "sell", "close"]),
    ),
    min_size=5,
    max_size=60,
)


@given(prices, st.floats(0, 2), st.integers(0, 900))
def test_no_fill_is_better_than_the_quote_of_its_tick(
    rows: list[tuple[int, int, int, float, str]], slip: float, latency_ms: int
) -> None:
    desk = Desktop(
        risk=FREE, paper={"latency_ms": latency_ms, "slippage_pips": round(slip, 2), "slippage_random_pips": 0.4}
    )
    quotes = {}
    for bid, spread, after_ms, size, act in rows:
        tick = desk.tick(bid / 1e5, (bid + spread) / 1e5, after_s=after_ms / 1000, bid_size=size, ask_size=size)
        quotes[tick.seq] = tick
        if act == "close" and desk.ctx.positions():
            desk.ctx.close(desk.ctx.positions()[0])
        elif act in ("buy", "sell"):
            desk.ctx.order("EUR_USD", act, 2_000, stop_pips=3, target_pips=4)
    held = 0.0
    for fill in desk.fills:
        tick = quotes[fill.quote_seq]
        assert (fill.bid, fill.ask) == (tick.bid, tick.ask)
        assert fill.price >= tick.ask if fill.side == "buy" else fill.price <= tick.bid
        held += fill.units if fill.what == "open" else -fill.units
    assert held == sum(one.units for one in desk.ctx.positions())
    booked = sum(float(one.profit) for one in desk.fills if one.profit)
    assert math.isclose(float(desk.ctx.account.balance), 10_000 + booked, abs_tol=1e-9)
