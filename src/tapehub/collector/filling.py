"""Carry a plan out: points booked, rows fetched, checked, and put into the hub as candles with their provenance."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

import numpy as np

from tapehub._native import Candle
from tapehub.collector.allowance import Ledger
from tapehub.collector.backfill import MINUTE, GapSpan, Minutes, Plan, Request, missing_minutes, spans_of
from tapehub.errors import AllowanceExceeded, FeedError, InvalidRecord
from tapehub.feeds.prices import Ohlc, PriceReply, PriceRow, Prices
from tapehub.hub import marks, publishing
from tapehub.model.policies import PriceBasis
from tapehub.model.records import CandleFlag
from tapehub.model.sessions import Sessions
from tapehub.model.states import GapStatus

if TYPE_CHECKING:
    from tapehub.hub import DataHub

__all__ = ["Filled", "Filling", "MarkGap", "close_gaps", "gaps_of", "lacking", "mark_in"]

_EVER = (1 << 63) - 1
_SCALE_MAX = 2.0
"""History and stream differ by more only when they are on different scales: IG's are ten times apart or more."""
_SETTLED_NS = 10 * MINUTE  # a venue may be this late with its history


class MarkGap(Protocol):
    """Whoever keeps the gaps."""

    def __call__(self, symbol: str, source: str, start_ns: int, end_ns: int, status: str, cause: str) -> object:
        """Write down what became of a span: ``filled`` or ``unfillable``, and why."""


@dataclass(slots=True)
class Filled:
    """Tell what came of the requests of one symbol.

    Attributes:
        asked: minutes asked for.
        candles: published.
        absent: minutes the venue has no row for.
        refused: rows that are no candle: a side missing, high below low, a price out of all proportion.
        beside: rows that were not asked for, and not published.
        skipped: minutes not asked for, because a request before had failed.
        failure: why.
        remarks: the first few reasons of what was refused.
    """

    asked: int = 0
    candles: int = 0
    absent: int = 0
    refused: int = 0
    beside: int = 0
    skipped: int = 0
    failure: str = ""
    remarks: list[str] = field(default_factory=list)


def lacking(
    hub: DataHub, symbol: str, source: str, calendar: Sessions, start_ns: int, end_ns: int, *, again: bool = False
) -> Minutes:
    """Find the minutes that a hub lacks of one symbol and source: see `missing_minutes`."""
    built, pushed = _held(hub, symbol, source, start_ns, end_ns)
    return missing_minutes(calendar, start_ns, end_ns, built, pushed, gaps_of(hub, symbol, source), again=again)


def gaps_of(hub: DataHub, symbol: str, source: str) -> list[GapSpan]:
    """Read the gaps of a symbol and source."""
    return [
        GapSpan(int(row["start"]), _EVER if row["end"] is None else int(row["end"]), str(row["status"]))
        for row in hub.gaps(symbol, source)
    ]


def mark_in(hub: DataHub) -> MarkGap:
    """Give what writes into a hub what became of a span."""

    def mark(symbol: str, source: str, start_ns: int, end_ns: int, status: str, cause: str) -> int:
        # As noted: a candle's coverage was lowered when the gap ended, and is not a second time.
        became = GapStatus[status.upper()]
        return marks.gap(hub, symbol, source, start_ns, end_ns, cause, became, noted=True, at_ns=hub.now())

    return mark


def _held(hub: DataHub, symbol: str, source: str, start_ns: int, end_ns: int) -> tuple[Minutes, Minutes]:
    """Give the minutes there are candles of: those built from ticks, and those pushed."""
    # Whole minutes: a candle is made of the ticks within the bounds alone.
    first, last = start_ns // MINUTE * MINUTE, -(-end_ns // MINUTE) * MINUTE
    rows = hub.history(symbol, "1m", start=_moment(first), end=_moment(last), source=source).numpy()
    times = rows["timestamp"].astype(np.int64)
    pushed = (rows["flags"] & int(CandleFlag.PUSHED)) != 0
    return times[~pushed], times[pushed]


