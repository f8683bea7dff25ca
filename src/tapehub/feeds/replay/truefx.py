"""TrueFX's monthly tick files: ``EUR/USD,20190101 22:00:00.123,1.14621,1.14682``, plain, gzipped or zipped.

TrueFX stamps GMT, to the millisecond, and names the instrument in every line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tapehub.errors import RecordingError
from tapehub.feeds.feed import Records, empty_quotes
from tapehub.feeds.replay.containers import Content
from tapehub.feeds.replay.recording import Options, Recording
from tapehub.feeds.replay.text import day_before_ns, tables
from tapehub.feeds.replay.zones import UTC, zone_of
from tapehub.model.instruments import normalise

__all__ = ["is_truefx", "open_truefx"]

_LINE = re.compile(r"([A-Z]{3}/[A-Z]{3}),\d{8} \d\d:\d\d:\d\d\.\d{3},\d+(\.\d+)?,\d+(\.\d+)?\Z", re.ASCII)


def is_truefx(content: Content) -> bool:
    """Recognise the first line."""
    return bool(_LINE.match(content.first_line))


def open_truefx(content: Content, options: Options) -> Recording:
    """Open a file of ticks of one instrument.

    Raises:
        RecordingError: it holds another instrument than the options name, or several.
    """
    written = content.first_line.partition(",")[0]
    symbol = normalise(written)
    if options.symbol is not None and options.symbol != symbol:
        raise RecordingError(
            f"{content.path}: holds {symbol}, expected {options.symbol} as symbol= says: drop the option"
        )
    zone = UTC if options.tz is None else zone_of(options.tz)

    def read() -> Iterator[Records]:
        for cells in tables(content, 4):
            cells.require_text(0, written, "split the file, one instrument each")
            quotes = empty_quotes(cells.count)
            quotes["ts_event"] = zone.to_utc(cells.wall_ns(1, "YYYYMMDD HH:II:SS.FFF"), str(content.path))
            quotes["bid"] = cells.decimals(2)
            quotes["ask"] = cells.decimals(3)
            yield quotes

    ts_min = day_before_ns(content.first_line.partition(",")[2])
    return Recording(content.path, symbol, options.source or "truefx", "truefx", read, ts_min=ts_min)
