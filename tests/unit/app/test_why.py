# ruff: noqa: E501 (a sentence is read as one)
"""The doctor's sentences, each from the facts that call for it: no process, no hub."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tapehub.app import reach
from tapehub.app.facts import Facts, Feed, Item, Probe, Quarantined, Refusal, Repaired, Server
from tapehub.app.why import CHAIN, Answer, Outcome, explain

SATURDAY = int(datetime(2026, 6, 6, 23, tzinfo=UTC).timestamp()) * 10**9
SUNDAY_OPEN = int(datetime(2026, 6, 7, 21, tzinfo=UTC).timestamp()) * 10**9

IG = Feed("ig", alive=True, phase="connected", phase_s=3600, beat_s=0.5, where="https://stream.example")
EUR = Item("EUR_USD", "ig", "ig", "live", "ticks", 100, tick_s=0.3, heard_s=0.3, has_candle=True)
GBP = replace(EUR, symbol="GBP_USD")
WELL = Facts("/hubs/a", feeds=(IG,), items=(EUR, GBP), flowing=True, server=Server(12, 0.1, 1.2))


def with_feed(**changes: Any) -> Facts:
    return replace(WELL, feeds=(replace(IG, **changes),))


def dead(facts: Facts, cause: str = "not connected yet") -> Facts:
    items = tuple(replace(item, state="dead", cause=cause, tick_s=50, heard_s=50) for item in facts.items)
    return replace(facts, items=items, flowing=False)


def refused(stage: str, code: str, detail: str, **changes: Any) -> Facts:
    refusal = Refusal(stage, code, detail, 2.0, "https://venue.example")
    return dead(with_feed(phase="refused", phase_s=2, refusal=refusal, beat_s=None, **changes))


def stale(item: Item, **changes: Any) -> Item:
    told = {"state": "stale", "cause": "silent for 30 s while others flow", "state_s": 11, "tick_s": 41, "heard_s": 41}
    return replace(item, **told | changes)


def closed(facts: Facts, *, holiday: bool = False) -> Facts:
    items = tuple(
        replace(
            item,
            state="closed",
            cause="calendar",
            is_open=False,
            is_holiday=holiday,
            opens_ns=SUNDAY_OPEN,
            tick_s=90_000,
        )
        for item in facts.items
    )
    return replace(facts, items=items, now_ns=SATURDAY, flowing=False)


MUTE = replace(WELL, items=(stale(EUR), GBP), feeds=(replace(IG, repaired=Repaired("resubscribe", ("EUR_USD",), 12)),))
ALL_MUTE = replace(WELL, items=(stale(EUR), stale(GBP)), flowing=False)
QUARANTINED = replace(
    WELL,
    items=(
        stale(
            EUR,
            heard_s=0.2,
            quarantined=Quarantined("scale", "expected about 1.1; input_scale = 0.0001 would convert it", 1),
        ),
        GBP,
    ),
)
NEW = replace(EUR, state="empty", cause="", tick_s=None, heard_s=None, has_candle=None)

SENTENCES = [
    (WELL, "", "All is well: 2 instruments have data, the last tick 0 s ago (EUR_USD)."),
    (replace(WELL, items=(EUR,)), "", "All is well: EUR_USD ticked 0 s ago."),
    (
        replace(WELL, items=(EUR, replace(GBP, state="quiet", tick_s=200))),
        "",
        "All is well: 2 instruments have data, the last tick 0 s ago (EUR_USD); GBP_USD is quiet, as the market is slow.",
    ),
    (Facts("/hubs/a", running=False), "hub", "No hub is running at /hubs/a: start one with tapehub up."),
    (
        replace(WELL, server=Server(12, 44.0)),
        "hub",
        "The hub's server (process 12) has been silent for 44 s: continue it, or end it (kill 12) and start tapehub up.",
    ),
    (Facts("/hubs/a"), "collector", "No collector is running: start one with tapehub up."),
    (
        Facts("/hubs/a", credentials=Probe(False, "IG credentials: IG_PASSWORD not found")),
        "collector",
        "No collector is running, and before tapehub up can start one: IG credentials: IG_PASSWORD not found.",
    ),
    (
        dead(with_feed(alive=False)),
        "collector",
        "No collector is running since the process of ig ended without a word: start one with tapehub up.",
    ),
    (
        dead(with_feed(alive=False, phase="stopped", phase_s=300, detail="collector stopped")),
        "collector",
        "No collector is running since ig was stopped 5 min ago: start one with tapehub up.",
    ),
    (
        dead(with_feed(alive=False, phase="stopped", phase_s=7, detail="collector failed: disk full")),
        "collector",
        "No collector is running since ig ended 7 s ago (collector failed: disk full): start one with tapehub up.",
    ),
    (
        dead(with_feed(alive=False, phase="ended")),
        "collector",
        "The feed ig has ended: nothing more will come of it; start another with tapehub up.",
    ),
    (
        with_feed(told_s=70.0),
        "collector",
        "The collector of ig runs but has said nothing for 70 s: it hangs or is stopped; continue it, or restart tapehub up.",
    ),
    (
        refused("credentials", "", "IG_ACC_NUMBER names no account of this login, which has 2; correct it"),
        "credentials",
        "The credentials do not fit: IG_ACC_NUMBER names no account of this login, which has 2; correct it.",
    ),
    (
        refused("login", "error.security.invalid-details", "401"),
        "login",
        "The login was refused with error.security.invalid-details: user name or password is wrong: correct IG_USERNAME "
        "and IG_PASSWORD, and mind that repeating it locks the account.",
    ),
    (
        refused("login", "error.security.invalid-details", "401", waits="no login before 10 min have passed"),
        "login",
        "The login was refused with error.security.invalid-details: user name or password is wrong: correct IG_USERNAME "
        "and IG_PASSWORD, and mind that repeating it locks the account; no login before 10 min have passed.",
    ),
    (
        refused("login", "error.public-api.exceeded-account-allowance", "403"),
        "login",
        "The login was refused with error.public-api.exceeded-account-allowance: that limit is over in a minute, and the "
        "collector waits for it.",
    ),
    (
        refused("markets", "error.public-api.exceeded-api-key-allowance", "403"),
        "login",
        "Looking up the instruments was refused with error.public-api.exceeded-api-key-allowance: all programs that use "
        "this API key count: that limit is over in a minute, and the collector waits for it.",
    ),
    (
        refused("login", "", "POST /session: no answer from venue.example (ConnectionError)"),
        "login",
        "The venue does not answer at https://venue.example: check the network (POST /session: no answer from "
        "venue.example (ConnectionError)).",
    ),
    (
        refused("login", "", "POST /session: no answer from venue.example (SSLError)"),
        "login",
        "The certificate of https://venue.example was not accepted (POST /session: no answer from venue.example "
        "(SSLError)): check the machine's clock, its CA certificates, and whether a proxy opens TLS.",
    ),
    (
        dead(with_feed(phase="starting", phase_s=3, waits="GET /markets waits 40 s: IG's allowance is used up")),
        "login",
        "No data yet: GET /markets waits 40 s: IG's allowance is used up.",
    ),
    (
        dead(with_feed(phase="starting", phase_s=3)),
        "endpoint",
        "ig was started 3 s ago and is not connected yet: wait a moment.",
    ),
    (
        refused("stream", "65", "streaming server: 65 Unsupported protocol version: 2.4.0"),
        "endpoint",
        "The streaming server https://venue.example refused with 65 Unsupported protocol version: 2.4.0: it refuses the "
        "client's protocol version: install lightstreamer-client-lib 1.0.3, which speaks TLCP 2.4.0.",
    ),
    (
        refused("stream", "", "not connected within 20 s"),
        "endpoint",
        "The streaming server https://venue.example cannot be had (not connected within 20 s): check network, proxy and "
        "certificates.",
    ),
    (
        dead(with_feed(phase="disconnected", phase_s=9, detail="connection lost", repaired=Repaired("reconnect", (), 4))),
        "endpoint",
        "ig lost its connection 9 s ago (connection lost); it reconnects by itself; the collector asked for a new "
        "connection 4 s ago.",
    ),
    (
        dead(with_feed(phase="disconnected", detail="wss://x.example: SSLCertVerificationError: expired", where="")),
        "endpoint",
        "The certificate was not accepted (wss://x.example: SSLCertVerificationError: expired): check the machine's "
        "clock, its CA certificates, and whether a proxy opens TLS.",
    ),
    (
        replace(WELL, online=Probe(False, "ig.example:443 cannot be reached (timed out)")),
        "endpoint",
        "ig.example:443 cannot be reached (timed out).",
    ),
    (
        replace(
            WELL,
            items=(
                replace(EUR, state="dead", refusal=Refusal("subscription", "21", "EUR_USD: IG refused X: 21 Invalid", 3)),
                GBP,
            ),
        ),
        "subscriptions",
        "EUR_USD is refused: IG refused X: 21 Invalid; the epic is not known there: find the right one with tapehub ig "
        "search; the others flow.",
    ),
    (
        replace(WELL, items=(EUR, Item("USD_JPY"))),
        "subscriptions",
        "USD_JPY is not collected: no running feed was asked for it; add it to tapehub up.",
    ),
    (
        closed(WELL),
        "market",
        "No data because the FX market is closed; it opens on Sunday 17:00 New York, in 22 h.",
    ),
    (
        closed(WELL, holiday=True),
        "market",
        "No data because the FX market is closed for a holiday; it opens on Sunday 17:00 New York, in 22 h.",
    ),
    (
        replace(WELL, items=(replace(EUR, state="closed", cause="venue: SUSPENDED", word="SUSPENDED"),)),
        "market",
        "No data because the venue says that EUR_USD is SUSPENDED, though the calendar is open.",
    ),
    (
        replace(ALL_MUTE, feeds=(replace(IG, beat_s=41.0, beat_lost=True),)),
        "heartbeat",
        "ig is connected but its heartbeat has stopped for 41 s, and nothing else comes: the connection is dead.",
    ),
    (
        MUTE,
        "ticks",
        "EUR_USD has had no tick for 41 s because its item is mute: other items flow and the heartbeat is fine; the "
        "collector resubscribed it 12 s ago.",
    ),
    (
        replace(MUTE, feeds=(replace(IG, beat_s=None, repaired=Repaired("relogin", (), 8)),)),
        "ticks",
        "EUR_USD has had no tick for 41 s because its item is mute: other items flow; the collector asked for a new login "
        "8 s ago.",
    ),
    (
        ALL_MUTE,
        "ticks",
        "EUR_USD and GBP_USD have had no tick for 41 s because nothing flows at all, though the heartbeat is fine: ig is "
        "connected but mute.",
    ),
    (
        replace(WELL, items=(stale(EUR, word="AUCTION"), GBP)),
        "ticks",
        "EUR_USD has had no tick for 41 s because its item is mute: other items flow and the heartbeat is fine; the venue "
        "says that it is AUCTION.",
    ),
    (
        replace(WELL, items=(NEW,)),
        "ticks",
        "EUR_USD has not had a first tick yet; the connection is fine.",
    ),
    (
        replace(WELL, feeds=(replace(IG, phase_s=3),), items=(replace(NEW, state="dead", cause="not connected yet"),)),
        "ticks",
        "EUR_USD has had no tick yet; ig connected 3 s ago: wait a moment.",
    ),
    (
        QUARANTINED,
        "quarantine",
        "EUR_USD has had no good tick for 41 s: its quotes are quarantined as scale (expected about 1.1; input_scale = "
        '0.0001 would convert it); see hub.quarantined("EUR_USD").',
    ),
    (
        replace(WELL, server=Server(12, 0.1, 40.0)),
        "candles",
        "Ticks come, but the server (process 12) closed the last candle 40 s ago: restart it.",
    ),
    (
        replace(WELL, items=(replace(EUR, has_candle=False),)),
        "candles",
        "EUR_USD: ticks come, but their minute has no candle: they arrive too late to be counted, or the hub was cleared; "
        "see tapehub status.",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "link", "sentence"), SENTENCES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_the_first_link_that_does_not_hold_is_the_answer(facts: Facts, link: str, sentence: str) -> None:
    answer = explain(facts)
    assert (answer.link, answer.sentence) == (link, sentence)
    assert [one.link for one in answer.chain] == list(CHAIN)
    if link:
        begin = CHAIN.index(link)
        assert all(one.outcome in (Outcome.OK, Outcome.SKIPPED) for one in answer.chain[:begin])
        tried = [name for name in ("credentials", "login", "endpoint") if reach.tried(facts, name)]
        assert all(one.outcome is Outcome.SKIPPED or one.link in tried for one in answer.chain[begin + 1 :])


def test_a_closed_market_is_no_fault() -> None:
    answer = explain(closed(WELL))
    assert (answer.ok, answer.outcome) == (True, Outcome.CLOSED)


def test_on_a_saturday_what_passes_by_itself_waits_and_what_somebody_must_mend_does_not() -> None:
    def on_saturday(*refusal: str) -> Answer:
        return explain(closed(refused(*refusal)))

    maintenance = on_saturday("login", "", "IG refused POST /session: 503 Service Unavailable; remedy: try again later")
    assert maintenance.link == "market"
    assert "Not needed while the market is closed" in maintenance.chain[CHAIN.index("login")].sentence
    assert on_saturday("login", "error.security.invalid-details", "401").link == "login"
    assert on_saturday("stream", "65", "streaming server: 65 x").link == "endpoint"
    assert explain(closed(dead(with_feed(phase="disconnected")))).link == "market"


def test_a_collector_that_is_gone_matters_not_where_another_one_flows() -> None:
    other = Feed("kraken", alive=True, phase="connected")
    items = (replace(EUR, state="dead", source="ig"), replace(EUR, source="kraken", feed="kraken"))
    facts = replace(WELL, feeds=(replace(IG, alive=False), other), items=items)
    assert explain(facts).link != "collector"
    assert explain(replace(facts, items=(items[0], replace(items[1], symbol="BTC_USD")))).link == "collector"


def test_ticks_that_callers_push_need_no_collector() -> None:
    facts = Facts(
        "/hubs/a", items=(Item("EUR_USD", "direct", state="unverified", tick_s=0.2, has_candle=True),), flowing=True
    )
    assert explain(facts).ok
    frozen = replace(facts, items=(replace(facts.items[0], state="stale"),))
    assert explain(frozen).link == "collector"


def test_a_probe_is_shown_though_an_earlier_link_does_not_hold() -> None:
    facts = Facts(
        "/hubs/a", credentials=Probe(True, "IG credentials are there"), login=Probe(False, "The login was refused")
    )
    answer = explain(facts)
    assert answer.sentence == "No collector is running, and before tapehub up can start one: The login was refused."
    outcomes = {one.link: one.outcome for one in answer.chain}
    assert (outcomes["credentials"], outcomes["login"]) == (Outcome.OK, Outcome.FAILED)