class Filling:
    """Carry plans out against one venue. One thread.

    Args:
        calendar_of: the calendar of a symbol.
        mark: told of each gap that is filled by now, and of spans that the venue does not have.
    """

    def __init__(
        self,
        hub: DataHub,
        prices: Prices,
        ledger: Ledger,
        *,
        calendar_of: Callable[[str], Sessions],
        mark: MarkGap | None = None,
    ) -> None:
        self._hub = hub
        self._prices = prices
        self._ledger = ledger
        self._calendar_of = calendar_of
        self._mark = mark
        self._basis = PriceBasis(int(hub._hub_state()["price_basis"]))
        self.filled: dict[str, Filled] = {}

    def run(self, plan: Plan, progress: Callable[[Request], None] = lambda request: None) -> dict[str, Filled]:
        """Make the plan's requests; one symbol's failure stops its own.

        Raises:
            AllowanceExceeded: the venue, or another process of this machine, has spent what the plan counted on; what
                was fetched before is in the hub.
        """
        try:
            for request in plan.now:
                tally = self.filled.setdefault(request.symbol, Filled())
                if tally.failure:
                    tally.skipped += request.points
                    continue
                progress(request)
                tally.asked += request.points
                try:
                    self._take(request, self._fetch(request), tally)
                except AllowanceExceeded:
                    raise
                except FeedError as error:
                    tally.failure = str(error)
        finally:
            if self._mark is not None:
                for symbol in self.filled:
                    close_gaps(self._hub, symbol, self._prices.source, self._calendar_of(symbol), self._mark)
        return self.filled

    def _fetch(self, request: Request) -> PriceReply:
        booking = self._ledger.book(request.points)
        try:
            reply = self._prices.fetch(request.symbol, request.start_ns, request.end_ns, "1m")
        except AllowanceExceeded:
            self._ledger.exhausted(booking)
            raise
        except FeedError:
            # Whether the venue counted it is not known: it stays booked, until a later reply tells.
            self._ledger.settle(booking, None)
            raise
        self._ledger.settle(booking, reply.allowance)
        return reply

    def _take(self, request: Request, reply: PriceReply, tally: Filled) -> None:
        asked = [row for row in reply.rows if request.start_ns <= row.start_ns < request.end_ns]
        beside = len(reply.rows) - len(asked)
        tally.beside += beside
        if beside and not asked:
            got, end = _moment(reply.rows[0].start_ns), _moment(request.end_ns)
            raise FeedError(
                f"history of {request.symbol} answered {got:%Y-%m-%d %H:%M} UTC when asked for "
                f"{_moment(request.start_ns):%Y-%m-%d %H:%M} to {end:%H:%M}: does the venue take times of another zone?"
            )
        for why in reply.unreadable:
            self._refuse(tally, why)
        candles: dict[int, Candle] = {}
        for row in asked:
            try:
                candles[row.start_ns // MINUTE * MINUTE] = self._candle(request.symbol, row)
            except ValueError as error:
                self._refuse(tally, f"{_moment(row.start_ns):%Y-%m-%d %H:%M}: {error}")
        for start_ns in self._out_of_proportion(request, candles):
            odd = candles.pop(start_ns)
            self._refuse(
                tally, f"{odd.timestamp:%Y-%m-%d %H:%M}: low {odd.low:g}, high {odd.high:g} among its neighbours"
            )
        channel = self._hub._names.channel(request.symbol, self._prices.source)
        published: set[int] = set()
        for start_ns, candle in sorted(candles.items()):
            try:
                publishing.candle(self._hub, candle, backfill=True, channel=channel)
            except InvalidRecord as error:
                self._refuse(tally, str(error))
            else:
                published.add(start_ns)
        tally.candles += len(published)
        tally.absent += request.points - len({row.start_ns // MINUTE for row in asked})
        if not (reply.unreadable or beside):  # else what seems absent may be those
            self._mark_absent(request, published)

    def _candle(self, symbol: str, row: PriceRow) -> Candle:
        sides = {PriceBasis.BID: (row.bid,), PriceBasis.ASK: (row.ask,)}.get(self._basis, (row.bid, row.ask))
        given = [side for side in sides if side is not None]
        if len(given) != len(sides):
            raise ValueError(f"{'bid' if row.bid is None else 'ask'} prices are absent")
        if row.bid is not None and row.ask is not None and any(a < b for b, a in zip(row.bid, row.ask, strict=True)):
            raise ValueError(f"ask below bid: bid {row.bid}, ask {row.ask}")
        open_, high, low, close = _middle(given)
        # The high of the mid is not known from the highs of the sides, which may be of different moments; their
        # middle is the nearest there is.
        if not (math.isfinite(sum((open_, high, low, close))) and low > 0):
            raise ValueError(f"prices are {(open_, high, low, close)}, expected finite and above 0")
        if not low <= min(open_, close) <= max(open_, close) <= high:
            raise ValueError(f"open {open_}, high {high}, low {low}, close {close}: expected low <= all <= high")
        return Candle(symbol, row.start_ns, open_, high, low, close, row.volume, source=self._prices.source)

    def _out_of_proportion(self, request: Request, candles: Mapping[int, Candle]) -> list[int]:
        """Compare with what the hub holds nearest in time, and the rows with each other.

        Returns:
            the minutes whose prices are far from the others of the reply.

        Raises:
            FeedError: history and stream are on different scales (IG's silver is a hundred times apart).
        """
        if not candles:
            return []
        middle = float(np.median([candle.close for candle in candles.values()]))
        low, high, what = self._expected(request)
        if low and not low / _SCALE_MAX <= middle <= high * _SCALE_MAX:
            factor = middle / (high if middle > high else low)
            raise FeedError(
                f"history of {request.symbol} says {middle:g}, {what}: {factor:.4g} times that, expected one scale; "
                f"none of it is in the hub: divide its history by {10.0 ** round(math.log10(factor)):g}?"
            )
        return [
            start_ns
            for start_ns, candle in candles.items()
            if candle.low * _SCALE_MAX < middle or candle.high > middle * _SCALE_MAX
        ]

    def _expected(self, request: Request) -> tuple[float, float, str]:
        """Give the least and the greatest price to expect, and whose they are; zeros when nothing is known."""
        rows = self._hub.candles(request.symbol, "1m", 1 << 20, source=self._prices.source).numpy()
        if len(rows):
            ends = (np.abs(rows["timestamp"] - edge) for edge in (request.start_ns, request.end_ns - MINUTE))
            row = rows[int(np.argmin(np.minimum(*ends)))]
            close = float(row["close"])
            return close, close, f"the hub's candle of {_moment(int(row['timestamp'])):%Y-%m-%d %H:%M} {close:g}"
        if (tick := self._hub.get_latest_tick(request.symbol)) is not None:
            return tick.mid, tick.mid, f"the hub's latest tick {tick.mid:g}"
        known = self._hub._names.book.find(request.symbol)
        return known.price_low, known.price_high, f"plausible are {known.price_low:g} to {known.price_high:g}"

    def _mark_absent(self, request: Request, published: set[int]) -> None:
        """Remember what the venue does not have, or not of use, so that it is not paid for again and again."""
        if self._mark is None:
            return
        settled, source = self._hub.now() - _SETTLED_NS, self._prices.source
        minutes = range(request.start_ns, request.end_ns, MINUTE)
        absent = [minute for minute in minutes if minute not in published and minute + MINUTE <= settled]
        taken = {gap.start_ns for gap in gaps_of(self._hub, request.symbol, source) if gap.status == "open"}
        for start, end in spans_of(np.array(absent, dtype=np.int64)):
            # The same start is the same gap: the rest of one that is open would be forgotten.
            start += start in taken
            self._mark(request.symbol, source, start, end, "unfillable", f"{source} has no usable candle of it")

    def _refuse(self, tally: Filled, why: str) -> None:
        tally.refused += 1
        if len(tally.remarks) < 5:
            tally.remarks.append(why)


def close_gaps(hub: DataHub, symbol: str, source: str, calendar: Sessions, mark: MarkGap) -> int:
    """Say of each open gap of which nothing is lacking any more what became of it; return of how many."""
    gaps = gaps_of(hub, symbol, source)
    closed = 0
    for gap in gaps:
        if gap.status != "open" or gap.end_ns == _EVER:
            continue
        start, end = gap.start_ns // MINUTE * MINUTE, -(-gap.end_ns // MINUTE) * MINUTE
        built, pushed = _held(hub, symbol, source, start, end)
        if len(missing_minutes(calendar, start, end, built, pushed, gaps)):
            continue
        whole = not len(missing_minutes(calendar, start, end, built, pushed, [gap]))
        cause = f"backfill from {source}" if whole else f"{source} lacks some of its minutes"
        mark(symbol, source, gap.start_ns, gap.end_ns, "filled" if whole else "unfillable", cause)
        closed += 1
    return closed


def _middle(sides: list[Ohlc]) -> Ohlc:
    open_, high, low, close = (sum(values) / len(sides) for values in zip(*sides, strict=True))
    return open_, high, low, close


def _moment(ts_ns: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ts_ns // 1000)
