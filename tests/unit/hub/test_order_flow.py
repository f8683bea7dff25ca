"""The latest order flow is that of the greatest time, and holds only numbers that can be."""

from typing import Any

import pytest

from tapehub import DataHub, InvalidRecord, OrderFlowMetrics
from tests.models.intervals import SECOND
from tests.models.market import EUR, NINE, flow


def ofi(hub: DataHub) -> float | None:
    latest = hub.get_latest_order_flow(EUR)
    return None if latest is None else latest.ofi_60s


def test_latest_order_flow_is_that_of_the_greatest_time(hub: DataHub) -> None:
    hub.set_clock("event")
    for seconds, value in ((10, 2.0), (5, 1.0), (10, 3.0), (9, 4.0)):
        hub.update_order_flow(flow(seconds, ofi_60s=value))
    assert ofi(hub) == 3.0
    assert hub.get_status()["stats"]["order_flow_updates"] == 4
    hub.clear_symbol(EUR)
    assert ofi(hub) is None
    hub.update_order_flow(flow(1, ofi_60s=5.0))
    assert ofi(hub) == 5.0, "a clear begins anew"
    hub.set_clock("event")
    hub.update_order_flow(flow(0, ofi_60s=6.0))
    assert ofi(hub) == 6.0, "and so does a clock"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("best_bid", float("nan")), ("ofi_60s", float("inf")), ("toxicity_score", float("-inf")), ("best_ask", -1.0),
        ("vwap_60s", -0.5), ("best_bid", -1e-9),
    ],
)  # fmt: skip
def test_order_flow_that_no_hub_may_hold_is_refused(hub: DataHub, name: str, value: float) -> None:
    hub.set_clock("event")
    given: dict[str, Any] = {name: value}
    before = hub.head
    with pytest.raises(InvalidRecord, match=name):
        hub.update_order_flow(OrderFlowMetrics(EUR, "6E", NINE + SECOND, **given))
    assert hub.head == before
    hub.update_order_flow(flow(1, ofi_60s=-2.0, net_volume_delta=-7.0))
    assert ofi(hub) == -2.0
