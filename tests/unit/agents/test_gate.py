"""The data-age gate refuses what it cannot vouch for, says why, and leaves a record with the clock reading."""

import json
from typing import Any

import pytest

from tapehub import Tick
from tapehub.agents.entries import Entry
from tapehub.model.records import GapFlag, Kind
from tapehub.model.states import GapStatus, State
from tapehub.quality.reasons import Reason
from tests.models.paper import SECOND, TUESDAY, Desktop

CALM = (1.10010, 1.10020)


def entry(
    desk: Desktop, kind: Kind, one: int = 0, two: int = 0, payload: bytes = b"", flags: int = 0, symbol: str = "EUR_USD"
) -> None:
    """Let a record of another kind come."""
    desk.seq += 1
    desk.engine.record(Entry(desk.seq, int(kind), desk.at, desk.at, symbol, "test", one, two, flags, payload))


def refused(desk: Desktop, code: str) -> dict[str, Any]:
    """Order, expect a refusal, and give what it was judged by."""
    order = desk.ctx.order("EUR_USD", "buy", 10_000, stop_pips=10)
    assert (order.status, order.code) == ("refused", code), order
    assert order.reason
    assert desk.told(Kind.ORDER)[-1] == order
    assert not desk.fills
    assert not list(desk.engine.desk.broker.working())
    return order.judged


def accepted(desk: Desktop) -> None:
    order = desk.ctx.order("EUR_USD", "buy", 10_000, stop_pips=10)
    assert order.accepted, order


def test_order_on_fresh_data_is_accepted_and_says_what_it_was_judged_by() -> None:
    desk = Desktop()
    desk.tick(*CALM)
    order = desk.ctx.order("EUR_USD", "buy", 10_000, stop_pips=10)
    assert order.accepted
    assert order.judged["clock"] == desk.at
    rest = {name: value for name, value in order.judged.items() if name != "clock"}
    assert rest == {
        "by": "log", "state": "unverified", "age_s": 0.0, "bid": 1.1001, "ask": 1.1002, "spread_pips": 1.0,
    }  # fmt: skip


def test_no_tick_is_no_data() -> None:
    assert refused(Desktop(), "no-data")["clock"] == TUESDAY


@pytest.mark.parametrize(("state", "code"), [(State.STALE, "stale"), (State.DEAD, "dead"), (State.CLOSED, "closed")])
def test_what_the_feed_says_counts_however_young_the_tick(state: State, code: str) -> None:
    desk = Desktop()
    desk.tick(*CALM)
    entry(desk, Kind.STATE, int(state) | 3 << 8, desk.at, b"no heartbeat")
    assert refused(desk, code)["state"] == code
    assert "no heartbeat" in desk.told(Kind.ORDER)[-1].reason
    entry(desk, Kind.STATE, int(State.LIVE) | 3 << 8, desk.at, b"")
    accepted(desk)


def test_old_tick_is_stale() -> None:
    desk = Desktop(gate={"max_age_s": 5})
    desk.tick(*CALM)
    desk.engine.now = desk.at + 5 * SECOND
    assert desk.ctx.fresh("EUR_USD").ok
    desk.engine.now += 1_000_000
    assert refused(desk, "stale")["age_s"] == 5.001


def test_tick_stamped_ahead_is_refused_and_is_no_younger_for_it() -> None:
    desk = Desktop(gate={"max_age_s": 5, "ahead_s": 2})
    at = desk.at + SECOND

    def tick(ahead_s: int) -> None:
        desk.at += SECOND
        desk.seq += 1
        made = Tick(
            "EUR_USD", *CALM, timestamp=desk.at + ahead_s * SECOND, ts_publish=desk.at, seq=desk.seq, source="test"
        )
        desk.engine.tick(made)

    tick(50)
    assert refused(desk, "ahead")["age_s"] == 0.0
    desk.engine.now = at + 25 * SECOND
    assert refused(desk, "ahead")["age_s"] == 25.0
    desk.at = at + 25 * SECOND
    tick(2)  # a venue's clock may be a little ahead
    assert desk.ctx.fresh("EUR_USD").ok
    desk.engine.now = desk.at + 6 * SECOND
    assert refused(desk, "stale")["age_s"] == 6.0


def test_market_that_its_calendar_closes_is_closed() -> None:
    friday = 1_780_693_200 * SECOND  # 2026-06-05T21:00Z, 17:00 New York
    desk = Desktop(start=friday - 2 * SECOND, risk={"session_start": "", "session_end": ""})
    desk.tick(*CALM)
    assert desk.ctx.fresh("EUR_USD").ok
    desk.engine.now = friday
    refused(desk, "closed")


