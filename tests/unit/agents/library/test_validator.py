"""The validator merges opinions into a setup, or names the rule that they break."""

from typing import Any

import pytest

from tapehub.agents.entries import Entry
from tapehub.agents.library.validator import Validator
from tapehub.agents.records import Opinion
from tapehub.model.records import Kind
from tests.models.paper import SECOND, TUESDAY, Desktop

SPREAD = 0.00006


class Table:
    """A validator after twenty quiet minutes; each swings by four pips, so that its ATR is four pips."""

    def __init__(self, minutes: int = 20, **values: Any) -> None:
        self.desk = Desktop(Validator(symbols="EUR_USD", warmup=0, **values))
        for _ in range(minutes):
            for price in (1.1000, 1.1004, 1.1000):
                self.quote(price, after_s=20)
        self.quote(1.1001, after_s=1)
        self.number = 0

    def quote(self, bid: float, after_s: float = 0.1, spread: float = SPREAD) -> None:
        self.desk.tick(bid, bid + spread, after_s=after_s)

    def say(
        self, agent: str, side: str, confidence: float, ttl_s: float = 60, after_s: float = 0.0, **data: Any
    ) -> Any:
        """Let an analyst speak, and give the answer: a signal, a rejection, or None."""
        desk = self.desk
        before = len(desk.outputs)
        self.number += 1
        desk.seq += 1
        desk.at += round(after_s * SECOND)
        name = f"00000000cafe.{desk.seq}.0"
        told = Opinion(name, agent, "EUR_USD", side, confidence, "so it seems", ttl_s, data=data).encode()
        desk.engine.record(
            Entry(desk.seq, int(Kind.OPINION), desk.at, desk.at, "EUR_USD", "", 0xCAFE, 1, 0, told)
        )  # fmt: skip
        answers = [one for one in [*desk.told(Kind.SIGNAL), *desk.told(Kind.OPINION)] if one.of == name]
        assert len(desk.outputs) - before == len(answers) <= 1
        return answers[0] if answers else None


def broken(answer: Any) -> str:
    assert isinstance(answer, Opinion), answer
    assert (answer.side, answer.confidence) == ("flat", 0.0)
    assert answer.reason.startswith(f"rejects {answer.data['proposed']}: {answer.data['rule']}: ")
    return str(answer.data["rule"])


def test_two_that_agree_are_a_setup_with_stop_and_target_by_the_atr() -> None:
    table = Table()
    assert broken(table.say("momentum", "buy", 0.8)) == "age"  # nothing of order_flow yet
    signal = table.say("order_flow", "buy", 0.5)
    assert (signal.side, signal.confidence) == ("buy", pytest.approx(0.65))
    assert signal.data["opinions"] == [f"00000000cafe.{table.desk.seq - 1}.0", f"00000000cafe.{table.desk.seq}.0"]
    # Each minute swings by 4 pips, and the mid is half a spread above the bid: a range of 4 pips.
    assert signal.data["atr_pips"] == pytest.approx(4.0, abs=0.05)
    assert (signal.stop_pips, signal.target_pips) == pytest.approx((8.0, 12.0), abs=0.2)
    assert signal.refused == ""
    assert signal.data["said"] == {"momentum": "buy 0.8", "order_flow": "buy 0.5"}


def in_gold(**values: Any) -> Any:
    """Let two agree on gold as ever: 30 cents wide, and swinging by 80 cents a minute."""
    desk = Desktop(Validator(symbols="XAU_USD", warmup=0, **values))
    for _ in range(20):
        for price in (2400.0, 2400.8, 2400.0):
            desk.tick(price, round(price + 0.3, 2), after_s=20, symbol="XAU_USD")
    for agent in ("momentum", "order_flow"):
        desk.seq += 1
        told = Opinion(f"00000000cafe.{desk.seq}.0", agent, "XAU_USD", "buy", 0.9, "so it seems").encode()
        desk.engine.record(Entry(desk.seq, int(Kind.OPINION), desk.at, desk.at, "XAU_USD", "", 0xCAFE, 1, 0, told))
    return [*desk.told(Kind.SIGNAL), *desk.told(Kind.OPINION)[1:]][0]


def test_limits_in_pips_are_those_of_the_instrument() -> None:
    signal = in_gold()
    assert (signal.side, signal.data["spread_pips"], signal.data["atr_pips"]) == ("buy", 30, 80)
    assert (signal.stop_pips, signal.target_pips) == (166.7, 250.0)  # 4 pips of a pair, times 50 / 1.2
    answer = in_gold(spread_max_pips_of={"XAUUSD": 20})
    assert broken(answer) == "spread"
    assert "30 pips, expected at most 20" in answer.reason
    assert "ATR 80 pips, expected 100 to 500" in in_gold(atr_min_pips_of={"XAU/USD": 100}).reason
    assert in_gold(stop_min_pips_of={"XAU_USD": 200}).stop_pips == 200
    assert in_gold(spread_max_pips=0.1).side == "buy"  # it is for all others


