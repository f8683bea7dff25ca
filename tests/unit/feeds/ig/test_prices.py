"""IG's /prices from JSON to rows."""

import json
from pathlib import Path
from typing import Any

import pytest

from tapehub.errors import AllowanceExceeded, FeedError, VenueError
from tapehub.feeds.ig.catalogue import Catalogue
from tapehub.feeds.ig.markets import Market
from tapehub.feeds.ig.prices import IgPrices, ig_instant, ig_prices
from tapehub.feeds.prices import AllowanceNote
from tapehub.model.instruments import InstrumentBook

T0 = 1_634_108_760_000_000_000  # 2021-10-13 07:06 UTC


def reply(bid: Any = 11515.4, ask: Any = 11516.0, **changes: Any) -> dict[str, Any]:
    prices = {"bid": bid, "ask": ask, "lastTraded": None}
    row = {
        "snapshotTime": "2021/10/13 09:06:00",
        "snapshotTimeUTC": "2021-10-13T07:06:00",
        **{f"{name}Price": prices for name in ("open", "high", "low", "close")},
        "lastTradedVolume": 119,
    }
    allowance = {"remainingAllowance": 9990, "totalAllowance": 10000, "allowanceExpiry": 604799}
    return {"prices": [{**row, **changes}], "metadata": {"allowance": allowance, "pageData": {"totalPages": 1}}}


def test_points_are_divided_exactly() -> None:
    (row,) = ig_prices(reply(), 10_000).rows
    assert row == (T0, (1.15154,) * 4, (1.1516,) * 4, 119.0)


def test_the_time_is_utc_not_the_accounts() -> None:
    assert ig_prices(reply(snapshotTimeUTC="2021-10-13T07:06:00Z")).rows[0].start_ns == T0
    assert ig_instant(T0) == "2021-10-13T07:06:00"


def test_the_allowance_is_read() -> None:
    assert ig_prices(reply()).allowance == AllowanceNote(9_990, 10_000, 604_799)
    assert ig_prices({"prices": []}).allowance is None
    assert ig_prices({"prices": [], "metadata": {"allowance": {"remainingAllowance": "?"}}}).allowance is None


@pytest.mark.parametrize(
    "changes", [{"snapshotTimeUTC": None}, {"snapshotTimeUTC": "2021/10/13 09:06:00"}, {"bid": "x"}, {"ask": [1]}]
)
def test_a_row_that_cannot_be_read_is_kept_apart(changes: dict[str, Any]) -> None:
    found = ig_prices(reply(**changes))
    assert found.rows == ()
    assert found.unreadable[0].startswith("row 0: ")


def test_a_side_without_prices_is_none() -> None:
    assert ig_prices(reply(ask=None)).rows[0].ask is None


@pytest.mark.parametrize("bad", [{}, {"prices": {}}, {"errorCode": "x"}])
def test_what_is_no_reply_of_prices_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(FeedError, match="without prices"):
        ig_prices(bad)


def test_one_page_of_several_is_refused() -> None:
    with pytest.raises(FeedError, match="page 1 of 3"):
        ig_prices({"prices": [], "metadata": {"pageData": {"pageNumber": 1, "totalPages": 3}}})


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8-sig"))


def test_captured_replies_are_read(shared_data: Path) -> None:
    captured = load(shared_data / "ig/igmarkets/prices_CS.D.EURUSD.MINI.IP.json")
    found = ig_prices(captured)
    assert [row.start_ns for row in found.rows] == [T0 + i * 60_000_000_000 for i in range(10)]
    assert found.rows[0] == (T0, (1.15476, 1.15476, 1.15456, 1.15456), (1.15485, 1.15485, 1.15463, 1.15465), 119.0)
    assert found.allowance == AllowanceNote(9_990, 10_000, 604_799)
    assert found.unreadable == ()
    for name in ("igmarkets/prices_CC.D.LCO.UNC.IP.json", "trading-ig/historic_prices.json"):
        assert len(ig_prices(load(shared_data / "ig" / name)).rows) == 10


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_captured_replies_of_older_versions_have_no_utc_and_are_not_guessed(shared_data: Path, version: str) -> None:
    found = ig_prices(load(shared_data / f"ig/trading-ig/historic_prices_{version}.json"))
    assert found.rows == ()
    assert all("snapshotTimeUTC" in why for why in found.unreadable)
    assert found.allowance is not None


class Session:
    """Stands for the REST session: one market, and whatever reply it is given."""

    def __init__(self, answer: Any, bid: float = 1.15476, streaming: bool = True) -> None:
        self.answer = answer
        self.asked: list[tuple[str, ...]] = []
        self.market = Market(
            "CS.D.EURUSD.CFD.IP", scaling_factor=10_000, decimals=5, bid=bid, ask=bid, pip=0.0001, streaming=streaming
        )

    def markets(self, epics: list[str]) -> tuple[dict[str, Market], dict[str, str]]:
        return {epic: self.market for epic in epics if epic == self.market.epic}, {}

    def zone_ns(self) -> int:
        return 0

    def prices(self, *asked: str) -> Any:
        self.asked.append(asked)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def session_prices(session: Session) -> IgPrices:
    account: Any = session
    return IgPrices(account, Catalogue(account, {}, InstrumentBook()))


def test_the_span_is_asked_for_to_its_last_second_and_no_more() -> None:
    session = Session(reply())
    session_prices(session).fetch("EUR_USD", T0, T0 + 10 * 60_000_000_000, "1m")
    assert session.asked == [("CS.D.EURUSD.CFD.IP", "MINUTE", "2021-10-13T07:06:00", "2021-10-13T07:15:59")]


@pytest.mark.parametrize(("bid", "snapshot"), [(11515.4, 1.15476), (1.15154, 1.15476), (11515.4, 11547.6)])
def test_history_is_scaled_by_its_own_magnitude_not_by_the_streams(bid: float, snapshot: float) -> None:
    prices = session_prices(Session(reply(bid, bid), snapshot))
    found = prices.fetch("EUR_USD", T0, T0 + 60_000_000_000, "1m")
    assert found.rows[0].bid == (1.15154,) * 4
    assert found.allowance == AllowanceNote(9_990, 10_000, 604_799)


def test_history_that_fits_no_scale_is_refused() -> None:
    with pytest.raises(FeedError, match="reads as"):
        session_prices(Session(reply(115.1, 115.2))).fetch("EUR_USD", T0, T0 + 60_000_000_000, "1m")


def test_the_weekly_limit_is_told_from_the_others() -> None:
    week = VenueError("no", code="error.public-api.exceeded-account-historical-data-allowance", status=403)
    minute = VenueError("no", code="error.public-api.exceeded-api-key-allowance", status=403)
    with pytest.raises(AllowanceExceeded, match="history of EUR_USD"):
        session_prices(Session(week)).fetch("EUR_USD", T0, T0 + 1, "1m")
    with pytest.raises(VenueError):
        session_prices(Session(minute)).fetch("EUR_USD", T0, T0 + 1, "1m")


def test_a_market_that_ig_does_not_have_is_refused_by_name() -> None:
    with pytest.raises(FeedError, match=r"history of GBP_USD: .*IG knows no market"):
        session_prices(Session(reply())).fetch("GBP_USD", T0, T0 + 1, "1m")


def test_an_empty_reply_needs_no_scale() -> None:
    found = session_prices(Session({"prices": []})).fetch("EUR_USD", T0, T0 + 60_000_000_000, "1m")
    assert found.rows == ()
