"""A holiday of the hub's calendar is a closed market for the collector: no alarm, no gap, no repair."""

import random

import pytest

from tapehub import DataHub
from tapehub.collector.core import Core
from tapehub.feeds.feed import Event, Quotes, Status, StatusKind, empty_quotes
from tapehub.hub.calendars import log_sessions
from tapehub.model.calendars import Calendar, CalendarId, calendar_of
from tapehub.model.states import State
from tests.models.intervals import HOUR, MINUTE, SECOND, ns
from tests.models.market import drained

NINE = ns("2024-03-05T09:00")  # a Tuesday, 04:00 New York
TEN, EIGHTEEN = NINE + HOUR, NINE + 9 * HOUR
HOLIDAY = calendar_of("fx", ["2024-03-05T05:00/2024-03-05T13:00"])  # 10:00 to 18:00 UTC
EUR, GBP = "EUR_USD", "GBP_USD"


class Collecting:
    """A core and the time it is told."""

    def __init__(self, hub: DataHub, now: int) -> None:
        self.hub, self.now = hub, now
        hub.set_clock("event", anchor_ns=now)
        self.core = Core(hub, "venue", (EUR, GBP), random=random.Random(1), now_ns=now, heartbeat=True)
        self.say(Status(StatusKind.CONNECTED), Status(StatusKind.SUBSCRIBED))
        self.asked: list[object] = []

    def say(self, *events: Event) -> None:
        for event in events:
            self.core.on_event(event, self.now)

    def quote(self, symbol: str) -> None:
        records = empty_quotes(1)
        records[0] = (self.now, self.now, 1.1, 1.1001, 0, 0, 0)
        self.say(Quotes(records, (symbol,), ("venue",)))

    def go(self, until: int, *flowing: str, step: int = SECOND) -> None:
        while self.now < until:
            self.now = min(until, self.now + step)
            self.say(Status(StatusKind.HEARTBEAT))
            for symbol in flowing:
                self.quote(symbol)
            self.hub.advance(self.now)
            self.asked += self.core.on_time(self.now)

    def states(self) -> dict[str, str]:
        return {row.symbol: row.state for row in self.core.liveness.tell()}


def test_a_holiday_raises_no_alarm_and_a_mute_opening_after_it_does(hub: DataHub) -> None:
    log_sessions(hub, [HOLIDAY])
    with hub.stream(kinds="state") as stream:
        one = Collecting(hub, TEN - MINUTE)
        one.go(TEN, EUR, GBP)
        assert one.states() == {EUR: "closed", GBP: "closed"}
        one.go(EIGHTEEN - SECOND, step=30 * SECOND)
        assert one.states() == {EUR: "closed", GBP: "closed"}
        assert one.asked == [], "a closed market needs no repair"
        assert hub.state(EUR) == "closed"
        assert hub.gaps(EUR) == []
        one.go(EIGHTEEN + 10 * MINUTE, GBP)
        assert one.states() == {EUR: "stale", GBP: "live"}
        told = [(one.ts_event, State(one.fixed[0] & 0xFF)) for one in drained(stream) if one.symbol == EUR]
    assert [state for at, state in told if at < EIGHTEEN] == [State.LIVE, State.CLOSED]
    assert told[-1][1] is State.STALE


@pytest.mark.parametrize("holiday", [True, False])
def test_the_same_silence_is_stale_without_the_holiday(hub: DataHub, holiday: bool) -> None:
    if holiday:
        log_sessions(hub, [HOLIDAY])
    one = Collecting(hub, TEN - MINUTE)
    one.go(TEN, EUR, GBP)
    one.go(TEN + 5 * MINUTE)
    assert set(one.states().values()) == ({"closed"} if holiday else {"quiet"})
    one.go(TEN + 10 * MINUTE, GBP)
    assert one.states()[EUR] == ("closed" if holiday else "stale")


def test_holidays_that_come_while_it_collects_count_at_once(hub: DataHub) -> None:
    one = Collecting(hub, TEN - MINUTE)
    one.go(TEN + MINUTE, GBP)
    assert one.states()[EUR] != "closed"
    log_sessions(hub, [HOLIDAY])
    one.go(TEN + MINUTE + SECOND)
    assert one.states() == {EUR: "closed", GBP: "closed"}
    log_sessions(hub, [Calendar(CalendarId.FX)], replace=True)
    one.go(TEN + MINUTE + 3 * SECOND, GBP)
    assert one.states()[GBP] == "live"
    assert one.states()[EUR] != "stale", "silence counts from when it is open again"
    one.go(TEN + 6 * MINUTE, GBP)
    assert one.states()[EUR] == "stale"


def test_an_outage_over_a_holiday_is_a_gap_before_and_one_after_it(hub: DataHub) -> None:
    log_sessions(hub, [HOLIDAY])
    one = Collecting(hub, TEN - 10 * MINUTE)
    one.go(TEN - 5 * MINUTE, EUR, GBP)
    one.say(Status(StatusKind.DISCONNECTED, detail="cut"))
    one.go(EIGHTEEN + MINUTE, step=20 * SECOND)
    one.say(Status(StatusKind.CONNECTED), Status(StatusKind.SUBSCRIBED))
    one.now += SECOND
    one.quote(EUR)
    gaps = [(gap["start"], gap["end"]) for gap in hub.gaps(EUR)]
    assert gaps == [(TEN - 5 * MINUTE, TEN), (EIGHTEEN, EIGHTEEN + MINUTE + SECOND)]


def test_a_collector_that_starts_after_a_holiday_misses_only_what_was_open(hub: DataHub) -> None:
    log_sessions(hub, [HOLIDAY])
    first = Collecting(hub, TEN - 10 * MINUTE)
    first.go(TEN - MINUTE, EUR)
    hub.advance(EIGHTEEN + HOUR)
    Core(hub, "venue", (EUR,), random=random.Random(1), now_ns=EIGHTEEN + HOUR)
    gaps = [(gap["start"], gap["end"]) for gap in hub.gaps(EUR)]
    assert gaps == [(TEN - MINUTE, TEN), (EIGHTEEN, None)]
