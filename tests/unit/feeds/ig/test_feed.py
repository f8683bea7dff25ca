"""The IG feed over the official client, against the simulated venue: what comes in, and the way back from failures."""

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tapehub.errors import ConfigError, VenueError
from tapehub.feeds import MarketStatus, Quotes, Repair, StatusKind, VenueCandle
from tapehub.feeds.ig import Credentials, IgFeed
from tests.servers.ig import CREDENTIALS, SYMBOLS, TUESDAY, Watched, watching

FIVE = ("EUR_USD", "USD_JPY", "GBP_USD", "AUD_USD", "USD_CAD")


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


def assert_as_quoted(watched: Watched, symbol: str, decimals: int) -> None:
    """Compare every quote with what the venue's source said at that time."""
    quoted = set(watched.oracle(symbol, decimals))
    quotes = watched.quotes(symbol)
    assert quotes
    assert not [row for row in quotes if row[1:] not in quoted]


def assert_complete(watched: Watched, symbol: str, decimals: int) -> None:
    """Compare the quotes with all that the venue's source said from the first to the last of them."""
    quotes = [row[1:] for row in watched.quotes(symbol)]
    quoted = watched.oracle(symbol, decimals)
    begin = quoted.index(quotes[0])
    assert quotes == quoted[begin : begin + len(quotes)]


# ---------------------------------------------------------------- prices


@pytest.mark.parametrize("form", ["CFD", "TODAY"])
def test_values_are_exact_however_the_venue_scales_them(form: str) -> None:
    async def test() -> None:
        async with watching(SYMBOLS, form=form) as watched:
            await watched.flowing(SYMBOLS, 25)
            for symbol, decimals in (("EUR_USD", 5), ("USD_JPY", 3), ("GBP_USD", 5)):
                assert_as_quoted(watched, symbol, decimals)
            assert not watched.unread()
            ts_recv = [row for event in watched.of(Quotes) for row in event.records["ts_recv"].tolist()]
            assert min(ts_recv) > TUESDAY

    run(test)


def test_every_tick_of_the_session_comes_once() -> None:
    async def test() -> None:
        async with watching(("EUR_USD",), ticks_per_s=50.0) as watched:
            await watched.flowing(("EUR_USD",), 60)
            assert_complete(watched, "EUR_USD", 5)

    run(test)


def test_prices_scaled_differently_from_the_snapshot_are_refused_by_name_and_not_published() -> None:
    def wrong(sim: Any) -> None:
        sim.inject("scaled", item="USD_JPY", factor=10)

    async def test() -> None:
        async with watching(SYMBOLS, before=wrong) as watched:
            await watched.until(lambda: watched.statuses(StatusKind.REFUSED, "USD_JPY"))
            await watched.flowing(("EUR_USD", "GBP_USD"))
            assert "USDJPY" in watched.statuses(StatusKind.REFUSED)[0].detail
            assert_as_quoted(watched, "USD_JPY", 3)
            have = len(watched.quotes("USD_JPY"))
            watched.sim.inject("clear", code="scaled")
            await watched.flowing(("USD_JPY",))
            assert len(watched.quotes("USD_JPY")) > have
            assert len(watched.statuses(StatusKind.SUBSCRIBED, "USD_JPY")) == 2

    run(test)


# ---------------------------------------------------------------- subscriptions


def test_a_bad_epic_is_refused_by_name_while_the_others_flow() -> None:
    async def test() -> None:
        async with watching(SYMBOLS, epics={"GBP_USD": "CS.D.NOSUCH.CFD.IP"}) as watched:
            await watched.flowing(("EUR_USD", "USD_JPY"))
            [refused] = watched.statuses(StatusKind.REFUSED)[:1]
            assert refused.symbols == ("GBP_USD",)
            assert "CS.D.NOSUCH.CFD.IP" in refused.detail
            assert not watched.statuses(StatusKind.DISCONNECTED)

    run(test)


def test_an_epic_that_streaming_refuses_takes_no_other_down_and_is_tried_again() -> None:
    async def test() -> None:
        async with watching(SYMBOLS) as watched:
            await watched.flowing(SYMBOLS)
            watched.sim.inject("bad_epic", item="GBP_USD")
            watched.feed.repair(Repair.RESUBSCRIBE, ("GBP_USD",))
            await watched.until(lambda: watched.statuses(StatusKind.REFUSED, "GBP_USD"))
            assert "21" in watched.statuses(StatusKind.REFUSED, "GBP_USD")[0].detail
            await watched.flowing(("EUR_USD", "USD_JPY"))
            watched.sim.inject("clear", code="bad_epic")
            await watched.flowing(("GBP_USD",))
            assert len(watched.statuses(StatusKind.CONNECTED)) == 1

    run(test)


