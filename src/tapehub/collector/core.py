"""The collector without its sockets: a feed's events and clock readings in, records into the hub and requests out.

What happens is a function of the events, the times they are given with, and the random generator: replaying them gives
the same log.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any

from tapehub.collector.link import Link
from tapehub.collector.publisher import Publisher
from tapehub.collector.reconcile import Reconciler
from tapehub.collector.repair import Ladder, Request
from tapehub.feeds.feed import Event, Malformed, MarketStatus, Quotes, Stage, Status, StatusKind, VenueCandle
from tapehub.hub import marks, reading
from tapehub.model.calendars import Calendar
from tapehub.model.states import GapStatus, State
from tapehub.quality import Change, Gap, GapBook, Liveness, Rhythm, Skew, Verdict
from tapehub.quality.gate import FEW

if TYPE_CHECKING:
    from tapehub.hub import DataHub

__all__ = ["Core"]

_SECOND = 1_000_000_000
REPORT_NS = 60 * _SECOND


class Core:
    """Collect one feed. One thread.

    Args:
        feed: its name, and the source of its symbols until quotes name another.
        symbols: what it was asked for; a gap is begun for each whose last tick in the hub an earlier run left behind.
        random: jitter of the repairs.
        now_ns: the hub clock at the start.
        heartbeat: the feed guarantees one.
        follows_events: the hub clock is the latest event.
        rhythm: what was learnt before.
        calendar_of: default is the calendar of the symbol's instrument, without holidays.
        traced: keep a checksum of what was published, see `Publisher`.
    """

    def __init__(
        self,
        hub: DataHub,
        feed: str,
        symbols: Iterable[str],
        *,
        random: random.Random,
        now_ns: int,
        heartbeat: bool = False,
        follows_events: bool = False,
        rhythm: Rhythm | None = None,
        calendar_of: Callable[[str], Calendar] | None = None,
        traced: bool = False,
    ) -> None:
        self._hub = hub
        self.feed = feed
        self.symbols = tuple(symbols)
        self.rhythm = rhythm or Rhythm()
        self.skew = Skew()
        self.publisher = Publisher(hub, follows_events=follows_events, traced=traced, on_verdict=self._on_verdict)
        calendar_of = calendar_of or cache(lambda symbol: Calendar(hub._names.book.find(symbol).calendar))
        self.liveness = Liveness(calendar_of, self.rhythm, heartbeat=heartbeat)
        self.gaps = GapBook(calendar_of)
        self.ladder = Ladder(random)
        self.link = Link(now_ns)
        self._follows_events = follows_events
        self._reconciler = Reconciler(hub)
        self._ended = self._connected = False
        self._reported_ns = now_ns
        for symbol in self.symbols:
            self.liveness.watch((symbol, feed))
            self._resume(symbol, now_ns)
        self.tell(now_ns)

    # ------------------------------------------------------------ in

    def on_event(self, event: Event, now_ns: int) -> list[Request]:
        """Take in what the feed says.

        Returns:
            What to ask it for.

        Raises:
            HubError: the hub cannot take more.
        """
        if isinstance(event, Quotes):
            if len(event.records):
                if self._follows_events:  # these are what will make it now
                    ts_event = event.records["ts_event"]
                    now_ns = max(now_ns, int(ts_event[0] if len(ts_event) == 1 else ts_event.max()))
                self.publisher.publish(event, now_ns)
        elif isinstance(event, Status):
            self._on_status(event, now_ns)
        elif isinstance(event, Malformed):
            self.publisher.malformed(event.raw, event.why, self.feed, now_ns)
        elif isinstance(event, MarketStatus):
            self.link.on_market(event)
            self._log(self.liveness.on_market(event.symbols, event.is_open, now_ns, event.detail))
        elif isinstance(event, VenueCandle):
            self._reconciler.on_candle(event)
        else:
            raise TypeError(f"{self.feed} gave a {type(event).__name__}, which is no event of a feed")
        return []

    def on_time(self, now_ns: int) -> list[Request]:
        """Look at what silence has come to mean, some four times a second of real time.

        Returns:
            What to ask the feed for.
        """
        self._log(self.liveness.on_time(now_ns))
        self._log_gaps(self.gaps.on_time(now_ns), now_ns)
        self.publisher.quarantine.on_time(now_ns)
        self._reconciler.on_time(now_ns)
        if now_ns - self._reported_ns >= REPORT_NS:
            self.report(now_ns)
        if self.link.due(now_ns):
            self.tell(now_ns)
        if self._ended:
            return []
        liveness = self.liveness
        dead = not self._connected and any(state is State.DEAD for state in liveness.states.values())
        request = self.ladder.look(now_ns, liveness.mute, whole=liveness.transport_failed, dead=dead, out=liveness.out)
        if request is None:
            return []
        self.link.on_repair(request, now_ns)
        return [request]

    def stop(self, now_ns: int, cause: str = "collector stopped") -> None:
        """Say in the hub that nobody watches from here on, and leave a last account."""
        self._log(self.liveness.stop(now_ns, cause))
        self.link.stop(cause, now_ns)
        self.tell(now_ns)
        self.publisher.quarantine.stop(now_ns)
        self.report(now_ns)

    def report(self, now_ns: int) -> None:
        """Log what came in so far and what became of it; `DataHub.get_status` and `ledger` show the latest."""
        self._reported_ns = now_ns
        skew_ns = self.skew.estimate_ns(now_ns)
        counts = {}
        for symbol, count in sorted(self.publisher.counts.items()):
            counts[symbol] = {**asdict(count), "quarantined": dict(count.quarantined), "in_flight": count.balance}
        told: dict[str, Any] = {
            "skew_ms": None if skew_ns is None else round(skew_ns / 1e6, 3),
            "counts": counts,
            "repairs_withheld": self.ladder.withheld,
        }
        marks.feed_report(self._hub, self.feed, told, now_ns)

    def tell(self, now_ns: int) -> None:
        """Log how the connection stands: what `tapehub doctor` answers from."""
        if now_ns > 0:  # a clock that follows the events has no time before the first
            marks.feed_link(self._hub, self.feed, self.link.tell(now_ns, self.liveness), now_ns)

    # ------------------------------------------------------------ what events mean

    def _on_status(self, event: Status, now_ns: int) -> None:
        liveness, kind = self.liveness, event.kind
        self.link.on_status(event, now_ns)
        if event.stage is Stage.ALLOWANCE:  # what streams goes on
            return
        if kind is StatusKind.HEARTBEAT:
            liveness.on_heartbeat(now_ns)
        elif kind is StatusKind.CONNECTED:
            self._connected, self._ended = True, False
            self._log(liveness.on_transport(True, now_ns))
        elif kind is StatusKind.SUBSCRIBED:
            self._log(liveness.on_subscribed(event.symbols, now_ns))
        elif kind is StatusKind.REFUSED:
            self._log(liveness.on_refused(event.symbols, now_ns, event.detail))
        else:
            self._connected = False
            self._ended = self._ended or kind is StatusKind.ENDED
            cause = event.detail or ("the feed has ended" if kind is StatusKind.ENDED else "disconnected")
            self._log(liveness.on_transport(False, now_ns, cause))

    def _on_verdict(self, verdict: Verdict, symbols: tuple[str, ...], source: str, now_ns: int) -> None:
        """Take in what came, before it is published: a gap must be in the log before the tick that ends it."""
        for index, _, accepted, ts_first, ts_last in verdict.arrivals:
            symbol = symbols[index]
            key = (symbol, source)
            if accepted:
                if key in self.gaps:
                    self._log_gaps(self.gaps.end(key, ts_first), now_ns)
                    self.rhythm.forget_last(symbol)
                if len(verdict.accepted) <= FEW:
                    self.rhythm.tick(symbol, ts_last)
                else:
                    rows = verdict.accepted["instrument"] == index
                    self.rhythm.ticks(symbol, verdict.accepted["ts_event"][rows])
                self.skew.observe(ts_last, now_ns)
            change = self.liveness.on_quotes(key, accepted, ts_last, now_ns)
            if change is not None:
                self._log([change])

    # ------------------------------------------------------------ states and gaps

    def _log(self, changes: list[Change]) -> None:
        for change in changes:
            self.link.changed = True
            marks.state(
                self._hub, change.symbol, change.source, change.state, change.cause, change.at_ns, change.since_ns
            )
            key = (change.symbol, change.source)
            if change.state is State.CLOSED:  # by the venue's word, perhaps before the calendar's time
                self._log_gaps(self.gaps.end(key, change.at_ns), change.at_ns)
                self.rhythm.forget_last(change.symbol)
            elif change.state.is_outage and not self._ended and self._has_ticked(key):
                self._log_gaps(self.gaps.begin(key, change.since_ns, change.at_ns, change.cause), change.at_ns)

    def _has_ticked(self, key: tuple[str, str]) -> bool:
        """Tell whether there ever was a tick: before the first one, nothing is missing."""
        channel = reading.find_channel(self._hub, *key)
        return channel is not None and int(reading.channel_state(self._hub, channel)[0]["ticks"]) > 0

    def _log_gaps(self, gaps: list[Gap], now_ns: int) -> None:
        for gap in gaps:
            marks.gap(self._hub, gap.symbol, gap.source, gap.start, gap.end, gap.cause, gap.status, at_ns=now_ns)

    def _resume(self, symbol: str, now_ns: int) -> None:
        """Begin a gap at the last tick that the hub has, or go on with the one that an earlier run did not see end."""
        key = (symbol, self.feed)
        channel = reading.find_channel(self._hub, *key)
        if channel is None:
            return
        # What lies ahead belongs to another time line: the clock was set back since.
        lasting = [row for row in self._hub.gaps(symbol, self.feed) if row["end"] is None and row["start"] <= now_ns]
        if lasting:
            last = lasting[-1]
            self.gaps.resume(Gap(*key, last["start"], None, last["cause"], GapStatus.OPEN))
            return
        block, _ = reading.channel_state(self._hub, channel)
        if int(block["latest"]["seq"]):
            since_ns = int(block["latest"]["ts_event"])
            if since_ns <= now_ns:
                self._log_gaps(self.gaps.begin(key, since_ns, now_ns, "collector restarted"), now_ns)