def test_opinion_that_points_nowhere_and_a_stranger_are_not_answered() -> None:
    table = Table()
    assert table.say("momentum", "flat", 0.0) is None
    assert table.say("somebody", "buy", 0.9) is None


def test_opinion_past_its_time_is_age() -> None:
    table = Table()
    table.say("order_flow", "buy", 0.9, ttl_s=10)
    table.quote(1.1001, after_s=10.5)
    answer = table.say("momentum", "buy", 0.9)
    assert broken(answer) == "age"
    assert "order_flow spoke 10.5 s ago, expected at most 10 s" in answer.reason
    assert answer.data["opinions"] == [f"00000000cafe.{table.desk.seq}.0"]


def test_opposite_opinion_is_conflict_and_a_faint_one_is_not() -> None:
    table = Table()
    table.say("order_flow", "sell", 0.4)
    assert broken(table.say("momentum", "buy", 0.9)) == "conflict"
    table.say("order_flow", "sell", 0.29)
    assert broken(table.say("momentum", "buy", 0.9)) == "agreement"


def test_one_is_enough_where_the_other_abstains_if_it_is_sure() -> None:
    table = Table()
    table.say("order_flow", "flat", 0.0, ttl_s=300, abstains=True)
    answer = table.say("momentum", "sell", 0.74)
    assert broken(answer) == "confidence"
    assert "0.74, expected 0.75 or more of one alone" in answer.reason
    signal = table.say("momentum", "sell", 0.75)
    assert (signal.side, signal.data["said"]["order_flow"]) == ("sell", "abstains")


def test_flat_is_no_agreement() -> None:
    table = Table()
    table.say("order_flow", "flat", 0.0)
    answer = table.say("momentum", "buy", 1.0)
    assert broken(answer) == "agreement"
    assert "1 of 2 say buy, expected 2" in answer.reason


def test_half_hearted_ones_are_confidence() -> None:
    table = Table()
    table.say("order_flow", "buy", 0.4)
    assert broken(table.say("momentum", "buy", 0.55)) == "confidence"
    assert table.say("momentum", "buy", 0.6).side == "buy"


def test_wide_spread_is_spread() -> None:
    table = Table()
    table.say("order_flow", "buy", 0.9)
    table.quote(1.1001, spread=0.00013)
    assert broken(table.say("momentum", "buy", 0.9)) == "spread"


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"atr_min_pips": 4.5}, "expected 4.5 to 12"),
        ({"atr_max_pips": 3.5}, "expected 0.8 to 3.5"),
    ],
)
def test_too_calm_and_too_wild_is_volatility(values: dict[str, float], why: str) -> None:
    table = Table(**values)
    table.say("order_flow", "buy", 0.9)
    answer = table.say("momentum", "buy", 0.9)
    assert broken(answer) == "volatility"
    assert why in answer.reason


def test_unknown_volatility_is_volatility() -> None:
    table = Table(minutes=10)
    table.say("order_flow", "buy", 0.9)
    assert broken(table.say("momentum", "buy", 0.9)) == "volatility"


def test_spread_that_eats_the_range_is_spread() -> None:
    table = Table(spread_max_atr=0.1)
    table.say("order_flow", "buy", 0.9)
    answer = table.say("momentum", "buy", 0.9)
    assert broken(answer) == "spread"
    assert "0.1 of the ATR" in answer.reason


def test_setup_stands_for_its_time() -> None:
    table = Table(ttl_s=30)
    table.say("order_flow", "buy", 0.9)
    first = table.say("momentum", "buy", 0.9)
    table.quote(1.1001, after_s=10)
    answer = table.say("momentum", "buy", 0.9)
    assert broken(answer) == "standing"
    assert first.id in answer.reason
    table.quote(1.1002, after_s=25)  # another price: the same for 30 s is frozen
    assert table.say("momentum", "buy", 0.9).side == "buy"


def test_what_the_gate_refuses_is_data() -> None:
    table = Table()
    table.say("order_flow", "buy", 0.9)
    answer = table.say("momentum", "buy", 0.9, after_s=6)
    assert broken(answer) == "data"
    assert "stale: the last tick of EUR_USD is 6.000 s old" in answer.reason
    assert table.desk.at > TUESDAY
