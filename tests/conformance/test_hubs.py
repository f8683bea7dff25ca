"""One suite for every way to a hub: its memory, and a gateway. What holds for the one holds for the other."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from tapehub import (
    CANDLE,
    TICK,
    Candle,
    ConfigError,
    HubClosed,
    InvalidRecord,
    OrderFlowMetrics,
    StaleDataError,
    Tick,
)
from tapehub.errors import UnknownTimeframe
from tests.models.intervals import SECOND
from tests.models.market import NINE, candle, flow, moment, quotes, tick
from tests.models.two_hubs import WAYS, TwoWays, fresh_symbol, two_ways


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoWays]:
    with two_ways(tmp_path_factory.mktemp("ways")) as both:
        both.local.update_tick(tick(0))  # EUR_USD is there, whichever test comes first
        yield both


@pytest.fixture(params=WAYS)
def hub(request: pytest.FixtureRequest, ways: TwoWays) -> Any:
    return ways.by(request.param)


@pytest.fixture
def symbol() -> str:
    return fresh_symbol()


# ---------------------------------------------------------------- publishing


def test_published_tick_is_the_latest_under_all_its_names(hub: Any, symbol: str) -> None:
    assert hub.get_latest_tick(symbol) is None
    sent = tick(1, 1.25, symbol, bid_size=3.0, ask_size=0.5)
    seq = hub.update_tick(sent)
    got = hub.get_latest_tick(symbol)
    assert isinstance(got, Tick)
    assert got == sent
    assert (got.seq, got.bid_size, got.source, got.flags, got.ts_event) == (seq, 3.0, "direct", 1, NINE + SECOND)
    assert got.spread == pytest.approx(2.0)
    assert got.pip_size == 0.0001
    for other in (symbol.replace("_", "/"), symbol.lower()):
        assert hub.get_latest_tick(other) == sent
    assert hub.update_tick(tick(0, 1.5, symbol)) > seq
    assert hub.get_latest_tick(symbol).bid == 1.25  # the greatest event time, not the last arrival


def test_tick_without_a_time_is_stamped_by_the_hub(hub: Any, symbol: str) -> None:
    hub.update_tick(tick(5, 1.2, symbol))
    hub.update_tick(Tick(symbol, 1.3, 1.4))
    assert hub.get_latest_tick(symbol).timestamp is not None


def test_tick_may_be_a_dict_or_look_like_one(hub: Any, symbol: str) -> None:
    hub.update_tick(tick(2, 1.5, symbol).to_dict())
    assert hub.get_latest_tick(symbol).bid == 1.5
    with pytest.raises(TypeError, match="no Tick can be read"):
        hub.update_tick(5)


@pytest.mark.parametrize(
    "made",
    [
        lambda name: Tick(name, 0.0, 1.0, timestamp=NINE),
        lambda name: Tick(name, -1.0, 1.0, timestamp=NINE),
        lambda name: Tick(name, float("nan"), 1.0, timestamp=NINE),
        lambda name: Tick(name, 1.0, float("inf"), timestamp=NINE),
        lambda name: Tick(name, 1.0, 1.1, timestamp=NINE, ask_size=float("nan")),
        lambda name: Tick(name, 1.0, 1.1, timestamp=NINE, bid_size=-1.0),
        lambda name: Tick(name, 1.0, 1.1, timestamp=1),
        lambda name: candle(0, symbol=name, high=float("inf")),
        lambda name: candle(0, symbol=name, volume=-1.0),
        lambda name: candle(0, symbol=name, low=2.0),
        lambda name: candle(-(10**8), symbol=name),
        lambda name: flow(-(2 * 10**9), name),
    ],
)
def test_impossible_record_is_refused_in_the_same_words(ways: TwoWays, symbol: str, made: Callable[[str], Any]) -> None:
    told = []
    for way in WAYS:
        hub, record = ways.by(way), made(symbol)
        publish = {Tick: hub.update_tick, Candle: hub.update_candle_1m}.get(type(record), hub.update_order_flow)
        with pytest.raises(InvalidRecord) as caught:
            publish(record)
        told.append(str(caught.value))
    assert told[0] == told[1]


def test_pushed_candle_is_final_floored_and_replaces(hub: Any, symbol: str) -> None:
    hub.update_candle_1m(candle(0.5, 1.1, symbol, source="mine", volume_type="real"))
    hub.update_candle_1m(candle(1, 1.2, symbol))
    hub.update_candle_1m(candle(0, 1.3, symbol, source="mine"))
    got = hub.get_latest_candles(symbol)
    assert [(one.close, one.source, one.volume_type, one.status) for one in got] == [
        (1.3, "mine", "tick", "revised"),
        (1.2, "IG", "tick", "final"),
    ]
    assert got[0].ts_event == NINE
    assert got[0].revision == 2
    assert isinstance(got[0], Candle)
    assert hub.get_latest_candles(symbol, limit=1) == got[1:]
    assert hub.get_latest_candles(symbol, timeframe="MINUTE") == got


def test_order_flow_comes_back_whole(hub: Any, symbol: str) -> None:
    assert hub.get_latest_order_flow(symbol) is None
    sent = flow(3, symbol, ofi_60s=-1.5, buy_sweep_count=4, order_flow_bias="BULLISH", is_stale=True, vwap_60s=1 / 3)
    seq = hub.update_order_flow(sent)
    got = hub.get_latest_order_flow(symbol)
    assert isinstance(got, OrderFlowMetrics)
    assert got == sent
    assert got.seq == seq


def test_array_is_published_in_order_with_all_its_columns(hub: Any, symbol: str) -> None:
    rows = np.zeros(70_000, [(name, TICK[name]) for name in ("ts_event", "ts_recv", "bid", "ask", "bid_size")])
    rows["ts_event"] = NINE + np.arange(len(rows)) * 1_000_000
    rows["ts_recv"] = rows["ts_event"] + 5
    rows["bid"] = 1 + np.arange(len(rows)) / 1e5
    rows["ask"] = rows["bid"] + 1e-4
    rows["bid_size"] = np.arange(len(rows)) % 7
    assert hub.publish(rows, symbol=symbol) == 70_000
    got = hub.ticks(symbol, limit=70_000).numpy()
    for name in rows.dtype.names or ():
        np.testing.assert_array_equal(got[name], rows[name])
    assert got["flags"].max() == 1


def test_rows_go_to_the_symbols_they_index(hub: Any) -> None:
    one, other = fresh_symbol(), fresh_symbol()
    rows = np.zeros(5, [("ts_event", "M8[ns]"), ("bid", "f4"), ("ask", "f8"), ("instrument", "i4")])
    rows["ts_event"] = np.array(NINE, "M8[ns]")
    rows["bid"], rows["ask"], rows["instrument"] = 1.5, 2.0, [0, 1, 1, 0, 1]
    assert hub.publish(rows, symbols=[one, other], source="feed", verified=True) == 5
    assert [len(hub.ticks(name)) for name in (one, other)] == [2, 3]
    assert hub.get_latest_tick(other).source == "feed"
    assert hub.get_latest_tick(other).flags == 0


def test_bad_row_tells_what_is_published(hub: Any, symbol: str) -> None:
    rows = quotes([n / 100 for n in range(300)])
    rows["ask"][280] = -1.0
    with pytest.raises(InvalidRecord, match=r"row 280 of 300: .*; 280 rows before it are published") as caught:
        hub.publish(rows, symbol=symbol)
    assert caught.value.published == 280
    assert len(hub.ticks(symbol)) == 280


def test_bad_row_far_on_is_told_by_its_place_in_the_whole(hub: Any, symbol: str) -> None:
    rows = quotes([n / 1000 for n in range(66_000)])
    rows["bid"][65_900] = np.nan
    with pytest.raises(InvalidRecord, match="row 65900 of 66000") as caught:
        hub.publish(rows, symbol=symbol)
    assert caught.value.published == 65_900


def test_index_beyond_the_symbols_is_refused_after_the_rows_before(hub: Any, symbol: str) -> None:
    rows = np.zeros(3, [*quotes([0]).dtype.descr, ("instrument", "<u2")])
    rows["ts_event"], rows["bid"], rows["ask"], rows["instrument"] = NINE, 1.0, 1.1, [0, 7, 0]
    with pytest.raises(InvalidRecord, match="row 1 of 3: symbol index is 7, expected below 1") as caught:
        hub.publish(rows, symbols=[symbol])
    assert caught.value.published == 1
    assert len(hub.ticks(symbol)) == 1


@pytest.mark.parametrize(
    "publish",
    [
        lambda hub: hub.publish(np.zeros(3), symbol="A_B"),
        lambda hub: hub.publish(quotes([1])),
        lambda hub: hub.publish(quotes([1]), symbol="A_B", symbols=["A_B"]),
        lambda hub: hub.publish(quotes([1])[["bid", "ask"]], symbol="A_B"),
        lambda hub: hub.publish(quotes([1]), symbol="x" * 40),
        lambda hub: hub.publish(quotes([1]), symbols=["A_B"]),
    ],
)
def test_array_that_cannot_be_is_refused(hub: Any, publish: Callable[[Any], Any]) -> None:
    with pytest.raises(InvalidRecord):
        publish(hub)
    assert hub.publish(quotes([]), symbol="A_B") == 0


def test_warm_start_loads_oldest_first_and_counts(hub: Any, symbol: str) -> None:
    assert hub.warm_start_candles(symbol, [candle(2, 1.3, symbol), candle(0, 1.1, symbol)]) == 2
    assert [one.close for one in hub.get_latest_candles(symbol)] == [1.1, 1.3]
    assert hub.warm_start_candles(symbol, []) == 0
    with pytest.raises(InvalidRecord, match=r"candle 1 is of EUR_USD") as caught:
        hub.warm_start_candles(symbol, [candle(3, 1.1, symbol), candle(4)])
    assert caught.value.published == 1


def test_one_symbols_failure_stops_no_other(hub: Any) -> None:
    names = [fresh_symbol() for _ in range(3)]

    def fetch(name: str, limit: int) -> list[Candle] | None:
        if name == names[0]:
            raise OSError("no database")
        return [candle(n, 1.1, name) for n in range(limit)] if name == names[1] else None

    assert hub.warm_start_all(names, fetch, limit=3) == 3
    assert hub.warm_start_errors == {names[0]: "OSError: no database"}
    assert hub.get_status()["warm_start_errors"] == hub.warm_start_errors


@pytest.mark.parametrize("fetch", [None, [], "SELECT 1"])
def test_what_cannot_be_called_fetches_nothing_and_says_so(hub: Any, symbol: str, fetch: Any) -> None:
    before = dict(hub.warm_start_errors)
    with pytest.raises(ConfigError, match="expected a function of a symbol and a limit"):
        hub.warm_start_all([symbol], fetch)
    assert hub.warm_start_errors == before


def test_cleared_symbol_starts_anew_and_the_log_keeps_all(hub: Any, symbol: str) -> None:
    hub.publish(quotes([1, 2, 3]), symbol=symbol)
    seq = hub.clear_symbol(symbol)
    assert seq > 0
    assert hub.get_latest_tick(symbol) is None
    assert len(hub.ticks(symbol)) == 0
    assert len(hub.history(symbol, "1s")) > 0
    assert hub.clear_symbol(fresh_symbol()) == 0
    with hub.stream(symbol, ["tick", "clear"], start=seq - 3) as stream:
        assert next(stream).symbol == symbol


def test_flush_verify_and_the_clock(hub: Any, symbol: str) -> None:
    seq = hub.update_tick(tick(1, 1.1, symbol))
    assert hub.flush() > seq
    done: list[tuple[int, int]] = []
    report = hub.verify(lambda *both: done.append(both))
    assert report.ok
    assert report.records == report.expected_records > 0
    assert done[-1][0] == done[-1][1]
    assert hub.advance(moment(0)) > seq
    assert hub.set_clock("event") > seq
    assert isinstance(hub.now(), int)


# ---------------------------------------------------------------- reading


@pytest.fixture
def filled(ways: TwoWays, symbol: str) -> str:
    """Name a symbol of 600 ticks over ten minutes."""
    ways.local.publish(quotes([float(n) for n in range(600)], [1 + n / 1000 for n in range(600)]), symbol=symbol)
    return symbol


def test_series_are_bounded_by_place_and_by_time(hub: Any, filled: str) -> None:
    whole = hub.ticks(filled)
    assert whole.numpy().dtype == TICK
    assert len(whole) == 600
    assert whole.symbols == {int(whole["instrument"][0]): filled}
    seqs = [int(one) for one in whole["seq"]]
    assert [int(one) for one in hub.ticks(filled, 3)["seq"]] == seqs[-3:]
    assert len(hub.ticks(filled, 0)) == 0
    assert len(hub.ticks(filled, start=moment(10), end=moment(20))) == 10
    assert len(hub.ticks(filled, start=moment(10) + timedelta(microseconds=1), end=moment(20))) == 9
    assert [int(one) for one in hub.ticks(filled, start=seqs[5], end=seqs[9])["seq"]] == seqs[5:9]
    assert [int(one) for one in hub.ticks(filled, 2, start=seqs[5], end=seqs[9])["seq"]] == seqs[7:9]
    assert len(hub.ticks(filled, start=moment(590), end=seqs[595])) == 5
    assert len(hub.ticks(fresh_symbol())) == 0


def test_candles_of_every_kind_of_bound(hub: Any, filled: str) -> None:
    forming = hub.candles(filled, "1m", forming=True)
    assert forming.numpy().dtype == CANDLE
    assert len(forming) >= len(hub.candles(filled)) > 0
    assert len(hub.candles(filled, "5m", start=moment(0), end=moment(300), forming=True)) == 1
    assert len(hub.candles(filled, "1s", limit=7)) == 7
    assert len(hub.candles(filled, "1s", source="nobody")) == 0
    assert len(hub.history(filled, "1m", start=moment(60), end=moment(180))) == 2
    assert hub.candles(filled, "1m").objects()[0].timeframe == "1m"


def test_batch_opens_the_same_doors(hub: Any, filled: str) -> None:
    batch = hub.ticks(filled, 5)
    assert list(batch.df().columns) == [
        "bid", "ask", "bid_size", "ask_size", "seq", "ts_recv", "ts_publish", "flags", "symbol", "source",
    ]  # fmt: skip
    assert batch.arrow().num_rows == len(batch.pl()) == 5
    assert [one.symbol for one in batch] == [filled] * 5
    assert "5 ticks" in repr(batch)
    assert hub.candles(filled, limit=2).df()["close"].dtype == np.float64


def test_snapshot_says_everything_at_once(hub: Any, filled: str) -> None:
    seen = hub.snapshot(filled, "1m", 3)
    assert seen.tick == hub.get_latest_tick(filled)
    assert seen.candles[:-1] == hub.get_latest_candles(filled, 3)[-len(seen.candles) + 1 :]
    assert (seen.symbol, seen.source, seen.timeframe, seen.order_flow) == (filled, "direct", "1m", None)
    assert seen.state == hub.state(filled)
    empty = hub.snapshot(fresh_symbol())
    assert (empty.tick, empty.candles, empty.state, empty.age_s) == (None, [], "empty", None)


def test_fresh_is_given_and_stale_is_refused(hub: Any, ways: TwoWays, symbol: str) -> None:
    with pytest.raises(StaleDataError, match="has no tick in this hub"):
        hub.require_fresh(symbol, 1.0)
    ways.local.update_tick(tick(0, 1.1, fresh_symbol()))  # by which the clock is at nine, or later
    ways.local.update_tick(tick(-100_000, 1.1, symbol))
    with pytest.raises(StaleDataError, match="expected at most 1 s"):
        hub.require_fresh(symbol, 1.0)
    newest = Tick(symbol, 1.2, 1.3, timestamp=max(hub.now(), NINE))
    ways.local.update_tick(newest)
    assert hub.require_fresh(symbol, 1e6) == newest


def test_staleness_is_flagged_for_what_is_asked(hub: Any, filled: str) -> None:
    assert hub.check_staleness(fresh_symbol()) == {"tick": True, "candle": True, "order_flow": True}
    assert hub.check_staleness(filled, {"tick": 1e12, "order_flow": 5}) == {"tick": False, "order_flow": True}
    assert hub.check_staleness(filled, {"tick": float("inf"), "moods": 3}) == {"tick": False, "moods": True}
    assert set(hub.check_staleness(filled)) == {"tick", "candle", "order_flow"}


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda hub: hub.candles("EUR_USD", "7m"), UnknownTimeframe),
        (lambda hub: hub.get_latest_candles("EUR_USD", 5, "7m"), UnknownTimeframe),
        (lambda hub: hub.snapshot("EUR_USD", "7m"), UnknownTimeframe),
        (lambda hub: hub.history("EUR_USD", "7m"), UnknownTimeframe),
        (lambda hub: hub.ticks("EUR_USD", -1), InvalidRecord),
        (lambda hub: hub.candles("EUR_USD", limit=-1), InvalidRecord),
        (lambda hub: hub.history("EUR_USD", limit=-1), InvalidRecord),
        (lambda hub: hub.get_latest_candles("EUR_USD", -1), InvalidRecord),
        (lambda hub: hub.get_latest_tick(""), InvalidRecord),
        (lambda hub: hub.get_latest_tick("x" * 40), InvalidRecord),
        (lambda hub: hub.set_clock("moon"), ConfigError),
        (lambda hub: hub.set_clock("virtual"), ConfigError),
        (lambda hub: hub.stream(kinds="moon"), ConfigError),
        (lambda hub: hub.stream(start="later"), ConfigError),
        (lambda hub: hub.stream(timeframes="7m"), UnknownTimeframe),
        (lambda hub: hub.stream(durable=True), ConfigError),
        (lambda hub: hub.update_candle_1m(candle(0, timeframe="5m")), InvalidRecord),
        (lambda hub: hub.update_candle_1m(candle(0, high=0.5)), InvalidRecord),
        (lambda hub: hub.update_order_flow(flow(-(2 * 10**9))), InvalidRecord),
    ],
)
def test_what_cannot_be_is_refused_by_the_same_class(hub: Any, call: Callable[[Any], Any], error: type) -> None:
    with pytest.raises(error):
        call(hub)


# ---------------------------------------------------------------- life


def test_closed_hub_says_so(ways: TwoWays) -> None:
    import tapehub

    again = tapehub.connect(ways.url, token_file=ways.token_file, timeout_s=5)
    assert again is ways.remote  # one for each process
    other = tapehub.connect(ways.url + "/", token=ways.token_file.read_text(), timeout_s=5)
    assert other is again
    from tapehub.hub.remote.hub import RemoteHub

    with RemoteHub(ways.remote.address) as mine:
        stream = mine.stream()
    assert mine.closed
    with pytest.raises(HubClosed):
        mine.get_latest_tick("EUR_USD")
    with pytest.raises(HubClosed):
        stream.poll()


def test_what_makes_no_sense_from_afar_is_refused_with_the_reason(ways: TwoWays) -> None:
    with pytest.raises(ConfigError, match=r"log\(\) is a window on this machine's memory"):
        ways.remote.log()
    with pytest.raises(ConfigError, match="durable"):
        ways.remote.stream(durable=True, name="mine")
    with ways.remote.stream() as stream, pytest.raises(ConfigError, match="not durable"):
        stream.commit()


def test_remote_hub_has_every_public_name_of_a_local_one(ways: TwoWays) -> None:
    missing = {name for name in dir(ways.local) if not name.startswith("_")} - set(dir(ways.remote)) - {"open"}
    assert not missing
