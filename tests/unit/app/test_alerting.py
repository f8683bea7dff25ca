"""The rules of alerts, by a clock that the test turns: what is told, when, once, together, and never on a Saturday."""

from dataclasses import replace

import pytest

from tapehub.app.alerting import Desk, Message, Rules, Trouble, View

SECOND = 1_000_000_000
NOON = 1_780_401_600 * SECOND
RULES = Rules(after_s=10, recovered_after_s=10, repeat_s=3600, together_s=5, per_hour=4)
EUR = Trouble("data EUR_USD ig", "stale", "EUR_USD (ig)", "EUR_USD", "silent for 9 s while others flow")
GBP = replace(EUR, key="data GBP_USD ig", name="GBP_USD (ig)", symbol="GBP_USD")
GAP = Trouble(
    "gap EUR_USD ig 5", "gap", "EUR_USD (ig)", "EUR_USD", "41.0 s, 12:00:00 to 12:00:41 UTC, silent", lasts=False
)
LOOP = Trouble("component collector", "restart_loop", "collector", "", "killed by signal 9")
BOTH_CLOSED = frozenset({"EUR_USD", "GBP_USD"})


class Day:
    """Turn the clock, a second a look, and keep what is sent."""

    def __init__(self, desk: Desk | None = None, rules: Rules = RULES) -> None:
        self.desk = desk or Desk(rules, "default")
        self.now_ns = NOON
        self.sent: list[Message] = []

    def go(self, seconds: int, *troubles: Trouble, **view: object) -> list[Message]:
        """Look so many times; give what was sent meanwhile."""
        before = len(self.sent)
        for _ in range(seconds):
            self.now_ns += SECOND
            message = self.desk.look(View(troubles, **view), self.now_ns)  # type: ignore[arg-type]
            if message is not None:
                self.sent.append(message)
        return self.sent[before:]


def test_a_trouble_is_told_once_when_it_has_lasted_and_once_when_it_is_over() -> None:
    day = Day()
    assert day.go(10, EUR) == []
    (told,) = day.go(3000, EUR)
    assert told.title == "tapehub default: EUR_USD (ig) STALE"
    assert told.body == "EUR_USD (ig) STALE: silent for 9 s while others flow (since 12:00:01 UTC)"
    assert not told.good
    (over,) = day.go(600, states={EUR.key: "live"})
    assert over == Message(
        "tapehub default: EUR_USD (ig) well again", "EUR_USD (ig): live again, after 50 min 10 s", good=True
    )


def test_one_that_is_over_before_it_counts_is_never_told() -> None:
    day = Day()
    for _ in range(50):
        day.go(9, EUR)
        day.go(3)
    assert day.sent == []


def test_one_that_comes_back_before_it_counts_as_over_is_the_same_trouble() -> None:
    day = Day()
    day.go(20, EUR)
    for _ in range(50):
        day.go(8)
        day.go(8, EUR)
    assert len(day.sent) == 1


def test_a_stale_one_that_becomes_dead_is_the_same_trouble() -> None:
    day = Day()
    day.go(20, EUR)
    assert day.go(200, replace(EUR, kind="dead", why="disconnected")) == []


def test_what_lasts_is_told_again_after_the_configured_span() -> None:
    day = Day()
    day.go(20, EUR)
    (again,) = day.go(3700, EUR)
    assert again.body.startswith("still: EUR_USD (ig) STALE for 1 h 0 min: silent")
    never = Day(rules=replace(RULES, repeat_s=0))
    assert len(never.go(90_000, EUR)) == 1


def test_what_comes_together_is_one_message() -> None:
    day = Day()
    day.go(4, EUR)
    (told,) = day.go(60, EUR, GBP)
    assert told.title == "tapehub default: 2 troubles"
    assert told.body.startswith("EUR_USD (ig), GBP_USD (ig) STALE: silent for 9 s")


