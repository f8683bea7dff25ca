"""Prices come out in market units, exactly; where the magnitude is in doubt, nothing comes out."""

import json
from pathlib import Path

import pytest

from tapehub.feeds.ig.markets import Market, is_open, market_of
from tapehub.feeds.ig.scaling import Scaler, WrongScale
from tapehub.model.instruments import InstrumentBook

BOOK = InstrumentBook()


def scaler(symbol: str, market: Market) -> Scaler:
    return Scaler(market, BOOK.find(symbol))


# symbol, REST bid and ask, scalingFactor, decimals, onePipMeans, stream bid and ask, then what is expected.
TABLE = [
    ("EUR_USD", 1.15402, 1.15411, 10000, 5, 0.0001, "1.15402", "1.15411", 1.15402, 1.15411, 0.9),
    ("EUR_USD", 11514.9, 11515.5, 10000, 1, 0.0, "11514.9", "11515.5", 1.15149, 1.15155, 0.6),
    ("EUR_USD", 1.15149, 1.15155, 10000, 5, 0.0001, "11514.9", "11515.5", 1.15149, 1.15155, 0.6),
    ("EUR_USD", 11514.9, 11515.5, 10000, 1, 0.0001, "1.15149", "1.15155", 1.15149, 1.15155, 0.6),
    ("USD_JPY", 15432.1, 15432.8, 100, 1, 0.0, "15432.1", "15432.8", 154.321, 154.328, 0.7),
    ("USD_JPY", 154.321, 154.328, 100, 3, 0.01, "154.321", "154.328", 154.321, 154.328, 0.7),
    ("GBP_USD", 13344.1, 13345.0, 10000, 1, 0.0, "13344.1", "13345", 1.33441, 1.3345, 0.9),
    ("GBP_USD", 1.33441, 1.3345, 10000, 5, 0.0001, "1.33441", "1.3345", 1.33441, 1.3345, 0.9),
    ("XAU_USD", 1843.31, 1843.61, 1, 2, 1.0, "1843.31", "1843.61", 1843.31, 1843.61, 30.0),
    ("DE40", 13952.9, 13955.7, 1, 1, 1.0, "13952.9", "13955.7", 13952.9, 13955.7, 2.8),
]


@pytest.mark.parametrize(
    ("symbol", "bid", "ask", "factor", "decimals", "pip", "raw_bid", "raw_ask", "is_bid", "is_ask", "pips"), TABLE
)
def test_price_and_spread_of(
    symbol: str, bid: float, ask: float, factor: float, decimals: int, pip: float, raw_bid: str, raw_ask: str,
    is_bid: float, is_ask: float, pips: float,
) -> None:  # fmt: skip
    market = Market("E", scaling_factor=factor, decimals=decimals, pip=pip, bid=bid, ask=ask)
    scale = scaler(symbol, market)
    scale.settle((float(raw_bid) + float(raw_ask)) / 2)
    assert (scale.price(raw_bid), scale.price(raw_ask)) == (is_bid, is_ask)
    assert round((is_ask - is_bid) / BOOK.find(symbol).pip_size, 6) == pips


def test_every_point_price_is_the_nearest_double() -> None:
    scale = scaler("EUR_USD", Market("E", scaling_factor=10000, decimals=1, bid=11514.9, ask=11515.5))
    scale.settle(11515.2)
    for tenths in range(110_000, 120_000):
        assert scale.price(f"{tenths / 10:.1f}") == float(f"{tenths / 100_000:.5f}")


def test_a_stream_far_from_the_snapshot_is_refused_by_name() -> None:
    scale = scaler("XAG_USD", Market("CS.D.CFDSILVER.CFDSI.IP", bid=23.10, ask=23.13))
    with pytest.raises(WrongScale, match=r"CS\.D\.CFDSILVER.*stream says 2310.*reads as 2310"):
        scale.settle(2310.0)
    with pytest.raises(WrongScale, match=r"the stream's 46 reads as 46, the REST snapshot as 23\.1"):
        scale.settle(46.0)
    assert scale.settle(23.2) == 1.0


