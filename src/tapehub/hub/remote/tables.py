"""Arrow IPC streams as the rows they were made of, to the last bit, and rows as such streams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tapehub._native import crc32c
from tapehub.errors import HubError, MissingExtra
from tapehub.model.records import CANDLE, NO_INSTRUMENT, TICK

try:
    import pyarrow as pa
except ImportError as error:
    raise MissingExtra(error.name or "pyarrow", "remote", "a remote hub") from error

__all__ = ["candle_rows", "names_in", "read", "signed", "stream_of", "tick_rows"]

_CRC_AT: Final = TICK.fields["crc32c"][1] if TICK.fields else 60
_PUBLISHED: Final = ("ts_event", "bid", "ask", "bid_size", "ask_size", "ts_recv")


def read(data: bytes) -> Any:
    """Read a table.

    Raises:
        HubError: it is none.
    """
    try:
        with pa.ipc.open_stream(data) as reader:
            return reader.read_all()
    except pa.ArrowException as error:
        raise HubError(f"the gateway sent {len(data)} bytes that are no Arrow stream: {error}") from None


def names_in(table: Any, column: str) -> list[str]:
    """List the names in a column, each once."""
    return [str(name) for name in table[column].unique().to_pylist()]


def tick_rows(table: Any, ids: Mapping[str, int], sources: Sequence[str]) -> npt.NDArray[Any]:
    """Read ticks, shape (n,), dtype TICK.

    Args:
        ids: of the instruments.
        sources: by id.
    """
    return signed(_rows(table, TICK, ids, sources))


def candle_rows(table: Any, ids: Mapping[str, int], sources: Sequence[str], timeframe: int) -> npt.NDArray[Any]:
    """Read candles of one timeframe, shape (n,), dtype CANDLE."""
    rows = _rows(table, CANDLE, ids, sources)
    rows["timeframe"] = timeframe
    return rows


def signed(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Compute the checksums of ticks, which no table carries: those of the bytes they have in the log."""
    raw = rows.tobytes()
    size = TICK.itemsize
    rows["crc32c"] = [crc32c(raw[at : at + _CRC_AT]) for at in range(0, len(raw), size)]
    return rows


def stream_of(rows: npt.NDArray[Any], symbols: Sequence[str] | None) -> bytes:
    """Write rows that are to be published; ``symbols`` are those that the field ``instrument`` indexes."""
    columns: dict[str, Any] = {}
    for name in _PUBLISHED:
        if name in (rows.dtype.names or ()):
            columns[name] = pa.array(np.ascontiguousarray(rows[name]))
    if symbols is not None:
        numbers = np.ascontiguousarray(rows["instrument"]).astype(np.int32)
        columns["symbol"] = pa.DictionaryArray.from_arrays(pa.array(numbers), pa.array(list(symbols), pa.string()))
    table = pa.table(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _rows(table: Any, kind: np.dtype[Any], ids: Mapping[str, int], sources: Sequence[str]) -> npt.NDArray[Any]:
    rows = np.zeros(table.num_rows, kind)
    for name in kind.names or ():
        if name in table.column_names and name not in ("symbol", "source"):
            column = table[name]
            if pa.types.is_timestamp(column.type):
                column = column.cast(pa.int64())
            rows[name] = column.to_numpy()
    rows["instrument"] = _numbers(table["symbol"], lambda symbol: ids.get(symbol, NO_INSTRUMENT))
    places = {name: number for number, name in enumerate(sources)}
    rows["source"] = _numbers(table["source"], lambda source: places.get(source, 0))
    return rows


def _numbers(column: Any, number_of: Any) -> Any:
    """Give the number of each name; names are few."""
    if not len(column):
        return []
    encoded = column.combine_chunks().dictionary_encode()
    numbers = np.array([number_of(name) for name in encoded.dictionary.to_pylist()])
    return numbers[encoded.indices.to_numpy()]
