"""The states of a feed's instruments, in market time: what silence means, and when it means nothing."""

import pytest

from tapehub.model.calendars import Calendar, CalendarId, calendar_of
from tapehub.model.states import State
from tapehub.quality import Change, Liveness, Rhythm
from tests.models.intervals import HOUR, MINUTE, SECOND, ns

NINE = ns("2024-03-05T09:00")  # a Tuesday
CLOSE, OPEN = ns("2024-03-08T17:00-05:00"), ns("2024-03-10T17:00-04:00")
EUR, GBP, BTC = ("EUR_USD", "x"), ("GBP_USD", "x"), ("BTC_USD", "x")


def liveness(*keys: tuple[str, str], heartbeat: bool = True, holidays: tuple[str, ...] = ()) -> Liveness:
    calendars = {"BTC_USD": Calendar(CalendarId.ALWAYS)}
    one = Liveness(lambda symbol: calendars.get(symbol, calendar_of("fx", holidays)), Rhythm(), heartbeat=heartbeat)
    for key in keys or (EUR, GBP):
        one.watch(key)
    return one


def up(one: Liveness, now: int = NINE) -> None:
    one.on_transport(True, now)
    one.on_subscribed((), now)


def run(
    one: Liveness, begin: int, end: int, ticking: tuple[tuple[str, str], ...], step: int = SECOND, beat: bool = True
) -> list[Change]:
    """Let time pass while some tick each step and, perhaps, the heart beats."""
    out: list[Change] = []
    for now in range(begin, end, step):
        if beat:
            one.on_heartbeat(now)
        for key in ticking:
            change = one.on_quotes(key, 1, now, now)
            out += [change] if change else []
        out += one.on_time(now)
    return out


def told(changes: list[Change]) -> list[tuple[str, State]]:
    return [(change.symbol, change.state) for change in changes]


def test_a_tick_makes_live_and_silence_while_others_flow_makes_stale() -> None:
    one = liveness()
    up(one)
    assert told(run(one, NINE, NINE + MINUTE, (EUR, GBP))) == [("EUR_USD", State.LIVE), ("GBP_USD", State.LIVE)]
    (change,) = run(one, NINE + MINUTE, NINE + 3 * MINUTE, (EUR,))
    assert (change.symbol, change.before, change.state) == ("GBP_USD", State.LIVE, State.STALE)
    assert change.at_ns - NINE == pytest.approx(90 * SECOND, abs=2 * SECOND)  # 30 s until its rhythm is learnt
    assert change.since_ns == NINE + 59 * SECOND
    assert "while others flow" in change.cause
    assert one.mute == ["GBP_USD"]
    assert not one.transport_failed
    (back,) = run(one, NINE + 3 * MINUTE, NINE + 4 * MINUTE, (EUR, GBP))
    assert (back.symbol, back.state) == ("GBP_USD", State.LIVE)


def test_a_slow_market_with_a_heartbeat_is_quiet_however_long() -> None:
    one = liveness()
    up(one)
    run(one, NINE, NINE + MINUTE, (EUR, GBP))
    changes = run(one, NINE + MINUTE, NINE + 3 * HOUR, (), step=5 * SECOND)
    assert told(changes) == [("EUR_USD", State.QUIET), ("GBP_USD", State.QUIET)]
    assert one.mute == []


def test_a_heartbeat_that_stops_makes_stale() -> None:
    one = liveness()
    up(one)
    run(one, NINE, NINE + MINUTE, (EUR, GBP), step=2 * SECOND)
    changes = run(one, NINE + MINUTE, NINE + 3 * MINUTE, (), beat=False)
    assert set(told(changes)) == {("EUR_USD", State.STALE), ("GBP_USD", State.STALE)}
    assert all("heartbeat stopped" in change.cause for change in changes)
    assert one.transport_failed


