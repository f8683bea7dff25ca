"""Order code borrows the collector's session: the same user's processes alone, and nobody logs in twice."""

import asyncio
import json
import os
import socket
import stat
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import tapehub.ig
from tapehub.errors import FeedError
from tapehub.feeds import StatusKind
from tapehub.feeds.ig import lending
from tapehub.feeds.ig.account import Login
from tests.servers.ig import CREDENTIALS, watching

BORROWER = """
import json, sys
import tapehub.ig
session = tapehub.ig.session(path=sys.argv[1])
service = session.service(return_dataframe=False, return_munch=False)
accounts = [row["accountId"] for row in service.fetch_accounts()["accounts"]]
print(json.dumps({"account": session.account, "shown": repr(session), "cst": session.cst, "accounts": accounts}))
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Give the path of a socket in a directory that is the user's alone: from any other nothing is lent."""
    tmp_path.chmod(0o700)
    return tmp_path / "ig.sock"


def test_another_process_uses_the_session_without_a_login(place: Path) -> None:
    async def test() -> None:
        async with watching(("EUR_USD",), settings={"lend": True, "lend_at": place}) as watched:
            await watched.flowing(("EUR_USD",))
            assert stat.S_IMODE(place.stat().st_mode) == 0o600
            asked = await asyncio.to_thread(
                subprocess.run,
                [sys.executable, "-c", BORROWER, place],
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
            assert asked.returncode == 0, asked.stderr
            answer = json.loads(asked.stdout)
            assert answer["account"] == "SIM01"
            assert answer["accounts"] == ["SIM01", "SIM02"]
            assert answer["cst"] not in answer["shown"]
            assert watched.sim.log.logins == 1
        assert not place.exists()

    asyncio.run(test())


def test_tokens_that_were_renewed_are_the_ones_lent(place: Path) -> None:
    async def test() -> None:
        async with watching(("EUR_USD",), settings={"lend": True, "lend_at": place}) as watched:
            await watched.flowing(("EUR_USD",))
            before = await asyncio.to_thread(tapehub.ig.session, path=place)
            watched.sim.inject("expire_tokens")
            watched.sim.inject("forget_sessions")
            await watched.until(lambda: watched.sim.log.logins == 2)
            await watched.flowing(("EUR_USD",))
            after = await asyncio.to_thread(tapehub.ig.session, path=place)
            assert before.cst != after.cst

    asyncio.run(test())


def test_another_users_process_gets_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    login = Login("ACC", "https://stream", "https://rest", "the-cst", "the-xst", 1)

    async def test() -> None:
        lender = lending.Lender(place)
        lender.lend(login, CREDENTIALS)
        try:
            assert (await asyncio.to_thread(lending.borrow, place)).cst == "the-cst"
            mine = os.getuid()
            # Seen from the collector, whoever asks is another user; seen from there, the collector is the same one.
            main = threading.main_thread()
            monkeypatch.setattr(
                lending, "_owner_of", lambda line: mine + 1 if threading.current_thread() is main else mine
            )
            with pytest.raises(FeedError, match="lends no session"):
                await asyncio.to_thread(lending.borrow, place)
            monkeypatch.setattr(lending, "_owner_of", lambda line: mine + 1)
            with pytest.raises(FeedError, match="belongs to another user"):
                await asyncio.to_thread(lending.borrow, place)
        finally:
            lender.close()
        assert not place.exists()

    asyncio.run(test())


def test_the_kernel_says_whose_process_it_is() -> None:
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        assert lending._owner_of(one) == os.getuid()
        assert struct.calcsize("3i") == 12


def test_nothing_is_lent_from_a_directory_that_others_can_reach(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert not lending._make_private(tmp_path)
    tmp_path.chmod(0o700)
    assert lending._make_private(tmp_path)
    assert lending._make_private(tmp_path / "new")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    (tmp_path / "link").symlink_to(tmp_path / "new")
    assert not lending._make_private(tmp_path / "link")


def test_without_a_collector_the_message_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match=r"no IG session to borrow at .*tapehub collect ig"):
        tapehub.ig.session(path=tmp_path / "none.sock")


def test_a_socket_left_by_a_dead_collector_is_replaced_and_a_live_one_is_not(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as alive:
        alive.bind(str(place))
        alive.listen()
        assert lending._answers(place)
    assert place.exists()
    assert not lending._answers(place)


def test_the_usual_place_is_the_users_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert lending.socket_path("DEMO") == tmp_path / "tapehub" / "ig-demo.sock"
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert f"tapehub-{os.getuid()}" in str(lending.socket_path("live"))


def test_a_borrower_that_says_which_tokens_failed_gets_others(place: Path) -> None:
    async def test() -> None:
        async with watching(("EUR_USD",), settings={"lend": True, "lend_at": place}) as watched:
            await watched.flowing(("EUR_USD",))
            before = await asyncio.to_thread(tapehub.ig.session, path=place)
            watched.sim.inject("expire_tokens")
            assert (await asyncio.to_thread(tapehub.ig.session, path=place)).cst == before.cst, "vouched for just now"
            await asyncio.sleep(3.0)  # a borrower that is mistaken must not make the collector ask in a row
            after = await asyncio.to_thread(tapehub.ig.session, path=place, failed=before)
            assert after.cst != before.cst
            service = after.service(return_dataframe=False, return_munch=False)
            assert await asyncio.to_thread(service.fetch_accounts)
            assert watched.sim.log.logins == 2
            assert len(watched.statuses(StatusKind.CONNECTED)) == 1, "an open stream goes on"

    asyncio.run(test())


def test_what_was_vouched_for_long_ago_is_asked_about_before_it_is_lent(place: Path) -> None:
    async def test() -> None:
        settings = {"lend": True, "lend_at": place, "lend_unasked_s": 0.0}
        async with watching(("EUR_USD",), settings=settings) as watched:
            await watched.flowing(("EUR_USD",))
            before = await asyncio.to_thread(tapehub.ig.session, path=place)
            watched.sim.inject("expire_tokens")
            after = await asyncio.to_thread(tapehub.ig.session, path=place)
            assert before.cst != after.cst
            assert watched.sim.log.logins == 2

    asyncio.run(test())


def test_tokens_are_checked_while_nobody_needs_them() -> None:
    async def test() -> None:
        async with watching(("EUR_USD",), settings={"check_every_s": 0.5}) as watched:
            await watched.flowing(("EUR_USD",))
            watched.sim.inject("expire_tokens")
            await watched.until(lambda: watched.sim.log.logins == 2)
            assert len(watched.statuses(StatusKind.CONNECTED)) == 1

    asyncio.run(test())


def test_a_borrower_of_an_earlier_version_asks_nothing_and_gets_the_session(place: Path) -> None:
    def ask() -> bytes:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(5)
            line.connect(str(place))
            return line.recv(65_536)

    async def test() -> None:
        lender = lending.Lender(place)
        lender.lend(Login("ACC", "https://stream", "https://rest", "the-cst", "the-xst", 1), CREDENTIALS)
        try:
            assert json.loads(await asyncio.to_thread(ask))["cst"] == "the-cst"
        finally:
            lender.close()

    asyncio.run(test())
