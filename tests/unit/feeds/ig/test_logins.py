"""Logins at the simulated venue: refused, held up, switched, encrypted, and never shown."""

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tapehub.errors import ConfigError, VenueError
from tapehub.feeds import Status, StatusKind
from tapehub.feeds.ig import Account, Credentials
from tapehub.feeds.ig.account import LOGINS_PER_HOUR
from tapehub.feeds.ig.refusals import Remedy, remedy_of
from tapehub.feeds.sim import SimulatorThread
from tests.servers.ig import watching


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


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


def test_whoever_starts_the_feed_again_does_not_hammer_the_login() -> None:
    async def test() -> None:
        wrong = Credentials("demo", "wrong-word", "demo-key")
        async with watching(("EUR_USD",), credentials=wrong) as watched:
            assert watched.consuming is not None
            with pytest.raises(VenueError):
                await watched.consuming
            for _ in range(3):
                stream = watched.feed.events()
                event = await anext(stream)
                assert isinstance(event, Status)
                assert event.kind is StatusKind.REFUSED
                assert "no login before" in event.detail
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(anext(stream), 0.05)
                await stream.aclose()
            assert len(watched.requests("POST /session")) == 1

    with pytest.raises(VenueError):
        run(test)


def test_a_renewal_that_is_refused_costs_neither_the_connection_nor_login_after_login() -> None:
    async def test() -> None:
        settings = {"assumed_life_s": 60.0, "item_retry_first_s": 60.0}
        async with watching(("EUR_USD",), rate=60.0, ticks_per_s=0.5, settings=settings) as watched:
            await watched.flowing(("EUR_USD",))
            watched.sim.inject("refuse_login", code="error.security.client-suspended")
            watched.sim.inject("expire_tokens")
            await watched.until(lambda: len(watched.requests("POST /session 401")) == 1)
            await asyncio.sleep(2.2)
            await watched.flowing(("EUR_USD",))
            assert len(watched.requests("POST /session")) == 2
            assert len(watched.statuses(StatusKind.CONNECTED)) == 1
            assert not watched.statuses(StatusKind.DISCONNECTED)

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


def test_a_login_that_is_refused_with_a_code_nobody_knows_is_not_repeated() -> None:
    def refuse(sim: Any) -> None:
        sim.inject("refuse_login", code="error.security.too-many-attempts")

    async def test() -> None:
        async with watching(("EUR_USD",), before=refuse) as watched:
            assert watched.consuming is not None
            with pytest.raises(VenueError, match="too-many-attempts; remedy: mend the credentials or the account"):
                await watched.consuming
            assert len(watched.requests("POST /session")) == 1
            assert "no login before" in (await anext(watched.feed.events())).detail  # type: ignore[union-attr]

    with pytest.raises(VenueError):
        run(test)


def test_an_account_logs_in_ten_times_an_hour_at_most_whoever_asks() -> None:
    at_s = 0.0
    with SimulatorThread() as sim:
        account = Account(
            Credentials("demo", "demo", "demo-key"), now=time.time_ns, base_url=sim.rest_url, monotonic=lambda: at_s
        )
        try:
            login = account.login()
            for _ in range(LOGINS_PER_HOUR - 1):
                login = account.fresh(login, refused=True)
            with pytest.raises(VenueError, match="10 logins within the hour are enough") as raised:
                account.fresh(login, refused=True)
            assert remedy_of(raised.value.code, raised.value.status, at_login=True) is Remedy.RETRY
            assert sim.log.logins == LOGINS_PER_HOUR
            at_s = 3601.0
            account.fresh(login, refused=True)
        finally:
            account.close()


def test_a_login_that_was_refused_for_good_is_not_sent_again_until_its_bar_is_over() -> None:
    at_s = 0.0
    with SimulatorThread() as sim:
        account = Account(
            Credentials("demo", "demo", "demo-key"), now=time.time_ns, base_url=sim.rest_url, monotonic=lambda: at_s
        )
        try:
            login = account.login()
            sim.inject("refuse_login", code="error.security.client-suspended")
            sent = []
            for _ in range(3 * 3600 // 35):  # order code borrows every 35 s
                at_s += 35.0
                before = account.logins
                with pytest.raises(VenueError, match="client-suspended") as raised:
                    account.fresh(login, refused=True)
                assert remedy_of(raised.value.code, raised.value.status, at_login=True) is Remedy.MEND
                sent += [at_s] * (account.logins - before)
            waits = [after - before for before, after in itertools.pairwise(sent)]
            assert len(sent) == 5
            assert all(wait >= bar for wait, bar in zip(waits, (600, 1200, 2400, 4800), strict=True))
        finally:
            account.close()
