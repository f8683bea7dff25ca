"""The strategies of `benchmarks.agents` for NautilusTrader's BacktestEngine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig, StrategyConfig
from nautilus_trader.indicators import DonchianChannel, ExponentialMovingAverage, VolumeWeightedAveragePrice
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import BarType, QuoteTick
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.identifiers import Venue
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.test_kit.providers import TestInstrumentProvider
from nautilus_trader.trading.strategy import Strategy

from tapehub.feeds.quotes import Quotes

__all__ = ["runs"]

VENUE = Venue("SIM")
INSTRUMENT = TestInstrumentProvider.default_fx_ccy("EUR/USD", VENUE)
BARS = BarType.from_str(f"{INSTRUMENT.id}-1-MINUTE-MID-INTERNAL")


class Nothing(Strategy):
    def on_start(self) -> None:
        self.subscribe_quote_ticks(INSTRUMENT.id)


class NothingOnBars(Strategy):
    def on_start(self) -> None:
        self.subscribe_bars(BARS)

    def on_bar(self, bar: Any) -> None:
        pass


class NothingOnTicks(Strategy):
    def on_start(self) -> None:
        self.subscribe_quote_ticks(INSTRUMENT.id)

    def on_quote_tick(self, tick: Any) -> None:
        pass


class Values(StrategyConfig, frozen=True):
    emas: tuple[int, ...]
    channel: int
    stop_pips: float
    target_pips: float
    units: int


class Momentum(Strategy):
    def __init__(self, config: Values) -> None:
        super().__init__(config)
        self.emas = [ExponentialMovingAverage(period) for period in config.emas]
        self.vwap = VolumeWeightedAveragePrice()
        self.channel = DonchianChannel(config.channel)

    def on_start(self) -> None:
        for indicator in (*self.emas, self.vwap, self.channel):
            self.register_indicator_for_bars(BARS, indicator)
        self.subscribe_bars(BARS)
        self.subscribe_quote_ticks(INSTRUMENT.id)

    def on_bar(self, bar: Any) -> None:
        if not self.indicators_initialized() or not self.portfolio.is_flat(INSTRUMENT.id):
            return
        first, second, third, last = (ema.value for ema in self.emas)
        close = bar.close.as_double()
        if first > second > third > last and close > self.vwap.value and bar.high.as_double() >= self.channel.upper:
            self.trade(OrderSide.BUY, close)
        elif first < second < third < last and close < self.vwap.value and bar.low.as_double() <= self.channel.lower:
            self.trade(OrderSide.SELL, close)

    def trade(self, side: OrderSide, price: float) -> None:
        sign = 1 if side == OrderSide.BUY else -1
        self.submit_order_list(
            self.order_factory.bracket(
                instrument_id=INSTRUMENT.id,
                order_side=side,
                quantity=Quantity.from_int(self.config.units),
                sl_trigger_price=Price(price - sign * self.config.stop_pips * 1e-4, 5),
                tp_price=Price(price + sign * self.config.target_pips * 1e-4, 5),
            )
        )


def runs(
    quotes: Quotes, emas: Sequence[int], channel: int, stop: float, target: float, units: int
) -> dict[str, Callable[[], tuple[float, float]]]:
    """Give what runs each strategy once, and returns seconds, as `benchmarks.agents.ours` does."""
    size = Quantity.from_int(1_000_000)
    records = quotes.records
    ticks = [
        QuoteTick(INSTRUMENT.id, Price(bid, 5), Price(ask, 5), size, size, ts, ts)
        for ts, bid, ask in zip(
            records["ts_event"].tolist(), records["bid"].tolist(), records["ask"].tolist(), strict=True
        )
    ]
    values = Values(emas=tuple(emas), channel=channel, stop_pips=stop, target_pips=target, units=units)

    def run(make: Callable[[], Strategy]) -> tuple[float, float]:
        engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
        engine.add_venue(
            VENUE, OmsType.HEDGING, AccountType.MARGIN, [Money(1_000_000, USD)], base_currency=USD,
            default_leverage=Decimal(30),
        )  # fmt: skip
        engine.add_instrument(INSTRUMENT)
        engine.add_data(ticks)
        engine.add_strategy(make())
        began, cpu_began = time.perf_counter(), time.process_time()
        engine.run()
        took = time.perf_counter() - began, time.process_time() - cpu_began
        engine.dispose()
        return took

    return {
        "nothing": lambda: run(Nothing),
        "nothing on 1m bars": lambda: run(NothingOnBars),
        "nothing on ticks": lambda: run(NothingOnTicks),
        "momentum on 1m bars": lambda: run(lambda: Momentum(values)),
    }
