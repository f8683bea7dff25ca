"""What a hub tells of itself and of its feeds, gathered for whoever asks why there is no data.

Everything here is read from the hub: nobody is asked, nothing is logged in to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from tapehub.app.clocks import clock_of
from tapehub.app.hours import TITLES
from tapehub.hub import reading
from tapehub.hub.latest import latest
from tapehub.hub.status import silent_s
from tapehub.model.calendars import is_holiday
from tapehub.model.records import INSTRUMENT
from tapehub.model.timeframes import parse
from tapehub.quality import Reason

if TYPE_CHECKING:
    from tapehub.hub import DataHub

__all__ = ["Facts", "Feed", "Item", "Probe", "Quarantined", "Refusal", "Repaired", "Server", "gather"]

_MINUTE = 60_000_000_000
_OVER = ("stopped", "ended")
"""Phases in which nobody collects, though the process may live on."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Tell of something that was refused, or that failed.

    Attributes:
        stage: of the feed's way, a `feeds.Stage`'s value; empty where the feed did not tell.
        code: the venue's word.
        times: in a row, with the same code.
    """

    stage: str
    code: str
    detail: str
    age_s: float
    where: str = ""
    times: int = 1


@dataclass(frozen=True, slots=True)
class Repaired:
    """Tell what the collector last asked its feed for; no symbols stand for all."""

    step: str
    symbols: tuple[str, ...]
    age_s: float


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Tell of the newest quote that was put in quarantine."""

    reason: str
    detail: str
    age_s: float


@dataclass(frozen=True, slots=True)
class Feed:
    """Tell how a feed's connection stands, as its collector last said.

    Attributes:
        alive: the process that said so is still there, and still collects.
        phase: starting, connected, refused, disconnected, ended or stopped.
        phase_s: how long.
        told_s: seconds of real time since the collector last said anything; None where the clock cannot tell.
        beat_s: since the last heartbeat; None without one.
        waits: why a request is held up; empty where nothing is, or no longer.
        restarts: how often the feed was started again.
        remarks: what it goes on without, and why.
    """

    name: str
    alive: bool
    phase: str
    phase_s: float = 0.0
    detail: str = ""
    where: str = ""
    told_s: float | None = 0.0
    refusal: Refusal | None = None
    waits: str = ""
    beat_s: float | None = None
    beat_lost: bool = False
    repaired: Repaired | None = None
    restarts: int = 0
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """Tell what is known of one instrument from one source.

    Attributes:
        source: empty where nothing ever came.
        feed: who collects it; empty where callers push it.
        state: as `DataHub.state` gives it.
        tick_s: age of the latest tick, by event time; None without one.
        heard_s: since anything came of it, accepted or not; None where nobody tells.
        is_open: by its calendar.
        opens_ns: when its market opens next, ns UTC; None while it is open.
        is_holiday: closed at an hour at which it is open in other weeks.
        word: the venue's, on its market.
        has_candle: the minute of the latest tick has a candle; None without a tick.
    """

    symbol: str
    source: str = ""
    feed: str = ""
    state: str = "empty"
    cause: str = ""
    state_s: float | None = None
    tick_s: float | None = None
    heard_s: float | None = None
    market: str = "FX"
    is_open: bool = True
    opens_ns: int | None = None
    is_holiday: bool = False
    word: str = ""
    refusal: Refusal | None = None
    quarantined: Quarantined | None = None
    has_candle: bool | None = None


