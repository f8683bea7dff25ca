"""The market as a hub shows it, one row for each instrument and source: the table of `watch` and the demonstration."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tapehub.app.console import age_text, count_text
from tapehub.app.facts import Item, gather
from tapehub.hub import reading
from tapehub.hub.clock import ClockReading, clock_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapehub._native import Candle
    from tapehub.hub import DataHub

__all__ = ["Board", "Row"]

_MINUTE = 60_000_000_000
_STATE_STYLE = {
    "live": "green",
    "unverified": "cyan",
    "quiet": "blue",
    "stale": "bold red",
    "dead": "bold red",
    "closed": "dim",
    "empty": "dim",
}


@dataclass(frozen=True, slots=True)
class Row:
    """Show one instrument from one source at one instant.

    Attributes:
        source: named where the instrument has several, else empty.
        cause: why it is in its state, where that needs a word; empty for one that is live.
        state_s: how long it has been in it; None where nobody told.
        decimals: digits after the point of its prices.
        pip_size: in price units; None when it is undeclared.
        ticks_per_minute: ticks of the last minute of the hub clock.
        candle: the last finished minute, or None.
        move: 1 when the bid rose since the row before, -1 when it fell.
    """

    symbol: str
    decimals: int
    pip_size: float | None
    bid: float | None
    ask: float | None
    spread: float | None
    age_s: float | None
    state: str
    ticks_per_minute: int
    candle: Candle | None
    move: int = 0
    source: str = ""
    cause: str = ""
    state_s: float | None = None

    @property
    def name(self) -> str:
        """Name the instrument, and the source where there are several."""
        return f"{self.symbol} {self.source}".rstrip()

    def price(self, value: float | None) -> str:
        """Write a price with the instrument's digits."""
        return "–" if value is None else f"{value:.{self.decimals}f}"


class Board:
    """Read rows from a hub and lay them out. One thread.

    Args:
        symbols: those to show, in this order; all of the hub when empty.
    """

    def __init__(self, hub: DataHub, symbols: Sequence[str] = ()) -> None:
        self._hub = hub
        self._symbols = [hub._names.canonical(symbol) for symbol in symbols]
        self._last_bids: dict[tuple[str, str], float] = {}
        self._moves: dict[tuple[str, str], int] = {}

    def rows(self) -> list[Row]:
        """Read the present state of every instrument: its primary source first, then its others."""
        known = self._hub.instruments
        symbols = self._symbols or sorted(known)
        items: dict[str, list[Item]] = {symbol: [] for symbol in symbols}
        for item in gather(self._hub, symbols).items:
            if item.symbol in items:
                items[item.symbol].append(item)
        rows: list[Row] = []
        for symbol in symbols:
            about = known.get(symbol, {"decimals": 5, "pip_size": None})
            row, source = self._row(symbol, about)
            found = {item.source: item for item in items[symbol] if item.source}
            several = len(found) > 1
            rows.append(_explained(row, found.pop(source, None), several))
            rows += [_explained(self._other(item, about), item, several) for item in found.values()]
        return rows

    def _row(self, symbol: str, known: dict[str, Any]) -> tuple[Row, str]:
        decimals, pip_size = int(known["decimals"]), known["pip_size"]
        seen = self._hub.snapshot(symbol, limit=2)
        if seen.tick is None:
            return Row(symbol, decimals, pip_size, None, None, None, None, seen.state, 0, None), seen.source
        bid = seen.tick.bid
        final = [candle for candle in seen.candles if candle.status != "forming"]
        row = Row(
            symbol=symbol,
            decimals=decimals,
            pip_size=pip_size,
            bid=bid,
            ask=seen.tick.ask,
            spread=seen.tick.spread,
            age_s=seen.age_s,
            state=seen.state,
            ticks_per_minute=self._ticks_of_a_minute(symbol, None, seen.now_ns),
            candle=final[-1] if final else None,
            move=self._move(symbol, seen.source, bid),
        )
        return row, seen.source

    def _other(self, item: Item, known: dict[str, Any]) -> Row:
        """Read an instrument from a source that is not its primary one."""
        symbol, source, pip_size = item.symbol, item.source, known["pip_size"]
        channel = reading.find_channel(self._hub, symbol, source)
        row = Row(symbol, int(known["decimals"]), pip_size, None, None, None, item.tick_s, item.state, 0, None)
        if channel is None or item.tick_s is None:
            return row
        latest = reading.channel_state(self._hub, channel)[0]["latest"]
        bid, ask = float(latest["bid"]), float(latest["ask"])
        final = self._hub.candles(symbol, "1m", limit=1, source=source).numpy()
        candles = self._hub._candle_objects(final.copy().view(np.uint8)) if len(final) else []
        return replace(
            row, bid=bid, ask=ask, spread=(ask - bid) / (pip_size or 1.0),
            ticks_per_minute=self._ticks_of_a_minute(symbol, source, self._hub.now()),
            candle=candles[-1] if candles else None, move=self._move(symbol, source, bid),
        )  # fmt: skip

    def _move(self, symbol: str, source: str, bid: float) -> int:
        key = (symbol, source)
        before = self._last_bids.get(key, bid)
        if bid != before:
            self._moves[key] = 1 if bid > before else -1
        self._last_bids[key] = bid
        return self._moves.get(key, 0)

    def _ticks_of_a_minute(self, symbol: str, source: str | None, now_ns: int) -> int:
        seconds = self._hub.candles(symbol, "1s", limit=62, forming=True, source=source).numpy()
        return int(np.sum(seconds["ticks"][seconds["timestamp"] > now_ns - _MINUTE]))

    def render(self) -> RenderableType:
        """Lay the board out for a terminal."""
        return Group(self._heading(clock_of(self._hub)), self.table())

    def table(self) -> RenderableType:
        """Lay out the rows alone."""
        rows = self.rows()
        if not rows:
            return Text("no instrument yet: waiting for the first tick", style="dim")
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        several = any(row.source for row in rows)
        shown = [name for name, _ in _COLUMNS if name != "source" or several]
        for name, justify in _COLUMNS:
            if name in shown:
                table.add_column(name, justify=justify, no_wrap=True)
        for row in rows:
            cells = dict(zip((name for name, _ in _COLUMNS), _cells(row), strict=True))
            table.add_row(*(cells[name] for name in shown))
        # Below, not in a column: on 80 columns it would cut the prices.
        return Group(table, *(Text(f"{row.name}: {_state(row)}, {row.cause}", "dim") for row in rows if row.cause))

    def lines(self) -> list[str]:
        """Write the board for a log or a pipe: one line for each instrument."""
        clock = clock_of(self._hub)
        label = f" {clock.label}" if clock.label else ""
        at = f"{_time(clock.now_ns)}{label}"
        rows = self.rows()
        return [f"{at} {_plain(row)}" for row in rows] or [f"{at} no instrument yet"]

    def _heading(self, clock: ClockReading) -> Text:
        heading = Text()
        if clock.label:
            heading.append(f" {clock.label} ", style="bold black on yellow")
            heading.append(" ")
        if clock.now_ns > 0:
            heading.append(datetime.fromtimestamp(clock.now_ns / 1e9, UTC).strftime("%a %d %b %Y %H:%M:%S UTC"), "bold")
        if clock.rate not in (0.0, 1.0):
            heading.append(f"  {clock.rate:g}×")
        server = self._hub.server()
        heading.append(f"   {self._hub.path.name}", style="dim")
        heading.append(f", server {server[0]}" if server else ", no server", style="dim")
        heading.append(f", {count_text(self._hub._hub_state()['records'])} records", style="dim")
        return heading


