"""Dukascopy's JSON API, one hour of ticks a reply.

``timestamp`` (ms, UTC), start prices, then for each tick the differences of time (ms) and of the prices (in units of
``multiplier``) to the one before; volumes are in units of the base currency. Format as in replies of
``/ticks/{code}/{year}/{month}/{day}/{hour}``, months from 1; the file name is all that tells the instrument.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tapehub.errors import RecordingError
from tapehub.feeds.feed import Records, empty_quotes
from tapehub.feeds.replay.containers import Content, whole
from tapehub.feeds.replay.recording import Options, Recording
from tapehub.model.instruments import symbol_in

__all__ = ["is_dukascopy_json", "open_dukascopy_json"]

_SIZE_MAX = 64 << 20
_TIMESTAMP = re.compile(rb'"timestamp"\s*:\s*(\d+)')
_COLUMNS = {"times": "i8", "bids": "i8", "asks": "i8", "bidVolumes": "f8", "askVolumes": "f8"}


def is_dukascopy_json(content: Content) -> bool:
    """Recognise a JSON object with the API's first keys."""
    head = content.head.lstrip()
    return head[:1] == b"{" and b'"timestamp"' in head and b'"multiplier"' in head


def open_dukascopy_json(content: Content, options: Options) -> Recording:
    """Open one reply; the file name or the options name the instrument.

    Raises:
        RecordingError: it does not name the instrument, or the file holds bars, or is damaged.
    """
    path = content.path
    if b'"open"' in content.head:
        raise RecordingError(f"{path}: holds bars, not ticks: expected a reply of /ticks/")
    symbol = options.symbol or symbol_in(path.name.partition(".")[0])
    if symbol is None:
        raise RecordingError(f"{path}: neither file nor name tells the instrument: pass symbol= (--symbol EUR_USD)")
    stamp = _TIMESTAMP.search(content.head)
    ts_min = int(stamp[1]) * 1_000_000 if stamp else None

    def read() -> Iterator[Records]:
        quotes = _quotes(path, whole(content, _SIZE_MAX))
        if len(quotes):
            yield quotes

    return Recording(path, symbol, options.source or "dukascopy", "dukascopy-json", read, None, ts_min)


def _quotes(path: Path, data: bytes) -> Records:
    try:
        reply: dict[str, Any] = json.loads(data)
        base_ms, per_unit = int(reply["timestamp"]), round(1 / float(reply["multiplier"]))
        columns = {name: np.asarray(reply[name], dtype=kind) for name, kind in _COLUMNS.items()}
        bid, ask = (round(float(reply[side]) * per_unit) for side in ("bid", "ask"))
        shapes = {column.shape for column in columns.values()}
        if len(shapes) != 1 or len(shapes.pop()) != 1:
            raise ValueError("lists of unequal length")
    except (KeyError, TypeError, ValueError, OverflowError, ZeroDivisionError) as error:
        raise RecordingError(
            f"{path}: {type(error).__name__} {error}: expected an object of timestamp, multiplier, bid, ask and "
            f"equally long lists {', '.join(_COLUMNS)}; fetch the file again"
        ) from error
    quotes = empty_quotes(len(columns["times"]))
    quotes["ts_event"] = (base_ms + np.cumsum(columns["times"])) * 1_000_000
    # Sums of whole points divided once: exact, where adding multiples of 0.00001 would drift.
    quotes["bid"] = (bid + np.cumsum(columns["bids"])) / per_unit
    quotes["ask"] = (ask + np.cumsum(columns["asks"])) / per_unit
    quotes["bid_size"], quotes["ask_size"] = columns["bidVolumes"], columns["askVolumes"]
    return quotes
