"""The gaps of all channels, read once: what the book gives is what the log gives."""

import random
from pathlib import Path
from typing import Any

import pytest

from tapehub import DataHub
from tapehub.hub import marks, scanning
from tapehub.hub.gapbook import GapBook
from tapehub.model.states import GapStatus

NINE = 1_709_542_800_000_000_000
SECOND = 1_000_000_000
SYMBOLS = ("EUR_USD", "GBP_USD", "USD_JPY")


def told(hub: DataHub, rng: random.Random, count: int) -> None:
    """Log news of some gaps: begun, ended, filled, in any order."""
    for _ in range(count):
        start = NINE + rng.randrange(20) * 60 * SECOND
        end = None if rng.random() < 0.3 else start + rng.randrange(1, 50) * SECOND
        status = rng.choice(list(GapStatus))
        marks.gap(hub, rng.choice(SYMBOLS), rng.choice(("ig", "kraken")), start, end, "mute", status, noted=True)
        hub.note("in between")


def test_the_book_gives_what_the_log_gives(hub: DataHub) -> None:
    rng, book = random.Random(4), GapBook()
    for count in (0, 1, 40, 0, 7):
        told(hub, rng, count)
        for symbol in SYMBOLS:
            for source in (None, "ig", "kraken", "none"):
                assert book.of(hub, symbol, source) == hub.gaps(symbol, source)


def test_the_log_is_read_once_for_all_of_them(hub: DataHub, monkeypatch: pytest.MonkeyPatch) -> None:
    told(hub, random.Random(1), 20)
    book, asked = GapBook(), []
    between = scanning.between

    def noted(hub: DataHub, kinds: int, position: int, stop: int) -> Any:
        asked.append((position, stop))
        return between(hub, kinds, position, stop)

    monkeypatch.setattr(scanning, "between", noted)
    for _ in range(3):
        for symbol in SYMBOLS:
            book.of(hub, symbol)
    assert asked == [(int(hub._hub_state()["oldest"]), hub.head)]
    before = hub.head
    marks.gap(hub, "EUR_USD", "ig", NINE, None, "mute")
    book.of(hub, "GBP_USD")
    assert asked[1:] == [(before, hub.head)]


def test_what_the_log_forgets_the_book_forgets(hub: DataHub) -> None:
    book = GapBook()
    first = marks.gap(hub, "EUR_USD", "ig", NINE, None, "mute")
    second = marks.gap(hub, "EUR_USD", "ig", NINE, NINE + SECOND, "mute")
    assert [row["seq"] for row in book.of(hub, "EUR_USD")] == [first]
    book._drop_before(second)
    assert [row["seq"] for row in book.of(hub, "EUR_USD")] == [second]
    book._drop_before(second + 1)
    assert book.of(hub, "EUR_USD") == []


def test_of_a_symbol_with_more_than_the_book_holds_the_log_is_asked(hub: DataHub) -> None:
    told(hub, random.Random(2), 60)
    book = GapBook(rows_max=10)
    for symbol in SYMBOLS:
        for source in ("ig", "kraken"):
            assert book.of(hub, symbol, source) == hub.gaps(symbol, source)
    assert len(book._rows) == 10


def test_another_hub_is_another_book(hub: DataHub, tmp_path: Path) -> None:
    book = GapBook()
    marks.gap(hub, "EUR_USD", "ig", NINE, None, "mute")
    assert len(book.of(hub, "EUR_USD")) == 1
    with DataHub.open(tmp_path / "other", create=True) as other:
        marks.gap(other, "EUR_USD", "ig", NINE + 1, None, "mute")
        assert [row["start"] for row in book.of(other, "EUR_USD")] == [NINE + 1]
    assert [row["start"] for row in book.of(hub, "EUR_USD")] == [NINE]