_COLUMNS: tuple[tuple[str, Literal["left", "right"]], ...] = (
    ("instrument", "left"),
    ("source", "left"),
    ("bid", "right"),
    ("ask", "right"),
    ("pips", "right"),
    ("age", "right"),
    ("state", "left"),
    ("per min", "right"),
    ("last minute", "left"),
)


def _explained(row: Row, item: Item | None, several: bool) -> Row:
    """Add which source it is, where there are several, and how long it has been in its state, and why."""
    if item is None:
        return row
    cause = "" if row.state in ("live", "unverified") or item.state != row.state else item.cause
    return replace(row, source=item.source if several else "", cause=cause, state_s=item.state_s if cause else None)


def _state(row: Row) -> str:
    return row.state if row.state_s is None else f"{row.state} for {age_text(row.state_s)}"


def _cells(row: Row) -> list[Text]:
    colour = {1: "green", -1: "red", 0: ""}[row.move]
    return [
        Text(row.symbol, style="bold"),
        Text(row.source, style="dim"),
        Text(row.price(row.bid), style=colour),
        Text(row.price(row.ask), style=colour),
        Text("–" if row.spread is None else f"{row.spread:.1f}"),
        Text("–" if row.age_s is None else age_text(row.age_s)),
        Text(row.state, style=_STATE_STYLE.get(row.state, "")),
        Text(count_text(row.ticks_per_minute)),
        _candle(row),
    ]


def _candle(row: Row) -> Text:
    candle = row.candle
    if candle is None:
        return Text("–", style="dim")
    arrow, colour = ("▲", "green") if candle.close > candle.open else ("▼", "red")
    if candle.close == candle.open:
        arrow, colour = "=", "dim"
    change = abs(candle.close - candle.open) / (row.pip_size or 1.0)
    return Text(f"{candle.timestamp:%H:%M} {row.price(candle.close)} ") + Text(f"{arrow} {change:.1f}", style=colour)


def _plain(row: Row) -> str:
    why = f" ({row.cause})" if row.cause else ""
    if row.bid is None:
        return f"{row.name} {_state(row)}{why}"
    candle = "" if row.candle is None else f", last minute {_candle(row).plain}"
    return (
        f"{row.name} {row.price(row.bid)}/{row.price(row.ask)} {row.spread:.1f} pips, {_state(row)}{why}, "
        f"age {age_text(row.age_s or 0.0)}, {row.ticks_per_minute}/min{candle}"
    )


def _time(ts_ns: int) -> str:
    return datetime.fromtimestamp(max(ts_ns, 0) / 1e9, UTC).strftime("%H:%M:%S UTC")
