"""What the venue quotes at a moment: the day's range, candles that begin in their middle, epics and their scales."""

import pytest

from tapehub.feeds.sim import CONTRACTS, ManualClock, SyntheticSource, Venue, contracts_for
from tapehub.feeds.sim.items import tick_values
from tapehub.feeds.sim.market import Market, Tick
from tests.models.venue import EUR, MONDAY, rising, source


def market(at_s: float) -> Market:
    return Market(source(rising(600)), MONDAY + round(at_s * 1e9), always=False)


def test_the_last_quote_and_the_day_s_range_are_known_from_the_start() -> None:
    quoted = market(100.5)
    last, day = quoted.last("EUR_USD"), quoted.day("EUR_USD")
    assert last is not None
    assert (last.bid, last.ts_event) == (1.11, MONDAY + 100 * 10**9)
    assert day is not None
    assert (round(day.open, 5), round(day.high, 5), round(day.low, 5)) == (1.10003, 1.11003, 1.10003)
    quoted.take(Tick("EUR_USD", MONDAY + 101 * 10**9, 1.2, 1.2))
    assert day.high == 1.2


def test_a_new_day_begins_at_five_in_new_york() -> None:
    quoted = market(0.5)
    quoted.day("EUR_USD")
    for hours, price in ((8.9, 1.2), (9.1, 1.3)):  # 21:00 UTC is 17:00 there
        quoted.take(Tick("EUR_USD", MONDAY + round(hours * 3600e9), price, price))
    day = quoted.day("EUR_USD")
    assert day is not None
    assert (day.open, day.high, day.low) == (1.3, 1.3, 1.3)


def test_a_candle_that_is_followed_late_has_seen_its_beginning() -> None:
    quoted = market(90.5)
    quoted.follow("EUR_USD", "1MINUTE")
    candle = quoted.candle("EUR_USD", "1MINUTE")
    assert candle is not None
    assert (candle.start_ns, candle.ticks) == (MONDAY + 60 * 10**9, 31)
    assert candle.bid == [1.106, 1.109, 1.106, 1.109]


@pytest.mark.parametrize(
    ("epic", "bid", "text", "spread_pips"),
    [
        ("CS.D.EURUSD.CFD.IP", 1.15149, "1.15149", 0.6),
        ("CS.D.EURUSD.TODAY.IP", 1.15149, "11514.9", 0.6),
        ("CS.D.USDJPY.MINI.IP", 155.341, "155.341", 0.7),
        ("CS.D.USDJPY.TODAY.IP", 155.341, "15534.1", 0.7),
        ("CS.D.USCGC.TODAY.IP", 1926.4, "1926.4", 30),
        ("IX.D.DAX.IDF.IP", 13952.9, "13952.9", 2.8),
    ],
)
def test_an_epic_is_quoted_on_its_own_scale(epic: str, bid: float, text: str, spread_pips: float) -> None:
    from tapehub.model.instruments import TABLE

    contract = CONTRACTS[epic]
    row = TABLE[contract.symbol]
    clock = ManualClock(MONDAY)
    venue = Venue(SyntheticSource([contract.symbol]), clock, steady=clock)
    tick = Tick(contract.symbol, MONDAY, bid, bid + spread_pips * row.pip_size)
    values = tick_values(contract, venue.market, tick)
    assert values["BID"] == text
    assert values["OFR"] is not None
    assert float(values["OFR"]) - float(text) == pytest.approx(spread_pips * row.pip_size * contract.factor)


def test_a_pair_that_the_table_of_contracts_lacks_gets_its_own() -> None:
    assert set(contracts_for(["EUR_SEK"])) == {f"CS.D.EURSEK.{kind}.IP" for kind in ("CFD", "MINI", "TODAY")}
    assert set(contracts_for(["eurusd"])) == {EUR, "CS.D.EURUSD.MINI.IP", "CS.D.EURUSD.TODAY.IP"}
