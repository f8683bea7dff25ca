"""What the head of an Arrow IPC message says of its buffers, read without pyarrow, which would unpack them to tell.

The head is a flatbuffer: a table points back to a list of where its fields are, 0 for those it has not.

    Message { version, header_type, header, bodyLength, … }    DictionaryBatch { id, data: RecordBatch, isDelta }
    RecordBatch { length, nodes, buffers, compression, … }

Source: Apache Arrow, format/Message.fbs; FlatBuffers, "Internals".
"""

from __future__ import annotations

import struct

from tapehub.errors import InvalidRecord

__all__ = ["is_compressed"]

_HEADER, _DATA, _COMPRESSION = 2, 1, 3
_U2, _I4, _U4 = struct.Struct("<H"), struct.Struct("<i"), struct.Struct("<I")


def is_compressed(head: bytes, dictionary: bool) -> bool:
    """Tell whether the buffers of a message are compressed.

    Args:
        head: of a record batch, or of a dictionary.

    Raises:
        InvalidRecord: it is none.
    """
    try:
        table = _follow(head, 0)
        batch = _table(head, table, _HEADER)
        if dictionary:
            batch = _table(head, batch, _DATA)
        return _place(head, batch, _COMPRESSION) != 0
    except struct.error:
        raise InvalidRecord("body is no Arrow IPC stream that can be read: the head of a message is damaged") from None


def _place(head: bytes, table: int, field: int) -> int:
    listed = table - _I4.unpack_from(head, table)[0]
    slot = 4 + 2 * field
    if not 0 <= listed <= len(head) or slot >= _U2.unpack_from(head, listed)[0]:
        return 0
    offset = _U2.unpack_from(head, listed + slot)[0]
    return table + int(offset) if offset else 0


def _table(head: bytes, table: int, field: int) -> int:
    place = _place(head, table, field)
    if not place:
        raise InvalidRecord("body is no Arrow IPC stream that can be read: the head of a message lacks a part")
    return _follow(head, place)


def _follow(head: bytes, place: int) -> int:
    return place + int(_U4.unpack_from(head, place)[0])
