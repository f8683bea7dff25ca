"""The collector without its sockets: a feed's events and clock readings in, records into the hub and requests out.

What happens is a function of the events, the times they are given with, and the random generator: replaying them gives
the same log.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tapehub.collector.link import Link
from tapehub.collector.publisher import Publisher
from tapehub.collector.reconcile import Reconciler
from tapehub.collector.repair import Ladder, Request
from tapehub.collector.timing import Timing
from tapehub.feeds.feed import Event, Malformed, MarketStatus, Quotes, Stage, Status, StatusKind, VenueCandle
from tapehub.hub import marks, reading
from tapehub.hub.calendars import tables
from tapehub.model.sessions import Sessions
from tapehub.model.states import GapStatus, State
from tapehub.quality import Change, Gap, GapBook, Liveness, Reason, Rhythm, Skew, Verdict
from tapehub.quality.gate import FEW

if TYPE_CHECKING:
    from tapehub.hub import DataHub

__all__ = ["Core"]

_SECOND = 1_000_000_000
REPORT_NS = 60 * _SECOND
_LAST_QUOTE_NS = 60 * _SECOND
"""An accepted quote that is older is looked up in the calendar before a clock is measured by it."""
_CLOSED_TOLD_NS = 60 * _SECOND  # a venue that closes some seconds before its calendar does is no news


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
        calendar_of: the hours of a symbol's market; default are the hub's, holidays included.
        precounted: the feed counts what it receives, see `Publisher`.
        traced: keep a checksum of what was published, see `Publisher`.
        made_up: what its quotes are where no market is like that now, see `feeds.table.FeedRow`.
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
        calendar_of: Callable[[str], Sessions] | None = None,
        precounted: bool = False,
        traced: bool = False,
        made_up: str = "",
    ) -> None:
        self._hub = hub
        self.feed = feed
        self.symbols = tuple(symbols)
        self.rhythm = rhythm or Rhythm()
        self.skew = Skew()
        self._timing = Timing(hub, feed, self.skew, now_ns)
        self.publisher = Publisher(
            hub, follows_events=follows_events, precounted=precounted, traced=traced, on_verdict=self._on_verdict
        )
        self._calendar_of = calendar_of = calendar_of or hub.calendar
        self._closed_since: dict[tuple[str, str], tuple[int, str]] = {}
        self._tables = tables(hub)
        self.liveness = Liveness(calendar_of, self.rhythm, heartbeat=heartbeat)
        self.gaps = GapBook(calendar_of)
        self.ladder = Ladder(random)
        self.link = Link(now_ns, made_up)
        self._follows_events = follows_events
        self._reconciler = Reconciler(hub)
        self._ended = self._connected = False
        self._reported_ns = now_ns
        self._incarnation = hub._incarnation
        for symbol in self.symbols:
            self.liveness.watch((symbol, feed))
            self._resume(symbol, now_ns)
        self.tell(now_ns)

    # ------------------------------------------------------------ in

    def on_event(self, event: Event, now_ns: int) -> None:
        """Take in what the feed says. What to ask it for, `on_time` tells.

        Raises:
            HubError: the hub cannot take more.
        """
        if isinstance(event, Quotes):
            if len(event):
                if self._follows_events:  # these are what will make it now
                    now_ns = max(now_ns, event.newest_ns)
                self.publisher.publish(event, now_ns)
        elif isinstance(event, Status):
            self._on_status(event, now_ns)
        elif isinstance(event, Malformed):
            self._on_malformed(event, now_ns)
        elif isinstance(event, MarketStatus):
            self.link.on_market(event)
            changes = self.liveness.on_market(event.symbols, event.is_open, now_ns, event.detail, halted=event.halted)
            self._log(changes)
        elif isinstance(event, VenueCandle):
            self._reconciler.on_candle(event)
        else:
            raise TypeError(f"{self.feed} gave a {type(event).__name__}, which is no event of a feed")

    def on_time(self, now_ns: int) -> list[Request]:
        """Look at what silence has come to mean, some four times a second of real time.

        Returns:
            What to ask the feed for.
        """
        if moved_ns := self._timing.on_time(now_ns):
            now_ns += moved_ns
            self.tell(now_ns)  # whose correction it is must outlive this process
        if self._hub._incarnation != self._incarnation:
            self._state_anew(now_ns)
        if (found := tables(self._hub)) != self._tables:
            self._tables = found
            self.liveness.renew_calendars()
        self._log(self.liveness.on_time(now_ns))
        self._log_gaps(self.gaps.on_time(now_ns), now_ns)
        self.publisher.quarantine.on_time(now_ns)
        self._reconciler.on_time(now_ns)
        if not 0 <= now_ns - self._reported_ns < REPORT_NS:  # the clock may have been set back
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

    def take_opened(self) -> tuple[str, ...]:
        """Name the symbols whose calendars have just opened: the feed may be asked whether their markets did."""
        return self.liveness.take_opened()

    def stop(self, now_ns: int, cause: str = "collector stopped") -> None:
        """Say in the hub that nobody watches from here on, and leave a last account."""
        for key in list(self._closed_since):
            self._reopened(key, now_ns)
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
            "clock_corrected_ms": round(int(self._hub._hub_state()["skew_ns"]) / 1e6, 3),
            "counts": counts,
            "repairs_withheld": self.ladder.withheld,
        }
        marks.feed_report(self._hub, self.feed, told, now_ns)

    def tell(self, now_ns: int) -> None:
        """Log how the connection stands: what `tapehub doctor` answers from."""
        if now_ns > 0:  # a clock that follows the events has no time before the first
            told = self.link.tell(now_ns, self.liveness) | {"clock": self._timing.tell()}
            marks.feed_link(self._hub, self.feed, told, now_ns)

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

    def _on_malformed(self, event: Malformed, now_ns: int) -> None:
        """Keep what could not be read; where it tells whose it is, something came of that instrument."""
        self.publisher.malformed(event.raw, event.why, self.feed, now_ns, event.symbol, event.count)
        if event.symbol:
            change = self.liveness.on_quotes((event.symbol, self.feed), 0, 0, now_ns)
            if change is not None:
                self._log([change])

    def _on_verdict(self, verdict: Verdict, symbols: tuple[str, ...], source: str, now_ns: int) -> None:
        """Take in what came, before it is published: a gap must be in the log before the tick that ends it."""
        if len(verdict.quarantined):
            self._on_quarantined(verdict, now_ns)
        lasting = self.gaps.lasting
        for index, _, accepted, ts_first, ts_last in verdict.arrivals:
            symbol = symbols[index]
            key = (symbol, source)
            if accepted:
                if key in lasting:
                    self._log_gaps(self.gaps.end(key, ts_first), now_ns)
                    self.rhythm.forget_last(symbol)
                if isinstance(verdict.accepted, list) or len(verdict.accepted) <= FEW:
                    self.rhythm.tick(symbol, ts_last)
                else:
                    rows = verdict.accepted["instrument"] == index
                    self.rhythm.ticks(symbol, verdict.accepted["ts_event"][rows])
                # A closed market's last quote, given to whoever subscribes, has waited there: that is no journey.
                if now_ns - ts_last < _LAST_QUOTE_NS or self._calendar_of(symbol).is_open(now_ns):
                    self.skew.observe(ts_last, now_ns)
            change = self.liveness.on_quotes(key, accepted, ts_last, now_ns)
            if change is not None:
                self._log([change])

    def _on_quarantined(self, verdict: Verdict, now_ns: int) -> None:
        """Learn from quotes of the future: many of them are not wrong, the clock is."""
        rows = verdict.quarantined if isinstance(verdict.quarantined, list) else verdict.quarantined.tolist()
        for (ts_event, ts_recv, *_), reason in zip(rows, verdict.reasons.tolist(), strict=True):
            if reason == Reason.FUTURE:
                self.skew.observe_ahead(ts_event, ts_recv or now_ns)

    # ------------------------------------------------------------ states and gaps

    def _log(self, changes: list[Change]) -> None:
        for change in changes:
            self.link.changed = True
            marks.state(
                self._hub, change.symbol, change.source, change.state, change.cause, change.at_ns, change.since_ns
            )
            key = (change.symbol, change.source)
            self._reopened(key, change.at_ns)
            if change.state is State.CLOSED:  # by the venue's word, perhaps before the calendar's time
                if change.by_venue and self._calendar_of(change.symbol).is_open(change.at_ns):
                    self._closed_by_venue(key, change.at_ns, change.cause)
                else:
                    self._log_gaps(self.gaps.end(key, change.at_ns), change.at_ns)
                self.rhythm.forget_last(change.symbol)
            elif change.state.is_outage and not self._ended and self._has_ticked(key):
                self._log_gaps(self.gaps.begin(key, change.since_ns, change.at_ns, change.cause), change.at_ns)

    def _state_anew(self, now_ns: int) -> None:
        """Say again what holds, in a hub that was opened anew under this process, as when its memory was lost.

        What was said before is signed with a place that this process no longer has: nobody believes it, and an
        instrument that ticks would be shown as dead until its next change.
        """
        for row in self.liveness.tell():
            if row.state:
                state = State[row.state.upper()]
                marks.state(self._hub, row.symbol, row.source, state, row.cause, now_ns, row.since_ns)
        self.tell(now_ns)
        self.report(now_ns)
        self._incarnation = self._hub._incarnation  # only now: a hub that could not take it is told again

    def _closed_by_venue(self, key: tuple[str, str], now_ns: int, cause: str) -> None:
        """Take in that a market is closed at an hour at which its calendar is open: a holiday that it does not know.

        Where nothing came since the calendar opened it was closed all along, and what looked like an outage was none.
        """
        opened_ns = self.liveness.openings.get(key[0])
        if opened_ns is None or opened_ns <= self._last_tick_ns(key):
            self._log_gaps(self.gaps.end(key, now_ns), now_ns)
        else:
            self._closed_since[key] = opened_ns, cause
            self._log_gaps(self.gaps.closed(key, opened_ns, now_ns, cause), now_ns)

    def _reopened(self, key: tuple[str, str], now_ns: int) -> None:
        """Say how long a market stayed closed that should have opened: nobody need ask history for those minutes."""
        since_ns, cause = self._closed_since.pop(key, (0, ""))
        closes_ns = self._calendar_of(key[0]).next_close(since_ns) if cause else None
        end_ns = now_ns if closes_ns is None else min(now_ns, closes_ns)
        if cause and end_ns - since_ns >= _CLOSED_TOLD_NS:
            self._log_gaps([Gap(*key, since_ns, end_ns, cause, GapStatus.CLOSED_MARKET)], now_ns)

    def _last_tick_ns(self, key: tuple[str, str]) -> int:
        channel = reading.find_channel(self._hub, *key)
        return -1 if channel is None else int(reading.channel_state(self._hub, channel)[0]["latest"]["ts_event"])

    def _has_ticked(self, key: tuple[str, str]) -> bool:
        """Tell whether there ever was a tick: before the first one, nothing is missing."""
        channel = reading.find_channel(self._hub, *key)
        return channel is not None and int(reading.channel_state(self._hub, channel)[0]["ticks"]) > 0

    def _log_gaps(self, gaps: list[Gap], now_ns: int) -> None:
        for gap in gaps:
            marks.gap(
                self._hub, gap.symbol, gap.source, gap.start, gap.end, gap.cause, gap.status, at_ns=now_ns,
                # It covers no less of the market for having been closed.
                noted=gap.status is GapStatus.CLOSED_MARKET,
            )  # fmt: skip

    def _resume(self, symbol: str, now_ns: int) -> None:
        """Begin a gap at the last tick that the hub has, or go on with the one that an earlier run did not see end."""
        key = (symbol, self.feed)
        channel = reading.find_channel(self._hub, *key)
        if channel is None:
            return
        # What lies ahead belongs to another time line: the clock was set back since.
        known = [row for row in self._hub.gaps(symbol, self.feed) if row["start"] <= now_ns]
        lasting = [row for row in known if row["end"] is None]
        if lasting:
            last = lasting[-1]
            self.gaps.resume(Gap(*key, last["start"], None, last["cause"], GapStatus.OPEN))
            return
        block, _ = reading.channel_state(self._hub, channel)
        if int(block["latest"]["seq"]):
            since_ns = int(block["latest"]["ts_event"])
            for row in known:  # said already, up to the market's closing, and perhaps filled since
                if row["start"] <= since_ns < row["end"]:
                    since_ns = row["end"]
            if since_ns <= now_ns:
                self._log_gaps(self.gaps.begin(key, since_ns, now_ns, "collector restarted"), now_ns)