def test_many_with_reasons_of_their_own_are_summed_up() -> None:
    many = [replace(EUR, key=f"data {n}", name=f"N{n}", why=f"silent for {n} s") for n in range(40)]
    (told,) = Day().go(60, *many)
    assert told.title == "tapehub default: 40 troubles"
    assert told.body.count("\n") == 0
    assert "N11 and 28 more STALE: silent for 0 s, and others" in told.body


def test_nothing_is_said_while_the_market_is_closed() -> None:
    day = Day()
    closed = {"closed": BOTH_CLOSED, "all_closed": True}
    assert day.go(48 * 3600, EUR, GAP, LOOP, **closed) == []
    (told,) = day.go(30, EUR, GAP, LOOP)
    assert "3 troubles" in told.title
    assert set(told.body.split(" (since")[0].splitlines()) >= {"EUR_USD (ig) STALE: silent for 9 s while others flow"}


def test_one_closed_market_silences_its_own_instruments_alone() -> None:
    (told,) = Day().go(30, EUR, GBP, LOOP, closed=frozenset({"EUR_USD"}))
    assert "EUR_USD" not in told.body
    assert "GBP_USD" in told.body
    assert "collector in a restart loop: killed by signal 9" in told.body


def test_what_was_told_on_friday_is_neither_over_nor_repeated_on_saturday() -> None:
    day = Day()
    day.go(20, EUR)
    assert day.go(48 * 3600, closed=BOTH_CLOSED, all_closed=True) == []
    (over,) = day.go(60, states={EUR.key: "live"})
    assert over.good


def test_a_gap_is_told_with_the_recovery_that_ends_it_and_not_repeated() -> None:
    day = Day()
    day.go(20, EUR)
    (both,) = day.go(30_000, GAP, states={EUR.key: "live"})
    assert both.body.splitlines()[0].startswith("EUR_USD (ig) gap: 41.0 s, 12:00:00 to 12:00:41 UTC, silent")
    assert "EUR_USD (ig): live again" in both.body
    assert GAP.key in day.desk
    (filled,) = day.go(60, states={GAP.key: "filled"})
    assert filled.body.startswith("gap of EUR_USD (ig): filled")
    assert GAP.key not in day.desk


def test_a_gap_that_is_too_old_to_be_followed_is_forgotten_without_a_word() -> None:
    day = Day()
    day.go(30, GAP)
    assert day.go(60) == []
    assert GAP.key not in day.desk


def test_above_the_ceiling_nothing_is_sent_and_the_next_message_sums_up() -> None:
    rules = replace(RULES, after_s=0, recovered_after_s=0, together_s=0, per_hour=4)
    day = Day(rules=rules)
    for _ in range(20):
        day.go(60, LOOP)
        day.go(60)
    assert len(day.sent) == 4
    (later,) = day.go(1300, LOOP)
    assert "held back until now, as 4 messages went out within an hour, " in later.body
    assert "more came and went meanwhile" in later.body


@pytest.mark.parametrize("kind", ["stale", "dead", "gap", "restart_loop"])
def test_a_kind_that_is_not_asked_for_is_not_told(kind: str) -> None:
    kinds = tuple(one for one in RULES.kinds if one != kind)
    troubles = [replace(EUR, key=one, kind=one) for one in RULES.kinds]
    (told,) = Day(rules=replace(RULES, kinds=kinds)).go(30, *troubles)
    assert "3 troubles" in told.title


def test_after_a_restart_nothing_is_told_twice_and_the_recovery_is() -> None:
    day = Day()
    day.go(20, EUR, GAP)
    known = day.desk.plain()
    assert [row["trouble"]["kind"] for row in known] == ["stale"]
    again = Day(Desk(RULES, "default", known))
    assert again.go(1000, EUR) == []
    (over,) = again.go(60, states={EUR.key: "live"})
    assert over.good


def test_what_nobody_watches_after_a_restart_is_not_called_well() -> None:
    day = Day()
    day.go(20, EUR)
    again = Day(Desk(RULES, "default", day.desk.plain()))
    assert again.go(10_000, unwatched=frozenset({EUR.key})) == []