def test_without_a_heartbeat_the_silence_of_all_is_first_quiet_then_stale() -> None:
    one = liveness(heartbeat=False)
    up(one)
    run(one, NINE, NINE + MINUTE, (EUR, GBP), beat=False)
    changes = run(one, NINE + MINUTE, NINE + 10 * MINUTE, (), beat=False)
    assert [state for symbol, state in told(changes) if symbol == "EUR_USD"] == [State.QUIET, State.STALE]
    stale = next(change for change in changes if change.state is State.STALE)
    assert stale.at_ns - NINE == pytest.approx(180 * SECOND, abs=3 * SECOND)


def test_a_mute_item_is_found_without_a_heartbeat_too() -> None:
    one = liveness(heartbeat=False)
    up(one)
    run(one, NINE, NINE + MINUTE, (EUR, GBP), beat=False)
    assert told(run(one, NINE + MINUTE, NINE + 3 * MINUTE, (GBP,), beat=False)) == [("EUR_USD", State.STALE)]


def test_when_all_fall_silent_at_once_the_first_to_be_noticed_is_not_called_mute() -> None:
    one = liveness()
    up(one)
    for second in range(60):  # GBP ticks last, a little after EUR
        one.on_quotes(EUR, 1, NINE + second * SECOND, NINE + second * SECOND)
        one.on_quotes(GBP, 1, NINE + second * SECOND, NINE + second * SECOND + SECOND // 2)
        one.on_time(NINE + second * SECOND + SECOND // 2)
    states = {state for _, state in told(run(one, NINE + MINUTE, NINE + 20 * MINUTE, ()))}
    assert states == {State.QUIET}


def test_stale_ends_with_a_tick_alone() -> None:
    one = liveness()
    up(one)
    run(one, NINE, NINE + MINUTE, (EUR, GBP))
    run(one, NINE + MINUTE, NINE + 3 * MINUTE, (EUR,))
    assert run(one, NINE + 3 * MINUTE, NINE + 3 * MINUTE + 20 * SECOND, ()) == []
    assert one.state(GBP) is State.STALE


def test_the_transport_is_gone_for_all_and_a_reconnection_alone_proves_nothing() -> None:
    one = liveness()
    up(one)
    run(one, NINE, NINE + MINUTE, (EUR, GBP))
    lost = one.on_transport(False, NINE + MINUTE, "reset by peer")
    assert [(change.state, change.cause, change.since_ns) for change in lost] == [
        (State.DEAD, "reset by peer", NINE + 59 * SECOND)
    ] * 2
    up(one, NINE + 70 * SECOND)
    assert one.state(EUR) is State.DEAD
    change = one.on_quotes(EUR, 1, NINE + 71 * SECOND, NINE + 71 * SECOND)
    assert change is not None
    assert change.state is State.LIVE


def test_a_refused_subscription_is_dead_and_no_other_suffers() -> None:
    one = liveness()
    up(one)
    run(one, NINE, NINE + 5 * SECOND, (EUR,))
    (change,) = one.on_refused(["GBP_USD"], NINE + 6 * SECOND, "invalid epic")
    assert (change.symbol, change.state, change.cause) == ("GBP_USD", State.DEAD, "refused: invalid epic")
    assert run(one, NINE + 6 * SECOND, NINE + 5 * MINUTE, (EUR,)) == []
    assert one.mute == []
    assert not one.transport_failed


def test_quotes_that_are_all_refused_make_stale_but_not_mute() -> None:
    one = liveness()
    up(one)
    run(one, NINE, NINE + MINUTE, (EUR, GBP))
    changes = []
    for second in range(60, 180):
        now = NINE + second * SECOND
        one.on_heartbeat(now)
        one.on_quotes(EUR, 1, now, now)
        one.on_quotes(GBP, 0, 0, now)
        changes += one.on_time(now)
    assert told(changes) == [("GBP_USD", State.STALE)]
    assert "quarantine" in changes[0].cause
    assert one.mute == []


def test_one_bad_quote_before_the_silence_does_not_keep_an_item_from_being_called_mute() -> None:
    one = liveness()
    up(one)
    run(one, NINE, NINE + MINUTE, (EUR, GBP))
    one.on_quotes(GBP, 0, 0, NINE + MINUTE + 1)
    changes = run(one, NINE + MINUTE, NINE + 3 * MINUTE, (EUR,))
    assert told(changes) == [("GBP_USD", State.STALE)]
    assert one.mute == ["GBP_USD"]


# ---------------------------------------------------------------- closed


def test_a_saturday_raises_no_alarm_and_a_cut_in_it_neither() -> None:
    one = liveness()
    up(one, CLOSE - 10 * MINUTE)
    run(one, CLOSE - 10 * MINUTE, CLOSE, (EUR, GBP))
    changes = run(one, CLOSE, CLOSE + 24 * HOUR, (), step=MINUTE, beat=False)
    changes += one.on_transport(False, CLOSE + 25 * HOUR, "maintenance")
    changes += run(one, CLOSE + 25 * HOUR, OPEN, (), step=MINUTE, beat=False)
    assert told(changes) == [("EUR_USD", State.CLOSED), ("GBP_USD", State.CLOSED)]
    assert {change.at_ns for change in changes} == {CLOSE}


def test_a_sunday_evening_on_which_nothing_flows_is_an_alarm_heartbeat_or_not() -> None:
    for beat in (True, False):
        one = liveness(heartbeat=beat)
        up(one, CLOSE - MINUTE)
        run(one, CLOSE - MINUTE, CLOSE, (EUR, GBP), beat=beat)
        one.on_market((), False, CLOSE, "CLOSED")
        run(one, CLOSE, OPEN, (), step=MINUTE, beat=beat)
        changes = run(one, OPEN, OPEN + 5 * MINUTE, (), beat=beat)
        assert told(changes)[-2:] == [("EUR_USD", State.STALE), ("GBP_USD", State.STALE)]
        assert changes[-1].at_ns <= OPEN + 3 * MINUTE


def test_a_sunday_evening_without_a_connection_is_dead_at_the_opening() -> None:
    one = liveness()
    one.on_transport(False, OPEN - HOUR, "no route")
    changes = run(one, OPEN - HOUR, OPEN + MINUTE, (), beat=False)
    assert [(symbol, state) for symbol, state in told(changes) if state is State.DEAD] == [
        ("EUR_USD", State.DEAD), ("GBP_USD", State.DEAD),
    ]  # fmt: skip
    assert {change.at_ns for change in changes if change.state is State.DEAD} == {OPEN}


def test_the_markets_own_word_comes_before_the_calendar() -> None:
    one = liveness()
    up(one)
    run(one, NINE, NINE + MINUTE, (EUR, GBP))
    (change,) = one.on_market(["GBP_USD"], False, NINE + MINUTE, "SUSPENDED")
    assert (change.symbol, change.state, change.cause) == ("GBP_USD", State.CLOSED, "venue: SUSPENDED")
    assert run(one, NINE + MINUTE, NINE + HOUR, (EUR,), step=5 * SECOND) == []
    (back,) = one.on_market(["GBP_USD"], True, NINE + HOUR)
    assert back.state is State.QUIET
    assert told(run(one, NINE + HOUR, NINE + HOUR + 5 * SECOND, (EUR, GBP))) == [("GBP_USD", State.LIVE)]


def test_the_venues_word_can_open_a_market_that_the_calendar_has_closed() -> None:
    one = liveness(EUR)
    up(one, CLOSE + HOUR)
    one.on_market(["EUR_USD"], True, CLOSE + HOUR, "TRADEABLE")
    assert told(run(one, CLOSE + HOUR, CLOSE + HOUR + 3 * SECOND, (EUR,))) == [("EUR_USD", State.LIVE)]


def test_a_holiday_of_the_configuration_is_closed_and_what_never_closes_is_not() -> None:
    christmas = ns("2024-12-25T12:00")
    one = liveness(EUR, BTC, holidays=("2024-12-25",))
    up(one, christmas)
    run(one, christmas, christmas + MINUTE, (BTC,))
    assert one.states == {EUR: State.CLOSED, BTC: State.LIVE}


def test_one_source_dead_hides_no_other() -> None:
    one, other = liveness(EUR), liveness(("EUR_USD", "y"))
    up(one)
    up(other)
    run(one, NINE, NINE + 5 * SECOND, (EUR,))
    run(other, NINE, NINE + 5 * SECOND, (("EUR_USD", "y"),))
    one.on_transport(False, NINE + 5 * SECOND)
    assert one.state(EUR) is State.DEAD
    assert other.state(("EUR_USD", "y")) is State.LIVE


def test_stopping_is_dead_unless_the_market_is_closed() -> None:
    one = liveness(EUR, BTC)
    up(one, CLOSE + HOUR)
    run(one, CLOSE + HOUR, CLOSE + HOUR + 5 * SECOND, (BTC,))
    changes = one.stop(CLOSE + 2 * HOUR, "collector stopped")
    assert [(change.symbol, change.state, change.cause) for change in changes] == [
        ("BTC_USD", State.DEAD, "collector stopped")
    ]


def test_a_heartbeat_that_was_seen_is_no_promise_for_the_next_connection() -> None:
    one = liveness(EUR, heartbeat=False)
    up(one)
    run(one, NINE, NINE + MINUTE, (EUR,))
    assert one.beat_ns is not None
    one.on_transport(False, NINE + MINUTE, "cut")
    up(one, NINE + MINUTE + SECOND)
    changes = []
    for second in range(62, 600):  # a quiet night: a tick every 100 s, and no heartbeat item any more
        now = NINE + second * SECOND
        if second % 100 == 0 and (change := one.on_quotes(EUR, 1, now, now)):
            changes.append(change)
        changes += one.on_time(now)
    assert {change.state for change in changes} == {State.LIVE, State.QUIET}
    assert not one.heartbeat_lost(NINE + 600 * SECOND)
    assert one.beat_ns is None


def test_a_heartbeat_that_the_feed_guarantees_is_owed_on_every_connection() -> None:
    one = liveness(EUR)
    up(one)
    run(one, NINE, NINE + MINUTE, (EUR,))
    one.on_transport(False, NINE + MINUTE, "cut")
    up(one, NINE + MINUTE + SECOND)
    changes = run(one, NINE + MINUTE + 2 * SECOND, NINE + 3 * MINUTE, (), beat=False)
    assert told(changes) == [("EUR_USD", State.STALE)]
    assert "heartbeat stopped" in changes[0].cause


def test_an_auction_is_quiet_at_worst_and_nothing_is_repaired_for_it() -> None:
    one = liveness()
    up(one)
    run(one, NINE, NINE + MINUTE, (EUR, GBP))
    one.on_market(["GBP_USD"], None, NINE + MINUTE, "AUCTION", halted=True)
    changes = run(one, NINE + MINUTE, NINE + 20 * MINUTE, (EUR,))
    assert told(changes) == [("GBP_USD", State.QUIET)]
    assert changes[0].cause == "silent for 31 s, venue: AUCTION"
    assert (one.mute, one.out, one.transport_failed) == ([], set(), False)
    one.on_market(["GBP_USD"], True, NINE + 20 * MINUTE, "TRADEABLE")
    changes = run(one, NINE + 20 * MINUTE, NINE + 21 * MINUTE, (EUR,))
    assert told(changes) == [("GBP_USD", State.STALE)]
    assert one.mute == ["GBP_USD"]


def test_an_item_that_was_stale_before_the_auction_waits_with_its_repairs() -> None:
    one = liveness()
    up(one)
    run(one, NINE, NINE + MINUTE, (EUR, GBP))
    run(one, NINE + MINUTE, NINE + 3 * MINUTE, (EUR,))
    assert one.mute == ["GBP_USD"]
    one.on_market(["GBP_USD"], None, NINE + 3 * MINUTE, "AUCTION", halted=True)
    assert one.state(GBP) is State.STALE, "only a tick ends it"
    assert (one.mute, one.out) == ([], set())
