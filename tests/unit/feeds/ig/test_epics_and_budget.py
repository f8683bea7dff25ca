"""Symbols become epics by configuration, table or search; subscriptions are spent on ticks first."""

import pytest

from tapehub.errors import ConfigError
from tapehub.feeds.ig.budget import Plan, Role, plan_of, shown, tick_item
from tapehub.feeds.ig.epics import FORMS, TABLE, best_match, epic_for, looks_like_epic, symbol_of
from tapehub.feeds.ig.markets import Market
from tapehub.model.instruments import TABLE as INSTRUMENTS

FIVE = {f"S{number}": f"CS.D.S{number}.CFD.IP" for number in range(5)}


def roles(plan: Plan) -> list[tuple[Role, str]]:
    return [(item.role, item.symbol) for item in plan.items]


def test_configuration_comes_before_the_table() -> None:
    assert epic_for("EUR_USD", {}) == "CS.D.EURUSD.CFD.IP"
    assert epic_for("EUR_USD", {}, "TODAY") == "CS.D.EURUSD.TODAY.IP"
    assert epic_for("EUR_USD", {"EUR_USD": "CS.D.EURUSD.MINI.IP"}) == "CS.D.EURUSD.MINI.IP"
    assert epic_for("SEK_PLN", {}) is None
    with pytest.raises(ConfigError, match="IG form is 'BET'"):
        epic_for("EUR_USD", {}, "BET")


def test_every_epic_of_the_table_is_one_symbols_and_every_symbol_is_known() -> None:
    epics = [epic for forms in TABLE.values() for epic in forms.values()]
    assert len(epics) == len(set(epics)) == len(FORMS) * len(TABLE)
    assert all(looks_like_epic(epic) for epic in epics)
    assert set(TABLE) <= set(INSTRUMENTS)
    assert symbol_of("CS.D.CFDGOLD.CFDGC.IP", {}) == "XAU_USD"
    assert symbol_of("IX.D.XY.IP.IP", {"MINE": "IX.D.XY.IP.IP"}) == "MINE"


@pytest.mark.parametrize("text", ["EUR_USD", "EURUSD", "CS.D", "cs.d.eurusd.cfd.ip"])
def test_a_symbol_is_no_epic(text: str) -> None:
    assert not looks_like_epic(text)


def test_a_search_answer_is_taken_when_it_is_one() -> None:
    found = [
        Market("CS.D.EURSEK.CFD.IP", "EUR/SEK"),
        Market("CS.D.EURSEK.MINI.IP", "EUR/SEK Mini"),
        Market("CS.D.EURNOK.CFD.IP", "EUR/NOK"),
    ]
    assert best_match("EUR_SEK", found).epic == "CS.D.EURSEK.CFD.IP"
    assert best_match("EUR_SEK", found, "MINI").epic == "CS.D.EURSEK.MINI.IP"
    with pytest.raises(ConfigError, match=r"expected one market of that name.*\[ig.epics\]"):
        best_match("EUR_SEK", [*found, Market("CS.D.EURSEK2.CFD.IP", "EUR/SEK")])
    with pytest.raises(ConfigError, match=r"USD_PLN: IG's search found CS\.D\.EURSEK"):
        best_match("USD_PLN", found)
    with pytest.raises(ConfigError, match="found nothing"):
        best_match("USD_PLN", [])


def test_ticks_come_first_then_the_heartbeat_then_states_then_candles() -> None:
    two = {"A": "CS.D.A.CFD.IP", "B": "CS.D.B.CFD.IP"}
    plan = plan_of(40, two, "ACC")
    assert roles(plan) == [
        (Role.TICK, "A"), (Role.TICK, "B"), (Role.HEARTBEAT, ""), (Role.PRICE, "A"), (Role.PRICE, "B"),
        (Role.CANDLE, "A"), (Role.CANDLE, "B"),
    ]  # fmt: skip
    assert not plan.refused
    assert not plan.left_out
    assert [item.name for item in plan.items][:4] == [
        "CHART:CS.D.A.CFD.IP:TICK", "CHART:CS.D.B.CFD.IP:TICK", "TRADE:HB.U.HEARTBEAT.IP", "PRICE:ACC:CS.D.A.CFD.IP",
    ]  # fmt: skip
    assert {item.role: (item.mode, item.adapter) for item in plan.items} == {
        Role.TICK: ("DISTINCT", ""), Role.HEARTBEAT: ("MERGE", ""), Role.PRICE: ("MERGE", "Pricing"),
        Role.CANDLE: ("MERGE", ""),
    }  # fmt: skip


def test_five_symbols_and_three_subscriptions_refuse_two_by_name() -> None:
    plan = plan_of(3, FIVE, "ACC")
    assert roles(plan) == [(Role.TICK, "S0"), (Role.TICK, "S1"), (Role.TICK, "S2")]
    assert set(plan.refused) == {"S3", "S4"}
    assert "CHART:CS.D.S3.CFD.IP:TICK" in plan.refused["S3"]
    assert "beyond the 3 that IG allows" in plan.refused["S3"]
    assert len(plan.left_out) == 11


@pytest.mark.parametrize("limit", range(18))
def test_no_plan_has_more_than_the_limit_and_nothing_disappears(limit: int) -> None:
    plan = plan_of(limit, FIVE, "ACC")
    assert len(plan.items) == min(limit, 16)
    assert len(plan.items) + len(plan.refused) + len(plan.left_out) == 16
    assert len({item.name for item in plan.items}) == len(plan.items)
    assert plan.has(Role.HEARTBEAT) == (limit > 5)


def test_what_is_not_wanted_is_not_planned() -> None:
    plan = plan_of(40, FIVE, "ACC", heartbeat=False, states=False, candles=False)
    assert {item.role for item in plan.items} == {Role.TICK}


def test_ticks_that_come_late_take_the_place_of_the_least_and_never_of_other_ticks() -> None:
    two = {"A": "CS.D.A.CFD.IP", "B": "CS.D.B.CFD.IP"}
    plan = plan_of(4, two, "ACC")
    late = plan.with_ticks(tick_item("C", "CS.D.C.CFD.IP"), 4)
    assert late is not None
    assert roles(late) == [(Role.TICK, "A"), (Role.TICK, "B"), (Role.HEARTBEAT, ""), (Role.TICK, "C")]
    assert late.left_out["PRICE:***:CS.D.A.CFD.IP"].endswith("gave way to ticks of C")
    later = late.with_ticks(tick_item("D", "CS.D.D.CFD.IP"), 4)
    assert later is not None
    assert {item.role for item in later.items} == {Role.TICK}
    assert later.with_ticks(tick_item("E", "CS.D.E.CFD.IP"), 4) is None
    assert len(plan_of(40, two, "ACC").with_ticks(tick_item("C", "CS.D.C.CFD.IP"), 40).items) == 8  # type: ignore[union-attr]


def test_no_name_that_is_shown_has_the_account_number() -> None:
    assert shown("PRICE:AB123:CS.D.A.CFD.IP") == "PRICE:***:CS.D.A.CFD.IP"
    assert shown("CHART:CS.D.A.CFD.IP:TICK") == "CHART:CS.D.A.CFD.IP:TICK"
    assert "AB123" not in repr(dict(plan_of(1, {"A": "CS.D.A.CFD.IP"}, "AB123").left_out))
