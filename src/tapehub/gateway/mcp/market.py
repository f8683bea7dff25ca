"""Tools that read the market: snapshot, candles, history, order flow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from tapehub.errors import InvalidRecord
from tapehub.gateway.instants import iso
from tapehub.gateway.mcp.asking import (
    BARS_MAX,
    HISTORY_MAX,
    PLACES,
    LongReads,
    Symbol,
    Timeframe,
    moment,
    named,
    number,
)
from tapehub.gateway.mcp.shapes import Bar, CandlesAnswer, Flow, OrderFlowAnswer, Quote, SnapshotAnswer
from tapehub.gateway.mcp.standing import FINISHED, standing_of
from tapehub.model.timeframes import parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapehub._native import Candle, OrderFlowMetrics, Tick
    from tapehub.hub import DataHub
    from tapehub.hub.batch import Batch

__all__ = ["MarketTools"]

_FEW = 50
Instant = Annotated[
    str | None,
    Field(max_length=64, description="ISO 8601, UTC without an offset: 2026-06-02T12:00:00Z; null: no bound"),
]


class MarketTools:
    """Read the market. Any thread.

    Args:
        hub: gives the hub.
        long: bounds what reads the log.
    """

    def __init__(self, hub: Callable[[], DataHub], long: LongReads) -> None:
        self._hub = hub
        self._long = long

    def snapshot(
        self,
        symbol: Symbol,
        timeframe: Timeframe = "1m",
        candles: Annotated[int, Field(ge=0, le=_FEW, description="The newest so many, the forming one included")] = 5,
    ) -> SnapshotAnswer:
        """Read quote, newest candles and order flow of an instrument at one instant. Ask this first."""
        hub = self._hub()
        name, frame = named(hub, symbol), parse(timeframe).name
        seen = hub.snapshot(name, frame, max(candles, FINISHED))
        return SnapshotAnswer(
            standing=standing_of(hub, name, seen),
            symbol=name,
            quote=None if seen.tick is None else _quote(seen.tick),
            timeframe=frame,
            candles=[_bar(candle) for candle in seen.candles[max(0, len(seen.candles) - candles) :]],
            order_flow=None if seen.order_flow is None else _flow(seen.order_flow, seen.now_ns),
        )

    def candles(
        self,
        symbol: Symbol,
        timeframe: Timeframe = "1m",
        limit: Annotated[int, Field(ge=1, le=BARS_MAX, description="The newest so many")] = 50,
        forming: Annotated[bool, Field(description="With the one that is not finished")] = False,
    ) -> CandlesAnswer:
        """Read the newest candles of an instrument from memory, oldest first."""
        hub = self._hub()
        name, frame = named(hub, symbol), parse(timeframe).name
        batch = hub._candles_between(name, frame, limit + 1, forming=forming)
        return _candles(hub, name, frame, batch, limit)

    def history(
        self,
        symbol: Symbol,
        timeframe: Timeframe = "1h",
        start: Instant = None,
        end: Instant = None,
        limit: Annotated[int, Field(ge=1, le=HISTORY_MAX, description="The newest so many of those in the span")] = 100,
    ) -> CandlesAnswer:
        """Build candles of [start, end) anew from all that the log still holds: days, where `candles` reaches hours.

        Slower than `candles`. For more than fits, ask again with `end` set to the time of the first candle.
        """
        hub = self._hub()
        name, frame = named(hub, symbol), parse(timeframe).name
        first, last = moment(start, "start"), moment(end, "end")
        if first is not None and last is not None and first >= last:
            raise InvalidRecord(f"start is {start}, end is {end}: expected a start before the end")
        with self._long.one():
            batch = hub.history(name, frame, limit + 1, first, last)
        return _candles(hub, name, frame, batch, limit)

    def order_flow(self, symbol: Symbol) -> OrderFlowAnswer:
        """Read the latest order-flow metrics of an instrument: imbalance, delta, sweeps, VWAP of some 60 s."""
        hub = self._hub()
        name = named(hub, symbol)
        metrics = hub.get_latest_order_flow(name)
        standing = standing_of(hub, name)
        return OrderFlowAnswer(
            standing=standing, symbol=name, order_flow=None if metrics is None else _flow(metrics, hub.now())
        )


def _candles(hub: DataHub, name: str, frame: str, batch: Batch, limit: int) -> CandlesAnswer:
    rows = batch.objects()
    return CandlesAnswer(
        standing=standing_of(hub, name),
        symbol=name,
        timeframe=frame,
        candles=[_bar(candle) for candle in rows[max(0, len(rows) - limit) :]],
        more=len(rows) > limit,
    )


def _quote(tick: Tick) -> Quote:
    return Quote(
        time=iso(tick.ts_event),
        bid=tick.bid,
        ask=tick.ask,
        mid=number(tick.mid),
        spread_pips=number(tick.spread),
        source=tick.source or "",
    )


def _bar(candle: Candle) -> Bar:
    return Bar(
        time=iso(candle.ts_event),
        open=round(candle.open, PLACES),
        high=round(candle.high, PLACES),
        low=round(candle.low, PLACES),
        close=round(candle.close, PLACES),
        volume=number(candle.volume),
        ticks=candle.ticks,
        status=candle.status,
        coverage=number(candle.coverage),
    )


def _flow(metrics: OrderFlowMetrics, now_ns: int) -> Flow:
    return Flow(
        time=iso(metrics.ts_event),
        age_s=round((now_ns - metrics.ts_event) / 1e9, 3),
        is_stale=metrics.is_stale,
        futures_symbol=metrics.futures_symbol,
        window_seconds=number(metrics.window_seconds),
        order_flow_imbalance=number(metrics.ofi_60s),
        net_volume_delta=number(metrics.net_volume_delta),
        buy_volume=number(metrics.buy_volume),
        sell_volume=number(metrics.sell_volume),
        best_bid=number(metrics.best_bid),
        best_ask=number(metrics.best_ask),
        bid_size=number(metrics.bid_size),
        ask_size=number(metrics.ask_size),
        top_of_book_imbalance=number(metrics.top_of_book_imbalance),
        buy_sweeps=metrics.buy_sweep_count,
        sell_sweeps=metrics.sell_sweep_count,
        vwap=number(metrics.vwap_60s),
        bias=metrics.order_flow_bias,
        toxicity=number(metrics.toxicity_score),
    )
