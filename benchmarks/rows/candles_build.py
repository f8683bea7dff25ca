"""Build one-minute candles from one million ticks of one symbol, and compare them bar for bar.

This hub streams: it logs every tick and updates all timeframes, fed by numpy batches. NautilusTrader's time-bar
aggregator streams tick objects in one process, without a log. polars groups the whole column at once, and is the
judge of equality.
"""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.bench import Bench
from benchmarks.data import CANDLE
from benchmarks.data import ticks as make_ticks
from benchmarks.measure import Measurement, median, quiet_gc
from benchmarks.peers import HUB
from benchmarks.peers.base import optional
from benchmarks.peers.tapehub import warm
from benchmarks.report import Check, Result
from benchmarks.workers import Link

__all__ = ["run"]

_STEP_NS = 97_000_000  # 1 M ticks over 1,617 minutes: they fit the one-minute ring, and minutes differ in ticks
_BATCH = 50_000


def run(bench: Bench) -> Iterator[Result]:
    """Yield the row."""
    count = bench.pick(300_000, 1_000_000)
    row = Result("candles_build", f"{count // 1000} k ticks → 1-minute candles", "/s")
    roles = {HUB: _hub, "nautilus_trader": _nautilus, "polars": _polars}
    wanted = [name for name in roles if bench.wants(name)]
    bars: dict[str, NDArray[Any]] = {}
    with _crews(bench, roles, wanted, row, count) as workers:
        for name, found in bench.rounds(workers, "go", bench.pick(2, 5), row.errors).items():
            rates = [count * 1e9 / took_ns for took_ns, _ in found]
            bars[name] = found[-1][1]
            row.measured[name] = Measurement(
                median(rates), None, min(rates), max(rates), len(rates), count, f"{len(bars[name])} closed bars"
            )
    row.checks = [
        Check.of("≥ 15 M/s streaming", lambda: row.median(HUB) >= 15e6),
        Check("equal to polars bar for bar", _compare(row, bars, HUB, 0.0)),
    ]
    _compare(row, bars, "nautilus_trader", 1e-9)
    yield row


def _crews(bench: Bench, roles: dict[str, Any], wanted: list[str], row: Result, count: int) -> Any:
    jobs = {name: (name, str(bench.room(f"candles-{name}")), count) for name in wanted}
    return bench.crew(_dispatch, jobs, row.errors)


def _dispatch(link: Link, name: str, room: str, count: int) -> None:
    {HUB: _hub, "nautilus_trader": _nautilus, "polars": _polars}[name](link, room, count)


def _compare(row: Result, bars: dict[str, NDArray[Any]], name: str, tolerance: float) -> bool | None:
    if name not in bars or "polars" not in bars:
        return None
    ours, theirs = bars[name], bars["polars"]
    same = len(ours) == len(theirs) and all(
        np.allclose(ours[field], theirs[field], rtol=0, atol=0 if field == "timestamp" else tolerance)
        for field in CANDLE.names or ()
    )
    verdict = "equal" if same else "NOT equal"
    row.notes.append(f"{name}: {len(ours)} bars, {verdict} to polars' {len(theirs)}")
    return same


def _hub(link: Link, room: str, count: int) -> None:
    data_hub = optional("tapehub").DataHub
    ticks = make_ticks(count, 0, _STEP_NS, symbols=1)
    batches = [ticks[at : at + _BATCH] for at in range(0, count, _BATCH)]
    link.ready()
    for turn, _ in enumerate(link.requests()):
        hub = data_hub.open(f"{room}/hub{turn}", create=True)
        hub.set_clock("event")
        warm(hub)
        with quiet_gc():
            start = perf_counter_ns()
            for batch in batches:
                hub.publish(batch, symbol="EUR_USD")
            took_ns = perf_counter_ns() - start
        records = hub.candles("EUR_USD", "1m", limit=10_000).numpy()
        link.reply((took_ns, _columns(len(records), {name: records[name] for name in CANDLE.names or ()})))
        hub.close()