@dataclass(frozen=True, slots=True)
class Server:
    """Tell of the process that serves the hub.

    Attributes:
        silent_s: seconds of real time since its last beat.
        behind_s: how far candles are closed behind the hub clock, in real seconds; None where the clock cannot tell.
    """

    pid: int
    silent_s: float = 0.0
    behind_s: float | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """Tell what trying something out showed: credentials, a login, a handshake."""

    ok: bool
    found: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Hold all that the chain is judged by.

    Attributes:
        path: of the hub; `items` and `feeds` are empty where there is none (`running` is false).
        asked: the symbols that were asked for; none stand for all.
        items: of these, or all that are known.
        flowing: there are live instruments, asked for or not.
        credentials, login, online: what the doctor tried out; None where it did not.
    """

    path: str
    now_ns: int = 0
    running: bool = True
    asked: tuple[str, ...] = ()
    feeds: tuple[Feed, ...] = ()
    items: tuple[Item, ...] = ()
    flowing: bool = False
    server: Server | None = None
    processes: tuple[str, ...] = ()
    credentials: Probe | None = None
    login: Probe | None = None
    online: Probe | None = None


def gather(hub: DataHub, symbols: Iterable[str] = ()) -> Facts:
    """Read the facts of a hub: some milliseconds the first time, less from then on."""
    now_ns, clock = hub.now(), clock_of(hub)
    known = latest(hub)
    links = known.links(hub)
    for told in links.values():
        told["alive"] = told["alive"] and told["phase"] not in _OVER
    steady = clock.rate > 0
    rate = clock.rate or 1.0
    refused = known.quarantined()
    rows = _rows(hub, links, now_ns)
    asked = tuple(dict.fromkeys(hub._names.canonical(symbol) for symbol in symbols))
    wanted = asked or tuple(dict.fromkeys(symbol for symbol, _ in rows))
    items: list[Item] = []
    flowing = False
    for (symbol, source), row in rows.items():
        item = _item(hub, symbol, source, row, now_ns, refused.get(symbol))
        flowing = flowing or item.state in ("live", "unverified")
        if symbol in wanted:
            items.append(item)
    found = {item.symbol for item in items}
    items += [_absent(hub, symbol, now_ns) for symbol in wanted if symbol not in found]
    feeds = tuple(_feed(name, told, now_ns, rate if steady else None) for name, told in links.items())
    mine = hub._slot()
    return Facts(
        path=str(hub.path),
        now_ns=now_ns,
        asked=asked,
        feeds=feeds,
        items=tuple(items),
        flowing=flowing,
        server=_server(hub, now_ns, rate if steady else None),
        processes=tuple(row["name"] for row in hub._slots() if row["alive"] and row["slot"] != mine),
    )


@dataclass(slots=True)
class _Row:
    """Join what a collector told of an instrument with what the hub holds of it."""

    channel: int | None = None
    feed: str = ""
    state: str = ""
    cause: str = ""
    ages: tuple[float | None, float | None, float | None] = (None, None, None)
    word: str = ""
    refusal: Refusal | None = None


def _rows(hub: DataHub, links: Mapping[str, Mapping[str, Any]], now_ns: int) -> dict[tuple[str, str], _Row]:
    rows: dict[tuple[str, str], _Row] = {}
    names = hub.sources
    symbols = [
        np.frombuffer(hub._instrument(number), INSTRUMENT)[0]["symbol"].decode()
        for number in range(hub._instrument_count())
    ]
    for channel, (instrument, source) in enumerate(hub._channels()):
        rows[symbols[instrument], names[source]] = _Row(channel)
    # What still lives overrides what a dead process said of the same.
    for name, told in sorted(links.items(), key=lambda pair: (pair[1]["alive"], pair[1]["ts"])):
        since_s = (now_ns - told["ts"]) / 1e9
        refused = told.get("refused", {})
        for state, cause, group in told["items"]:
            for symbol, source, *ages, word in group:
                row = rows.setdefault((symbol, source), _Row())
                row.feed, row.state, row.cause, row.word = name, state, cause, word
                row.ages = (_plus(ages[0], since_s), _plus(ages[1], since_s), _plus(ages[2], since_s))
                row.refusal = _refusal(refused[symbol], since_s) if symbol in refused else None
    # A feed whose quotes name another source than itself: what was watched under its own name never ticks.
    quoted = {(symbol, row.feed) for (symbol, _), row in rows.items() if row.feed and row.ages[1] is not None}
    return {
        (symbol, source): row for (symbol, source), row in rows.items()
        if source != row.feed or row.ages[1] is not None or (symbol, row.feed) not in quoted
    }  # fmt: skip


def _item(hub: DataHub, symbol: str, source: str, row: _Row, now_ns: int, refused: tuple[int, int, str] | None) -> Item:
    state, tick_s, has_candle = row.state or "empty", None, None
    if row.channel is not None:
        block, _ = reading.channel_state(hub, row.channel)
        if int(block["latest"]["seq"]):
            event_ns = int(block["latest"]["ts_event"])
            tick_s = (now_ns - event_ns) / 1e9
            has_candle = reading.candle_at(hub, row.channel, parse("1m"), event_ns // _MINUTE * _MINUTE) is not None
            state = hub.state(symbol, source)
    said = row.cause if row.state == state else "its collector is gone" if state == "dead" and row.feed else ""
    quarantined = None
    if refused is not None:
        at_ns, reason, detail = refused
        quarantined = Quarantined(Reason(reason).label, detail, (now_ns - at_ns) / 1e9)
    return Item(
        symbol=symbol, source=source, feed=row.feed, state=state, cause=said,
        state_s=row.ages[0] if row.state == state else None, tick_s=tick_s, heard_s=row.ages[2],
        word=row.word, refusal=row.refusal, quarantined=quarantined, has_candle=has_candle,
        **_market(hub, symbol, now_ns),
    )  # fmt: skip


def _absent(hub: DataHub, symbol: str, now_ns: int) -> Item:
    return Item(symbol, **_market(hub, symbol, now_ns))


class _Market(TypedDict):
    market: str
    is_open: bool
    opens_ns: int | None
    is_holiday: bool


def _market(hub: DataHub, symbol: str, now_ns: int) -> _Market:
    hours = hub.calendar(symbol)
    opens_ns = None if hours.is_open(now_ns) else hours.next_open(now_ns)
    return {
        "market": TITLES[hours.id], "is_open": hours.is_open(now_ns), "opens_ns": opens_ns,
        "is_holiday": is_holiday(hours, now_ns),
    }  # fmt: skip


def _feed(name: str, told: Mapping[str, Any], now_ns: int, rate: float | None) -> Feed:
    since_s = (now_ns - told["ts"]) / 1e9
    repair, restart, waits = told.get("repair"), told.get("restart"), told.get("waits")
    return Feed(
        name=name,
        alive=told["alive"],
        phase=told["phase"],
        phase_s=_plus(told["for"], since_s) or 0.0,
        detail=told["detail"],
        where=told["where"],
        told_s=since_s / rate if rate is not None else None,
        refusal=_refusal(told["refusal"], since_s) if "refusal" in told else None,
        waits=waits["detail"] if waits and waits.get("left", 0.0) > since_s else "",
        beat_s=_plus(told["beat"], since_s),
        beat_lost=told["beat_lost"],
        repaired=Repaired(repair["step"], tuple(repair["symbols"]), repair["age"] + since_s) if repair else None,
        restarts=restart["times"] if restart else 0,
        remarks=tuple(told.get("remarks", ())),
    )


def _refusal(told: Mapping[str, Any], since_s: float) -> Refusal:
    return Refusal(
        told.get("stage", ""), told.get("code", ""), told.get("detail", ""), told["age"] + since_s,
        told.get("where", ""), told.get("times", 1),
    )  # fmt: skip


def _server(hub: DataHub, now_ns: int, rate: float | None) -> Server | None:
    held = hub.server()
    if held is None:
        return None
    mark = int(hub._hub_state()["watermark_ns"])
    behind_s = (now_ns - mark) / 1e9 / rate if rate is not None and mark > 0 else None
    return Server(held[0], silent_s(hub), behind_s)


def _plus(age_s: float | None, since_s: float) -> float | None:
    return None if age_s is None else age_s + since_s
