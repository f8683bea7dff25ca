"""The log and its views against lists, under random interleavings of producers, reopenings and kills."""

import contextlib
import os
import shutil
import signal
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tapehub import Candle, DataHub, Tick
from tapehub.hub.reading import channel_state
from tests.models.hub import HubModel, Quote, Row
from tests.models.intervals import SECOND
from tests.models.market import NINE

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")

SYMBOLS = ["EUR_USD", "GBP_USD", "USD_JPY"]
# Binary fractions, so that a mid is the same number however it was reached; a quarter of an hour fits every ring.
quotes = st.builds(
    lambda symbol, ts, bid, width: Quote(symbol, NINE + ts * SECOND // 4, 1 + bid / 64, 1 + (bid + width) / 64),
    st.sampled_from(SYMBOLS),
    st.integers(0, 4 * 900),
    st.integers(0, 200),
    st.integers(0, 3),
)


class HubMachine(RuleBasedStateMachine):
    """Do the same to a hub and to its model, and look at everything after each step."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="tapehub-model-"))
        self.model = HubModel()
        self.hub = self.open()
        self.hub.set_clock("event")
        self.stream = self.hub.stream(start="oldest")
        self.streamed: list[Quote] = []

    def open(self) -> DataHub:
        return DataHub.open(self.folder / "hub", create=True, segment_lines=1 << 10, sync="none")

    def teardown(self) -> None:
        self.hub.close()
        shutil.rmtree(self.folder)

    # ------------------------------------------------------------ steps

    @rule(quote=quotes)
    def publish_one(self, quote: Quote) -> None:
        seq = self.hub.update_tick(Tick(quote.symbol, quote.bid, quote.ask, timestamp=quote.ts))
        assert seq == self.hub.ticks(quote.symbol, 1)["seq"][0]
        self.model.tick(quote)

    @rule(batch=st.lists(quotes, max_size=40), repeats=st.sampled_from([1, 1, 1, 12]))
    def publish_batch(self, batch: list[Quote], repeats: int) -> None:
        batch = batch * repeats
        assert self.hub.publish(rows_of(batch), symbols=SYMBOLS) == len(batch)
        for quote in batch:
            self.model.tick(quote)

    @rule(
        symbol=st.sampled_from(SYMBOLS), minute=st.integers(0, 15), price=st.integers(64, 200), size=st.integers(0, 9)
    )
    def push_candle(self, symbol: str, minute: int, price: int, size: int) -> None:
        row: Row = (
            NINE + minute * 60 * SECOND,
            price / 64,
            price / 64 + 0.5,
            price / 64 - 0.5,
            price / 64,
            float(size),
        )
        self.hub.update_candle_1m(Candle(symbol, *row))
        self.model.push(symbol, row)

    @rule(symbol=st.sampled_from([*SYMBOLS, None]))
    def clear(self, symbol: str | None) -> None:
        if symbol is None:
            self.hub.clear_all()
        else:
            self.hub.clear_symbol(symbol)
        self.model.clear(symbol)

    @rule(second=st.integers(0, 1000))
    def advance(self, second: int) -> None:
        self.hub.advance(NINE + second * SECOND)
        self.model.advance(NINE + second * SECOND)

    @rule()
    def reopen(self) -> None:
        position = self.stream.position
        self.hub.close()
        self.hub = self.open()
        self.stream = self.hub.stream(start=position)

    @rule(batch=st.lists(quotes, min_size=1, max_size=30), after=st.integers(0, 29), at_once=st.booleans())
    @precondition(lambda self: len(self.model.log) < 1_000)
    def kill_a_child_in_the_middle(self, batch: list[Quote], after: int, at_once: bool) -> None:
        """Let a forked child publish, kill it, and take over what it had in the log: at least what it acknowledged."""
        reading, writing = os.pipe()
        before = self.hub.head
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                os.close(reading)
                publish_and_acknowledge(self.hub, batch, writing, at_once=at_once)
            os._exit(0)
        os.close(writing)
        acknowledged = 0
        while acknowledged <= after and (got := os.read(reading, 1)):
            acknowledged += len(got)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while got := os.read(reading, 4096):
            acknowledged += len(got)
        os.close(reading)
        self.hub.update_tick(Tick(SYMBOLS[0], 1.0, 1.0, timestamp=NINE))  # whoever writes next repairs
        with self.hub.stream(start=before) as stream:
            there = read_all(stream)
        assert there.pop() == Quote(SYMBOLS[0], NINE, 1.0, 1.0)
        assert len(there) >= acknowledged, "an acknowledged tick is gone"
        assert there == batch[: len(there)], "the log holds what was never published"
        for quote in there:
            self.model.tick(quote)
        self.model.tick(Quote(SYMBOLS[0], NINE, 1.0, 1.0))

    # ------------------------------------------------------------ what must hold

    @invariant()
    def the_stream_has_every_tick_in_order(self) -> None:
        self.streamed += read_all(self.stream)
        assert self.streamed == self.model.log
        assert self.stream.lost == 0

    @invariant()
    def views_show_what_the_model_shows(self) -> None:
        for symbol in SYMBOLS:
            latest, expected = self.hub.get_latest_tick(symbol), self.model.latest(symbol)
            assert (latest and (latest.ts_event, latest.bid, latest.ask)) == (
                expected and (expected.ts, expected.bid, expected.ask)
            )
            ticks = self.hub.ticks(symbol, 1 << 20).numpy()
            assert quotes_of(ticks, symbol) == self.model.ticks(symbol)
            for timeframe in ("1s", "15s", "1m", "5m", "1h", "4h", "1w"):
                for forming in (False, True):
                    rows = self.hub.candles(symbol, timeframe, limit=1 << 20, forming=forming).numpy()
                    assert candles_of(rows) == self.model.candles(symbol, timeframe, forming=forming), timeframe

    @invariant()
    def every_record_is_accounted_for(self) -> None:
        ledger, stats = self.hub.ledger(), self.hub.get_status()["stats"]
        assert ledger["balanced"]
        assert ledger["ticks"] == len(self.model.log)
        assert stats["late_unapplied"] == 0
        channels = range(len(self.hub._channels()))
        pending = sum(int(channel_state(self.hub, one)[0]["pending_ticks"]) for one in channels)
        assert 0 <= self.model.superseded_ticks - stats["superseded_ticks"] <= pending, (
            "counted when its second is over"
        )

    @invariant()
    def checksums_match(self) -> None:
        report = self.hub.verify()
        assert report.ok
        assert report.records == report.expected_records


def rows_of(batch: list[Quote]) -> np.ndarray:
    rows = np.zeros(len(batch), [("ts_event", "<i8"), ("bid", "<f8"), ("ask", "<f8"), ("instrument", "<u2")])
    for row, quote in zip(rows, batch, strict=True):
        row["ts_event"], row["bid"], row["ask"] = quote.ts, quote.bid, quote.ask
        row["instrument"] = SYMBOLS.index(quote.symbol)
    return rows


def publish_and_acknowledge(hub: DataHub, batch: list[Quote], pipe: int, *, at_once: bool) -> None:
    """Publish tick by tick, a byte into the pipe for each that was acknowledged; or all of them in one call."""
    if at_once:
        hub.publish(rows_of(batch), symbols=SYMBOLS)
        os.write(pipe, b"." * len(batch))
        return
    for quote in batch:
        hub.update_tick(Tick(quote.symbol, quote.bid, quote.ask, timestamp=quote.ts))
        os.write(pipe, b".")


def quotes_of(rows: np.ndarray, symbol: str) -> list[Quote]:
    columns = (rows[name].tolist() for name in ("ts_event", "bid", "ask"))
    return [Quote(symbol, *one) for one in zip(*columns, strict=True)]


def read_all(stream: object) -> list[Quote]:
    out: list[Quote] = []
    while len(batch := stream.poll(1 << 16)):  # type: ignore[attr-defined]
        names = [batch.symbols[int(one)] for one in batch["instrument"]]
        columns = (batch[name].tolist() for name in ("ts_event", "bid", "ask"))
        out += [Quote(*one) for one in zip(names, *columns, strict=True)]
    return out


def candles_of(rows: np.ndarray) -> list[Row]:
    names = ("timestamp", "open", "high", "low", "close", "volume")
    return list(zip(*(rows[name].tolist() for name in names), strict=True))


TestHubMachine = HubMachine.TestCase
TestHubMachine.settings = settings(
    max_examples=10, stateful_step_count=14, deadline=None, suppress_health_check=list(HealthCheck)
)
