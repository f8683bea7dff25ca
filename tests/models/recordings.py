"""The captures of ../shared/data, read with other means: an oracle shares no code with what it judges."""

import io
import lzma
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

MS = 1_000_000
QUOTE = np.dtype([("ts_event", "<i8"), ("bid", "<f8"), ("ask", "<f8")])
BAR = np.dtype(
    [("timestamp", "<i8"), ("open", "<f8"), ("high", "<f8"), ("low", "<f8"), ("close", "<f8"), ("volume", "<f8")]
)
FXCM_OFFSET = 5 * 3600 * 1_000_000_000  # LEAN stores FXCM in a fixed UTC-05:00, OANDA in UTC

Quotes = npt.NDArray[np.void]


def midnight(year: int, month: int, day: int) -> int:
    """Give 00:00 UTC of a date in ns."""
    return int(datetime(year, month, day, tzinfo=UTC).timestamp()) * 1_000_000_000


def dukascopy_ticks(shared_data: Path) -> Quotes:
    """Read the 24 hours of EUR/USD ticks of 4 February 2019."""
    raw = np.dtype([("ms", ">u4"), ("ask", ">u4"), ("bid", ">u4"), ("ask_size", ">f4"), ("bid_size", ">f4")])
    hours = []
    for hour in range(24):
        path = shared_data / f"dukascopy/EURUSD/2019/01/04/{hour:02}h_ticks.bi5"
        rows = np.frombuffer(lzma.decompress(path.read_bytes()), raw)
        quotes = np.zeros(len(rows), QUOTE)
        quotes["ts_event"] = midnight(2019, 2, 4) + hour * 3600 * 1000 * MS + rows["ms"].astype(np.int64) * MS
        quotes["bid"], quotes["ask"] = rows["bid"] / 1e5, rows["ask"] / 1e5
        hours.append(quotes)
    return np.concatenate(hours)


def dukascopy_bars(path: Path, start_ns: int) -> Quotes:
    """Read bars that Dukascopy made itself: seconds since `start_ns`, then open, close, low, high, volume."""
    raw = np.dtype([("s", ">u4"), ("o", ">u4"), ("c", ">u4"), ("l", ">u4"), ("h", ">u4"), ("v", ">f4")])
    rows = np.frombuffer(lzma.decompress(path.read_bytes()), raw)
    bars = np.zeros(len(rows), BAR)
    bars["timestamp"] = start_ns + rows["s"].astype(np.int64) * 1000 * MS
    for name, field in (("open", "o"), ("high", "h"), ("low", "l"), ("close", "c")):
        bars[name] = rows[field] / 1e5
    bars["volume"] = rows["v"]
    return bars


def lean_days(shared_data: Path, market: str) -> list[str]:
    """List the days of a market as yyyymmdd."""
    return sorted(path.name[:8] for path in (shared_data / f"lean/{market}/tick/eurusd").glob("*_quote.zip"))


def _lean(shared_data: Path, market: str, resolution: str, day: str) -> tuple[int, pl.DataFrame]:
    with zipfile.ZipFile(shared_data / f"lean/{market}/{resolution}/eurusd/{day}_quote.zip") as archive:
        (name,) = archive.namelist()
        table = pl.read_csv(io.BytesIO(archive.read(name)), has_header=False, infer_schema_length=None)
    start = midnight(int(day[:4]), int(day[4:6]), int(day[6:])) + (FXCM_OFFSET if market == "fxcm" else 0)
    return start, table


def lean_ticks(shared_data: Path, market: str, day: str) -> Quotes:
    """Read a day of ticks."""
    start, table = _lean(shared_data, market, "tick", day)
    quotes = np.zeros(len(table), QUOTE)
    quotes["ts_event"] = start + table[:, 0].to_numpy().astype(np.int64) * MS
    quotes["bid"], quotes["ask"] = table[:, 1].to_numpy(), table[:, 2].to_numpy()
    return quotes


def lean_bars(shared_data: Path, market: str, resolution: str, day: str, side: str) -> Quotes:
    """Read the second or minute bars of a side that LEAN made itself."""
    start, table = _lean(shared_data, market, resolution, day)
    bars = np.zeros(len(table), BAR)
    bars["timestamp"] = start + table[:, 0].to_numpy().astype(np.int64) * MS
    for i, name in enumerate(("open", "high", "low", "close"), 1 if side == "bid" else 6):
        bars[name] = table[:, i].to_numpy()
    return bars
