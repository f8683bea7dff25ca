"""The formats there are, and opening a file by what it contains.

A new format is a module with a test of the first bytes and an opener, and one row here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from tapehub.errors import RecordingError
from tapehub.feeds.instants import instant_ns
from tapehub.feeds.replay import dukascopy, dukascopy_json, histdata, lean, nautilus, truefx
from tapehub.feeds.replay.containers import Content, unwrap
from tapehub.feeds.replay.recording import Options, Recording, ordered
from tapehub.model.instruments import normalise

__all__ = ["FORMATS", "Format", "open_recording"]


class Format(NamedTuple):
    """Tell how to recognise and open a format."""

    summary: str
    matches: Callable[[Content], bool]
    open: Callable[[Content, Options], Recording]


FORMATS: dict[str, Format] = {
    "dukascopy-bi5": Format("Dukascopy hourly ticks, .bi5", dukascopy.is_bi5, dukascopy.open_bi5),
    "dukascopy-json": Format(
        "Dukascopy JSON ticks", dukascopy_json.is_dukascopy_json, dukascopy_json.open_dukascopy_json
    ),
    "lean": Format("LEAN tick zip (OANDA, FXCM)", lean.is_lean, lean.open_lean),
    "histdata": Format("HistData.com ASCII ticks", histdata.is_histdata, histdata.open_histdata),
    "truefx": Format("TrueFX CSV", truefx.is_truefx, truefx.open_truefx),
    "nautilus": Format("NautilusTrader Parquet quote ticks", nautilus.is_parquet, nautilus.open_nautilus),
}


def open_recording(
    path: str | Path,
    symbol: str | None = None,
    tz: str | None = None,
    start: int | str | datetime | None = None,
    end: int | str | datetime | None = None,
    *,
    hour: int | str | datetime | None = None,
    decimals: int | None = None,
    source: str | None = None,
) -> Recording:
    """Open a file of recorded ticks by what it contains; its path is asked only for what the contents lack.

    Args:
        symbol: the instrument, where the file does not tell.
        tz: time zone of its times, overriding what the format prescribes: ``UTC``, ``UTC-05``, ``America/New_York``.
        start, end: keep ticks from `start` up to `end`, exclusive: UTC ns, datetime or ISO text.
        hour: the hour a Dukascopy file counts from, UTC.
        decimals: digits after the point, where prices are integers.
        source: who quoted, in place of the format's own name.

    Returns:
        Recording: iterates over batches of dtype QUOTE, in order of event time.

    Raises:
        RecordingError: the format is none of `FORMATS`, something it does not tell must be passed, or it is damaged.
        ConfigError: an option cannot be read.
        MissingExtra: an optional library is needed.
    """
    path = Path(path)
    options = Options(
        symbol=None if symbol is None else normalise(symbol),
        tz=tz,
        hour_ns=instant_ns(hour, "hour"),
        decimals=decimals,
        source=source,
    )
    content = unwrap(path)
    opener = next((row.open for row in FORMATS.values() if row.matches(content)), None)
    if opener is None:
        begin = f"begins with {content.head[:40]!r}" if content.head else "is empty"
        raise RecordingError(
            f"{path}: {begin}: expected one of {', '.join(row.summary for row in FORMATS.values())}; convert it"
        )
    recording = opener(content, options)
    read = recording.read
    recording = replace(recording, read=lambda: ordered(read(), path))
    return recording.window(instant_ns(start, "start"), instant_ns(end, "end"))
