"""HistData.com's "Generic ASCII in Ticks": ``YYYYMMDD HHMMSSNNN,bid,ask,volume``, plain, gzipped or in its zip.

The specification gives the zone, which the file does not repeat: "Eastern Standard Time (EST) time-zone WITHOUT Day
Light Savings adjustments", so UTC-05:00 all year. The volume is always 0.

Source: histdata.com, "Data Files – Detailed Specification", section 2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tapehub.errors import RecordingError
from tapehub.feeds.feed import Records, empty_quotes
from tapehub.feeds.replay.containers import Content
from tapehub.feeds.replay.recording import Options, Recording
from tapehub.feeds.replay.text import day_before_ns, tables
from tapehub.feeds.replay.zones import EST, zone_of
from tapehub.model.instruments import symbol_in

__all__ = ["is_histdata", "open_histdata"]

_TICK_LINE = re.compile(r"\d{8} \d{9},\d+\.\d+,\d+\.\d+,\d+\Z", re.ASCII)
_BAR_LINE = re.compile(r"\d{8} \d{6}(;\d+(\.\d+)?){5}\Z", re.ASCII)


def is_histdata(content: Content) -> bool:
    """Recognise the first line, of ticks or of the site's one-minute bars."""
    return bool(_TICK_LINE.match(content.first_line) or _BAR_LINE.match(content.first_line))


def open_histdata(content: Content, options: Options) -> Recording:
    """Open a file of ticks; its name or the options name the instrument.

    Raises:
        RecordingError: it holds bars, or its name does not tell the instrument.
    """
    path = content.path
    if _BAR_LINE.match(content.first_line):
        raise RecordingError(
            f"{path}: holds one-minute bars, not ticks: expected a file named like DAT_ASCII_EURUSD_T_201901.csv"
        )
    symbol = options.symbol or symbol_in(content.member) or symbol_in(path.name)
    if symbol is None:
        raise RecordingError(
            f"{path}: neither the file nor its name tells the instrument: pass symbol= (--symbol EUR_USD)"
        )
    zone = EST if options.tz is None else zone_of(options.tz)

    def read() -> Iterator[Records]:
        for cells in tables(content, 4):
            quotes = empty_quotes(cells.count)
            quotes["ts_event"] = zone.to_utc(cells.wall_ns(0, "YYYYMMDD HHIISSFFF"), str(path))
            quotes["bid"] = cells.decimals(1)
            quotes["ask"] = cells.decimals(2)
            yield quotes

    return Recording(
        path, symbol, options.source or "histdata", "histdata", read, ts_min=day_before_ns(content.first_line)
    )
