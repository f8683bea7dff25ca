"""An error code decides what to do; a status alone does not."""

import random

import pytest

from tapehub.feeds.backoff import Backoff
from tapehub.feeds.ig.refusals import Remedy, concerns_one, remedy_of, wait_s


@pytest.mark.parametrize(
    ("status", "code", "remedy"),
    [
        (401, "error.security.client-token-invalid", Remedy.LOGIN),
        (401, "error.security.account-token-invalid", Remedy.LOGIN),
        (401, "error.security.oauth-token-invalid", Remedy.LOGIN),
        (401, "error.security.invalid-details", Remedy.MEND),
        (401, "error.security.account-suspended", Remedy.MEND),
        (401, "error.public-api.failure.kyc.required", Remedy.MEND),
        (401, "", Remedy.LOGIN),
        (403, "error.public-api.exceeded-api-key-allowance", Remedy.WAIT_MINUTE),
        (403, "error.public-api.exceeded-account-allowance", Remedy.WAIT_MINUTE),
        (403, "error.public-api.exceeded-account-trading-allowance", Remedy.WAIT_MINUTE),
        (403, "error.public-api.exceeded-account-historical-data-allowance", Remedy.WAIT_WEEK),
        (403, "error.security.api-key-disabled", Remedy.MEND),
        (403, "unauthorised.access.to.equity.exception", Remedy.NONE),
        (403, "", Remedy.RETRY),
        (400, "error.public-api.failure.encryption.required", Remedy.ENCRYPT),
        (400, "invalid.input.too.many.markets", Remedy.NONE),
        (404, "error.service.marketdata.instrument.epic.unavailable", Remedy.NONE),
        (503, "", Remedy.RETRY),
        (0, "", Remedy.RETRY),
    ],
)
def test_remedy(status: int, code: str, remedy: Remedy) -> None:
    assert remedy_of(code, status) is remedy


def test_a_minute_is_waited_for_the_minute_and_longer_for_the_week() -> None:
    assert wait_s(Remedy.WAIT_MINUTE) == 60
    assert wait_s(Remedy.WAIT_WEEK) > 3600
    assert wait_s(Remedy.LOGIN) == 0


def test_waits_grow_to_the_ceiling_and_are_spread() -> None:
    backoff = Backoff(random.Random(7), 1.0, 60.0)
    waits = [backoff.next_s() for _ in range(12)]
    for number, waited in enumerate(waits):
        whole = min(60.0, 2.0**number)
        assert whole / 2 <= waited <= whole
    assert len(set(waits[6:])) == 6


def test_the_same_seed_waits_the_same() -> None:
    one, other = Backoff(random.Random(3)), Backoff(random.Random(3))
    assert [one.next_s() for _ in range(5)] == [other.next_s() for _ in range(5)]


def test_a_minimum_of_the_venue_comes_before_the_ceiling_and_a_success_resets() -> None:
    backoff = Backoff(random.Random(1), 1.0, 10.0)
    assert backoff.next_s(at_least_s=300) == 300
    backoff.reset()
    assert backoff.next_s() <= 1.0


def test_what_another_login_would_mend_has_to_be_mended_by_somebody_where_the_login_is_refused() -> None:
    for code in ("", "error.security.too-many-attempts", "error.security.client-token-invalid"):
        assert remedy_of(code, 401) is Remedy.LOGIN
        assert remedy_of(code, 401, at_login=True) is Remedy.MEND
    assert remedy_of("", 503, at_login=True) is Remedy.RETRY


def test_tokens_and_limits_are_no_single_markets_affair() -> None:
    assert concerns_one("unauthorised.access.to.equity.exception", 403)
    assert concerns_one("", 503)
    assert not concerns_one("", 0)
    assert not concerns_one("", 401)
    assert not concerns_one("error.public-api.exceeded-account-allowance", 403)
    assert not concerns_one("error.security.api-key-disabled", 403)
