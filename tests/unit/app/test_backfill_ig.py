"""Where `tapehub backfill` gets IG's history from: the configured epics, and a running collector's session."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tapehub.app.backfill import ig_prices_of
from tapehub.errors import ConfigError, FeedError
from tapehub.feeds.ig import Account, BorrowedSession, lending
from tapehub.feeds.sim import Settings as Venue
from tapehub.feeds.sim import SimulatorThread, SyntheticSource, VirtualClock
from tests.servers.ig import CREDENTIALS, TUESDAY

MINUTE = 60_000_000_000
MINI = "CS.D.EURUSD.MINI.IP"


@pytest.fixture
def venue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatorThread]:
    """Run the venue; no credentials are to be found, and no collector lends."""
    for name in [name for name in os.environ if name.startswith("IG_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "tapehub.toml").touch()
    monkeypatch.setenv("TAPEHUB_CONFIG", str(tmp_path / "tapehub.toml"))
    (tmp_path / "tapehub.toml").write_text(f'[ig.epics]\nEURUSD = "{MINI}"\n')
    with SimulatorThread(source=SyntheticSource(["EUR_USD"]), clock=VirtualClock(TUESDAY)) as sim:
        yield sim


def logged_in(sim: SimulatorThread) -> BorrowedSession:
    """Log in as a collector does, and give what it would lend."""
    account = Account(CREDENTIALS, now=time.time_ns, base_url=sim.rest_url)
    login = account.login()
    account.close()
    return BorrowedSession(
        login.account, "demo", login.endpoint, login.base_url, CREDENTIALS.api_key, login.cst, login.security_token
    )


def test_the_session_of_a_running_collector_is_borrowed(
    venue: SimulatorThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    lent = logged_in(venue)
    monkeypatch.setattr(lending, "borrow", lambda path, failed=None: lent)
    prices, close = ig_prices_of(venue.rest_url)
    try:
        reply = prices.fetch("EUR_USD", TUESDAY - 10 * MINUTE, TUESDAY - 5 * MINUTE, "1m")
    finally:
        close()
    assert len(reply.rows) == 5
    assert venue.log.logins == 1
    assert venue.log.requests["GET /prices/… 200"] == 1


def test_the_configured_epic_is_the_one_asked_for(venue: SimulatorThread, monkeypatch: pytest.MonkeyPatch) -> None:
    lent = logged_in(venue)
    monkeypatch.setattr(lending, "borrow", lambda path, failed=None: lent)
    venue.inject("bad_epic", item=MINI)
    prices, close = ig_prices_of(venue.rest_url)
    try:
        with pytest.raises(FeedError, match=MINI):
            prices.fetch("EUR_USD", TUESDAY - 10 * MINUTE, TUESDAY - 5 * MINUTE, "1m")
    finally:
        close()


def test_tokens_that_were_renewed_meanwhile_are_borrowed_anew(
    venue: SimulatorThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = [logged_in(venue)]
    monkeypatch.setattr(lending, "borrow", lambda path, failed=None: sessions[-1])
    prices, close = ig_prices_of(venue.rest_url)
    try:
        prices.fetch("EUR_USD", TUESDAY - 10 * MINUTE, TUESDAY - 9 * MINUTE, "1m")
        venue.inject("expire_tokens")
        sessions.append(logged_in(venue))
        assert prices.fetch("EUR_USD", TUESDAY - 9 * MINUTE, TUESDAY - 8 * MINUTE, "1m").rows
    finally:
        close()
    assert venue.log.logins == 2  # the collector's two


def test_a_session_at_another_address_is_not_taken(venue: SimulatorThread, monkeypatch: pytest.MonkeyPatch) -> None:
    lent = logged_in(venue)
    monkeypatch.setattr(lending, "borrow", lambda path, failed=None: lent)
    with pytest.raises(ConfigError, match="IG_USERNAME"):
        ig_prices_of(None)


def test_where_nobody_lends_the_credentials_log_in(venue: SimulatorThread, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, failed: BorrowedSession | None = None) -> BorrowedSession:
        raise FeedError("nobody lends")

    monkeypatch.setattr(lending, "borrow", refuse)
    for name, value in (("USERNAME", "demo"), ("PASSWORD", "demo"), ("API_KEY", "demo-key")):
        monkeypatch.setenv(f"IG_{name}", value)
    prices, close = ig_prices_of(venue.rest_url)
    try:
        assert prices.fetch("EUR_USD", TUESDAY - 10 * MINUTE, TUESDAY - 9 * MINUTE, "1m").rows
    finally:
        close()
    assert venue.log.logins == 1


@pytest.mark.parametrize("hours", [0, 1, -5])
@pytest.mark.parametrize("minutes", [3, 120])
def test_the_zone_that_history_is_asked_in_is_learnt_by_a_small_request(
    venue: SimulatorThread, monkeypatch: pytest.MonkeyPatch, hours: int, minutes: int
) -> None:
    with SimulatorThread(
        Venue(timezone_offset_h=hours), source=SyntheticSource(["EUR_USD"]), clock=VirtualClock(TUESDAY)
    ) as sim:
        lent = logged_in(sim)
        monkeypatch.setattr(lending, "borrow", lambda path, failed=None: lent)
        prices, close = ig_prices_of(sim.rest_url)
        start, points = TUESDAY - 300 * MINUTE, []
        try:
            for first in (start, start - 200 * MINUTE):
                reply = prices.fetch("EUR_USD", first, first + minutes * MINUTE, "1m")
                assert [row.start_ns for row in reply.rows] == [first + n * MINUTE for n in range(minutes)]
                assert reply.allowance is not None
                points.append(reply.allowance.remaining)
        finally:
            close()
        assert 10_000 - points[0] <= minutes + 20, "a few points for the answer, not a large reply of another hour"
        assert points[0] - points[1] == minutes, "and none from then on"


def test_a_venue_that_answers_with_other_times_whatever_is_asked_gets_no_large_request(
    venue: SimulatorThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    lent = logged_in(venue)
    monkeypatch.setattr(lending, "borrow", lambda path, failed=None: lent)
    prices, close = ig_prices_of(venue.rest_url)
    asked: list[tuple[str, str]] = []

    def stubborn(self: Account, epic: str, resolution: str, start: str, end: str, page_size: int = 0) -> dict[str, Any]:
        asked.append((start, end))
        side = {"bid": 1.1, "ask": 1.2}
        row = {f"{name}Price": side for name in ("open", "high", "low", "close")}
        return {"prices": [row | {"snapshotTimeUTC": "2020-01-01T00:00:00"}]}

    monkeypatch.setattr(Account, "prices", stubborn)
    try:
        with pytest.raises(FeedError, match="no more is asked for"):
            prices.fetch("EUR_USD", TUESDAY - 600 * MINUTE, TUESDAY - 5 * MINUTE, "1m")
    finally:
        close()
    assert len(asked) == 2
    assert asked[0] == ("2026-06-02T11:45:00", "2026-06-02T11:54:59")
