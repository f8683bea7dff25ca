"""The simulated venue, without sockets: one clock moves prices, faults, REST and streams together.

Everything that happens has its time and its place in one order: ticks of the source, scheduled faults, ends of candles,
heartbeats. `advance` plays it up to the clock's reading; how often it is called changes nothing of what is said to a
client that keeps up, only when (probes apart). So two runs with the same seed, script, clock readings and requests are
the same, line by line.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from tapehub.errors import ConfigError
from tapehub.feeds.sim.clock import Clock
from tapehub.feeds.sim.contracts import Contract, contracts_for
from tapehub.feeds.sim.faults import OF_ITEMS, Fault, FaultKind, Faults
from tapehub.feeds.sim.items import HEARTBEAT, Items, candle_values, price_values, tick_values
from tapehub.feeds.sim.journal import Journal
from tapehub.feeds.sim.market import FRAMES, Market, Tick, status_of
from tapehub.feeds.sim.settings import Settings
from tapehub.feeds.sim.source import Source
from tapehub.feeds.sim.streams import StreamItem
from tapehub.feeds.sim.subscribing import Refusal
from tapehub.feeds.sim.tlcp import Tlcp
from tapehub.feeds.sim.tokens import Tokens

if TYPE_CHECKING:
    from tapehub.model.instruments import InstrumentBook

__all__ = ["Venue"]

_SECOND = 1_000_000_000
_NEVER = 1 << 62


class Venue:
    """Be IG. Not locked: one thread, or one event loop.

    Args:
        source: where prices come from.
        clock: the simulator's; its first reading is when the simulation begins, and the venue's time never goes back.
        steady: what streaming's own times go by (probes, time-outs): nanoseconds from any origin, never back.
        script: when (ns) each fault begins.
        contracts: what is dealt in; default: all that the table knows on the source's symbols.
        endpoint: what sessions name as `lightstreamerEndpoint`.
    """

    def __init__(
        self,
        source: Source,
        clock: Clock,
        settings: Settings | None = None,
        *,
        script: Iterable[tuple[int, Fault]] = (),
        seed: int = 1,
        steady: Clock = time.monotonic_ns,
        contracts: Sequence[Contract] | None = None,
        book: InstrumentBook | None = None,
        endpoint: str = "http://127.0.0.1",
    ) -> None:
        self.settings = settings or Settings()
        self.clock = clock
        self.source = source
        self.endpoint = endpoint
        self.contracts = (
            contracts_for(source.symbols, book) if contracts is None else {row.epic: row for row in contracts}
        )
        self.now_ns = clock()
        self.market = Market(source, self.now_ns, book=book, always=self.settings.always_open)
        self.faults = Faults(seed)
        self.journal = Journal()
        self.tokens = Tokens(self.settings, lambda: self.now_ns, seed)
        self.items = Items(self.contracts, self.market, self.settings, self.state_of, self._muted)
        self.tlcp = Tlcp(self, self.settings, steady)
        self._ticks = self._play(self.now_ns)
        self._next = next(self._ticks, None)
        self._later: list[tuple[int, int, StreamItem, Contract, Tick]] = []
        self._held: dict[str, tuple[StreamItem, Contract, Tick]] = {}
        self._order = itertools.count()
        self._beat_ns = round(self.settings.heartbeat_s * _SECOND)
        self._grace_ns = round(self.settings.end_of_candle_s * _SECOND)
        self._beat_at_ns = self.now_ns + self._beat_ns
        self._settled_until_ns = 0
        self._thaw_ns: int | None = None
        self._states: dict[str, str] = {}
        for at_ns, fault in script:
            self.faults.schedule(at_ns, fault)

    # ------------------------------------------------------------ time

    def advance(self) -> int:
        """Play everything up to the clock's reading, and give that."""
        now = max(self.clock(), self.now_ns)
        while True:
            fault_ns = self.faults.next_ns
            tick_ns = _NEVER if self._next is None else self._next.ts_event
            end_ns = self.market.next_end_ns()
            end_ns = _NEVER if end_ns is None else min(end_ns + self._grace_ns, max(end_ns, tick_ns))
            later_ns = self._later[0][0] if self._later else _NEVER
            thaw_ns = _NEVER if self._thaw_ns is None else self._thaw_ns
            fault_ns = _NEVER if fault_ns is None else fault_ns
            at_ns = min(tick_ns, fault_ns, end_ns, later_ns, thaw_ns, self._beat_at_ns)
            if at_ns > now:
                break
            self._move(max(at_ns, self.now_ns))
            if at_ns == fault_ns:
                for fault in self.faults.begin(at_ns):
                    self._strike(fault)
            elif at_ns == thaw_ns:
                self._thaw()
            elif at_ns == end_ns:
                self._end_candles()
            elif at_ns == later_ns:
                _, _, item, contract, tick = heapq.heappop(self._later)
                self._say(item, contract, tick)
            elif at_ns == tick_ns:
                self._take_tick()
            else:
                self._beat()
        self._move(now)
        self.tlcp.tick()
        return now

    @property
    def played_out(self) -> bool:
        """Tell whether the source has no quote left to come."""
        return self._next is None and not self._later

    def inject(self, fault: Fault) -> None:
        """Let a fault begin now."""
        self.faults.schedule(self.now_ns, fault)
        self.advance()

    def check_item(self, fault: Fault) -> None:
        """See whether a fault of items would ever hit one: a name that is none would be taken, and do nothing.

        Raises:
            ConfigError: nothing that is dealt in is called so.
        """
        if fault.kind not in OF_ITEMS or fault.item.startswith(("PRICE:", "ACCOUNT:", "TRADE:")):
            return  # these have an account in their names
        charts = (f"CHART:{epic}:{frame}" for epic in self.contracts for frame in ("TICK", *FRAMES))
        symbols = sorted({contract.symbol for contract in self.contracts.values()})
        if not fault.concerns(HEARTBEAT, *symbols, *self.contracts, *charts, *self.items.items):
            raise ConfigError(
                f"item is {fault.item!r}: expected a pattern that fits one of "
                f"{', '.join((*symbols, *self.contracts))}, or an item of these, such as CHART:EPIC:TICK"
            )

    # ------------------------------------------------------------ what the streaming server asks

    def admit(self, user: str, password: str, protocol: str) -> None:
        """Let a user of the streams in: the account's id, and tokens that are valid now."""
        if protocol in self.settings.refused_protocols or self.hit(FaultKind.REFUSE_PROTOCOL, protocol):
            raise Refusal(65, f"Unsupported protocol version: {protocol.removeprefix('TLCP-')}")
        if self.hit(FaultKind.MAINTENANCE):
            raise Refusal(10, "New sessions temporarily blocked")
        fault = self.hit(FaultKind.REFUSE_STREAM)
        if fault is not None:
            raise Refusal(int(fault.code or 1), "Refused by the script")
        if not self.tokens.streams(user, password):
            raise Refusal(1, "Invalid user or password")

    def items_of(self, user: str, group: str, schema: tuple[str, ...], mode: str, adapter: str) -> Sequence[StreamItem]:
        """Find the items of a subscription."""
        found = self.items.find(user, group, schema, mode, adapter, self.is_unknown)
        for item, contract in itertools.chain.from_iterable(self.items.prices.values()):
            if item in found:
                self._states[item.name] = self.state_of(contract)  # the snapshot tells it
        self._settled_until_ns = 0
        return found

    def said(self, event: str, detail: str = "") -> None:
        """Write down what happened."""
        self.journal.note(self.now_ns, event, detail)

    # ------------------------------------------------------------ what REST asks too

    def hit(self, kind: FaultKind, *names: str) -> Fault | None:
        """Find the fault that hits this time."""
        return self.faults.hit(kind, self.now_ns, *names)

    @property
    def unreachable(self) -> bool:
        """Tell whether nothing gets through: whoever serves the venue resets what comes."""
        return self.hit(FaultKind.OUTAGE) is not None

    def is_unknown(self, epic: str) -> bool:
        """Tell whether an epic is not dealt in (now)."""
        return epic not in self.contracts or self.hit(FaultKind.BAD_EPIC, epic, self.contracts[epic].symbol) is not None

    def state_of(self, contract: Contract) -> str:
        """Give the word for a market's state."""
        fault = self.hit(FaultKind.MARKET_STATE, contract.epic, contract.symbol)
        return status_of(self.market, contract, self.now_ns) if fault is None else fault.state

    # ------------------------------------------------------------ what happens

    def _move(self, to_ns: int) -> None:
        self.now_ns = self.market.now_ns = to_ns

    def _play(self, start_ns: int) -> Iterator[Tick]:
        for quotes in self.source.play(start_ns):
            symbols = quotes.symbols
            for row in quotes.records.tolist():
                yield Tick(symbols[row[6]], row[0], row[2], row[3], row[4], row[5])

    def _take_tick(self) -> None:
        tick = self._next
        assert tick is not None
        self._next = next(self._ticks, None)
        self.market.take(tick)
        for item, contract in self.items.ticks.get(tick.symbol, ()):
            if item.watchers:
                self._deliver(item, contract, tick)
        for item, contract in self.items.prices.get(tick.symbol, ()):
            if item.watchers and not self._muted(item):
                state = self.state_of(contract)
                self._states[item.name] = state
                item.publish(price_values(contract, self.market, self._shaped(item, tick), state))
        for (symbol, frame), rows in self.items.candles.items():
            if symbol == tick.symbol:
                candle = self.market.candle(symbol, frame)
                for item, contract in rows:
                    if candle is not None and item.watchers and not self._muted(item):
                        item.publish(candle_values(contract, self.market, candle, ended=False))

    def _deliver(self, item: StreamItem, contract: Contract, tick: Tick) -> None:
        if self.faults.quiet and not self._held:
            item.publish(tick_values(contract, self.market, tick))
            return
        if self._muted(item):
            return
        tick = self._shaped(item, tick)
        late = self.hit(FaultKind.DELAY, *item.names)
        held = self._held.pop(item.name, None)
        if late is not None:
            due_ns = tick.ts_event + round(late.seconds * _SECOND)
            heapq.heappush(self._later, (due_ns, next(self._order), item, contract, tick))
        elif held is None and self.hit(FaultKind.REORDER, *item.names):
            self._held[item.name] = (item, contract, tick)
        else:
            self._say(item, contract, tick)
            if self.hit(FaultKind.DUPLICATE, *item.names):
                self._say(item, contract, tick)
        if held is not None:
            self._say(*held)

    def _say(self, item: StreamItem, contract: Contract, tick: Tick) -> None:
        values = tick_values(contract, self.market, tick)
        if self.hit(FaultKind.GARBLED, *item.names):
            values["OFR"] = "n/a"
        item.publish(values)

    def _muted(self, item: StreamItem) -> bool:
        return self.hit(FaultKind.MUTE, *item.names) is not None

    def _shaped(self, item: StreamItem, tick: Tick) -> Tick:
        if self.faults.quiet:
            return tick
        if self.hit(FaultKind.CROSSED, *item.names):
            tick = tick._replace(bid=tick.ask, ask=tick.bid)
        if self.hit(FaultKind.ZERO, *item.names):
            tick = tick._replace(bid=0.0)
        scaled = self.hit(FaultKind.SCALED, *item.names)
        if scaled is not None:
            tick = tick._replace(bid=tick.bid * scaled.factor, ask=tick.ask * scaled.factor)
        return tick

    def _end_candles(self) -> None:
        for symbol, frame in self.market.ending(self.now_ns):
            candle = self.market.candle(symbol, frame)
            for item, contract in self.items.candles.get((symbol, frame), ()):
                lost = self._muted(item) or self.hit(FaultKind.LOSE_CANDLE_END, *item.names)
                if candle is not None and item.watchers and not lost:
                    item.publish(candle_values(contract, self.market, candle, ended=True))
            self.market.finish(symbol, frame)

    def _beat(self) -> None:
        self._beat_at_ns += self._beat_ns
        heartbeat = self.items.items.get(HEARTBEAT)
        if heartbeat is not None and heartbeat.watchers and not self._muted(heartbeat):
            heartbeat.publish({"HEARTBEAT": str(self.now_ns // 1_000_000)})
        if self.items.prices and (self.now_ns >= self._settled_until_ns or not self.faults.quiet):
            self._tell_states()

    def _tell_states(self) -> None:
        """Tell of markets that opened, closed or were suspended since their last quote."""
        changes = [self.market.next_change_ns(symbol, self.now_ns) for symbol in self.items.prices]
        # A fault that has just ended must be looked for once more.
        self._settled_until_ns = min(changes) if self.faults.quiet else 0
        for rows in self.items.prices.values():
            for item, contract in rows:
                state = self.state_of(contract)
                last = self.market.last(contract.symbol)
                if state != self._states[item.name] and last is not None and not self._muted(item):
                    self._states[item.name] = state
                    item.publish(price_values(contract, self.market, last, state))

    def _strike(self, fault: Fault) -> None:
        self.said("fault", f"{fault.kind.value} {fault.item} {fault.code}".rstrip())
        kind = fault.kind
        if kind is FaultKind.CUT and fault.how == "freeze":
            for channel in self.tlcp.channels:
                channel.frozen = True
            self._thaw_ns = None if fault.duration_s is None else self.now_ns + round(fault.duration_s * _SECOND)
        elif kind in (FaultKind.CUT, FaultKind.FORGET_SESSIONS, FaultKind.OUTAGE):
            for channel in list(self.tlcp.channels):
                self.tlcp.drop(channel, "reset" if kind is FaultKind.OUTAGE else fault.how)
            if kind is FaultKind.FORGET_SESSIONS:
                self.tlcp.forget_all()
        elif kind is FaultKind.EXPIRE_TOKENS:
            self.tokens.expire()
        elif kind in (FaultKind.END_SESSIONS, FaultKind.MAINTENANCE):
            if kind is FaultKind.MAINTENANCE:
                self.tokens.expire()
            for session in list(self.tlcp.sessions.values()):
                self.tlcp.end(session, int(fault.code or 32), "The session was closed by the server")
        elif kind in (FaultKind.CLEAR_SNAPSHOT, FaultKind.OVERFLOW):
            for item in self.items.items.values():
                if fault.concerns(*item.names):
                    item.clear() if kind is FaultKind.CLEAR_SNAPSHOT else item.overflow(fault.count or 1)
        elif kind is FaultKind.CLEAR and fault.code in ("", FaultKind.CUT.value):
            self._thaw()

    def _thaw(self) -> None:
        self._thaw_ns = None
        for channel in list(self.tlcp.channels):
            if channel.frozen:
                self.tlcp.thaw(channel)
