"""The order-flow analyst weighs what flow there is, and says when it abstains."""

import re
from itertools import pairwise
from typing import Any

import pytest

from tapehub._native import OrderFlowMetrics
from tapehub.agents.entries import Entry
from tapehub.agents.library.order_flow import OrderFlow
from tapehub.model.records import Kind
from tests.models.paper import SECOND, Desktop


def flow(desk: Desktop, after_s: float = 1.0, symbol: str = "EUR_USD", **values: Any) -> list[Any]:
    """Let metrics come; give the opinions they led to."""
    before = len(desk.told(Kind.OPINION))
    desk.at += round(after_s * SECOND)
    desk.seq += 1
    body = OrderFlowMetrics(symbol, "6E", desk.at, **values)
    desk.engine.record(
        Entry(desk.seq, int(Kind.ORDER_FLOW), desk.at, desk.at, symbol, "test", 0, 0, 0, b"", body)
    )  # fmt: skip
    return desk.told(Kind.OPINION)[before:]


def made(**values: Any) -> Desktop:
    return Desktop(OrderFlow(symbols="EUR_USD", **values))


STRONG = {"ofi_60s": 300.0, "total_volume": 200.0, "net_volume_delta": 120.0, "top_of_book_imbalance": 0.5}


def test_values_are_those_of_the_formulas() -> None:
    (opinion,) = flow(made(), **STRONG)
    ofi, delta, book = 300 / 500, 120 / 200, 0.5
    assert (opinion.data["ofi"], opinion.data["delta"], opinion.data["book"]) == (ofi, delta, book)
    assert opinion.confidence == pytest.approx(0.4 * ofi + 0.35 * delta + 0.25 * book)
    assert opinion.side == "buy"
    sold = {name: value if name == "total_volume" else -value for name, value in STRONG.items()}
    (mirrored,) = flow(made(), **sold)
    assert (mirrored.side, mirrored.confidence) == ("sell", opinion.confidence)


def test_without_order_flow_it_abstains_and_says_so_again_after_a_while() -> None:
    desk = made()
    (first,) = desk.told(Kind.OPINION)
    assert (first.side, first.confidence, first.data) == ("flat", 0.0, {"abstains": True})
    assert first.reason == "abstains: no order flow of EUR_USD has come"
    for _ in range(20):  # ten minutes
        desk.tick(1.1, 1.1001, after_s=30)
    times = [int(one.ts) for one in desk.outputs if one.kind == Kind.OPINION]
    assert len(times) in (2, 3)
    assert all(later - earlier >= 300 * SECOND for earlier, later in pairwise(times))
    assert first.ttl_s > 300  # so that it does not lapse in between


def test_flow_that_ends_is_told_of() -> None:
    desk = made()
    assert flow(desk, **STRONG)[0].side == "buy"
    for _ in range(3):
        desk.tick(1.1, 1.1001, after_s=30)
    last = desk.told(Kind.OPINION)[-1]
    assert last.reason == "abstains: the last order flow of EUR_USD is older than 30 s"
    assert last.data["age_s"] > 30


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"is_stale": True}, "stale by its own account"),
        ({"toxicity_score": 0.95}, r"toxicity is 0\.95, expected at most 0\.9"),
        ({"total_volume": 0.0}, "nothing was traded in 60 s"),
    ],
)
def test_doubtful_flow_is_no_opinion(values: dict[str, Any], why: str) -> None:
    desk = made()
    flow(desk, **STRONG)
    (opinion,) = flow(desk, **{**STRONG, **values})
    assert opinion.data["abstains"] is True
    assert re.search(why, opinion.reason)


def test_the_same_is_not_said_again_at_once_and_a_turn_is() -> None:
    desk = made(every_s=15)
    assert len(flow(desk, **STRONG)) == 1
    assert flow(desk, 5, **STRONG) == []
    (turned,) = flow(desk, 5, **{**STRONG, "ofi_60s": -600.0, "net_volume_delta": -150.0})
    assert turned.side == "sell"
    assert len(flow(desk, 5, **STRONG)) == 1
    assert len(flow(desk, 15, **STRONG)) == 1


def test_weak_flow_is_flat_and_that_is_said_once() -> None:
    desk = made()
    weak = {**STRONG, "ofi_60s": 10.0, "net_volume_delta": 5.0, "top_of_book_imbalance": 0.0}
    assert [one.side for _ in range(5) for one in flow(desk, 20, **weak)] == ["flat"]