def test_five_symbols_on_three_subscriptions_refuse_two_by_name() -> None:
    async def test() -> None:
        async with watching(FIVE, venue={"subscription_limit": 3}) as watched:
            await watched.flowing(FIVE[:3])
            refused = watched.statuses(StatusKind.REFUSED)
            assert [event.symbols for event in refused] == [("AUD_USD",), ("USD_CAD",)]
            assert all("beyond the 3 that IG allows" in event.detail for event in refused)
            assert not watched.quotes("AUD_USD")
            assert len([entry for entry in watched.sim.log.entries if entry.event == "session created"]) == 1
            assert "TRADE:HB.U.HEARTBEAT.IP" in watched.feed.remarks

    run(test)


def test_heartbeats_and_market_states_come() -> None:
    async def test() -> None:
        async with watching(("EUR_USD",)) as watched:
            await watched.until(lambda: watched.statuses(StatusKind.HEARTBEAT))
            watched.sim.inject("market_state", item="EUR_USD", state="SUSPENDED")
            await watched.until(lambda: watched.of(MarketStatus)[-1].detail == "SUSPENDED")
            assert watched.of(MarketStatus)[0].is_open is True
            assert watched.of(MarketStatus)[-1].is_open is None

    run(test)


def test_states_come_by_rest_where_the_budget_has_no_item_for_them() -> None:
    async def test() -> None:
        settings = {"subscriptions_max": 1, "status_every_s": 0.3}
        async with watching(("EUR_USD",), settings=settings) as watched:
            await watched.flowing(("EUR_USD",))
            watched.sim.inject("market_state", item="EUR_USD", state="CLOSED")
            await watched.until(lambda: watched.of(MarketStatus)[-1].detail == "CLOSED")

    run(test)


def test_candles_of_the_venue_come_finished_and_a_lost_end_is_flagged() -> None:
    async def test() -> None:
        async with watching(("EUR_USD",), rate=40.0, ticks_per_s=1.0) as watched:
            await watched.until(lambda: len(watched.of(VenueCandle)) >= 2)
            assert all(candle.confirmed for candle in watched.of(VenueCandle))
            watched.sim.inject("lose_candle_end", item="EUR_USD")
            await watched.until(lambda: not watched.of(VenueCandle)[-1].confirmed)
            starts = [candle.start for candle in watched.of(VenueCandle)]
            assert starts == sorted(set(starts))
            assert all(start % 60_000_000_000 == 0 for start in starts)
            whole = watched.of(VenueCandle)[1]
            oracle = watched.oracle("EUR_USD", 5)
            bids = [bid for ts, bid, _ in oracle if 0 <= ts - whole.start < 60 * 10**9]
            assert whole.bid == (bids[0], max(bids), min(bids), bids[-1])
            assert whole.ticks == len(bids)

    run(test)


# ---------------------------------------------------------------- the way back


def test_a_cut_is_noticed_and_the_session_recovered_without_a_login_or_a_lost_tick() -> None:
    async def test() -> None:
        async with watching(("EUR_USD",), venue={"keepalive_ms": 60_000}) as watched:
            await watched.flowing(("EUR_USD",))
            watched.sim.inject("cut")
            await watched.until(lambda: len(watched.statuses(StatusKind.CONNECTED)) == 2)
            await watched.flowing(("EUR_USD",))
            assert "recovered" in watched.statuses(StatusKind.CONNECTED)[1].detail
            assert len(watched.statuses(StatusKind.DISCONNECTED)) == 1
            assert watched.sim.log.logins == 1
            assert_complete(watched, "EUR_USD", 5)

    run(test)


def test_a_frozen_socket_is_noticed_by_the_shortened_timers() -> None:
    async def test() -> None:
        async with watching(("EUR_USD",)) as watched:
            await watched.flowing(("EUR_USD",))
            watched.sim.inject("cut", how="freeze", for_="60s")
            await watched.until(lambda: watched.statuses(StatusKind.DISCONNECTED))

    run(test)


def test_after_a_lost_session_tokens_are_vouched_for_and_merges_begin_anew() -> None:
    async def test() -> None:
        async with watching(SYMBOLS) as watched:
            await watched.flowing(SYMBOLS)
            watched.sim.inject("forget_sessions")
            await watched.until(lambda: len(watched.statuses(StatusKind.CONNECTED)) == 2)
            await watched.flowing(SYMBOLS)
            assert watched.statuses(StatusKind.DISCONNECTED)
            assert watched.sim.log.logins == 1, "tokens that hold need no login"
            asked = [entry.detail for entry in watched.sim.log.entries if "GET /session" in entry.detail]
            assert asked == ["GET /session 200"]
            assert len(watched.statuses(StatusKind.SUBSCRIBED, "EUR_USD")) == 2
            for symbol, decimals in (("EUR_USD", 5), ("USD_JPY", 3), ("GBP_USD", 5)):
                assert_as_quoted(watched, symbol, decimals)

    run(test)


