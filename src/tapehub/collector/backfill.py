"""What to ask a venue's history for: the missing minutes and nothing else, as far as the allowance reaches.

Planning is arithmetic over arrays of minutes; it asks nobody and waits for nothing. `collector.filling` does the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tapehub.collector.allowance import Allowance
from tapehub.errors import AllowanceExceeded, ConfigError
from tapehub.model.sessions import Sessions

__all__ = ["MINUTE", "GapSpan", "Minutes", "Plan", "Request", "missing_minutes", "plan_requests", "spans_of", "touched"]

MINUTE = 60_000_000_000
Minutes = npt.NDArray[np.int64]
"""Open times of 1-minute candles, ns UTC, ascending."""


@dataclass(frozen=True, slots=True)
class GapSpan:
    """A span without a live feed, or what became of it.

    Attributes:
        end_ns: the greatest int64 while it lasts.
        status: ``open``, ``filled``, ``unfillable`` or ``closed_market``.
    """

    start_ns: int
    end_ns: int
    status: str = "open"


@dataclass(frozen=True, slots=True)
class Request:
    """Ask for the minutes that open in [start_ns, end_ns) of one symbol. Each costs a point."""

    symbol: str
    start_ns: int
    end_ns: int

    @property
    def points(self) -> int:
        """Count the minutes."""
        return (self.end_ns - self.start_ns) // MINUTE


@dataclass(frozen=True, slots=True)
class Plan:
    """Say what is asked for now, and what has to wait for the next term of the allowance.

    Attributes:
        now: newest first; no two overlap, and together they cost no more than `allowance.available`.
        later: likewise.
        allowance: as it was when the plan was made.
    """

    now: tuple[Request, ...]
    later: tuple[Request, ...]
    allowance: Allowance

    @property
    def points_now(self) -> int:
        """Count the points that are spent now."""
        return sum(request.points for request in self.now)

    @property
    def points_later(self) -> int:
        """Count the points that are not to be had now."""
        return sum(request.points for request in self.later)

    def shortage(self) -> str:
        """Say with numbers why not all is asked for now; empty when it is."""
        if not self.later:
            return ""
        return (
            f"the plan needs {self.points_now + self.points_later:,} points, and of the allowance {self.allowance}; "
            f"{self.points_now:,} are asked for now, the other {self.points_later:,} from {self.allowance.renewal()} on"
        )


def missing_minutes(
    calendar: Sessions,
    start_ns: int,
    end_ns: int,
    built: Minutes,
    pushed: Minutes,
    gaps: Iterable[GapSpan] = (),
    *,
    again: bool = False,
) -> Minutes:
    """Find the minutes wholly within [start_ns, end_ns) that the market was open in and the hub lacks.

    A minute that an open gap touches is lacking, though a candle of the ticks around the gap be there: its high and
    low are not the minute's. One that was pushed is not, and one that the venue is known not to have is not either.

    Args:
        built: minutes of candles built from ticks.
        pushed: minutes of candles whose author is another: callers, or an earlier backfill.
        gaps: in any order; of two about the same minute the one that says more than ``open`` holds.
        again: ask once more for what the venue did not have.
    """
    minutes = np.arange(-(-start_ns // MINUTE) * MINUTE, end_ns // MINUTE * MINUTE, MINUTE, dtype=np.int64)
    minutes = minutes[calendar.is_open(minutes)]
    wanted = ~np.isin(minutes, built)
    # The open ones first: a gap stays open while some of its minutes are known to be unfillable.
    for gap in sorted(gaps, key=lambda gap: gap.status != "open"):
        if gap.status == "open":
            wanted[touched(minutes, gap)] = True
        elif gap.status != "unfillable" or not again:
            wanted[touched(minutes, gap)] = False
    return minutes[wanted & ~np.isin(minutes, pushed)]


def touched(minutes: Minutes, gap: GapSpan) -> slice:
    """Find the minutes that a gap reaches into."""
    first = np.searchsorted(minutes, gap.start_ns - MINUTE, side="right")
    return slice(int(first), int(np.searchsorted(minutes, gap.end_ns)))


def spans_of(minutes: Minutes) -> list[tuple[int, int]]:
    """Merge minutes into spans [start, end): each the longest run without a hole."""
    if not len(minutes):
        return []
    cuts = np.flatnonzero(np.diff(minutes) != MINUTE) + 1
    return [(int(run[0]), int(run[-1]) + MINUTE) for run in np.split(minutes, cuts)]


def plan_requests(
    missing: Mapping[str, Minutes], allowance: Allowance, *, page_minutes: int = 500, whole: bool = False
) -> Plan:
    """Turn missing minutes into requests, the newest first, and divide them by what may be spent.

    Spans are not merged over minutes that are there, nor over a closed market: the venue's idea of when it is closed
    may be another, and each row of its answer is a point.

    Args:
        missing: by symbol.
        page_minutes: the most minutes one request asks for.
        whole: refuse a plan that cannot be carried out now as a whole.

    Raises:
        AllowanceExceeded: it is refused.
        ConfigError: `page_minutes` is below 1.
    """
    if page_minutes < 1:
        raise ConfigError(f"page_minutes is {page_minutes}, expected 1 or more")
    spans = [(end, symbol, start) for symbol, minutes in missing.items() for start, end in spans_of(minutes)]
    left = allowance.available
    now: list[Request] = []
    later: list[Request] = []
    for end, symbol, start in sorted(spans, reverse=True):
        cut = max(start, end - left * MINUTE)
        left -= (end - cut) // MINUTE
        now += _paged(symbol, cut, end, page_minutes)
        later += _paged(symbol, start, cut, page_minutes)
    plan = Plan(tuple(now), tuple(later), allowance)
    if later and (whole or not now):
        needed = plan.points_now + plan.points_later
        raise AllowanceExceeded(
            f"the plan needs {needed:,} points, and of the allowance {allowance}; nothing was asked for: narrow --from "
            f"and --to, lower --reserve, or wait until {allowance.renewal()}",
            needed=needed,
            available=allowance.available,
            renews_ns=allowance.expires_ns,
        )
    return plan


def _paged(symbol: str, start_ns: int, end_ns: int, page_minutes: int) -> list[Request]:
    page_ns = page_minutes * MINUTE
    return [Request(symbol, max(start_ns, end - page_ns), end) for end in range(end_ns, start_ns, -page_ns)]
