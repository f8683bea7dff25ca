"""What is wrong with a hub now, as alerts see it: states of instruments, gaps as they are logged, restart loops."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tapehub.app.alerting import Trouble, View
from tapehub.app.console import span_text
from tapehub.app.facts import Facts, Item, gather
from tapehub.hub.marks import signed
from tapehub.hub.record import Record
from tapehub.model.states import GapStatus

if TYPE_CHECKING:
    from tapehub.hub import DataHub

__all__ = ["Watch", "component_troubles"]

_SECOND = 1_000_000_000
_BAD, _GOOD = ("stale", "dead"), ("live", "quiet", "unverified")
_GAPS_MAX = 256


class Watch:
    """Look at a hub again and again. One thread.

    An instrument counts once it was seen to be well, or while a collector watches it: what lies in the hub from another
    day, and is collected by nobody any more, is no trouble.

    Args:
        components: gives the rows of `control.running_components`.
        gap_s: the shortest gap that counts.
    """

    def __init__(self, hub: DataHub, components: Callable[[], Sequence[Mapping[str, Any]]], gap_s: float) -> None:
        self._hub = hub
        self._components = components
        self._gap_s = gap_s
        self._counts: set[str] = set()
        self._gaps: OrderedDict[str, Trouble | str] = OrderedDict()  # or what became of it
        # From now on: what was missing before this process began is no news.
        self._stream = hub.stream(kinds="gap", start="now", name="alerts")

    def look(self) -> View:
        """Read what is new, and show how things stand.

        Raises:
            HubError: the hub cannot be read, or the one who knows the components does not answer.
        """
        for record in self._stream.poll(4096).records:
            self._take(record)
        facts = gather(self._hub)
        troubles, states, unwatched = self._items(facts)
        found, running = component_troubles(self._components())
        markets = {item.symbol: _is_closed(item) for item in facts.items}
        gaps = [one for one in self._gaps.values() if isinstance(one, Trouble)]
        settled = {key: one for key, one in self._gaps.items() if isinstance(one, str)}
        return View(
            troubles=[*troubles, *gaps, *found],
            states=states | settled | running,
            closed=frozenset(symbol for symbol, closed in markets.items() if closed),
            unwatched=unwatched,
            all_closed=bool(markets) and all(markets.values()),
        )

    def close(self) -> None:
        """Give the reader's place back."""
        self._stream.close()

    def _items(self, facts: Facts) -> tuple[list[Trouble], dict[str, str], frozenset[str]]:
        alive = {feed.name for feed in facts.feeds if feed.alive}
        troubles, states, unwatched = [], {}, set()
        for item in facts.items:
            key = f"data {item.symbol} {item.source}"
            if item.state in _GOOD:
                self._counts.add(key)
                states[key] = item.state
            elif key not in self._counts and item.feed not in alive:
                unwatched.add(key)
            elif item.state in _BAD and item.is_open:
                self._counts.add(key)
                why = item.cause or ("" if item.tick_s is None else "no new tick")
                troubles.append(Trouble(key, item.state, _name(item.symbol, item.source), item.symbol, why))
        return troubles, states, frozenset(unwatched)

    def _take(self, record: Record) -> None:
        told = json.loads(record.payload)
        start, end, status = signed(record.fixed[0]), told["end"], GapStatus(told["status"])
        key = f"gap {record.symbol} {record.source} {start}"
        if status is not GapStatus.OPEN:
            if key in self._gaps:
                self._gaps[key] = status.label.replace("_", " ")
        elif (
            end is not None and end - start >= self._gap_s * _SECOND
        ):  # one that lasts is told by its instrument's state
            span = f"{span_text((end - start) / _SECOND)}, {_clock(start)} to {_clock(end)} UTC, {told['cause']}"
            self._gaps[key] = Trouble(key, "gap", _name(record.symbol, record.source), record.symbol, span, lasts=False)
            while len(self._gaps) > _GAPS_MAX:
                self._gaps.popitem(last=False)


def component_troubles(rows: Iterable[Mapping[str, Any]]) -> tuple[list[Trouble], dict[str, str]]:
    """Find the components that die again and again, or failed for good; and how the others are called."""
    troubles, states = [], {}
    for row in rows:
        key = f"component {row['name']}"
        if row["looping"] or row["phase"] == "failed":
            why = str(row["told"]).partition("; again in")[0]  # which changes each second
            troubles.append(Trouble(key, "restart_loop", row["name"], "", why))
        else:
            states[key] = row["phase"]
    return troubles, states


def _is_closed(item: Item) -> bool:
    """By the calendar, or by the venue's word."""
    return not item.is_open or item.state == "closed"


def _name(symbol: str, source: str) -> str:
    return f"{symbol} ({source})" if source else symbol


def _clock(ts_ns: int) -> str:
    return f"{datetime.fromtimestamp(ts_ns / _SECOND, UTC):%H:%M:%S}"
