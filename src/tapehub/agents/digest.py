"""What agents did lately, kept by whoever asks often: the log is read once, and then only what is new.

A page that asks each second must not walk a log of 10 GiB each second.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, Final

from tapehub.agents.debate import instant_of
from tapehub.agents.halts import halted
from tapehub.agents.outcomes import outcome_of
from tapehub.agents.records import AccountState, Fill, HaltRecord, Message, Opinion, Order, Signal
from tapehub.agents.run import Run
from tapehub.agents.search import Found, between, run_of
from tapehub.errors import InvalidRecord
from tapehub.model.records import Kind

if TYPE_CHECKING:
    from tapehub.hub import DataHub

__all__ = ["KEPT", "Digest"]

KEPT: Final = 500
"""Signals, rejections and orders that are kept, the newest so many of each."""

_KINDS: Final = (Kind.OPINION, Kind.SIGNAL, Kind.ORDER, Kind.FILL, Kind.ACCOUNT, Kind.AGENT, Kind.HALT)


class Digest:
    """Keep what runs did. Any number of threads, one at a time."""

    def __init__(self, hub: DataHub) -> None:
        self._hub = hub
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._life = (self._hub._incarnation, self._hub.epoch)
        self._position = 0
        self._runs: dict[str, Run] = {}
        self._ended: set[int] = set()
        self._accounts: dict[str, AccountState] = {}
        self._currencies: dict[int, str] = {}
        self._signals: OrderedDict[str, tuple[Found, Signal]] = OrderedDict()
        self._rejections: deque[tuple[Found, Opinion]] = deque(maxlen=KEPT)
        self._orders: OrderedDict[str, list[Message]] = OrderedDict()
        self._of_request: OrderedDict[str, str] = OrderedDict()
        self._of_signal: dict[str, str] = {}
        self._of_position: dict[str, str] = {}
        self._halt: HaltRecord | None = None

    def _read(self) -> None:
        hub = self._hub
        if self._life != (hub._incarnation, hub.epoch):
            self._forget()
        head = hub.head
        begin = max(self._position, int(hub._hub_state()["oldest"]))
        if not self._position and self._halt is None:
            self._halt = halted(hub)  # the file beside the log holds it when the record is gone
        for found in between(hub, _KINDS, begin, head):
            try:
                self._take(found, found.message)
            except InvalidRecord:
                continue
        self._position = head

    def _take(self, found: Found, message: Message) -> None:
        if isinstance(message, Signal):
            _keep(self._signals, message.id, (found, message))
        elif isinstance(message, Opinion):
            if message.data.get("rule"):
                self._rejections.append((found, message))
        elif isinstance(message, Order):
            self._order(message)
        elif isinstance(message, Fill):
            opening = self._of_position.get(message.position, message.order)
            self._of_position.setdefault(message.position, opening)
            if opening in self._orders:
                self._orders[opening].append(message)
        elif isinstance(message, AccountState):
            self._accounts[message.account] = message
            self._currencies[found.run] = message.currency
        elif isinstance(message, HaltRecord):
            self._halt = message if message.halted else None
        elif message.what == "stop" and found.cause:
            self._ended.add(found.run)
        elif (run := run_of(found)) is not None:
            self._runs[run.agent] = run

    def _order(self, order: Order) -> None:
        if order.what == "close":
            opening = self._of_position.get(order.position, order.of)
            if opening in self._orders:
                self._orders[opening].append(order)
            return
        if order.status == "requested":  # by a script: what the desk makes of it answers the request
            if order.of in self._signals:
                _keep(self._of_request, order.id, order.of)
            return
        if order.id not in self._orders:
            _keep(self._orders, order.id, [])
            signal = self._of_request.get(order.of, order.of)
            if signal in self._signals:
                self._of_signal[signal] = order.id
            if len(self._of_position) > 4 * KEPT:
                self._of_position = {name: one for name, one in self._of_position.items() if one in self._orders}
            if len(self._of_signal) > 4 * KEPT:
                self._of_signal = {name: one for name, one in self._of_signal.items() if name in self._signals}
        self._orders[order.id].append(order)

    # ------------------------------------------------------------ answers

    def runs(self) -> list[dict[str, Any]]:
        """Describe the newest run of each agent, by name: what it is, its account, how far it is behind."""
        with self._lock:
            self._read()
            rows = [self._run(self._runs[name]) for name in sorted(self._runs)]
        places = {row["name"]: row for row in self._hub.readers() if row.get("alive", True)}
        for row in rows:
            place = places.get(row["agent"][:31])
            row["reading"] = place is not None
            row["behind_records"] = None if place is None else int(place["lag"])
        return rows

    def _run(self, run: Run) -> dict[str, Any]:
        account = self._accounts.get(run.agent)
        paper = run.settings.paper
        return {
            "agent": run.agent,
            "run": run.id,
            "members": [one["spec"].rpartition("/")[2] for one in run.members],
            "symbols": sorted(run.watched),
            "began": instant_of(run.started_ns),
            "ended": run.number in self._ended,
            "currency": account.currency if account else paper.currency,
            "balance": account.balance if account else paper.balance,
            "trades": account.trades if account else 0,
            "open": len(account.positions) if account else 0,
        }

    def signals(self, limit: int, symbol: str = "") -> dict[str, Any]:
        """List the newest setups with what came of each, and the newest rejections; newest first."""
        with self._lock:
            self._read()
            signals = [row for row in reversed(self._signals.values()) if symbol in ("", row[1].symbol)][:limit]
            rejections = [row for row in reversed(self._rejections) if symbol in ("", row[1].symbol)][:limit]
            told = [{**_plain(*row), "result": self._came_to(*row)} for row in signals]
        return {"signals": told, "rejections": [_plain(*row) for row in rejections]}

    def _came_to(self, found: Found, signal: Signal) -> dict[str, Any]:
        order = self._of_signal.get(signal.id, "")
        if order in self._orders:
            result = outcome_of(self._orders[order], order)
            if "units" in result:
                result["currency"] = self._currencies.get(int(order[:12], 16), "")
            return {**result, "order": order}
        stands = self._hub.now() <= found.ts_event + round(signal.ttl_s * 1e9)
        return {"state": "waiting" if stands else "untaken"}

    def positions(self) -> list[dict[str, Any]]:
        """List what is open in every account, oldest first, with what it would bring at the hub's latest quote."""
        with self._lock:
            self._read()
            rows = [(name, state, one) for name, state in self._accounts.items() for one in state.positions]
        out = []
        for name, state, one in sorted(rows, key=lambda row: row[2].opened_ns):
            told = {"account": name, "currency": state.currency, **one.plain(), "opened": instant_of(one.opened_ns)}
            tick = self._hub.get_latest_tick(one.symbol) if one.symbol in self._hub.instruments else None
            told["pips"] = None
            if tick is not None:
                pip = self._hub._names.book.find(one.symbol).pip_size or 1.0
                price = (tick.bid - one.price) if one.side == "buy" else (one.price - tick.ask)
                told |= {"pips": round(price / pip, 2), "bid": tick.bid, "ask": tick.ask}
            out.append(told)
        return out

    def halt(self) -> dict[str, Any] | None:
        """Tell whether the kill switch is on; None when it is not."""
        with self._lock:
            self._read()
            return None if self._halt is None else self._halt.plain()


def _keep(rows: OrderedDict[str, Any], name: str, value: Any) -> None:
    rows[name] = value
    if len(rows) > KEPT:
        rows.popitem(last=False)


def _plain(found: Found, message: Signal | Opinion) -> dict[str, Any]:
    return {"seq": found.seq, "at": instant_of(found.ts_event), **message.plain()}
