"""Quote ticks of a NautilusTrader catalogue, as Parquet.

``bid``, ``ask`` (int64, 1e-9), sizes, ``ts_event`` (uint64 ns UTC).

The schema's metadata name the instrument, ``EUR/USD.DUKA``: symbol and venue. Older files made their times of float
seconds, which is off by some hundred nanoseconds, so times are rounded to the millisecond. Files written with
128-bit prices are refused. Needs pyarrow (``tapehub[frames]``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tapehub.errors import MissingExtra, RecordingError
from tapehub.feeds.feed import Records, empty_quotes
from tapehub.feeds.replay.containers import Content
from tapehub.feeds.replay.recording import Options, Recording
from tapehub.model.instruments import normalise

__all__ = ["is_parquet", "open_nautilus"]

_COLUMNS = ("bid", "ask", "bid_size", "ask_size", "ts_event")
_BATCH_ROWS = 32_768
_PER_UNIT = 1e9


def is_parquet(content: Content) -> bool:
    """Recognise a Parquet file."""
    return content.head[:4] == b"PAR1"


def open_nautilus(content: Content, options: Options) -> Recording:
    """Open a file of quote ticks.

    Raises:
        MissingExtra: pyarrow is not installed.
        RecordingError: the file is damaged or has other columns.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtra("pyarrow", "frames", f"reading {content.path}") from error
    path = content.path

    def open_file() -> Any:
        try:
            return pq.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            raise RecordingError(f"{path}: damaged Parquet: {error}; fetch the file again") from error

    with open_file() as file:
        schema, rows = file.schema_arrow, file.metadata.num_rows
    kinds = {name: str(schema.field(name).type) for name in _COLUMNS if name in schema.names}
    if set(kinds) != set(_COLUMNS) or not {kinds["bid"], kinds["ask"]} <= {"int64"}:
        raise RecordingError(
            f"{path}: Parquet with columns {', '.join(f'{f.name} {f.type}' for f in schema)}: expected quote ticks of "
            "NautilusTrader with 64-bit prices (bid and ask int64, bid_size, ask_size, ts_event); convert it"
        )
    name, _, venue = (schema.metadata or {}).get(b"instrument_id", b"").decode().rpartition(".")
    symbol = options.symbol or (normalise(name) if name else None)
    if symbol is None:
        raise RecordingError(f"{path}: the schema names no instrument_id: pass symbol= (--symbol EUR_USD)")

    def read() -> Iterator[Records]:
        done = 0
        with open_file() as file:
            try:
                for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=list(_COLUMNS)):
                    column = {field: batch.column(field).to_numpy(zero_copy_only=False) for field in _COLUMNS}
                    quotes = empty_quotes(batch.num_rows)
                    quotes["ts_event"] = (column["ts_event"].astype(np.int64) + 500_000) // 1_000_000 * 1_000_000
                    for field in ("bid", "ask", "bid_size", "ask_size"):
                        quotes[field] = column[field] / _PER_UNIT
                    done += batch.num_rows
                    yield quotes
            except (pa.ArrowException, OSError) as error:
                raise RecordingError(
                    f"{path}: damaged Parquet after row {done} of {rows}: {error}; fetch it again"
                ) from error

    return Recording(path, symbol, options.source or venue.lower() or "nautilus", "nautilus", read, rows)
