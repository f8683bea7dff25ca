"""A venue's weekend, scripted: Friday 16:30 to Sunday 17:30 New York, with faults at known times.

The script gives a feed's events in order of their arrival and answers repairs, as a live feed does.
"""

import hashlib
import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tapehub import DataHub, Record
from tapehub.collector.repair import Request
from tapehub.feeds.feed import (
    Event,
    Malformed,
    MarketStatus,
    Quotes,
    Repair,
    Status,
    StatusKind,
    VenueCandle,
    empty_quotes,
)
from tapehub.model.states import State
from tests.models.intervals import MINUTE, SECOND, ns
from tests.models.market import drained

FRIDAY = ns("2024-03-08T16:30-05:00")
CLOSE = ns("2024-03-08T17:00-05:00")
OPEN = ns("2024-03-10T17:00-04:00")  # the clocks change on this very Sunday
SUNDAY = ns("2024-03-10T17:30-04:00")
SYMBOLS = ("EUR_USD", "GBP_USD", "USD_JPY")
PRICES = {"EUR_USD": (1.0940, 0.00006), "GBP_USD": (1.2850, 0.00009), "USD_JPY": (147.00, 0.007)}
SOURCE = "venue"

CUTS = ((FRIDAY + 8 * MINUTE, 20 * SECOND), (OPEN + 12 * MINUTE, 25 * SECOND))
MUTE = ("GBP_USD", FRIDAY + 15 * MINUTE)  # until it is subscribed anew
LOST_CANDLE = FRIDAY + 5 * MINUTE


class Watcher:
    """Stand by a hub for a weekend: beat as its server does, and note what was said of its states and last bars.

    Attributes:
        last_bars: when Friday's last bar was reported final, by symbol.
    """

    def __init__(self, hub: DataHub) -> None:
        self.last_bars: dict[str, int] = {}
        self._hub = hub
        self._states = hub.stream(kinds="state", start="oldest")
        self._ends = hub.stream(kinds="interval", start="oldest")
        self._watermark = 0

    def on_time(self, now: int) -> None:
        if now - self._watermark >= SECOND:
            self._watermark = now
            self._hub.advance(now)
        if abs(now - CLOSE) < 5 * SECOND:
            for one in drained(self._ends):
                if getattr(one, "end", 0) == CLOSE and one.outcome == "final":
                    self.last_bars[one.symbol] = now

    def finish(self) -> list[Record]:
        """Give every change of a state, and leave."""
        with self._states, self._ends:
            return [one for one in drained(self._states) if isinstance(one, Record)]


def in_state(states: list[Record], state: State) -> list[tuple[str, int]]:
    """Pick the changes to a state: (symbol, when)."""
    return [(one.symbol, one.ts_event) for one in states if one.fixed[0] & 0xFF == state]


