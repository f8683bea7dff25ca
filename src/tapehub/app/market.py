"""What the demonstration plays: recorded files moved onto its clock, else a market that is made up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from tapehub.app.recordings import find_recordings, first_quote_ns
from tapehub.feeds.feed import Quotes, Records
from tapehub.feeds.replay import Recording, merge
from tapehub.feeds.synthetic import Synthetic

__all__ = ["OPENS_AT", "SYMBOLS", "market"]

SYMBOLS = ("EUR_USD", "USD_JPY", "GBP_USD")
_LONDON = ZoneInfo("Europe/London")
OPENS_AT = datetime(2026, 6, 2, 13, 0, tzinfo=_LONDON)
"""A Tuesday, when London and New York both trade."""
_SECOND = 1_000_000_000
_DAYS = 4
_TICKS_PER_S = 2.0


def market(data: list[Path], start_ns: int, seed: int) -> tuple[Iterator[Quotes], list[str], list[str]]:
    """Choose the market.

    Returns:
        the quotes, in order of event time, the first at `start_ns` or soon after; their instruments; remarks on where
        they come from.
    """
    if data:
        return _recorded(data, start_ns)
    feed = Synthetic(SYMBOLS, start_ns, start_ns + _DAYS * 86_400 * _SECOND, seed=seed, ticks_per_s=_TICKS_PER_S)
    return feed.batches(), list(feed.symbols), [f"a made-up market (seed {seed}); DATA=path plays real files"]


def _recorded(data: list[Path], start_ns: int) -> tuple[Iterator[Quotes], list[str], list[str]]:
    """Move each instrument of each source so that its first tick, or its 13:00 in London, is at the start.

    Each by itself, since recordings of different years would otherwise never be seen together.
    """
    found = find_recordings(data, hour_if_unknown=start_ns // (3600 * _SECOND) * 3600 * _SECOND)
    channels: dict[tuple[str, str], list[Recording]] = defaultdict(list)
    for recording in found.recordings:
        channels[recording.symbol, recording.source].append(recording)
    moved: list[Recording] = []
    remarks: list[str] = []
    for (symbol, source), recordings in channels.items():
        first_ns = first_quote_ns(recordings)
        if first_ns is None:
            continue
        from_ns = _london_lunch(recordings, first_ns)
        moved += [_moved(recording.window(from_ns, None), start_ns - from_ns) for recording in recordings]
        remarks.append(f"{symbol} {source} {datetime.fromtimestamp(from_ns / 1e9, UTC):%Y-%m-%d %H:%M}")
    played = [f"real ticks, moved onto that clock (times UTC): {', '.join(remarks)}"]
    if found.skipped:
        played.append(found.describe_skipped(2))
    return merge(moved), list(dict.fromkeys(symbol for symbol, _ in channels)), played


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
