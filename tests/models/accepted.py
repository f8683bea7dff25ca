"""What a hub must hold of a simulated venue's quotes: worked out from the venue's source and from polars alone."""

from typing import Any

import numpy as np
import polars as pl

from tapehub import DataHub
from tapehub.feeds.sim import Source
from tests.models.intervals import MINUTE

COLUMNS = ("timestamp", "open", "high", "low", "close", "ticks")
DECIMALS = {"EUR_USD": 5, "GBP_USD": 5, "USD_JPY": 3}

Row = tuple[int, float, float]


def quoted(source: Source, symbol: str, start_ns: int, end_ns: int) -> list[Row]:
    """List what the venue's source quoted, as the venue says it: whole milliseconds, prices of so many digits."""
    decimals = DECIMALS[symbol]
    return [
        (ts_event // 1_000_000 * 1_000_000, float(f"{bid:.{decimals}f}"), float(f"{ask:.{decimals}f}"))
        for ts_event, _, bid, ask, *_ in source.window(symbol, start_ns, end_ns).tolist()
    ]


def published(hub: DataHub, symbol: str) -> list[Row]:
    """List the ticks of a hub, in log order."""
    rows = hub.ticks(symbol, limit=1 << 24).numpy()
    rows = rows[np.argsort(rows["seq"])]
    return list(zip(rows["ts_event"].tolist(), rows["bid"].tolist(), rows["ask"].tolist(), strict=True))


def batch_candles(rows: list[Row]) -> list[tuple[Any, ...]]:
    """Build 1-minute mid candles of ticks in log order, by polars."""
    frame = pl.DataFrame(rows, schema=["ts_event", "bid", "ask"], orient="row")
    mid = (pl.col("bid") + pl.col("ask")) / 2
    built = (
        frame.with_columns(timestamp=pl.col("ts_event") // MINUTE * MINUTE, mid=mid)
        .sort("ts_event", maintain_order=True)
        .group_by("timestamp", maintain_order=True)
        .agg(
            open=pl.col("mid").first(), high=pl.col("mid").max(), low=pl.col("mid").min(), close=pl.col("mid").last(),
            ticks=pl.len(),
        )
    )  # fmt: skip
    return [(*row[:5], float(row[5])) for row in built.sort("timestamp").select(COLUMNS).iter_rows()]


def built_candles(hub: DataHub, symbol: str) -> list[tuple[Any, ...]]:
    """List the hub's 1-minute candles in the same form."""
    rows = hub.candles(symbol, "1m", limit=1 << 20, forming=True).numpy()
    columns = [rows[name].tolist() for name in COLUMNS]
    return [(*row[:5], float(row[5])) for row in zip(*columns, strict=True)]


def unexplained(hub: DataHub, symbol: str, missing: list[Row], slack_ns: int = 1_000_000) -> list[Row]:
    """List the missing quotes that no gap of the hub covers."""
    gaps = hub.gaps(symbol)
    return [
        row
        for row in missing
        if not any(gap["start"] - slack_ns <= row[0] <= (gap["end"] or row[0]) + slack_ns for gap in gaps)
    ]
