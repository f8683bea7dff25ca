"""What a simulator plays beside a hub: recorded files moved onto its clock, else a market that is made up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from tapehub.app.recordings import find_recordings, first_quote_ns
from tapehub.errors import ConfigError, RecordingError
from tapehub.feeds.feed import Records
from tapehub.feeds.replay import Recording, Replay
from tapehub.feeds.sim import RecordedSource, Source, SyntheticSource, contracts_for
from tapehub.quality import Rhythm

if TYPE_CHECKING:
    from tapehub.model.instruments import InstrumentBook

__all__ = ["OPENS_AT", "Market", "market", "rhythm_of"]

_LONDON = ZoneInfo("Europe/London")
OPENS_AT = datetime(2026, 6, 2, 13, 0, tzinfo=_LONDON)
"""A Tuesday, when London and New York both trade."""
_SECOND = 1_000_000_000
_HOUR = 3600 * _SECOND


@dataclass(frozen=True, slots=True)
class Market:
    """Hold what is played.

    Attributes:
        moved: the times are of another day, so that no calendar fits them.
        remarks: where it comes from.
    """

    source: Source
    remarks: list[str]
    moved: bool = False


def market(
    data: list[Path], start_ns: int, symbols: Sequence[str], seed: int, ticks_per_s: float, book: InstrumentBook
) -> Market:
    """Choose the market.

    Args:
        data: recorded files, or directories of them; empty for made-up quotes of `symbols`.
        start_ns: when a recording begins.

    Raises:
        RecordingError: nothing of the recordings can be played.
    """
    if data:
        return _recorded(data, start_ns, book)
    contracts_for(symbols, book)  # says what the venue deals in, before the quotes of it are made up
    source = SyntheticSource(symbols, seed, ticks_per_s)
    return Market(source, [f"a made-up market (seed {seed}): {', '.join(source.symbols)}"])


def rhythm_of(source: Source, start_ns: int) -> Rhythm:
    """Learn how long each instrument is used to be silent, from the hour that begins at an instant."""
    rhythm = Rhythm()
    for symbol in source.symbols:
        ts_event = source.window(symbol, start_ns, start_ns + _HOUR)["ts_event"]
        if len(ts_event):
            rhythm.ticks(symbol, ts_event)
            rhythm.forget_last(symbol)
    return rhythm


def _recorded(data: list[Path], start_ns: int, book: InstrumentBook) -> Market:
    """Move each instrument so that its first tick, or its 13:00 in London, is at the start.

    Each by itself, since recordings of different years would otherwise never be seen together. Of several sources of
    an instrument the first is played: a venue has one price.
    """
    found = find_recordings(data)
    channels: dict[str, tuple[str, list[Recording]]] = {}
    played, others = defaultdict(list), []
    for recording in found.recordings:
        played[recording.symbol, recording.source].append(recording)
    for (symbol, source), recordings in played.items():
        if symbol in channels or not _is_dealt_in(symbol, book):
            others.append(f"{symbol} {source}")
        elif first_quote_ns(recordings) is not None:
            channels[symbol] = (source, recordings)
    moved: list[Recording] = []
    times: list[str] = []
    for symbol, (source, recordings) in channels.items():
        first_ns = first_quote_ns(recordings)
        assert first_ns is not None
        from_ns = _london_lunch(recordings, first_ns)
        moved += [_moved(recording.window(from_ns, None), start_ns - from_ns) for recording in recordings]
        times.append(f"{symbol} {source} {datetime.fromtimestamp(from_ns / 1e9, UTC):%Y-%m-%d %H:%M}")
    if not moved:
        raise RecordingError(f"{', '.join(map(str, data))}: nothing that the simulated venue deals in, expected a pair")
    remarks = [f"real ticks, moved onto that clock (times UTC): {', '.join(times)}"]
    if others:
        remarks.append(f"not played, since a venue quotes an instrument once: {', '.join(others)}")
    if found.skipped:
        remarks.append(found.describe_skipped(2))
    return Market(RecordedSource(Replay(moved)), remarks, moved=True)


def _is_dealt_in(symbol: str, book: InstrumentBook) -> bool:
    try:
        return bool(contracts_for([symbol], book))
    except ConfigError:
        return False


def _london_lunch(recordings: list[Recording], first_ns: int) -> int:
    """Give the first 13:00 in London that the recordings cover, else their beginning."""
    first = datetime.fromtimestamp(first_ns / 1e9, UTC).astimezone(_LONDON)
    lunch = datetime.combine(first.date(), time(13), _LONDON)
    if lunch < first:
        lunch = datetime.combine(first.date() + timedelta(days=1), time(13), _LONDON)
    lunch_ns = int(lunch.timestamp()) * _SECOND
    covered = first_quote_ns([one.window(lunch_ns, lunch_ns + 600 * _SECOND) for one in recordings]) is not None
    return lunch_ns if covered else first_ns


def _moved(recording: Recording, by_ns: int) -> Recording:
    """Add to all times of a recording."""

    def read() -> Iterator[Records]:
        for batch in recording:
            records = batch.copy()
            records["ts_event"] += by_ns
            records["ts_recv"] = 0  # of another day: the hub stamps its own
            yield records

    return replace(recording, read=read, ts_min=None if recording.ts_min is None else recording.ts_min + by_ns)
