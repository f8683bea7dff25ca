"""A backtest that strides over quiet ticks comes to what one that looks at every tick comes to."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import settings as at_most
from hypothesis import strategies as st

from tapehub._native import Candle
from tapehub.agents import Agent, Context
from tapehub.agents.backtest import backtest_quotes
from tapehub.agents.records import Fill
from tapehub.feeds.quotes import Quotes, empty_quotes
from tests.models.paper import SECOND, TUESDAY, settings

FREE = settings(
    risk={"stop_required": False, "positions_per_symbol": 3, "spread_max_pips": 50, "pause_after_losses": 2,
          "pause_min": 1, "hold_max_min": 2, "trades_per_day": 1000, "daily_loss_pct": 3},
    paper={"latency_ms": 700, "slippage_random_pips": 0.3, "good_for_s": 3},
    gate={"frozen_s": 1000},
)  # fmt: skip


class Busy(Agent):
    """Trades at every candle, by chance, and writes down all it sees."""

    symbols = ("EUR_USD", "GBP_USD")
    timeframes = ("1s", "15s", "1m")

    def on_start(self, ctx: Context) -> None:
        ctx.every(7, "seven")

    def on_candle(self, ctx: Context, candle: Candle) -> None:
        other = ctx.tick("GBP_USD")
        ctx.log(f"{candle!r} {other!r} {ctx.forming('EUR_USD', '1m')!r} {ctx.account.equity}")
        if candle.timeframe == "15s":
            stop = ctx.random.choice([None, 1.0, 3.0])
            ctx.order(candle.symbol, ctx.random.choice(["buy", "sell"]), 40_000, stop_pips=stop, target_pips=2.0)

    def on_timer(self, ctx: Context, name: str) -> None:
        ctx.log(f"{ctx.now} {ctx.fresh('EUR_USD')} {ctx.positions()}")
        if len(ctx.positions()) > 2:
            ctx.close(ctx.positions()[0])

    def on_fill(self, ctx: Context, fill: Fill) -> None:
        ctx.log(f"{fill.why} {ctx.tick(fill.symbol)!r}")


steps = st.lists(
    st.tuples(
        st.integers(0, 3_000).map(lambda ms: 0 if ms < 400 else ms),  # several ticks of one instant
        st.integers(0, 2),
        st.integers(-25, 25),
        st.integers(1, 15),
        st.sampled_from([0.0, 10_000.0, 1e6]),
    ),
    min_size=2,
    max_size=250,
)


def quotes_of(rows: list[tuple[int, int, int, int, float]]) -> Quotes:
    """Make quotes of three instruments, one of which nobody watches, from steps of time and price."""
    records = empty_quotes(len(rows))
    at, price = TUESDAY, [110_000, 125_000, 150_000]
    for number, (after_ms, which, move, spread, size) in enumerate(rows):
        at += after_ms * 1_000_000
        price[which] += move
        bid, ask = price[which] / 1e5, (price[which] + spread) / 1e5
        records[number] = (at, 0, bid, ask, size, size, which)
    return Quotes(records, ("EUR_USD", "GBP_USD", "USD_CHF"), ("one", "one", "one"))


def batches(quotes: Quotes, cuts: list[int]) -> Iterator[Quotes]:
    """Cut quotes into batches."""
    edges = sorted({0, len(quotes.records), *(cut % (len(quotes.records) + 1) for cut in cuts)})
    for begin, end in pairwise(edges):
        yield quotes.replace(quotes.records[begin:end])


@at_most(max_examples=60)
@given(steps, st.lists(st.integers(0, 300), max_size=6), st.integers(0, 40))
def test_striding_over_ticks_changes_nothing_however_they_are_cut(
    rows: list[tuple[int, int, int, int, float]], cuts: list[int], late_s: int
) -> None:
    quotes = quotes_of(rows)
    if not (quotes.records["instrument"] < 2).any():
        quotes.records["instrument"][0] = 0
    ts = quotes.records["ts_event"]
    start = min(int(ts[0]) + late_s * SECOND, int(ts[quotes.records["instrument"] < 2].max()))
    whole = backtest_quotes([Busy()], [quotes], settings=FREE, start=start, by_tick=True)
    fast = backtest_quotes([Busy()], batches(quotes, cuts), settings=FREE, start=start)
    assert np.all(np.diff(ts) >= 0)
    assert [one.payload.decode() for one in fast.outputs] == [one.payload.decode() for one in whole.outputs]
    assert fast.digest() == whole.digest()