def test_expired_tokens_cost_exactly_one_login() -> None:
    async def test() -> None:
        async with watching(SYMBOLS) as watched:
            await watched.flowing(SYMBOLS)
            watched.sim.inject("expire_tokens")
            await watched.flowing(SYMBOLS)
            assert watched.sim.log.logins == 1, "an open stream goes on"
            watched.sim.inject("forget_sessions")
            await watched.until(lambda: len(watched.statuses(StatusKind.CONNECTED)) == 2)
            await watched.flowing(SYMBOLS)
            assert watched.sim.log.logins == 2

    run(test)


def test_tokens_are_renewed_before_they_expire_without_a_login() -> None:
    async def test() -> None:
        venue, settings = {"token_life_s": 120.0}, {"assumed_life_s": 60.0}
        async with watching(("EUR_USD",), rate=60.0, ticks_per_s=0.5, venue=venue, settings=settings) as watched:
            asked = lambda: [one for one in watched.sim.log.entries if "GET /session 200" in one.detail]  # noqa: E731
            await watched.until(lambda: len(asked()) >= 3)
            assert watched.sim.log.logins == 1
            assert len(watched.statuses(StatusKind.CONNECTED)) == 1

    run(test)


@pytest.mark.parametrize("code", [31, 32, 35])
def test_a_session_that_the_server_ends_comes_back(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tapehub.feeds.ig.keeper._PATIENCE_S", {})

    async def test() -> None:
        async with watching(("EUR_USD",)) as watched:
            await watched.flowing(("EUR_USD",))
            watched.sim.inject("end_sessions", code=str(code))
            await watched.until(lambda: len(watched.statuses(StatusKind.CONNECTED)) == 2)
            assert str(code) in " ".join(event.detail for event in watched.statuses(StatusKind.DISCONNECTED))
            assert watched.sim.log.logins == 1

    run(test)


def test_a_stream_that_refuses_tokens_that_rest_takes_gets_new_ones() -> None:
    def refuse(sim: Any) -> None:
        sim.inject("refuse_stream", code="1", count=1)

    async def test() -> None:
        async with watching(("EUR_USD",), before=refuse) as watched:
            await watched.flowing(("EUR_USD",))
            assert "1 " in watched.statuses(StatusKind.REFUSED)[0].detail
            assert watched.sim.log.logins == 2

    run(test)


def test_repairs_go_as_far_as_they_are_asked_to() -> None:
    async def test() -> None:
        async with watching(SYMBOLS, settings={"login_every_s": 0.0}) as watched:
            await watched.flowing(SYMBOLS)
            watched.feed.repair(Repair.RESUBSCRIBE, ("EUR_USD",))
            await watched.until(lambda: len(watched.statuses(StatusKind.SUBSCRIBED, "EUR_USD")) == 2)
            assert len(watched.statuses(StatusKind.SUBSCRIBED, "USD_JPY")) == 1
            assert len(watched.statuses(StatusKind.CONNECTED)) == 1
            watched.feed.repair(Repair.RECONNECT)
            await watched.until(lambda: len(watched.statuses(StatusKind.CONNECTED)) == 2)
            assert watched.sim.log.logins == 1
            watched.feed.repair(Repair.RELOGIN)
            await watched.until(lambda: len(watched.statuses(StatusKind.CONNECTED)) == 3)
            assert watched.sim.log.logins == 2
            await watched.flowing(SYMBOLS)

    run(test)


def test_a_login_is_not_repeated_sooner_than_allowed() -> None:
    async def test() -> None:
        async with watching(("EUR_USD",)) as watched:
            await watched.flowing(("EUR_USD",))
            for count in (2, 3):
                watched.feed.repair(Repair.RELOGIN)
                await watched.until(lambda count=count: len(watched.statuses(StatusKind.CONNECTED)) == count)
            assert watched.sim.log.logins == 1

    run(test)


# ---------------------------------------------------------------- logins


def test_a_wrong_password_is_tried_once_and_said() -> None:
    async def test() -> None:
        wrong = Credentials("demo", "wrong-word", "demo-key")
        async with watching(("EUR_USD",), credentials=wrong) as watched:
            assert watched.consuming is not None
            with pytest.raises(VenueError, match="invalid-details") as raised:
                await watched.consuming
            assert raised.value.code == "error.security.invalid-details"
            assert len([one for one in watched.sim.log.entries if "POST /session" in one.detail]) == 1
            assert "invalid-details" in watched.statuses(StatusKind.REFUSED)[0].detail

    with pytest.raises(VenueError):
        run(test)


def test_a_used_up_minute_is_waited_for() -> None:
    def refuse(sim: Any) -> None:
        sim.inject("allowance", item="account", code="account")

    async def test() -> None:
        async with watching(("EUR_USD",), before=refuse) as watched:
            await watched.until(lambda: watched.statuses(StatusKind.REFUSED))
            asked = len([one for one in watched.sim.log.entries if one.event == "request"])
            await asyncio.sleep(1.0)
            assert len([one for one in watched.sim.log.entries if one.event == "request"]) == asked
            assert "s: IG's allowance is used up" in watched.statuses(StatusKind.REFUSED)[0].detail

    run(test)


@pytest.mark.parametrize("version", ["2", "3"])
def test_the_account_that_is_asked_for_is_switched_to(version: str) -> None:
    async def test() -> None:
        other = Credentials("demo", "demo", "demo-key", "SIM02")
        async with watching(("EUR_USD",), credentials=other, settings={"session_version": version}) as watched:
            await watched.flowing(("EUR_USD",))
            await watched.until(lambda: watched.statuses(StatusKind.HEARTBEAT))
            assert watched.feed.account is not None
            login = watched.feed.account.current
            assert login is not None
            assert login.account == "SIM02"
            assert not [name for name in watched.feed.remarks if name.startswith("PRICE:")]
            assert [one.detail for one in watched.sim.log.entries if one.event == "login"] == [f"v{version}"]

    run(test)


def test_an_account_of_somebody_else_is_refused() -> None:
    async def test() -> None:
        other = Credentials("demo", "demo", "demo-key", "NOT-MINE")
        async with watching(("EUR_USD",), credentials=other) as watched:
            assert watched.consuming is not None
            with pytest.raises(ConfigError, match="IG_ACC_NUMBER names no account of this login, which has 2"):
                await watched.consuming

    with pytest.raises(ConfigError):
        run(test)


def test_a_password_is_encrypted_where_the_venue_asks_for_it() -> None:
    async def test() -> None:
        async with watching(("EUR_USD",), venue={"encryption_required": True}) as watched:
            await watched.flowing(("EUR_USD",))
            assert watched.sim.log.logins == 1

    run(test)


@pytest.mark.parametrize("word", ["demo", "wrong-word-88"])
def test_no_secret_is_logged_printed_or_said(
    word: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []
    secrets = ["user-name-99", word, "api-key-55"]

    async def test() -> None:
        venue = {"username": "user-name-99", "password": "demo-5word", "api_key": "api-key-55"}
        mine = Credentials("user-name-99", "demo-5word" if word == "demo" else word, "api-key-55")
        secrets[1] = mine.password
        async with watching(("EUR_USD",), venue=venue, credentials=mine) as watched:
            try:
                await watched.until(lambda: watched.quotes() or watched.ended)
                if watched.feed.account is not None and (login := watched.feed.account.current):
                    secrets.extend((login.cst, login.security_token))
                    said.append(repr(login))
                watched.sim.inject("forget_sessions")
                await asyncio.sleep(0.3)
            finally:
                said.extend(map(repr, watched.events))
                said.append(repr(watched.feed))
                said.append(repr(watched.feed.__dict__))

    with caplog.at_level(logging.DEBUG):
        try:
            run(test)
        except VenueError as error:
            said.append(f"{error} {error!r} {error.__cause__!r}")
    out, err = capfd.readouterr()
    said += [out, err, caplog.text, *(repr(record.args) for record in caplog.records)]
    assert "/session" in caplog.text, "something was logged at all"
    text = "\n".join(said)
    assert not [secret for secret in secrets if secret in text]


# ---------------------------------------------------------------- our own mistakes


def test_an_exception_in_a_callback_is_counted_and_the_next_update_flows() -> None:
    broken = threading.Event()

    def failing(clock: Callable[[], int]) -> Callable[[], int]:
        def now() -> int:
            if threading.current_thread() is not threading.main_thread() and broken.is_set():
                broken.clear()
                raise RuntimeError("the clock stopped")
            return clock()

        return now

    async def test() -> None:
        async with watching(("EUR_USD",), now=failing) as watched:
            await watched.flowing(("EUR_USD",))
            broken.set()
            await watched.until(watched.unread)
            [event] = watched.unread()
            assert "onItemUpdate: RuntimeError: the clock stopped" in event.why
            assert watched.feed.faults == 1
            await watched.flowing(("EUR_USD",))

    run(test)


def test_a_feed_without_symbols_or_with_an_epic_of_nobody_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match="has no symbol"):
        IgFeed((), credentials=CREDENTIALS, now=lambda: 0)
    with pytest.raises(ConfigError, match="stands for no symbol known here"):
        IgFeed(("CS.D.WHATEVER.CFD.IP",), credentials=CREDENTIALS, now=lambda: 0)
    assert IgFeed(("CS.D.EURUSD.MINI.IP", "usd/jpy"), credentials=CREDENTIALS, now=lambda: 0).symbols == (
        "EUR_USD",
        "USD_JPY",
    )
