"""When the markets of a hub open and close next, for people."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from tapehub.app.console import span_text
from tapehub.model.calendars import NEW_YORK, is_holiday
from tapehub.model.sessions import CalendarId, Sessions

if TYPE_CHECKING:
    from tapehub.hub import DataHub

__all__ = ["TITLES", "hours", "hours_text", "moment_text"]

TITLES: Final[Mapping[CalendarId, str]] = {CalendarId.FX: "FX", CalendarId.METALS: "metals", CalendarId.ALWAYS: "24/7"}

_DAYS = 7


def hours(hub: DataHub, now_ns: int) -> dict[str, dict[str, Any]]:
    """Tell of each calendar that an instrument of the hub goes by whether it is open, and when that changes."""
    markets = {market.id: market for market in map(hub.calendar, hub.instruments)}
    return {market.name: _told(market, now_ns) for _, market in sorted(markets.items())}


def _told(market: Sessions, now_ns: int) -> dict[str, Any]:
    is_open = market.is_open(now_ns)
    return {
        "title": TITLES[market.id],
        "is_open": is_open,
        "is_holiday": is_holiday(market, now_ns),
        "turns_ns": market.next_close(now_ns) if is_open else market.next_open(now_ns),
    }


def hours_text(told: Mapping[str, Any], now_ns: int) -> str:
    """Say it in a few words: ``FX open until Friday 17:00 New York, in 2 d 3 h``."""
    word = "open" if told["is_open"] else "closed for a holiday" if told["is_holiday"] else "closed"
    turns_ns = told["turns_ns"]
    if turns_ns is None:
        return f"{told['title']} {word}"
    wait_s = (turns_ns - now_ns) / 1e9
    return f"{told['title']} {word} until {moment_text(turns_ns, now_ns)}, in {span_text(wait_s)}"


def moment_text(ts_ns: int, now_ns: int) -> str:
    """Name an instant of the next days by its weekday, a later one by its date, in New York's time."""
    moment = datetime.fromtimestamp(ts_ns / 1e9, UTC).astimezone(ZoneInfo(NEW_YORK))
    near = (ts_ns - now_ns) / 1e9 < _DAYS * 86_400
    return f"{moment:%A %H:%M} New York" if near else f"{moment:%A, %d %B, %H:%M} New York"
