"""Arrow IPC, for those who ask for tables or send them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from starlette.requests import Request
from starlette.responses import Response

from tapehub.errors import InvalidRecord, MissingExtra
from tapehub.gateway.ipc import is_compressed
from tapehub.gateway.problems import Problem

if TYPE_CHECKING:
    from tapehub.hub.batch import Batch

__all__ = ["ARROW_STREAM", "arrow_answer", "rows_of", "wants_arrow"]

ARROW_STREAM = "application/vnd.apache.arrow.stream"
_JSON = ("application/json", "application/*", "*/*")
_FIELDS = {
    "ts_event": "<i8", "ts_recv": "<i8", "bid": "<f8", "ask": "<f8", "bid_size": "<f4", "ask_size": "<f4",
}  # fmt: skip
_NEEDED = ("ts_event", "bid", "ask")
_NAMES_MAX = 4096


def wants_arrow(request: Request) -> bool:
    """Tell which form a client prefers: Arrow where it names it, unless it weighs it below JSON.

    Raises:
        Problem: it takes neither.
    """
    header = request.headers.get("accept", "*/*")
    weights = {}
    for part in header.split(","):
        name, *options = (piece.strip().lower() for piece in part.split(";"))
        weight = next((option[2:] for option in options if option.startswith("q=")), "1")
        weights[name] = float(weight) if weight.replace(".", "", 1).isdigit() else 0.0
    arrow = weights.get(ARROW_STREAM, 0.0)
    json = max((weights.get(name, 0.0) for name in _JSON), default=0.0)
    if not arrow and not json:
        raise Problem(
            "not-acceptable", f"accept is {header[:100]!r}: expected application/json or {ARROW_STREAM}",
            where="header.accept", value=header[:100], expected=f"application/json or {ARROW_STREAM}",
        )  # fmt: skip
    return arrow > 0 and arrow >= weights.get("application/json", 0.0)


def arrow_answer(batch: Batch) -> Response:
    """Answer with the columns of a batch.

    Raises:
        MissingExtra: pyarrow is not installed.
    """
    table = batch.arrow()
    import pyarrow as pa

    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    headers = {"Tapehub-Lost": str(batch.lost), "Cache-Control": "no-store"}
    return Response(sink.getvalue(), headers=headers, media_type=ARROW_STREAM)


def rows_of(body: bytes, symbol: str | None, rows_max: int) -> tuple[npt.NDArray[Any], list[str] | None]:
    """Read ticks from an Arrow IPC stream: rows for `DataHub.publish`, and the symbols they index; None for `symbol`.

    Raises:
        InvalidRecord: it is no such stream, has too many rows, lacks a column, or one is of another type.
        MissingExtra: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
    except ImportError:
        raise MissingExtra("pyarrow", "frames", "an Arrow body") from None
    try:
        _check_plain(pa, body)
        with pa.ipc.open_stream(body) as reader:
            schema = reader.schema
        fields = _fields(pa, schema, symbol)
        # Only what is published is read: a column of nothing but nulls has as many rows as it says, in no bytes.
        names = [name for name, _ in fields]
        wanted = sorted(schema.get_field_index("symbol" if name == "instrument" else name) for name in names)
        batches, count = [], 0
        with pa.ipc.open_stream(body, options=pa.ipc.IpcReadOptions(included_fields=wanted)) as reader:
            for one in reader:
                count += one.num_rows
                if count > rows_max:
                    raise InvalidRecord(f"body has over {rows_max} rows: expected at most so many; send several")
                batches.append(one)
            table = pa.Table.from_batches(batches, reader.schema)
        rows = np.zeros(table.num_rows, fields)
        for name, kind in fields:
            if name != "instrument":
                rows[name] = _column(pa, table[name], name, kind)
        return rows, None if symbol is not None else _symbols(pa, table["symbol"], rows)
    except pa.ArrowException as error:
        raise InvalidRecord(f"body is no Arrow IPC stream that can be read: {' '.join(str(error).split())}") from None


def _check_plain(pa: Any, body: bytes) -> None:
    """See that no part is compressed, before anything is read: 8 MiB of zstd can be 64 GiB of zeros.

    Raises:
        InvalidRecord: one is.
    """
    for message in pa.ipc.MessageReader.open_stream(pa.py_buffer(body)):
        if message.type != "schema" and is_compressed(message.metadata.to_pybytes(), message.type == "dictionary"):
            raise InvalidRecord(
                "body holds compressed buffers: expected an Arrow IPC stream as it is; write it without compression"
            )


def _fields(pa: Any, schema: Any, symbol: str | None) -> list[tuple[str, str]]:
    """Judge the columns by what the schema says of them, and choose those that are published."""
    names = schema.names
    missing = [name for name in _NEEDED if name not in names]
    if symbol is None and "symbol" not in names:
        missing.append("symbol")
    if missing or len(set(names)) != len(names):
        raise InvalidRecord(f"body has the columns {names}: expected each once, and also {missing}")
    fields = [(name, kind) for name, kind in _FIELDS.items() if name in names]
    for name, kind in fields:
        found = schema.field(name).type
        if kind == "<i8" and not (pa.types.is_timestamp(found) or pa.types.is_integer(found)):
            raise InvalidRecord(f"column {name} is {found}: expected a timestamp, or integers of ns")
        if kind != "<i8" and not (pa.types.is_floating(found) or pa.types.is_integer(found)):
            raise InvalidRecord(f"column {name} is {found}: expected numbers")
    if symbol is None:
        found = schema.field("symbol").type
        text = found.value_type if pa.types.is_dictionary(found) else found
        if not (pa.types.is_string(text) or pa.types.is_large_string(text)):
            raise InvalidRecord(f"column symbol is {found}: expected text")
        fields.append(("instrument", "<u2"))
    return fields


def _column(pa: Any, column: Any, name: str, kind: str) -> npt.NDArray[Any]:
    if column.null_count:
        raise InvalidRecord(f"column {name} has {column.null_count} nulls: expected a value in each row")
    if kind == "<i8":
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("ns", column.type.tz))
        column = column.cast(pa.int64())
    found: npt.NDArray[Any] = column.to_numpy().astype(kind)
    return found


def _symbols(pa: Any, column: Any, rows: npt.NDArray[Any]) -> list[str]:
    """Give each symbol a number; a dictionary is never spread over its rows, as one long text would be with it."""
    if column.null_count:
        raise InvalidRecord(f"column symbol has {column.null_count} nulls: expected a name in each row")
    places: dict[str, int] = {}
    at = 0
    for chunk in column.chunks:
        encoded = chunk if pa.types.is_dictionary(chunk.type) else chunk.dictionary_encode()
        if len(encoded.dictionary) > _NAMES_MAX:
            raise InvalidRecord(f"column symbol has {len(encoded.dictionary)} names: expected at most {_NAMES_MAX}")
        known = [places.setdefault(str(name), len(places)) for name in encoded.dictionary.to_pylist()]
        if len(places) > _NAMES_MAX:
            raise InvalidRecord(f"column symbol has {len(places)} names: expected at most {_NAMES_MAX}")
        if len(chunk):
            rows["instrument"][at : at + len(chunk)] = np.array(known, "<u2")[encoded.indices.to_numpy()]
        at += len(chunk)
    return list(places)
