"""From a feed into the hub: every quote has exactly one fate, and the account says which."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from tapehub import DataHub
from tapehub.collector.publisher import Publisher, due, sliced, trace
from tapehub.errors import HubClosed
from tapehub.feeds.feed import Quotes, empty_quotes

SECOND = 1_000_000_000
START = int(datetime(2026, 6, 2, 12, tzinfo=UTC).timestamp()) * SECOND


def quotes(count: int, symbols: tuple[str, ...] = ("EUR_USD", "GBP_USD"), from_ns: int = START) -> Quotes:
    """Make quotes that alternate between the symbols, a second apart."""
    records = empty_quotes(count)
    records["ts_event"] = from_ns + np.arange(count) * SECOND
    records["bid"] = 1.1 + np.arange(count) * 1e-5
    records["ask"] = records["bid"] + 1e-4
    records["instrument"] = np.arange(count) % len(symbols)
    return Quotes(records, symbols, ("test",) * len(symbols))


def as_they_are(batch: Quotes) -> Quotes:
    return batch


def as_rows(batch: Quotes) -> Quotes:
    """Give quotes as a live feed does."""
    return Quotes(batch.records.tolist(), batch.symbols, batch.sources)


Form = Callable[[Quotes], Quotes]
forms = pytest.mark.parametrize("form", [as_they_are, as_rows])


@pytest.fixture
def publisher(hub: DataHub) -> Publisher:
    hub.set_clock("event")
    return Publisher(hub, follows_events=True, traced=True)


@forms
def test_sound_quotes_are_published_and_counted_by_instrument(hub: DataHub, publisher: Publisher, form: Form) -> None:
    assert publisher.publish(form(quotes(10))) == 10
    assert {symbol: count.published for symbol, count in publisher.counts.items()} == {"EUR_USD": 5, "GBP_USD": 5}
    assert len(hub.ticks("GBP_USD")) == 5
    assert publisher.total.balance == 0


@forms
def test_bad_and_repeated_quotes_are_set_aside_by_reason(hub: DataHub, publisher: Publisher, form: Form) -> None:
    batch = quotes(12)
    batch.records["bid"][2] = np.nan
    batch.records["ask"][5] = 1.0
    batch.records[8] = batch.records[6]
    publisher.publish(form(batch))
    total = publisher.total
    assert (total.received, total.published, total.duplicates, total.refused) == (12, 9, 1, 0)
    assert dict(publisher.counts["EUR_USD"].quarantined) == {"non-finite": 1}
    assert dict(publisher.counts["GBP_USD"].quarantined) == {"crossed": 1}
    assert publisher.counts["EUR_USD"].duplicates == 1
    assert total.balance == 0
    ledger = hub.ledger()
    assert (ledger["received"], ledger["duplicates"], ledger["quarantined"], ledger["ticks"]) == (12, 1, 2, 9)


@forms
def test_a_row_the_hub_refuses_is_counted_and_the_rest_goes_on(hub: DataHub, publisher: Publisher, form: Form) -> None:
    batch = quotes(6)
    batch.records["bid_size"][3] = -1.0  # beyond what the gate looks at, but no hub may hold it
    publisher.publish(form(batch))
    assert (publisher.total.published, publisher.total.refused, publisher.total.balance) == (5, 1, 0)
    assert publisher.refusals == {"GBP_USD: bid_size is -1, expected 0 (not known) or more": 1}
    assert len(hub.ticks("EUR_USD")) + len(hub.ticks("GBP_USD")) == 5


@forms
def test_a_quote_ahead_of_the_hub_clock_is_quarantined(hub: DataHub, form: Form) -> None:
    publisher = Publisher(hub)
    publisher.publish(form(quotes(2, from_ns=hub.now() + 3600 * SECOND)))
    assert publisher.total.quarantined == {"future": 2}


@forms
def test_only_instruments_that_have_quotes_are_defined(hub: DataHub, publisher: Publisher, form: Form) -> None:
    batch = quotes(4, ("EUR_USD", "GBP_USD", "USD_JPY"))
    batch.records["instrument"] = 1
    publisher.publish(form(batch))
    assert list(hub.instruments) == ["GBP_USD"]


@forms
def test_one_symbol_of_two_sources_is_published_for_each_in_order(
    hub: DataHub, publisher: Publisher, form: Form
) -> None:
    batch = Quotes(quotes(6).records, ("EUR_USD", "EUR_USD"), ("oanda", "fxcm"))
    publisher.publish(form(batch))
    assert hub.instruments["EUR_USD"]["sources"] == ["oanda", "fxcm"]
    assert publisher.counts["EUR_USD"].published == 6
    sequences = [
        row["ts_event"] for row in hub.log(0) if row["seq"] < hub.head and row["ts_event"] >= START and row["bid"] > 1
    ]
    assert sequences == sorted(sequences)


@forms
def test_the_trace_equals_one_made_from_what_a_reader_got(hub: DataHub, publisher: Publisher, form: Form) -> None:
    for part in range(3):
        publisher.publish(form(quotes(7, from_ns=START + part * 60 * SECOND)))
    for symbol in ("EUR_USD", "GBP_USD"):
        assert trace(hub.ticks(symbol).numpy()) == publisher.traces[symbol]


def test_rows_are_written_as_the_records_they_stand_for(hub: DataHub, publisher: Publisher) -> None:
    batch = quotes(300, from_ns=START)  # more than one holding of the lock
    batch.records["ts_recv"] = batch.records["ts_event"] + 5
    batch.records["bid_size"], batch.records["ask_size"] = 0.1, 3e6
    channels = [hub._names.channel(symbol, "test") for symbol in batch.symbols]
    assert hub._publish_rows(batch.records.tolist(), channels) == (300, "")
    for index, symbol in enumerate(batch.symbols):
        mine = batch.records[batch.records["instrument"] == index]
        found = hub.ticks(symbol).numpy()
        for name in ("ts_event", "ts_recv", "bid", "ask", "bid_size", "ask_size"):
            assert found[name].tolist() == mine[name].tolist()
    assert not found["flags"].any(), "a feed vouches for them"


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        ([(START, 0, 1.1, 1.2, 0.0, 0.0, 2)], IndexError),
        ([(START, 0, 1.1, 1.2, 0.0, 0.0, -1)], IndexError),
        ([(START, 0, 1.1, 1.2, 0.0, 0.0)], TypeError),
        ([(START, 0, "1.1", 1.2, 0.0, 0.0, 0)], TypeError),
        ([(1 << 63, 0, 1.1, 1.2, 0.0, 0.0, 0)], OverflowError),
        ([None], TypeError),
        ((), TypeError),
    ],
)
def test_what_is_no_row_is_an_error_and_publishes_nothing(hub: DataHub, rows: Any, error: type[Exception]) -> None:
    channels = [hub._names.channel(symbol, "test") for symbol in ("EUR_USD", "GBP_USD")]
    head = hub.head
    with pytest.raises(error):
        hub._publish_rows(rows, channels)
    with pytest.raises(IndexError, match="no channel 77"):
        hub._publish_rows([(START, 0, 1.1, 1.2, 0.0, 0.0, 0)], [77])
    assert hub.head == head


def test_a_hub_that_cannot_take_more_says_how_many_rows_it_took(hub: DataHub, publisher: Publisher) -> None:
    publisher.publish(as_rows(quotes(4)))
    hub.close()
    with pytest.raises(HubClosed):
        publisher.publish(as_rows(quotes(4, from_ns=START + 60 * SECOND)))


def test_quotes_go_when_the_clock_reaches_them_and_late_ones_at_once() -> None:
    now = START - SECOND
    stop = threading.Event()

    class Waits(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            nonlocal now
            assert timeout is not None
            now += int(timeout * SECOND) + 1
            return False

    stop = Waits()
    sent: list[tuple[int, int]] = []
    for batch in due(iter([quotes(4), quotes(2, from_ns=START)]), lambda: now, 1.0, stop):
        sent += [(int(ts), now) for ts in batch.records["ts_event"]]
    assert len(sent) == 6
    assert all(ts <= at for ts, at in sent)
    assert all(at - ts < SECOND for ts, at in sent[:4])


def test_pacing_ends_when_told_to() -> None:
    stop = threading.Event()

    def endless() -> Iterator[Quotes]:
        while True:
            yield quotes(10)

    count = 0
    for _ in due(endless(), lambda: START + 60 * SECOND, 1.0, stop):
        count += 1
        if count == 3:
            stop.set()
    assert count == 3


def test_long_batches_are_cut_so_that_one_can_stop_between() -> None:
    parts = [len(part.records) for part in sliced(iter([quotes(10), quotes(3)]), threading.Event(), records_max=4)]
    assert parts == [4, 4, 2, 3]


def test_what_a_feed_counts_itself_is_not_counted_again_and_each_has_one_fate(hub: DataHub) -> None:
    publisher = Publisher(hub, precounted=True)
    hub._receive(12)  # as the feed does, when they come
    records = empty_quotes(5)
    records["ts_event"] = hub.now() + np.arange(5)
    records["bid"], records["ask"] = 1.1, 1.1001
    assert publisher.publish(Quotes(records, ("EUR_USD",), ("ig",))) == 5
    publisher.malformed(b"", "found no room", "ig", hub.now(), "EUR_USD", 4)
    publisher.left({"EUR_USD": 3}, "ig")
    publisher.malformed(b"?", "of no instrument: nobody counted it", "ig", hub.now())
    count = publisher.counts["EUR_USD"]
    assert (count.received, count.published, count.refused, dict(count.quarantined)) == (12, 5, 3, {"malformed": 4})
    assert count.balance == publisher.total.balance == 0
    ledger = hub.ledger()
    assert (ledger["received"], ledger["ticks"], ledger["refused"], ledger["quarantined"]) == (13, 5, 3, 5)
