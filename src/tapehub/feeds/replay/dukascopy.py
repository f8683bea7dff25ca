"""Dukascopy's hourly tick files, ``.bi5``.

LZMA ("alone" format) of 20-byte big-endian records: milliseconds since the hour, ask, bid (both in points), ask
volume, bid volume (millions of units). Hour and instrument stand only in the path,
``EURUSD/2019/01/04/00h_ticks.bi5``, with the MONTH COUNTED FROM ZERO: that is 4 February 2019. An hour without ticks
is a file of zero bytes. The layout is as Dukascopy-reading tools document it (Dukascopy publishes none); the tests
hold it against the bars that Dukascopy made of the same ticks.
"""

from __future__ import annotations

import lzma
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tapehub.errors import RecordingError
from tapehub.feeds.feed import Records, empty_quotes
from tapehub.feeds.replay.containers import Content, whole
from tapehub.feeds.replay.recording import Options, Recording
from tapehub.model.instruments import InstrumentBook, normalise, symbol_in

__all__ = ["is_bi5", "open_bi5"]

SOURCE = "dukascopy"

_TICK = np.dtype([("ms", ">u4"), ("ask", ">u4"), ("bid", ">u4"), ("ask_volume", ">f4"), ("bid_volume", ">f4")])
_CANDLE_BYTES = 24
_HOUR_MS = 3_600_000
_SIZE_MAX = 64 << 20
_PATH = re.compile(r"/([A-Za-z0-9]+)/(\d{4})/(\d\d)/(\d\d)/(\d\d)h_ticks\.bi5\Z")


def is_bi5(content: Content) -> bool:
    """Recognise an LZMA-alone header, or the empty file of an hour without ticks."""
    head = content.head
    if not head:
        return content.member.endswith(".bi5")
    size = head[5:13]
    size_is_sane = size == b"\xff" * 8 or int.from_bytes(size, "little") <= _SIZE_MAX
    return head[:1] == b"\x5d" and len(size) == 8 and size_is_sane


def open_bi5(content: Content, options: Options) -> Recording:
    """Open an hour of ticks; the hour and the instrument come from the path or the options.

    Raises:
        RecordingError: the path tells neither, or the file holds bars, or is damaged.
    """
    path = content.path
    place = _PATH.search(path.absolute().as_posix())
    size_bytes = _size_bytes(content)
    symbol = options.symbol or (normalise(place[1]) if place else symbol_in(path.stem))
    if symbol is None:
        raise RecordingError(f"{path}: neither file nor path names the instrument: pass symbol= (--symbol EUR_USD)")
    hour_ns = options.hour_ns
    if hour_ns is None and place:
        hour_ns = _hour_ns(path, *(int(part) for part in place.groups()[1:]))
    if hour_ns is None:
        raise RecordingError(
            f"{path}: ticks count from the start of an hour that neither the file nor its path tells (expected "
            f"SYMBOL/2019/01/04/07h_ticks.bi5, months from 00): pass hour= (--hour 2019-02-04T07:00, UTC)"
        )
    decimals = _decimals(path, symbol) if options.decimals is None else options.decimals

    def read() -> Iterator[Records]:
        raw = _records(path, whole(content, _SIZE_MAX))
        quotes = empty_quotes(len(raw))
        quotes["ts_event"] = hour_ns + raw["ms"].astype(np.int64) * 1_000_000
        quotes["bid"] = raw["bid"] / 10.0**decimals
        quotes["ask"] = raw["ask"] / 10.0**decimals
        # Volumes are float32 of decimals like 0.9: rounding to whole units gives 900000, not 899999.98.
        quotes["bid_size"] = np.rint(raw["bid_volume"].astype(np.float64) * 1e6)
        quotes["ask_size"] = np.rint(raw["ask_volume"].astype(np.float64) * 1e6)
        _check_scale(path, symbol, decimals, quotes["bid"])
        if len(quotes):
            yield quotes

    rows = None if size_bytes is None else size_bytes // _TICK.itemsize
    return Recording(path, symbol, options.source or SOURCE, "dukascopy-bi5", read, rows, hour_ns)


def _hour_ns(path: Path, year: int, month: int, day: int, hour: int) -> int:
    try:
        return int(datetime(year, month + 1, day, hour, tzinfo=UTC).timestamp()) * 1_000_000_000
    except ValueError as error:
        raise RecordingError(
            f"{path}: {error}: Dukascopy counts months from 00; pass hour= (--hour, UTC) if this path does not"
        ) from None


def _decimals(path: Path, symbol: str) -> int:
    row = InstrumentBook().find(symbol)
    is_pair = row.declared and len(row.base) == len(row.quote) == 3
    if (is_pair and row.quote == "JPY") or symbol == "XAU_USD":
        return 3
    if is_pair and row.pip_size == 0.0001 and not row.base.startswith("X"):
        return 5
    raise RecordingError(
        f"{path}: how many points make one unit of {symbol} is not known: pass decimals= (3 if 1234567 means 1234.567)"
    )


def _check_scale(path: Path, symbol: str, decimals: int, bid: npt.NDArray[np.float64]) -> None:
    row = InstrumentBook().find(symbol)
    if len(bid) and row.price_high:
        middle = float(np.median(bid))
        if not row.price_low / 10 < middle < row.price_high * 10:
            raise RecordingError(
                f"{path}: with {decimals} decimals the bid is {middle:g}: expected {row.price_low:g} to "
                f"{row.price_high:g} for {symbol}: pass decimals=, or another symbol="
            )


def _size_bytes(content: Content) -> int | None:
    """Look at the first records, so that bars are refused before anything is read; give the size the header states."""
    if not content.head:
        return 0
    unpack = lzma.LZMADecompressor(format=lzma.FORMAT_ALONE)
    try:
        begin = unpack.decompress(content.head)
    except lzma.LZMAError as error:
        raise RecordingError(f"{content.path}: LZMA damaged from the start: {error}; fetch the file again") from error
    stated = content.head[5:13]
    size_bytes = None if stated == b"\xff" * 8 else int.from_bytes(stated, "little")
    ticks = np.frombuffer(begin, dtype=_TICK, count=len(begin) // _TICK.itemsize)
    bars = np.frombuffer(begin, dtype=">u4", count=len(begin) // _CANDLE_BYTES * 6)[::6].astype(np.int64)
    if not _are_ticks(ticks) and bool((bars % 60 == 0).all() and (np.diff(bars) > 0).all()):
        raise RecordingError(f"{content.path}: holds bars, not ticks: expected a file like 07h_ticks.bi5")
    return size_bytes


def _are_ticks(records: npt.NDArray[np.void]) -> bool:
    ask, bid = records["ask"].astype(np.int64), records["bid"].astype(np.int64)
    return bool(((records["ms"] < _HOUR_MS) & (bid < 2 * ask) & (ask < 2 * bid)).all())


def _records(path: Path, data: bytes) -> npt.NDArray[np.void]:
    try:
        plain = lzma.decompress(data, format=lzma.FORMAT_ALONE) if data else b""
    except lzma.LZMAError as error:
        raise RecordingError(f"{path}: LZMA damaged within {len(data)} bytes: {error}; fetch the file again") from error
    if len(plain) % _TICK.itemsize == 0:
        records = np.frombuffer(plain, dtype=_TICK)
        if _are_ticks(records):
            return records
    raise RecordingError(
        f"{path}: {len(plain)} bytes are no ticks of an hour (20 bytes each, times below {_HOUR_MS}): fetch it again"
    )
