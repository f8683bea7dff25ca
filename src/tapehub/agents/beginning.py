"""How a run begins: with a look at the hub, which its first record then holds; or with a run that did not end."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tapehub.agents.halts import halted
from tapehub.agents.hours import hours_now, named
from tapehub.agents.journal import RunLog
from tapehub.agents.records import AccountState, AgentRecord, identity
from tapehub.agents.run import Run, fingerprint, new_number
from tapehub.agents.search import newest, runs
from tapehub.hub import reading
from tapehub.hub.clock import WATERMARK_TICKS
from tapehub.model.instruments import TABLE, Instrument, InstrumentBook, normalise
from tapehub.model.records import CLOCK_STRUCT, INSTRUMENT, Kind
from tapehub.model.sessions import CalendarId, Sessions
from tapehub.model.timeframes import parse

if TYPE_CHECKING:
    from tapehub.agents.agent import Agent
    from tapehub.agents.settings import RunSettings
    from tapehub.hub import DataHub

__all__ = [
    "begin_run",
    "by_ticks_at",
    "defined",
    "first_at",
    "position_at",
    "resumable",
    "row_of",
    "source_of",
    "warm_span_ns",
    "watched",
]

_SECOND: Final = 1_000_000_000
_HELD_BACK: Final = 14 * 86_400 * _SECOND


def begin_run(
    hub: DataHub,
    name: str,
    agents: Sequence[Agent],
    specs: Sequence[str],
    settings: RunSettings,
    rng: random.Random,
    *,
    seed: int | None = None,
) -> Run:
    """Begin a new run: write its first record. The account goes on as the last run of that name left it."""
    book = hub._names.book
    opening = _opening(hub, name)
    held = [one["symbol"] for one in opening.get("positions", ())]
    symbols = watched(agents, settings.paper.currency, book, held)
    now = max(0, hub.now())  # under a clock of events there may be no time yet
    hours = hours_now(hub)
    warm = position_at(hub, now - warm_span_ns(agents, now, hub.calendar))
    state = hub._hub_state()
    told_halt = halted(hub)
    run = Run(
        number=new_number(rng),
        agent=name,
        members=tuple({"spec": spec, "parameters": one.plain()} for spec, one in zip(specs, agents, strict=True)),
        seed=rng.getrandbits(32) if seed is None else seed,
        begin_seq=0,
        warm_seq=warm,
        started_ns=now,
        watched={symbol: source_of(hub, symbol) for symbol in symbols},
        definitions={symbol: defined(row_of(hub, symbol, book)) for symbol in symbols},
        basis=int(state["price_basis"]),
        grace_ns=int(state["grace_ns"]),
        by_ticks=by_ticks_at(hub, warm),
        settings=settings,
        opening=opening,
        halted="" if told_halt is None else told_halt.reason or "no reason given",
        flatten=told_halt is not None and told_halt.flatten,
        code=fingerprint(agents),
        calendars=named(hours),
    )
    first = AgentRecord(identity(run.number, 0, 0), name, "start", data=run.plain())
    seq = RunLog(hub, run, {}).write(Kind.AGENT, now, 0, "", first.encode())
    return replace(run, begin_seq=seq)


def resumable(
    hub: DataHub, name: str, agents: Sequence[Agent], specs: Sequence[str], settings: RunSettings
) -> tuple[Run | None, str]:
    """Find the run that a new process can go on with: the newest of that name, unless what it is made of has changed.

    Returns:
        the run, or None and why not; nothing is said when there was none.
    """
    run = next(runs(hub, name), None)
    if run is None:
        return None, ""
    members = tuple({"spec": spec, "parameters": one.plain()} for spec, one in zip(specs, agents, strict=True))
    if run.warm_seq < int(hub._hub_state()["oldest"]):
        return None, "the log it began with is gone"
    if run.code != fingerprint(agents):
        return None, "the agent's code has changed"
    if run.calendars is None:
        return None, "it was begun by a version that knew no holidays"
    if run.members != members or run.settings != settings:
        return None, "its parameters or limits have changed"
    return run, ""


def watched(agents: Iterable[Agent], currency: str, book: InstrumentBook, held: Iterable[str] = ()) -> list[str]:
    """List the instruments a run reads: what its agents name, and the pairs that convert their profit.

    Args:
        held: instruments of which the account has something open; the agents may name others by now.
    """
    names = dict.fromkeys(book.name(symbol) for agent in agents for symbol in agent.symbols)
    names.update(dict.fromkeys(held))
    for symbol in list(names):
        quote = book.find(symbol).quote
        if quote and quote != currency:
            names.update(dict.fromkeys(_pairs(quote, currency)))
    return list(names)


def _pairs(source: str, target: str) -> list[str]:
    """List the pair that converts a currency, and the two that do so by the dollar: a hub may have these alone."""
    direct, both = _pair(source, target), [_pair(source, "USD"), _pair("USD", target)]
    return [one for one in (direct, *(both if all(both) else ())) if one]


def _pair(first: str, second: str) -> str:
    return next((name for name in (f"{first}_{second}", f"{second}_{first}") if name in TABLE), "")


def defined(row: Instrument) -> dict[str, Any]:
    """Give what a run needs to know of an instrument, as JSON takes it."""
    return {
        "base": row.base,
        "quote": row.quote,
        "pip_size": row.pip_size,
        "decimals": row.decimals,
        "calendar": int(row.calendar),
        "declared": row.declared,
    }


def row_of(hub: DataHub, symbol: str, book: InstrumentBook) -> Instrument:
    """Describe an instrument as the hub has it, else as the configuration does."""
    found = hub._find(symbol)
    if found is None:
        return book.find(symbol)
    row = np.frombuffer(hub._instrument(found[0]), INSTRUMENT)[0]
    return Instrument(
        symbol,
        row["base"].decode(),
        row["quote"].decode()
        or book.find(symbol).quote,  # a hub may have defined an index before its currency was known
        float(row["pip_size"]),
        int(row["decimals"]),
        calendar=CalendarId(int(row["calendar"])),
        declared=bool(row["declared"]),
    )


def source_of(hub: DataHub, symbol: str) -> str:
    """Give the primary source of an instrument; empty while it has none."""
    channel = reading.find_channel(hub, symbol)
    return "" if channel is None else hub.sources[hub._channels()[channel][1]]


def _opening(hub: DataHub, name: str) -> dict[str, Any]:
    for found in newest(hub, [Kind.ACCOUNT]):
        told = found.message
        if isinstance(told, AccountState) and told.account == name:
            return told.plain()
    return {}


def by_ticks_at(hub: DataHub, position: int) -> bool:
    """Tell whether ticks, not a server, closed intervals at a line of the log."""
    for found in newest(hub, [Kind.CLOCK]):
        if found.seq < position:
            return bool(CLOCK_STRUCT.unpack(found.payload)[1] == WATERMARK_TICKS)
    state = hub._hub_state()
    if int(state["oldest"]) < int(state["segment_lines"]):  # from the very beginning: a hub starts without a server
        return True
    return not int(state["watermark_mode"])


def warm_span_ns(agents: Iterable[Agent], now: int, calendar_of: Callable[[str], Sessions]) -> int:
    """Give how far back candles have to be built from for a warm-up: hours when markets are closed do not count."""
    span = 0
    for agent in agents:
        need = agent.warmup * max((parse(frame).span_ns for frame in agent.timeframes), default=0)
        for symbol in agent.symbols:
            span = max(span, _open_span(calendar_of(normalise(symbol)), now, need))
    return min(span, _HELD_BACK)


def _open_span(calendar: Sessions, now: int, need: int) -> int:
    opens, closes = calendar.sessions()
    span = need
    for _ in range(8):
        begin = now - span
        inside = np.minimum(closes, now).clip(min=begin) - np.maximum(opens, begin).clip(max=now)
        missing = need - int(inside[inside > 0].sum())
        if missing <= 0:
            break
        span += missing
    return span


def position_at(hub: DataHub, ts: int) -> int:
    """Find a line of the log at, or soon before, which everything published from an instant on begins."""
    return _around(hub, ts)[0]


def first_at(hub: DataHub, ts: int) -> int:
    """Find the first record that was published at an instant or later; the head of the log when there is none."""
    return _around(hub, ts)[1]


def _around(hub: DataHub, ts: int) -> tuple[int, int]:
    """Find the last record that was published before an instant, and the first that was not."""
    state = hub._hub_state()
    oldest, lines, head = int(state["oldest"]), int(state["segment_lines"]), hub.head
    best = oldest
    for segment in range(oldest // lines, head // lines + 1):
        first, stop = max(oldest, segment * lines), min(head, (segment + 1) * lines)
        rows = hub.log(first, stop - first)
        begins = np.flatnonzero(rows["seq"] == np.arange(first, first + len(rows), dtype=np.uint64))
        if not len(begins):
            continue
        before = begins[: int(np.searchsorted(rows["ts_publish"][begins], ts))]
        if len(before):
            best = first + int(before[-1])
        if len(before) < len(begins):
            return best, first + int(begins[len(before)])
    return best, head