@dataclass
class Weekend:
    """One run of the script.

    Attributes:
        accepted: (symbol, ts_event, bid, ask) that a sound gate lets through, in order.
        bad: quotes sent that it must not, by reason.
        requests: what the collector asked for, and when.
    """

    seed: int
    accepted: list[tuple[str, int, float, float]] = field(default_factory=list)
    bad: dict[str, int] = field(default_factory=dict)
    sent: int = 0
    duplicates: int = 0
    requests: list[tuple[int, Request]] = field(default_factory=list)
    muted: str = ""

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._queue: list[tuple[int, int, object]] = []
        self._number = 0
        self._up = False
        self._last = {symbol: PRICES[symbol][0] for symbol in SYMBOLS}
        self._minutes: dict[tuple[str, int], list[tuple[float, float]]] = {}

    def events(self) -> Iterator[tuple[int, Event | None]]:
        """Give (time, event), and None where only time passes: every 250 ms in the open market, else every 30 s."""
        self._connect(FRIDAY)
        for symbol in SYMBOLS:
            self._plan(FRIDAY + self._gap(symbol, FRIDAY), ("tick", symbol))
        for at, length in CUTS:
            self._plan(at, ("cut",))
            self._plan(at + length, ("connect",))
        self._plan(MUTE[1], ("mute", MUTE[0]))
        self._plan(CLOSE, ("market", False))
        self._plan(OPEN + 2 * SECOND, ("market", True))
        for minute in range(FRIDAY // MINUTE + 1, SUNDAY // MINUTE):
            if not CLOSE < minute * MINUTE <= OPEN:
                self._plan(minute * MINUTE + 300_000_000, ("candles", minute * MINUTE - MINUTE))
        for at in range(FRIDAY, SUNDAY, 5 * SECOND):
            self._plan(at + 7, ("beat",))
        for kind, at in (("crossed", 60), ("spike", 200), ("scale", 330), ("zero", 400), ("nan", 500), ("future", 560)):
            self._plan(FRIDAY + at * SECOND, ("bad", kind))
        self._plan(FRIDAY + 610 * SECOND, ("garbage",))
        timer = FRIDAY
        while timer < SUNDAY:
            while self._queue and self._queue[0][0] <= timer:
                at, _, what = heapq.heappop(self._queue)
                yield from ((at, event) for event in self._happen(at, what))  # type: ignore[misc]
            yield timer, None
            quiet = CLOSE + MINUTE < timer < OPEN - MINUTE
            timer += 30 * SECOND if quiet else SECOND // 4

    def ask(self, request: Request, at: int) -> None:
        """Answer a repair as a venue does: a new subscription ends the muteness."""
        self.requests.append((at, request))
        if request.step is not Repair.RESUBSCRIBE or self.muted in request.symbols:
            self.muted = ""
        if request.step is Repair.RESUBSCRIBE:
            self._plan(at + SECOND // 5, ("subscribed", request.symbols))
        else:
            self._plan(at + 1, ("cut",))
            self._plan(at + 2 * SECOND, ("connect",))

    # ------------------------------------------------------------ what happens

    def _happen(self, at: int, what: tuple[object, ...]) -> Iterator[Event]:
        match what:
            case ("tick", str(symbol)):
                self._plan(at + self._gap(symbol, at), what)
                if (at < CLOSE or at >= OPEN) and self._up and symbol != self.muted:
                    yield from self._tick(symbol, at)
            case ("cut",):
                self._up = False
                yield Status(StatusKind.DISCONNECTED, ts_recv=at, detail="connection reset")
            case ("connect",):
                self._up = True
                yield Status(StatusKind.CONNECTED, SYMBOLS, at)
                yield Status(StatusKind.SUBSCRIBED, SYMBOLS, at)
            case ("subscribed", tuple(symbols)):
                yield Status(StatusKind.SUBSCRIBED, symbols, at)
            case ("mute", str(symbol)):
                self.muted = symbol
            case ("market", bool(is_open)):
                yield MarketStatus(SYMBOLS, is_open, at, "TRADEABLE" if is_open else "CLOSED")
            case ("beat",) if self._up:
                yield Status(StatusKind.HEARTBEAT, ts_recv=at)
            case ("candles", int(start)) if self._up:
                for symbol in SYMBOLS:
                    yield from self._candle(symbol, start, at)
            case ("bad", str(kind)):
                yield self._bad(kind, at)
            case ("garbage",):
                self.sent += 1
                self._note("malformed")
                yield Malformed(b"U,1,1|\xff", "not text", at)

    def _connect(self, at: int) -> None:
        self._plan(at, ("connect",))

    def _tick(self, symbol: str, at: int) -> Iterator[Event]:
        width = PRICES[symbol][1]
        self._last[symbol] += self._random.gauss(0, width / 3)
        bid = round(self._last[symbol], 6)
        ask = round(bid + width * (6 if abs(at - CLOSE) < 5 * MINUTE else 1), 6)  # the widening at 17:00
        ts_event = at - self._random.randrange(5, 40) * 1_000_000
        if at >= OPEN:
            ts_event = max(ts_event, OPEN)
        ts_event = max(ts_event, self._newest(symbol) + 1)
        self.accepted.append((symbol, ts_event, bid, ask))
        self._minutes.setdefault((symbol, ts_event // MINUTE * MINUTE), []).append((bid, ask))
        self.sent += 1
        yield _quote(symbol, ts_event, at, bid, ask)
        if self._random.random() < 0.01:
            self.sent += 1
            self.duplicates += 1
            yield _quote(symbol, ts_event, at + 1, bid, ask)

    def _newest(self, symbol: str) -> int:
        return next((ts for of, ts, _, _ in reversed(self.accepted) if of == symbol), 0)

    def _candle(self, symbol: str, start: int, at: int) -> Iterator[Event]:
        quotes = self._minutes.get((symbol, start))
        if quotes and start != LOST_CANDLE:
            sides = [(side[0], max(side), min(side), side[-1]) for side in zip(*quotes, strict=True)]
            yield VenueCandle(symbol, SOURCE, "1m", start, sides[0], sides[1], len(quotes), at)

    def _bad(self, kind: str, at: int) -> Event:
        self.sent += 1
        bid = self._last["EUR_USD"]
        quotes = {
            "crossed": (at, bid, bid - 0.0002),
            "spike": (at, bid * 1.03, bid * 1.03 + 0.0001),
            "scale": (at, bid * 10_000, bid * 10_000 + 0.6),
            "zero": (at, 0.0, bid),
            "nan": (at, float("nan"), bid),
            "future": (at + 3600 * SECOND, bid, bid + 0.0001),
        }
        self._note({"zero": "non-positive", "nan": "non-finite"}.get(kind, kind))
        ts_event, low, high = quotes[kind]
        return _quote("EUR_USD", ts_event, at, low, high)

    def _note(self, reason: str) -> None:
        self.bad[reason] = self.bad.get(reason, 0) + 1

    def _gap(self, symbol: str, at: int) -> int:
        if CLOSE <= at < OPEN - MINUTE:
            return OPEN - at + self._random.randrange(SECOND)
        return round(min(self._random.expovariate(1 / 1.5), 12.0) * SECOND) + 1_000_000

    def _plan(self, at: int, what: tuple[object, ...]) -> None:
        self._number += 1
        heapq.heappush(self._queue, (at, self._number, what))


def _quote(symbol: str, ts_event: int, ts_recv: int, bid: float, ask: float) -> Quotes:
    records = empty_quotes(1)
    records[0] = (ts_event, ts_recv, bid, ask, 0, 0, 0)
    return Quotes(records, (symbol,), (SOURCE,))


def batch_candles(quotes: list[tuple[str, int, float, float]], symbol: str) -> list[tuple[float, ...]]:
    """Build 1-minute mid candles the plain way: (start, open, high, low, close, ticks)."""
    minutes: dict[int, list[float]] = {}
    for of, ts_event, bid, ask in quotes:
        if of == symbol:
            minutes.setdefault(ts_event // MINUTE * MINUTE, []).append(float((np.float64(bid) + np.float64(ask)) / 2))
    return [
        (start, mids[0], max(mids), min(mids), mids[-1], float(len(mids))) for start, mids in sorted(minutes.items())
    ]


def log_hash(hub: DataHub) -> str:
    """Hash what the log says, without what differs between two runs: publish times and who ran them."""
    digest = hashlib.sha256()
    with hub.stream(kinds="all", start="oldest") as stream:
        for one in drained(stream):
            if isinstance(one, Record):
                if one.kind in ("clock", "calendar"):
                    continue
                first = one.fixed[0] & 0xFF if one.kind in ("state", "ledger") else one.fixed[0]
                told: Any = (one.kind, one.ts_event, one.symbol, one.source, first, one.fixed[1], one.payload)
            elif type(one).__name__ == "Tick":
                told = ("tick", one.symbol, one.source, one.ts_event, one.bid, one.ask, one.ts_recv)
            else:
                told = (one.symbol, one.timestamp, one.open, one.high, one.low, one.close, one.status, one.revision)
            digest.update(repr(told).encode())
    return digest.hexdigest()