def _polars(link: Link, room: str, count: int) -> None:
    polars = optional("polars")
    ticks = make_ticks(count, 0, _STEP_NS, symbols=1)
    price = (ticks["bid"] + ticks["ask"]) * 0.5
    frame = polars.DataFrame({"at": ticks["ts_event"], "price": price}).with_columns(
        polars.col("at").cast(polars.Datetime("ns")).set_sorted()
    )
    column = polars.col("price")
    link.ready()
    for _ in link.requests():
        with quiet_gc():
            start = perf_counter_ns()
            bars = frame.group_by_dynamic("at", every="1m").agg(
                open=column.first(), high=column.max(), low=column.min(), close=column.last(), volume=polars.len()
            )
            took_ns = perf_counter_ns() - start
        bars = bars[:-1]  # the last minute is still forming
        columns = {name: bars[name].to_numpy() for name in ("open", "high", "low", "close", "volume")}
        stamps = bars["at"].to_numpy().astype("i8")
        link.reply((took_ns, _columns(len(bars), {"timestamp": stamps, **columns})))


def _nautilus(link: Link, room: str, count: int) -> None:
    aggregation = optional("nautilus_trader.data.aggregation")
    clock_type = optional("nautilus_trader.common.component").TestClock
    data = optional("nautilus_trader.model.data")
    instrument = optional("nautilus_trader.test_kit.providers").TestInstrumentProvider.default_fx_ccy("EUR/USD")
    bar_type = data.BarType.from_str(f"{instrument.id}-1-MINUTE-MID-INTERNAL")
    made = make_ticks(count, 0, _STEP_NS, symbols=1)
    quotes = _nautilus_quotes(data, instrument, made)
    stamps = made["ts_event"].tolist()
    link.ready()
    for _ in link.requests():
        bars: list[Any] = []
        clock = clock_type()
        clock.set_time(stamps[0])
        aggregator = aggregation.TimeBarAggregator(
            instrument, bar_type, bars.append, clock, interval_type="right-open", timestamp_on_close=False
        )
        handle, advance = aggregator.handle_quote_tick, clock.advance_time
        due = aggregator.next_close_ns
        with quiet_gc():
            start = perf_counter_ns()
            for quote, ts_event in zip(quotes, stamps, strict=True):
                if ts_event >= due:
                    for event in advance(ts_event):
                        event.handle()
                    due = aggregator.next_close_ns
                handle(quote)
            took_ns = perf_counter_ns() - start
        link.reply((took_ns, _columns(len(bars), _nautilus_columns(bars))))


def _nautilus_quotes(data: Any, instrument: Any, ticks: NDArray[Any]) -> Any:
    raw = optional("nautilus_trader.model.objects").FIXED_SCALAR
    size = np.full(len(ticks), 1_000_000 * raw)
    unit = raw / 10**instrument.price_precision
    grid = 10**instrument.price_precision
    bids, asks = (np.rint(ticks[side] * grid) * unit for side in ("bid", "ask"))
    stamps = ticks["ts_event"].astype("u8")
    make = data.QuoteTick.from_raw
    precision, sizes = instrument.price_precision, instrument.size_precision
    return [
        make(instrument.id, int(bid), int(ask), precision, precision, int(size[0]), int(size[0]), sizes, sizes, at, at)
        for bid, ask, at in zip(bids.tolist(), asks.tolist(), stamps.tolist(), strict=True)
    ]


def _nautilus_columns(bars: list[Any]) -> dict[str, Any]:
    columns: dict[str, Any] = {
        name: np.array([float(getattr(bar, name)) for bar in bars]) for name in ("open", "high", "low", "close")
    }
    stamps = np.array([bar.ts_event for bar in bars], "i8")
    # Nautilus sums quoted sizes (here 1 M each); as a number of ticks this is the volume of the others.
    volume = np.array([float(bar.volume) for bar in bars]) / 1e6
    return {"timestamp": stamps, **columns, "volume": volume}


def _columns(count: int, columns: dict[str, Any]) -> NDArray[Any]:
    out = np.empty(count, CANDLE)
    for name in CANDLE.names or ():
        out[name] = columns[name]
    return out