def test_gap_refuses_until_data_have_settled() -> None:
    desk = Desktop(gate={"gap_settle_s": 60})
    desk.tick(*CALM)
    told = {"end": None, "cause": "disconnected", "status": int(GapStatus.OPEN)}
    start = desk.at
    entry(desk, Kind.GAP, start, start, json.dumps(told).encode(), int(GapFlag.LASTS))
    desk.tick(1.1, 1.10010)
    refused(desk, "gap")
    entry(desk, Kind.GAP, start, desk.at, json.dumps({**told, "end": desk.at}).encode())
    for second in range(59):
        desk.tick(1.1 + second * 1e-5, 1.1001 + second * 1e-5)
    refused(desk, "gap")
    desk.tick(*CALM, after_s=2)
    accepted(desk)


def test_gap_in_which_nothing_traded_refuses_nothing() -> None:
    desk = Desktop()
    desk.tick(*CALM)
    told = {"end": desk.at, "cause": "quiet", "status": int(GapStatus.CLOSED_MARKET)}
    entry(desk, Kind.GAP, desk.at - SECOND, desk.at, json.dumps(told).encode())
    refused(desk, "gap")
    entry(desk, Kind.GAP, desk.at - SECOND, desk.at, json.dumps(told).encode(), int(GapFlag.NOTED))
    accepted(desk)


def test_quote_that_never_changes_is_frozen() -> None:
    desk = Desktop(gate={"frozen_s": 30})
    desk.tick(*CALM)
    for _ in range(30):
        desk.tick(*CALM)
    assert desk.ctx.fresh("EUR_USD").ok
    desk.tick(*CALM)
    refused(desk, "frozen")
    desk.tick(1.10011, 1.10021)
    accepted(desk)


def test_blown_spread_is_no_quote() -> None:
    desk = Desktop(gate={"blown_pips": 20})
    desk.tick(1.1, 1.1021)
    refused(desk, "blown")
    desk.tick(*CALM)
    accepted(desk)


def test_quote_that_the_feeds_gate_refused_for_its_spread_refuses_orders_until_the_next_good_one() -> None:
    desk = Desktop()
    desk.tick(*CALM)
    desk.at += SECOND
    entry(desk, Kind.QUARANTINE, int(Reason.SPIKE), payload=b"\0\0")
    assert desk.ctx.fresh("EUR_USD").ok
    entry(desk, Kind.QUARANTINE, int(Reason.BLOWN_SPREAD), payload=b"\0\0")
    refused(desk, "blown")
    desk.tick(*CALM)
    accepted(desk)


def test_look_at_the_hub_can_refuse_what_the_log_permits() -> None:
    asked = []

    def look(symbol: str, now: int, cause: int, ordinal: int) -> tuple[str, str, int] | None:
        asked.append((symbol, now, cause, ordinal))
        return ("late", "9 s behind", now + 9 * SECOND) if len(asked) == 1 else None

    desk = Desktop(look=look)
    desk.tick(*CALM)
    judged = refused(desk, "late")
    assert (judged["by"], judged["clock"]) == ("hub", desk.at + 9 * SECOND)
    accepted(desk)
    assert asked == [("EUR_USD", desk.at, desk.seq, 0), ("EUR_USD", desk.at, desk.seq, 1)]


def test_closing_passes_the_gate_too() -> None:
    desk = Desktop(paper={"latency_ms": 0})
    desk.tick(*CALM)
    accepted(desk)
    desk.tick(*CALM, after_s=0.1)
    (position,) = desk.ctx.positions()
    entry(desk, Kind.STATE, int(State.DEAD), desk.at, b"killed")
    order = desk.ctx.close(position)
    assert (order.status, order.code, order.what) == ("refused", "dead", "close")
    desk.tick(*CALM)
    assert len(desk.fills) == 1


def test_signal_says_what_the_gate_thinks_of_it() -> None:
    desk = Desktop()
    desk.tick(*CALM)
    assert desk.ctx.signal("EUR_USD", "buy", 0.5, "why not").refused == ""
    entry(desk, Kind.STATE, int(State.STALE), desk.at, b"mute")
    assert desk.ctx.signal("EUR_USD", "buy", 0.5, "why not").refused == "EUR_USD is stale: mute"