def test_a_snapshot_that_fits_no_plausible_price_is_refused() -> None:
    with pytest.raises(WrongScale, match=r"REST snapshot says 115, which reads as 115 or 0\.0115 .*between 0\.6 and 2"):
        scaler("EUR_USD", Market("E", scaling_factor=10000, bid=115.0, ask=115.0))


def test_a_closed_market_without_a_snapshot_is_read_by_its_plausible_range() -> None:
    scale = scaler("EUR_USD", Market("E", scaling_factor=10000))
    assert scale.settle(11514.9) == 10000
    scale.forget()
    assert scale.settle(11514.9) == 10000


@pytest.mark.parametrize("raw", [0.0, -1.0, float("nan"), float("inf")])
def test_an_impossible_price_decides_nothing(raw: float) -> None:
    scale = scaler("EUR_USD", Market("E", scaling_factor=10000))
    with pytest.raises(WrongScale):
        scale.settle(raw)
    assert scale.divisor == 0.0


def test_without_a_plausible_range_the_finest_step_decides() -> None:
    book = InstrumentBook()
    points = Scaler(
        Market("E", scaling_factor=10000, decimals=1, pip=0.0001, bid=88123.1, ask=88125.0), book.find("ABC_XYZ")
    )
    assert points.settle(88124.0) == 10000
    natural = Scaler(
        Market("E", scaling_factor=10000, decimals=5, pip=0.0001, bid=8.81231, ask=8.8125), book.find("ABC_XYZ")
    )
    assert natural.settle(8.8124) == 1.0
    with pytest.raises(WrongScale, match="set pip_size, price_low and price_high of UNHEARD"):
        Scaler(Market("E", scaling_factor=100, bid=5.0, ask=5.1), book.find("UNHEARD"))


def test_a_divisor_that_is_no_power_of_ten_divides() -> None:
    scale = scaler("EUR_USD", Market("E", scaling_factor=4000.0, bid=4600.0, ask=4602.0))
    assert scale.settle(4600.0) == 4000.0
    assert scale.price("4600") == 1.15


def test_captured_markets_are_read(shared_data: Path) -> None:
    folder = shared_data / "ig/igmarkets"
    mini = market_of(json.loads((folder / "markets_CS.D.EURUSD.MINI.IP.json").read_text(encoding="utf-8-sig")))
    assert mini == Market(
        "CS.D.EURUSD.MINI.IP", "EUR/USD Mini", "CURRENCIES", "-", "TRADEABLE", 0.0001, 10000, 5, 1.15402, 1.15411
    )
    found = scaler("EUR_USD", mini)
    assert found.settle(1.1541) == 1.0
    rows = json.loads((folder / "watchlist_PopularMarkets.json").read_text(encoding="utf-8-sig"))["markets"]
    gold = next(market_of(row) for row in rows if "GOLD" in row["epic"])
    assert (gold.bid, gold.ask, gold.scaling_factor) == (1843.31, 1843.61, 1.0)
    snapshot = folder / "markets_CS.D.EURUSD.CFD.IP_(snapshot_only).json"
    details = json.loads(snapshot.read_text(encoding="utf-8-sig"))["marketDetails"]
    assert market_of(details[0]).status == "TRADEABLE"
    carbon = market_of(json.loads((shared_data / "ig/trading-ig/markets_epic.json").read_text()))
    assert (carbon.pip, carbon.decimals, carbon.bid, carbon.ask) == (0.0, 1, 8933.0, 8939.0)


@pytest.mark.parametrize(
    ("word", "known"),
    [
        ("TRADEABLE", True),
        (" closed  ", False),
        ("EDITS_ONLY", False),
        ("AUCTION", None),
        ("SUSPENDED", False),
        ("SOMETHING_NEW", None),
    ],
)
def test_words_for_the_market_state(word: str, known: bool | None) -> None:
    assert is_open(word) is known
