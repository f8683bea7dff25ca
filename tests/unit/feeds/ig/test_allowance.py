"""The limits are those that IG states; a share of them is left to order code."""

import json
from pathlib import Path

import pytest

from tapehub.errors import ConfigError
from tapehub.feeds.ig.allowance import Allowances, Limiter, allowances_of

ROW = {
    "name": "IG",
    "apiKey": "mine",
    "allowanceApplicationOverall": 60,
    "allowanceAccountTrading": 100,
    "allowanceAccountOverall": 30,
    "allowanceAccountHistoricalData": 10_000,
    "concurrentSubscriptionsLimit": 40,
}


def test_the_row_of_the_key_is_read() -> None:
    other = ROW | {"apiKey": "other", "allowanceAccountOverall": 5, "concurrentSubscriptionsLimit": 3}
    assert allowances_of([other, ROW], "mine") == Allowances(60, 30, 100, 10_000, 40, as_read=True)
    assert allowances_of([other, ROW], "other").subscriptions == 3


def test_captured_replies_are_read(shared_data: Path) -> None:
    text = (shared_data / "ig/igmarkets/clientapplications.json").read_text(encoding="utf-8-sig")
    assert allowances_of(json.loads(text), "another") == Allowances(20, 10, 33, 10_000, 40, as_read=True)
    text = (shared_data / "ig/trading-ig/application.json").read_text()
    assert allowances_of(json.loads(text), "another") == Allowances(60, 30, 100, 10_000, 40, as_read=True)


def test_nothing_is_assumed_when_the_key_is_not_among_them() -> None:
    assert not allowances_of([ROW, ROW | {"apiKey": "b"}], "c").as_read


def test_a_share_and_a_margin_are_left() -> None:
    assert Limiter(Allowances(60, 30), reserved_share=0.25).per_minute == 21
    assert Limiter(Allowances(20, 30), reserved_share=0.0).per_minute == 18, "the application's limit binds"
    assert Limiter(Allowances(60, 3), reserved_share=0.9).per_minute == 1
    assert Limiter(Allowances(), reserved_share=0.25).historical_points == 7500


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_share_that_leaves_nothing_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match="reserved_share"):
        Limiter(reserved_share=share)


def test_no_minute_has_more_requests_than_allowed() -> None:
    limiter = Limiter(Allowances(60, 12), reserved_share=0.5)
    sent, now = [], 0.0
    while len(sent) < 40:
        waited = limiter.take(now)
        if waited:
            assert 0 < waited <= 60
            now += waited
        else:
            sent.append(now)
            now += 0.5
    for begin in sent:
        assert sum(begin <= one < begin + 60 for one in sent) <= limiter.per_minute == 5


def test_a_login_is_counted_and_not_held_up() -> None:
    limiter = Limiter(Allowances(60, 5), reserved_share=0.0)
    limiter.block(100.0)
    assert limiter.take(0.0) == 100.0
    assert limiter.take(0.0, must=True) == 0.0
    assert limiter.take(100.5) == 0.0
