"""trading-ig against the simulator, as the collector uses it: only the base URL is another one."""

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("trading_ig", reason="needs trading-ig: pip install 'tapehub[ig]'")

from trading_ig import IGService
from trading_ig.rest import ApiExceededException, IGException, KycRequiredException, TokenInvalidException

from tapehub.feeds.sim import ManualClock, Settings, SimulatorThread
from tests.models.venue import EUR, MONDAY, rising, source


@pytest.fixture(scope="module")
def sim() -> Iterator[SimulatorThread]:
    settings = Settings(allowance_application=10_000, allowance_account=10_000, oauth_life_s=3600)
    with SimulatorThread(settings, source=source(rising(600)), clock=ManualClock(MONDAY + 599 * 10**9)) as running:
        yield running
        running.inject("clear")


@pytest.fixture(autouse=True)
def _mended(sim: SimulatorThread) -> Iterator[None]:
    yield
    sim.inject("clear")


def service(sim: SimulatorThread, **options: Any) -> IGService:
    made = IGService("demo", "demo", "demo-key", "DEMO", acc_number="SIM01", **options)
    # Two copies: one for the encryption key, one for everything else.
    made.BASE_URL = made.crud_session.BASE_URL = sim.rest_url
    return made


@pytest.mark.parametrize(("version", "encryption"), [("2", False), ("3", False), ("2", True)])
def test_it_logs_in_reads_and_logs_out(sim: SimulatorThread, version: str, encryption: bool) -> None:
    ig = service(sim, return_dataframe=False)
    session = ig.create_session(version=version, encryption=encryption)
    assert session["lightstreamerEndpoint"] == sim.stream_url
    if version == "3":
        assert ig.read_session(fetch_session_tokens="true")["accountId"] == "SIM01"
    assert sim.call(lambda one: one.venue.tokens.streams("SIM01", password(ig)))
    assert ig.fetch_market_by_epic(EUR)["snapshot"]["bid"] == 1.1599
    assert len(ig.fetch_markets_by_epics(EUR, detailed=False)) == 1
    assert ig.fetch_accounts()["accounts"][0]["accountId"] == "SIM01"
    assert ig.get_client_apps()[0]["concurrentSubscriptionsLimit"] == 40
    assert ig.search_markets("EURUSD")["markets"]
    assert ig.fetch_watchlist_markets("Popular Markets")["markets"]
    prices = ig.fetch_historical_prices_by_epic(EUR, numpoints=5, pagesize=2, wait=0)
    assert [row["closePrice"]["bid"] for row in prices["prices"]] == [1.1359, 1.1419, 1.1479, 1.1539, 1.1599]
    ig.logout()


def password(ig: IGService) -> str:
    return f"CST-{ig.session.headers['CST']}|XST-{ig.session.headers['X-SECURITY-TOKEN']}"


def test_it_reads_prices_into_a_table(sim: SimulatorThread) -> None:
    ig = service(sim)
    ig.create_session()
    table = ig.fetch_historical_prices_by_epic(EUR, "1Min", numpoints=3, wait=0)["prices"]
    assert table["bid"]["Close"].tolist() == [1.1479, 1.1539, 1.1599]
    ig.logout()


def test_it_changes_the_account(sim: SimulatorThread) -> None:
    ig = service(sim, return_dataframe=False)
    ig.create_session()
    assert ig.switch_account("SIM02", False)["dealingEnabled"]
    assert ig.read_session()["accountId"] == "SIM02"
    ig.logout()


def test_expired_tokens_are_an_error_of_its_own(sim: SimulatorThread) -> None:
    ig = service(sim, return_dataframe=False)
    ig.create_session()
    sim.inject("expire_tokens")
    with pytest.raises(TokenInvalidException):
        ig.fetch_accounts()
    ig.create_session()
    assert ig.fetch_accounts()
    ig.logout()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "refuse_login", "code": "error.security.invalid-details"}, IGException),
        ({"kind": "refuse_login", "code": "error.public-api.failure.kyc.required"}, KycRequiredException),
        ({"kind": "allowance", "code": "api-key"}, ApiExceededException),
        ({"kind": "maintenance"}, IGException),
    ],
)
def test_a_refused_login_is(sim: SimulatorThread, fault: dict[str, str], error: type[Exception]) -> None:
    ig = service(sim)
    sim.inject(**fault)  # type: ignore[arg-type]
    with pytest.raises(error):
        ig.create_session()
    ig.session.close()


def test_an_allowance_used_up_is_an_error_of_its_own_for_a_minute_and_a_plain_one_for_a_week(
    sim: SimulatorThread,
) -> None:
    ig = service(sim, return_dataframe=False)
    ig.create_session()
    sim.inject("allowance", code="account", count=1)
    with pytest.raises(ApiExceededException):
        ig.fetch_accounts()
    sim.inject("allowance", code="account-historical-data", count=1)
    with pytest.raises(Exception, match="exceeded-account-historical-data-allowance"):
        ig.fetch_historical_prices_by_epic(EUR, wait=0)
    ig.logout()
