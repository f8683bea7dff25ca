"""IG's ``GET /prices/{epic}`` version 3, from JSON to rows.

Source: IG Labs, REST reference, /prices v3; captured replies. One row costs one point of the weekly allowance.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from tapehub.errors import FeedError
from tapehub.feeds.instants import rfc3339_ns
from tapehub.feeds.prices import AllowanceNote, Ohlc, PriceReply, PriceRow

__all__ = ["IG_RESOLUTIONS", "ig_instant", "ig_prices"]

IG_RESOLUTIONS = {
    "1s": "SECOND", "1m": "MINUTE", "5m": "MINUTE_5", "15m": "MINUTE_15", "30m": "MINUTE_30", "1h": "HOUR",
    "4h": "HOUR_4", "1d": "DAY", "1w": "WEEK",
}  # fmt: skip
"""IG's word for a timeframe; it has no others of tapehub's."""

_SIDES = ("openPrice", "highPrice", "lowPrice", "closePrice")


def ig_instant(ts_ns: int) -> str:
    """Write an instant as ``from`` and ``to`` take it: UTC, to the second. Both are inclusive."""
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
