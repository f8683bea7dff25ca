"""The records of the tape as numpy and Python see them.

Offsets are those of ``native/include/tapehub/layout.hpp``; a test compares every one with the compiled module.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final

import numpy as np

__all__ = [
    "CANDLE",
    "CANDLE_STRUCT",
    "CHANNEL_BLOCK",
    "CHANNEL_RARE",
    "CLOCK_STRUCT",
    "FLOW_STRUCT",
    "INSTRUMENT",
    "LINE_BYTES",
    "NO_INSTRUMENT",
    "SOURCE",
    "TICK",
    "CandleFlag",
    "GapFlag",
    "Kind",
    "TickFlag",
]

LINE_BYTES: Final = 64
NO_INSTRUMENT: Final = 0xFFFF

TICK: Final = np.dtype(
    [
        ("seq", "<u8"),
        ("ts_event", "<i8"),
        ("ts_recv", "<i8"),
        ("ts_publish", "<i8"),
        ("bid", "<f8"),
        ("ask", "<f8"),
        ("bid_size", "<f4"),
        ("ask_size", "<f4"),
        ("instrument", "<u2"),
        ("source", "u1"),
        ("flags", "u1"),
        ("crc32c", "<u4"),
    ]
)
"""One tick: one line of the log, 64 bytes. Times are ns UTC."""

CANDLE: Final = np.dtype(
    [
        ("timestamp", "<i8"),
        ("open", "<f8"),
        ("high", "<f8"),
        ("low", "<f8"),
        ("close", "<f8"),
        ("volume", "<f8"),
        ("ts_first", "<i8"),
        ("ts_last", "<i8"),
        ("ts_arrival", "<i8"),
        ("seq", "<u8"),
        ("ticks", "<u4"),
        ("revision", "<u2"),
        ("status", "u1"),
        ("timeframe", "u1"),
        ("coverage", "<f4"),
        ("flags", "u1"),
        ("source", "u1"),
        ("instrument", "<u2"),
    ]
)
"""One candle, 96 bytes. ``timestamp`` is the open time, ns UTC; ``status`` 0 forming, 1 final, 2 revised."""

INSTRUMENT: Final = np.dtype(
    {
        "names": [
            "symbol", "pip_size", "price_scale", "price_low", "price_high", "id", "primary_channel", "calendar",
            "decimals", "declared", "week_days", "base", "quote",
        ],
        "formats": ["S32", "<f8", "<f8", "<f8", "<f8", "<u2", "<u2", "u1", "u1", "u1", "u1", "S8", "S8"],
        "offsets": [0, 32, 40, 48, 56, 64, 66, 68, 69, 70, 71, 72, 80],
        "itemsize": 128,
    }
)  # fmt: skip

SOURCE: Final = np.dtype(
    {"names": ["name", "fencing_token", "id"], "formats": ["S32", "<u8", "u1"], "offsets": [0, 32, 40], "itemsize": 64}
)

CHANNEL_BLOCK: Final = np.dtype(
    {
        "names": ["applied_seq", "ticks", "ts_event_max", "ts_tick_arrival", "last_tick_seq", "latest",
                  "pending_ticks", "ts_pending_arrival"],
        "formats": ["<u8", "<u8", "<i8", "<i8", "<u8", TICK, "<u8", "<i8"],
        "offsets": [0, 8, 16, 24, 32, 40, 160, 168],
        "itemsize": 192,
    }
)  # fmt: skip

CHANNEL_RARE: Final = np.dtype(
    {
        "names": [
            "seq", "cleared_seq", "ticks_at_clear", "ts_candle_arrival", "ts_flow_arrival", "flow_seq", "flow_updates",
            "candles_received", "candles_warm", "candles_built", "late_applied", "late_unapplied", "superseded_ticks",
            "corrected", "state", "ts_state", "gap_start", "gap_end", "ring_end", "ring_base",
        ],
        "formats": ["<u8", "<u8", "<u8", "<i8", "<i8"] + ["<u8"] * 10 + ["<i8"] * 3 + [("<u8", (11,))] * 2,
        "offsets": [*range(0, 144, 8), 208, 296],
        "itemsize": 384,
    }
)  # fmt: skip

CANDLE_STRUCT: Final = struct.Struct("<q5d3qQIHBBfBBH")
"""One candle as bytes, in the order of `CANDLE`."""

FLOW_STRUCT: Final = struct.Struct("<13d3qIHH")
"""The numbers of one OrderFlowMetrics; two texts follow."""

CLOCK_STRUCT: Final = struct.Struct("<IIqqdqq")
"""mode, watermark mode, anchor_ns, anchor_boot_ns, rate, skew_ns, watermark_ns."""


class Kind(IntEnum):
    """What a record is. Readers skip kinds they do not know by their length."""

    TICK = 0
    CANDLE = 1
    ORDER_FLOW = 2
    WATERMARK = 3
    DEFINITION = 4
    SOURCE = 5
    CHANNEL = 6
    CLEAR = 7
    CLOCK = 8
    CALENDAR = 9
    STATE = 10
    GAP = 11
    QUARANTINE = 12
    OPINION = 13
    SIGNAL = 14
    ORDER = 15
    FILL = 16
    LEDGER = 17
    EPOCH = 18
    NOTE = 19
    COMPARISON = 20
    AGENT = 21
    ACCOUNT = 22
    HALT = 23


class TickFlag(IntEnum):
    """Bits of a tick's ``flags``."""

    UNVERIFIED = 1
    CORRECTED = 2
    BACKFILL = 4


class GapFlag(IntEnum):
    """Bits of a gap record's ``flags``."""

    LASTS = 1
    NOTED = 2


class CandleFlag(IntEnum):
    """Bits of a candle's ``flags``."""

    PUSHED = 1
    WARM = 2
    REAL_VOLUME = 4
    BACKFILL = 8
    UNCONFIRMED = 16
