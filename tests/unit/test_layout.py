"""Every offset that the native core states, against the numpy dtypes and structs that read the same bytes."""

import hashlib
import struct
from typing import Any

import numpy as np
import pytest

from tapehub import CANDLE, TICK
from tapehub._native import layout
from tapehub.hub.blobs import BLOB_FLAG
from tapehub.model.records import (
    CANDLE_STRUCT,
    CHANNEL_BLOCK,
    CHANNEL_RARE,
    CLOCK_STRUCT,
    FLOW_STRUCT,
    INSTRUMENT,
    LINE_BYTES,
    SOURCE,
)
from tapehub.model.sessions import CalendarId
from tapehub.model.timeframes import TIMEFRAMES

NATIVE = layout()
DTYPES: dict[str, np.dtype[Any]] = {
    "TickLine": TICK,
    "CandleBody": CANDLE,
    "InstrumentRow": INSTRUMENT,
    "SourceRow": SOURCE,
    "ChannelBlock": CHANNEL_BLOCK,
    "ChannelRare": CHANNEL_RARE,
}
# Where numpy's name is not C++'s: the record word of a tick is its sequence, and of `pending` numpy needs one field.
RENAMED = {("TickLine", "word"): "seq"}
PENDING_TICKS = 7 * 8  # offset of `ticks` in Pending


def native_fields(name: str) -> dict[str, int]:
    return {key.partition(".")[2]: offset for key, offset in NATIVE.items() if key.startswith(f"{name}.")}


@pytest.mark.parametrize("name", DTYPES)
def test_every_native_field_lies_where_numpy_reads_it(name: str) -> None:
    dtype = DTYPES[name]
    assert dtype.itemsize == NATIVE[f"sizeof.{name}"]
    fields = native_fields(name)
    assert fields, f"layout() says nothing of {name}"
    if name == "ChannelBlock":
        fields["pending_ticks"] = fields.pop("pending") + PENDING_TICKS
    ours = {field: offset for field, (_, offset, *_) in (dtype.fields or {}).items()}
    assert ours == {RENAMED.get((name, field), field): offset for field, offset in fields.items()}


@pytest.mark.parametrize(("name", "packed"), [("CandleBody", CANDLE_STRUCT), ("ClockBody", CLOCK_STRUCT)])
def test_struct_places_every_field_where_the_core_reads_it(name: str, packed: struct.Struct) -> None:
    assert packed.size == NATIVE[f"sizeof.{name}"]
    fields = native_fields(name)
    codes = "".join(int(count or 1) * code for count, code in _codes(packed.format))
    assert len(codes) == len(fields)
    offsets = [struct.calcsize("<" + codes[:i]) for i in range(len(codes))]
    assert offsets == sorted(fields.values())


def _codes(form: str) -> list[tuple[str, str]]:
    out, count = [], ""
    for letter in form.lstrip("<"):
        if letter.isdigit():
            count += letter
        else:
            out.append((count, letter))
            count = ""
    return out


def test_the_first_line_of_a_record_is_as_its_diagram_says() -> None:
    """Word, three times, three numbers, instrument, source, flags, checksum."""
    assert struct.calcsize("<Q3q3QHBBI") == NATIVE["sizeof.RecordHead"] == LINE_BYTES
    assert sorted(native_fields("RecordHead").values()) == [0, 8, 16, 24, 32, 56, 58, 59, 60]


def test_a_session_table_is_named_by_the_hash_of_a_blob() -> None:
    assert NATIVE["sizeof.SessionTableBody"] == len(hashlib.sha256().hexdigest()) == LINE_BYTES
    assert NATIVE["calendars_max"] > max(CalendarId)
    assert NATIVE["record_names_blob"] == BLOB_FLAG
    assert not NATIVE["calendar_sessions"] & BLOB_FLAG


def test_fields_follow_each_other_without_overlap() -> None:
    for name, dtype in DTYPES.items():
        end = 0
        for field, offset in sorted(((dtype.fields or {})[field][1], field) for field in dtype.names or ()):
            assert field >= end, f"{name}.{offset} overlaps what stands before it"
            end = field + (dtype.fields or {})[offset][0].itemsize
        assert end <= dtype.itemsize


def test_a_tick_is_one_line_and_a_candle_96_bytes() -> None:
    assert TICK.itemsize == LINE_BYTES == 64
    assert CANDLE.itemsize == 96
    assert FLOW_STRUCT.size == NATIVE["sizeof.OrderFlowBody"]


def test_both_languages_have_the_same_timeframes() -> None:
    assert [tuple(row) for row in NATIVE["timeframes"]] == [(row.name, row.span_ns, row.capacity) for row in TIMEFRAMES]
    assert [row.index for row in TIMEFRAMES] == list(range(len(TIMEFRAMES)))
