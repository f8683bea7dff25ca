"""The way back: cuts, lost sessions, expired tokens, repairs, against the simulated venue."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tapehub.feeds import MarketStatus, Repair, StatusKind
from tapehub.feeds.feed import Stage
from tapehub.feeds.ig import Settings
from tapehub.feeds.ig.account import Login
from tapehub.feeds.ig.tokens import Tokens
from tests.servers.ig import CREDENTIALS, SYMBOLS, watching


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


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
            watched.assert_complete("EUR_USD", 5)

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
                watched.assert_as_quoted(symbol, decimals)

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
    monkeypatch.setattr("tapehub.feeds.ig.keeper.STREAM_PATIENCE_S", {})

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


def test_a_stream_that_refuses_fresh_tokens_too_is_left_alone_and_gets_no_login_after_login() -> None:
    def refuse(sim: Any) -> None:
        sim.inject("refuse_stream", code="-1")

    async def test() -> None:
        async with watching(("EUR_USD",), before=refuse) as watched:
            waits = lambda: [one for one in watched.statuses(StatusKind.REFUSED) if one.stage is Stage.ALLOWANCE]  # noqa: E731
            await watched.until(waits)
            assert "refuses fresh tokens too" in waits()[0].detail
            await asyncio.sleep(1.0)
            assert watched.sim.log.logins == 2, "one to begin with, one since it might have been the tokens"
            assert len([one for one in watched.statuses(StatusKind.REFUSED) if one.code == "-1"]) == 2

    run(test)


def test_the_streams_word_against_tokens_buys_few_logins_and_patience_that_grows() -> None:
    class Bank:
        logins = 0

        def fresh(self, used: Login | None = None, *, refused: bool = False) -> Login:
            self.logins += refused or used is None
            return Login("A", "e", "b", f"{self.logins}", "x", self.logins)

    async def test() -> None:
        at_s = 0.0
        bank = Bank()
        tokens = Tokens(bank, Settings(lend=False), CREDENTIALS, lambda login: None)  # type: ignore[arg-type]
        tokens._clock = lambda: at_s  # type: ignore[method-assign]
        await tokens.fresh()
        waits = []
        for _ in range(9):
            waits.append(tokens.refused())
            at_s += waits[-1] + 1
            await tokens.fresh()
            assert bank.logins <= 2 + at_s // 3600
        assert waits[:6] == [0, 30, 60, 120, 240, 480]
        assert max(waits) <= 1800
        logins = bank.logins
        for _ in range(20):  # let in, and thrown out at once
            tokens.taken()
            at_s += tokens.refused() + 1
            await tokens.fresh()
        assert bank.logins <= logins + 3

    run(test)


def test_a_reconnection_that_is_asked_for_in_a_closed_market_is_not_made() -> None:
    async def test() -> None:
        async with watching(SYMBOLS) as watched:
            await watched.flowing(SYMBOLS)
            watched.sim.inject("market_state", state="CLOSED")
            await watched.until(lambda: len([one for one in watched.of(MarketStatus) if one.detail == "CLOSED"]) >= 3)
            watched.feed.repair(Repair.RECONNECT)
            await watched.until(lambda: watched.requests("GET /markets 200"))
            await asyncio.sleep(0.5)
            assert len(watched.statuses(StatusKind.CONNECTED)) == 1
            watched.sim.inject("clear", code="market_state")
            await watched.until(lambda: watched.of(MarketStatus)[-1].is_open)
            watched.feed.repair(Repair.RECONNECT)
            await watched.until(lambda: len(watched.statuses(StatusKind.CONNECTED)) == 2)

    run(test)


def test_a_word_that_the_stream_says_nothing_new_of_is_asked_for() -> None:
    async def test() -> None:
        async with watching(("EUR_USD",), settings={"status_every_s": 60.0}) as watched:
            await watched.flowing(("EUR_USD",))
            await watched.until(lambda: watched.of(MarketStatus))
            said = len(watched.of(MarketStatus))
            watched.feed.ask_markets(("EUR_USD",))
            await watched.until(lambda: len(watched.of(MarketStatus)) > said)
            assert watched.of(MarketStatus)[-1].detail == "TRADEABLE"

    run(test)
