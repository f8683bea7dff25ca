"""Tick files of QuantConnect's LEAN: a zip with one CSV, ``milliseconds since midnight,bid,ask``.

The date and the instrument stand in the name of the CSV, ``20140501_eurusd_tick_quote.csv``; whose midnight it is
depends on the market, which stands in the path, ``…/oanda/tick/eurusd/20140501_quote.zip``. LEAN's market-hours
database gives UTC for OANDA and a fixed UTC-05:00, without daylight saving, for FXCM. Any other market must be told
with ``tz``.

Source: LEAN "Data Formats / FOREX" readme, section "Tick File Format".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

import numpy as np

from tapehub.errors import RecordingError
from tapehub.feeds.feed import Records, empty_quotes
from tapehub.feeds.replay.containers import Content
from tapehub.feeds.replay.recording import Options, Recording
from tapehub.feeds.replay.text import tables
from tapehub.feeds.replay.zones import EST, UTC, zone_of
from tapehub.model.instruments import normalise

__all__ = ["is_lean", "open_lean"]

_DAY_NS = 86_400_000_000_000
_ZONES = {"oanda": UTC, "fxcm": EST}
_TICK_LINE = re.compile(r"\d{1,8},\d+(\.\d+)?,\d+(\.\d+)?\Z", re.ASCII)
_BAR_LINE = re.compile(r"\d{1,8}(,\d+(\.\d+)?){10}\Z", re.ASCII)
_PLACE = re.compile(r"/(oanda|fxcm)/tick/[^/]+/[^/]+\Z")
_MEMBER = re.compile(r"(?:.*/)?(\d{4})(\d\d)(\d\d)_([A-Za-z0-9]+)_([a-z]+)_quote\.csv\Z")


def is_lean(content: Content) -> bool:
    """Recognise three numbers, or the eleven of LEAN's bars."""
    line = content.first_line
    return bool(_TICK_LINE.match(line) or _BAR_LINE.match(line))


def open_lean(content: Content, options: Options) -> Recording:
    """Open a day of ticks.

    Raises:
        RecordingError: it holds bars, its name has no date or instrument, or its market's time zone is not known.
    """
    path = content.path
    if _BAR_LINE.match(content.first_line):
        raise RecordingError(f"{path}: holds bars, not ticks: expected the file of the same day under /tick/")
    name = _MEMBER.match(content.member)
    symbol = options.symbol or (normalise(name[4]) if name else None)
    if name is None or symbol is None:
        raise RecordingError(
            f"{path}: {content.member} does not date the midnight it counts from: expected a name like "
            "20140501_eurusd_tick_quote.csv"
        )
    place = _PLACE.search(path.absolute().as_posix())
    market = place[1] if place else None
    if options.tz is None and market is None:
        raise RecordingError(
            f"{path}: the file does not tell its time zone, and its path is not .../oanda/tick/... or "
            ".../fxcm/tick/...: pass tz= (--tz UTC, or --tz UTC-05)"
        )
    zone = _ZONES[market] if options.tz is None and market else zone_of(options.tz or "UTC")
    try:
        midnight_ns = (date(int(name[1]), int(name[2]), int(name[3])).toordinal() - 719_163) * _DAY_NS
    except ValueError as error:
        raise RecordingError(f"{path}: {content.member}: {error}") from None

    def read() -> Iterator[Records]:
        for cells in tables(content, 3):
            quotes = empty_quotes(cells.count)
            quotes["ts_event"] = zone.to_utc(midnight_ns + cells.integers(0) * 1_000_000, str(path))
            quotes["bid"] = cells.decimals(1)
            quotes["ask"] = cells.decimals(2)
            yield quotes

    # Midnight may itself be the hour that clocks skip or repeat: an hour of margin then.
    first = zone.to_utc(np.array([midnight_ns], dtype=np.int64), str(path))
    ts_min = int(first[0]) if zone.offset_ns is not None else int(first[0]) - 3_600_000_000_000
    return Recording(path, symbol, options.source or market or "lean", "lean", read, None, ts_min)
