"""IG's ``GET /prices/{epic}`` version 3: asked for over the REST session, and read from JSON into rows.

Nothing says whether ``from`` and ``to`` are UTC or the account's local time. Each row of a reply has its time in UTC,
so a small request tells, before a large one is paid for.

Source: IG Labs, REST reference, /prices v3; captured replies. One row costs one point of the weekly allowance.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from statistics import median
from typing import TYPE_CHECKING, Any

from tapehub.errors import AllowanceExceeded, ConfigError, FeedError, VenueError
from tapehub.feeds.ig.refusals import Remedy, remedy_of
from tapehub.feeds.ig.scaling import WrongScale
from tapehub.feeds.instants import rfc3339_ns
from tapehub.feeds.prices import AllowanceNote, Ohlc, PriceReply, PriceRow
from tapehub.model.timeframes import parse

if TYPE_CHECKING:
    from tapehub.feeds.ig.account import Account
    from tapehub.feeds.ig.catalogue import Catalogue
    from tapehub.feeds.ig.scaling import Scaler

__all__ = ["IG_RESOLUTIONS", "IgPrices", "ig_instant", "ig_prices"]

IG_RESOLUTIONS = {
    "1s": "SECOND", "1m": "MINUTE", "5m": "MINUTE_5", "15m": "MINUTE_15", "30m": "MINUTE_30", "1h": "HOUR",
    "4h": "HOUR_4", "1d": "DAY", "1w": "WEEK",
}  # fmt: skip
"""IG's word for a timeframe; it has no others of tapehub's."""

_SECOND = 1_000_000_000
_SMALL_NS = 600 * _SECOND
_ZONES_NS = 900 * _SECOND
"""Time zones are whole quarters of an hour apart, so a small request and an answer in another zone share no minute."""
_HOLDS_NS = 7 * 86_400 * _SECOND
"""What was found of one instant is taken to hold for a week around it: clocks change twice a year."""

_SIDES = ("openPrice", "highPrice", "lowPrice", "closePrice")


class IgPrices:
    """IG's history, as `tapehub.feeds.prices.Prices`. One thread.

    Args:
        account: an open or unopened REST session; the first request logs in.
        source: how IG is labelled in the hub.
    """

    def __init__(self, account: Account, catalogue: Catalogue, source: str = "ig") -> None:
        self.source = source
        self._account = account
        self._catalogue = catalogue
        self._found: dict[str, tuple[str, Scaler]] = {}
        self._ahead_ns = 0  # of IG's reading of `from` and `to` before UTC
        self._seen_ns: int | None = None  # an instant at which that was so

    def fetch(self, symbol: str, start_ns: int, end_ns: int, resolution: str) -> PriceReply:
        """Ask for the candles that open in [start_ns, end_ns).

        Raises:
            AllowanceExceeded: the weekly points are used up.
            FeedError: IG refuses, does not answer, knows no such market, or quotes history on a scale that fits neither
                the instrument nor its snapshot.
        """
        frame = parse(resolution)
        if frame.name not in IG_RESOLUTIONS:
            raise FeedError(f"IG has no candles of {frame.name}, expected one of {', '.join(IG_RESOLUTIONS)}")
        epic, scaler = self._market(symbol)
        resolution = IG_RESOLUTIONS[frame.name]
        if frame.name == "1m" and self._doubtful(start_ns):
            small_ns = max(start_ns, end_ns - _SMALL_NS)
            reply = self._in_zone(symbol, epic, resolution, small_ns, end_ns)
            if small_ns > start_ns:
                reply = self._ask(symbol, epic, resolution, start_ns, end_ns)
        else:
            reply = self._ask(symbol, epic, resolution, start_ns, end_ns)
        raw = ig_prices(reply)
        sides = [side[3] for row in raw.rows for side in (row.bid, row.ask) if side is not None]
        if not sides:
            return raw
        scaler.forget()  # of history: what the stream quotes in, or did a year ago, says nothing about it
        try:
            divisor = scaler.settle(median(sides))
        except WrongScale as error:
            raise FeedError(f"history of {symbol}: {error}") from error
        return ig_prices(reply, divisor) if divisor != 1.0 else raw

    def _doubtful(self, ts_ns: int) -> bool:
        return self._seen_ns is None or abs(ts_ns - self._seen_ns) > _HOLDS_NS

    def _in_zone(self, symbol: str, epic: str, resolution: str, start_ns: int, end_ns: int) -> dict[str, Any]:
        """Make a small request, and once more in the zone that the first answer is in.

        Raises:
            FeedError: the second is answered with other times too: nothing larger is asked for.
        """
        for attempt in (1, 2):
            reply = self._ask(symbol, epic, resolution, start_ns, end_ns)
            rows = ig_prices(reply).rows
            if any(start_ns <= row.start_ns < end_ns for row in rows):
                self._seen_ns = start_ns
                return reply
            if attempt == 2:
                break
            before_ns = self._ahead_ns
            if rows:
                self._ahead_ns -= round((rows[0].start_ns - start_ns) / _ZONES_NS) * _ZONES_NS
            else:  # nothing is there, or what is meant has not been yet: then the account's own zone may be it
                self._ahead_ns = self._account.zone_ns()
                if self._ahead_ns == before_ns:
                    return reply
        self._ahead_ns = before_ns
        if not rows:
            return reply
        got, asked = ig_instant(rows[0].start_ns), ig_instant(start_ns)
        raise FeedError(
            f"history of {symbol} answers with {got} UTC when asked for {asked}, in UTC and in the zone that a first "
            "answer was in; no more is asked for, since each row is paid for"
        )

    def _ask(self, symbol: str, epic: str, resolution: str, start_ns: int, end_ns: int) -> dict[str, Any]:
        # Nothing says whether `to` is inclusive: a second before the end means the same either way.
        last_ns = max(start_ns, end_ns - _SECOND)
        first, last = (ig_instant(ts_ns + self._ahead_ns) for ts_ns in (start_ns, last_ns))
        try:
            return self._account.prices(epic, resolution, first, last)
        except VenueError as error:
            if remedy_of(error.code, error.status) is Remedy.WAIT_WEEK:
                raise AllowanceExceeded(f"history of {symbol}: {error}") from error
            raise

    def _market(self, symbol: str) -> tuple[str, Scaler]:
        if symbol not in self._found:
            try:
                entries = self._catalogue.look_up([symbol])
            except ConfigError as error:
                raise FeedError(f"history of {symbol}: {error}") from error
            if symbol in entries.refused:
                raise FeedError(f"history of {symbol}: {entries.refused[symbol]}")
            self._found[symbol] = (entries.epics[symbol], entries.scalers[symbol])
        return self._found[symbol]


def ig_instant(ts_ns: int) -> str:
    """Write an instant as ``from`` and ``to`` take it, to the second."""
    return datetime.fromtimestamp(ts_ns // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def ig_prices(reply: Mapping[str, Any], divisor: float = 1.0) -> PriceReply:
    """Read a reply.

    Args:
        reply: the parsed JSON.
        divisor: what the instrument's prices are divided by to be market prices, of this resource: for some
            instruments history and stream are on different scales.

    Raises:
        FeedError: it is no such reply, or one page of several.
    """
    listed = reply.get("prices")
    if not isinstance(listed, list):
        raise FeedError(f"IG /prices answered without prices: {sorted(reply)}; expected version 3 of the resource")
    page = _mapping(_mapping(reply.get("metadata")).get("pageData"))
    pages = page.get("totalPages")
    if isinstance(pages, int) and pages > 1:
        raise FeedError(
            f"IG /prices answered page {page.get('pageNumber')} of {pages}: expected all; ask with pageSize=0"
        )
    rows, unreadable = [], []
    for index, row in enumerate(listed):
        try:
            rows.append(_row(_mapping(row), Decimal(repr(divisor))))
        except ValueError as error:
            unreadable.append(f"row {index}: {error}")
    return PriceReply(tuple(rows), _allowance(reply), tuple(unreadable))


def _row(row: Mapping[str, Any], divisor: Decimal) -> PriceRow:
    stamp = row.get("snapshotTimeUTC")
    if not isinstance(stamp, str):  # versions 1 and 2 give the account's local time alone
        raise ValueError(f"snapshotTimeUTC is {stamp!r}, expected UTC such as 2021-10-13T07:06:00")
    start_ns = rfc3339_ns(stamp.removesuffix("Z") + "Z")
    volume = row.get("lastTradedVolume")
    return PriceRow(
        start_ns,
        _ohlc(row, "bid", divisor),
        _ohlc(row, "ask", divisor),
        float(volume) if isinstance(volume, int | float) else 0.0,
    )


def _ohlc(row: Mapping[str, Any], side: str, divisor: Decimal) -> Ohlc | None:
    values = [_mapping(row.get(name)).get(side) for name in _SIDES]
    if None in values:
        return None
    try:
        # Divided as decimals: 11515.4 / 10000 as doubles need not be the double nearest to 1.15154.
        open_, high, low, close = (float(Decimal(str(value)) / divisor) for value in values)
    except (InvalidOperation, ValueError):
        raise ValueError(f"{side} prices are {values}, expected numbers") from None
    return open_, high, low, close


def _allowance(reply: Mapping[str, Any]) -> AllowanceNote | None:
    found = _mapping(_mapping(reply.get("metadata")).get("allowance") or reply.get("allowance"))
    numbers = [found.get(name) for name in ("remainingAllowance", "totalAllowance", "allowanceExpiry")]
    if not all(isinstance(number, int) and number >= 0 for number in numbers):
        return None
    remaining, total, expires = (int(number or 0) for number in numbers)
    return AllowanceNote(remaining, total, expires)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
