"""Agents in a backtest, and on the path of a live tick: ``python -m benchmarks.agents [--rounds N] [--data PATH]``.

The same real ticks, in one run, through this engine and through NautilusTrader's BacktestEngine, in turns. Both have
their quotes in memory before the clock starts, in the form that each takes them: arrays here, QuoteTick objects there.
The strategies are the same: one that does nothing, one that does nothing on 1-minute bars, one that does nothing on
each tick, and a momentum one (four EMAs, VWAP, a Donchian channel, market orders with stop and target) on 1-minute
bars. Rates are by the clock, and by processor time, which says more on a machine that others use.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.peers.base import package_version
from tapehub import DataHub
from tapehub.agents import Agent, Context, Runner
from tapehub.agents.backtest import backtest_quotes
from tapehub.agents.settings import read_settings
from tapehub.feeds.quotes import Quotes, joined
from tapehub.feeds.replay import merge, open_recording

__all__ = ["main"]

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data" / "lean" / "oanda" / "tick" / "eurusd"
FREE = read_settings({"risk": {"session_start": "", "session_end": "", "spread_max_pips": 5, "pause_after_losses": 0}})
EMAS, CHANNEL, STOP, TARGET, UNITS = (8, 13, 21, 34), 20, 6.0, 9.0, 10_000


class Nothing(Agent):
    symbols = ("EUR_USD",)
    timeframes = ()


class NothingOnBars(Agent):
    symbols = ("EUR_USD",)
    timeframes = ("1m",)

    def on_candle(self, ctx: Context, candle: Any) -> None:
        pass


class NothingOnTicks(Agent):
    symbols = ("EUR_USD",)
    timeframes = ()

    def on_tick(self, ctx: Context, tick: Any) -> None:
        pass


class Momentum(Agent):
    symbols = ("EUR_USD",)
    timeframes = ("1m",)

    def on_start(self, ctx: Context) -> None:
        from talipp.indicators import EMA, VWAP, DonchianChannels

        self.emas = [ctx.indicator("EUR_USD", "1m", EMA(period)) for period in EMAS]
        self.vwap = ctx.indicator("EUR_USD", "1m", VWAP())
        self.channel = ctx.indicator("EUR_USD", "1m", DonchianChannels(CHANNEL))

    def on_candle(self, ctx: Context, candle: Any) -> None:
        values = [ema[-1] for ema in self.emas]
        if None in values or self.channel[-1] is None or ctx.positions("EUR_USD"):
            return
        first, second, third, last = values
        channel, vwap = self.channel[-1], self.vwap[-1]
        if first > second > third > last and candle.close > vwap and candle.high >= channel.ub:
            ctx.order("EUR_USD", "buy", UNITS, stop_pips=STOP, target_pips=TARGET, reason="up")
        elif first < second < third < last and candle.close < vwap and candle.low <= channel.lb:
            ctx.order("EUR_USD", "sell", UNITS, stop_pips=STOP, target_pips=TARGET, reason="down")


def main() -> int:
    """Run, print, write the results."""
    chosen = argparse.ArgumentParser(description=__doc__)
    chosen.add_argument("--rounds", type=int, default=5)
    chosen.add_argument("--data", type=Path, default=DATA, help="a recording, or a folder of them")
    chosen.add_argument("--out", type=Path, default=None)
    options = chosen.parse_args()
    quotes = read(options.data)
    count = len(quotes.records)
    told: dict[str, Any] = {
        "machine": machine.describe(Path(tempfile.gettempdir())),
        "versions": {name: package_version(name) for name in ("tapehub", "nautilus_trader", "talipp", "numpy")},
        "git": machine.commit(),
        "method": __doc__,
        "data": f"{options.data.name}: {count} ticks",
        "rows": {},
    }
    peers = {"tapehub": ours(quotes), "nautilus_trader": theirs(quotes)}
    names = ["nothing", "nothing on 1m bars", "nothing on ticks", "momentum on 1m bars"]
    for name in names:
        rates: dict[str, list[float]] = {peer: [] for peer, runs in peers.items() if runs}
        cpu: dict[str, list[float]] = {peer: [] for peer in rates}
        for _ in range(options.rounds):
            for peer in rates:
                gc.collect()
                wall_s, cpu_s = peers[peer][name]()
                rates[peer].append(count / wall_s)
                cpu[peer].append(count / cpu_s)
        told["rows"][name] = {
            peer: {
                "ticks_per_s": round(statistics.median(row)),
                "low": round(min(row)),
                "high": round(max(row)),
                "ticks_per_cpu_s": round(statistics.median(cpu[peer])),
            }
            for peer, row in rates.items()
        }
        shown = [
            f"{peer} {row['ticks_per_s'] / 1e6:.3f} M/s, {row['ticks_per_cpu_s'] / 1e6:.3f} M a CPU second"
            for peer, row in told["rows"][name].items()
        ]
        print(f"{name:20} {'   '.join(shown)}", flush=True)
    told["on_tick_path"] = live_path(quotes)
    print("live tick to on_tick, ns:", told["on_tick_path"])
    out = options.out or ROOT / "benchmarks" / "results" / f"agents-{told['machine']['started'][:10]}.json"
    out.write_text(json.dumps(told, indent=2) + "\n")
    print(f"wrote {out}")
    return 0


def read(path: Path) -> Quotes:
    """Read all ticks into one batch."""
    files = sorted(path.glob("*_quote.zip")) if path.is_dir() else [path]
    if not files:
        sys.exit(f"no recorded ticks in {path}: the real data of ../shared/data are absent; give --data")
    batches = list(merge([open_recording(one) for one in files]))
    return batches[0].replace(joined([one.records for one in batches]))


def ours(quotes: Quotes) -> dict[str, Callable[[], tuple[float, float]]]:
    """Give what runs each strategy once, and returns seconds: of the clock, and of the processor."""

    def run(made: type[Agent]) -> tuple[float, float]:
        began, cpu_began = time.perf_counter(), time.process_time()
        done = backtest_quotes([made()], [quotes], settings=FREE)
        took = time.perf_counter() - began, time.process_time() - cpu_began
        assert done.ticks == len(quotes.records)
        return took

    return {
        "nothing": lambda: run(Nothing),
        "nothing on 1m bars": lambda: run(NothingOnBars),
        "nothing on ticks": lambda: run(NothingOnTicks),
        "momentum on 1m bars": lambda: run(Momentum),
    }


def theirs(quotes: Quotes) -> dict[str, Callable[[], tuple[float, float]]]:
    """Give the same for NautilusTrader; empty when it is not installed."""
    try:
        from benchmarks.agents_nautilus import runs
    except ImportError as error:
        print(f"skipped nautilus_trader: not installed: {error}")
        return {}
    return runs(quotes, EMAS, CHANNEL, STOP, TARGET, UNITS)


def live_path(quotes: Quotes, count: int = 200_000) -> dict[str, float]:
    """Measure what a live run costs from the log to `on_tick`, beside a bare stream: ns of the processor a tick."""
    records = quotes.records[:count]
    with tempfile.TemporaryDirectory() as folder, DataHub.open(Path(folder) / "hub", create=True) as hub:
        hub.set_clock("event")
        hub.update_tick({"symbol": "EUR_USD", "bid": 1.1, "ask": 1.1001, "timestamp": int(records["ts_event"][0])})
        begin = hub.head
        with Runner(hub, [NothingOnTicks()], ["benchmark"]) as runner:
            hub.publish(records, symbol="EUR_USD", source="direct")
            assert runner.reader is not None
            began = time.process_time()
            read_ = 0
            while read_ < len(records):
                read_ += runner.reader.drive(runner.engine)
            run_ns = (time.process_time() - began) / len(records) * 1e9
        with hub.stream("EUR_USD", start=begin) as stream:
            began = time.process_time()
            for number, _ in enumerate(stream, 1):
                if number == len(records):
                    break
            stream_ns = (time.process_time() - began) / len(records) * 1e9
    return {"run": round(run_ns), "bare stream": round(stream_ns), "above": round(run_ns - stream_ns)}


if __name__ == "__main__":
    sys.exit(main())
