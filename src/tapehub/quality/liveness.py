"""Tell, in market time, whether each instrument's feed is live: events and clock readings in, changes of state out.

Three layers speak, the strongest first:

1. The market: what the venue said of it, else its calendar. The venue's word holds until the calendar next opens or
   closes, so that Friday's "closed" does not hide a mute Sunday evening. Whatever is `CLOSED` raises no alarm, and
   what the venue has halted (an auction) is `QUIET` at worst.
2. The transport: gone, or the subscription refused, is `DEAD`.
3. The item: silent for longer than its rhythm allows is `STALE` when others flow or the heartbeat stopped; when nothing
   flows and the heartbeat is fine, the market is slow: `QUIET`. Only a tick ends `STALE`.

Two silences are `STALE` after four times the rhythm's threshold, whatever the heartbeat says: of everything, where the
venue has no heartbeat; and of everything since the market opened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tapehub.model.sessions import Sessions
from tapehub.model.states import State
from tapehub.quality.rhythm import Rhythm

__all__ = ["Change", "Key", "Liveness", "Row"]

Key = tuple[str, str]
"""Symbol and source."""

_SECOND = 1_000_000_000
_NEVER = -(1 << 63)
_EVER = (1 << 63) - 1
HEARTBEAT_LOST_NS = 15 * _SECOND
"""Until the pace of a heartbeat is known; then three beats, at least this long."""
PATIENCE = 4
FLOWS_NS = 5 * _SECOND


@dataclass(frozen=True, slots=True)
class Change:
    """Say that a state changed.

    Attributes:
        before: None for the first state of a run.
        by_venue: it is the venue's word that makes it `CLOSED`, not the calendar.
        since_ns: when data were last known to be good, which is earlier than `at_ns` when silence was waited out; not
            before the market opened, since what was missing before its closing was said then.
    """

    symbol: str
    source: str
    before: State | None
    state: State
    cause: str
    at_ns: int
    since_ns: int
    by_venue: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Show what is known of an instrument from one source.

    Attributes:
        state: its label, empty while there is none.
        since_ns: when that state began; None without one.
        ticked_ns: when the last accepted tick came; None before the first.
        heard_ns: when anything of it came, accepted or not.
    """

    symbol: str
    source: str
    state: str
    cause: str
    since_ns: int | None
    ticked_ns: int | None
    heard_ns: int | None


class _Item:
    """What is known of one instrument from one source."""

    __slots__ = (
        "calendar_open", "calendar_turns_ns", "cause", "halted", "heard_ns", "key", "open", "opened_ns", "refused",
        "state", "stated_ns", "subscribed_ns", "threshold_ns", "ticked_ns", "ts_event", "word", "word_until_ns",
    )  # fmt: skip

    def __init__(self, key: Key) -> None:
        self.key = key
        self.state: State | None = None
        self.cause = ""
        self.stated_ns = _NEVER
        self.ticked_ns = _NEVER  # when the last accepted tick came
        self.heard_ns = _NEVER  # when anything of it came, accepted or not
        self.ts_event = _NEVER  # of the last accepted tick
        self.subscribed_ns = _NEVER
        self.refused = ""
        self.word: bool | None = None
        self.halted = ""  # the venue's word for it
        self.word_until_ns = _NEVER
        self.open: bool | None = None
        self.opened_ns = _NEVER
        self.calendar_open = True
        self.calendar_turns_ns = _NEVER
        self.threshold_ns = _EVER

    @property
    def excused(self) -> bool:
        """Tell whether no repair could bring it back: its subscription is refused, or its market halted."""
        return bool(self.refused or self.halted)

    def is_heard(self, now_ns: int) -> bool:
        """Tell whether quotes come that the gate lets none of through."""
        return self.heard_ns > self.ticked_ns and now_ns - self.heard_ns <= self.threshold_ns


class Liveness:
    """Hold the states of one feed's instruments. One thread.

    Args:
        calendar_of: the calendar of a symbol.
        rhythm: how long each is used to be silent.
        heartbeat: the venue promised one; without, the first that is seen on a connection counts as such a promise, as
            long as that connection lasts: on the next one the item may be refused, or have no place.
    """

    def __init__(self, calendar_of: Callable[[str], Sessions], rhythm: Rhythm, *, heartbeat: bool = False) -> None:
        self._calendar_of = calendar_of
        self._rhythm = rhythm
        self._guaranteed = self._promised = heartbeat
        self._items: dict[Key, _Item] = {}
        self._connected = self._announced = False
        self._disconnected = "not connected yet"
        self._connected_ns = _NEVER
        self._beat_ns = _NEVER
        self._beat_every_ns = 0
        self._signs_ns = _NEVER  # anything at all came through the transport
        self._looked_ns = _NEVER
        self._just_opened: set[str] = set()
        self.openings: dict[str, int] = {}
        """When the calendar of a symbol opened last, while this was watched; ns UTC."""

    # ------------------------------------------------------------ events

    def watch(self, key: Key) -> None:
        """Take up an instrument; what is heard of one that is not watched is taken up by itself."""
        self._items.setdefault(key, _Item(key))

    def on_quotes(self, key: Key, accepted: int, ts_event: int, now_ns: int) -> Change | None:
        """Take in that quotes of an instrument came, and how many of them the gate let through."""
        item = self._items.get(key)
        if item is None:
            item = self._items[key] = _Item(key)
        item.heard_ns = self._signs_ns = now_ns
        if not self._announced and not self._connected:  # a feed that says nothing of its transport
            self._connected, self._connected_ns = True, now_ns
        if not accepted:
            return None
        item.ticked_ns = now_ns
        if ts_event > item.ts_event:
            item.ts_event = ts_event
        if item.state is State.LIVE and now_ns < item.calendar_turns_ns and item.word is not False:
            return None
        item.refused = ""
        return self._judge(item, now_ns)

    def on_transport(self, connected: bool, now_ns: int, cause: str = "") -> list[Change]:
        """Take in that the transport came up or went away."""
        self._connected, self._announced = connected, True
        if connected:
            self._connected_ns = self._signs_ns = self._beat_ns = now_ns
            self._promised, self._beat_every_ns = self._guaranteed, 0
            for item in self._items.values():
                item.refused = ""
                item.subscribed_ns = _NEVER
        else:
            self._disconnected = cause or "disconnected"
        return self.on_time(now_ns)

    def on_subscribed(self, symbols: Iterable[str], now_ns: int) -> list[Change]:
        """Take in that the venue confirmed: from now on silence means something. No symbols stand for all."""
        self._signs_ns = now_ns
        for item in self._of(symbols):
            item.subscribed_ns, item.refused = now_ns, ""
        return self.on_time(now_ns)

    def on_refused(self, symbols: Iterable[str], now_ns: int, why: str) -> list[Change]:
        """Take in that a subscription, or without symbols the login, was refused."""
        for item in self._of(symbols):
            item.refused = f"refused: {why}" if why else "refused"
        return self.on_time(now_ns)

    def on_heartbeat(self, now_ns: int) -> None:
        """Take in that the transport is alive, and how often it says so."""
        if self._promised and self._beat_ns != _NEVER:
            every = now_ns - self._beat_ns
            known = self._beat_every_ns or every
            self._beat_every_ns = known + (min(every, 4 * known) - known) // 8  # one that is late changes little
        self._promised = True
        self._beat_ns = self._signs_ns = now_ns

    def on_market(
        self, symbols: Iterable[str], is_open: bool | None, now_ns: int, word: str = "", *, halted: bool = False
    ) -> list[Change]:
        """Take in what the venue says of its markets; in one that it has halted, silence means nothing."""
        self._signs_ns = now_ns
        for item in self._of(symbols):
            self._turn_calendar(item, now_ns)
            item.word, item.word_until_ns = is_open, item.calendar_turns_ns
            if item.halted and not halted:  # silence counts from here
                item.opened_ns = now_ns
            item.halted = (word or "halted") if halted else ""
        return self.on_time(now_ns, word=word)

    def on_time(self, now_ns: int, word: str = "") -> list[Change]:
        """Look at every instrument: what silence has come to mean by now."""
        self._looked_ns = now_ns
        for item in self._items.values():
            item.threshold_ns = self._rhythm.threshold_ns(item.key[0], now_ns)
        changes = (self._judge(item, now_ns, word) for item in self._items.values())
        return [change for change in changes if change is not None]

    def renew_calendars(self) -> None:
        """Ask for every calendar anew: its sessions have changed."""
        for item in self._items.values():
            item.calendar_turns_ns = _NEVER

    def take_opened(self) -> tuple[str, ...]:
        """Name the symbols whose calendars have opened since this was asked for last."""
        opened, self._just_opened = self._just_opened, set()
        return tuple(sorted(opened))

    def stop(self, now_ns: int, cause: str) -> list[Change]:
        """Say that nobody watches from here on: all are `DEAD`, but for those whose market is closed."""
        self._connected, self._announced, self._disconnected = False, True, cause
        return self.on_time(now_ns)

    # ------------------------------------------------------------ questions

    def state(self, key: Key) -> State:
        """Give the state of an instrument."""
        item = self._items.get(key)
        return State.UNVERIFIED if item is None or item.state is None else item.state

    @property
    def states(self) -> dict[Key, State]:
        """Give all states; one that has none yet is left out."""
        return {key: item.state for key, item in self._items.items() if item.state is not None}

    def tell(self) -> list[Row]:
        """Show all that is watched."""
        return [
            Row(
                *item.key, "" if item.state is None else item.state.label, item.cause,
                *(None if at_ns == _NEVER else at_ns for at_ns in (item.stated_ns, item.ticked_ns, item.heard_ns)),
            )
            for item in self._items.values()
        ]  # fmt: skip

    @property
    def beat_ns(self) -> int | None:
        """Give when the last heartbeat came; None where there is none, or none yet."""
        return self._beat_ns if self._promised and self._beat_ns != _NEVER else None

    def heartbeat_lost(self, now_ns: int) -> bool:
        """Tell whether a heartbeat that was promised stays away, and nothing else came either."""
        limit = max(HEARTBEAT_LOST_NS, 3 * self._beat_every_ns)
        return self._promised and now_ns - max(self._beat_ns, self._signs_ns) > limit

    @property
    def mute(self) -> list[str]:
        """Name the `STALE` instruments of which nothing at all comes, so that a repair may help.

        Where quotes come and all of them are in quarantine, no new subscription would make them better. One bad quote
        before the silence is no such thing: it must not keep an item that fell mute after it from being repaired.
        """
        return [
            item.key[0]
            for item in self._items.values()
            if item.state is State.STALE and not item.is_heard(self._looked_ns) and not item.excused
        ]

    @property
    def out(self) -> set[str]:
        """Name the instruments that have not ticked since they fell out, and that a repair may bring back."""
        return {
            item.key[0]
            for item in self._items.values()
            if item.state is not None and item.state.is_outage and not item.excused
        }

    @property
    def transport_failed(self) -> bool:
        """Tell whether all that should flow is out: no single instrument's fault."""
        watched = [item for item in self._items.values() if item.state not in (None, State.CLOSED) and not item.excused]
        return bool(watched) and all(item.state in (State.STALE, State.DEAD) for item in watched)

    # ------------------------------------------------------------ rules

    def _of(self, symbols: Iterable[str]) -> list[_Item]:
        wanted = set(symbols)
        return [item for item in self._items.values() if not wanted or item.key[0] in wanted]

    def _turn_calendar(self, item: _Item, now_ns: int) -> None:
        if now_ns < item.calendar_turns_ns:
            return
        calendar = self._calendar_of(item.key[0])
        was_open, turned_ns = item.calendar_open, item.calendar_turns_ns
        item.calendar_open = calendar.is_open(now_ns)
        if item.calendar_open and not was_open and turned_ns != _NEVER:
            self.openings[item.key[0]] = turned_ns
            self._just_opened.add(item.key[0])
        turn = calendar.next_close(now_ns) if item.calendar_open else calendar.next_open(now_ns)
        item.calendar_turns_ns = _EVER if turn is None else turn

    def _judge(self, item: _Item, now_ns: int, word: str = "") -> Change | None:
        turned_ns = item.calendar_turns_ns
        self._turn_calendar(item, now_ns)
        if now_ns >= item.word_until_ns:
            item.word, item.halted = None, ""
        is_open = item.calendar_open if item.word is None else item.word
        if is_open and item.open is False:  # silence counts from here
            item.opened_ns = turned_ns if item.word is None and _NEVER < turned_ns <= now_ns else now_ns
        item.open = is_open
        state, cause = self._state(item, now_ns, is_open, word)
        if state is None or state is item.state:
            return None
        before, item.state, item.cause, item.stated_ns = item.state, state, cause, now_ns
        good = max(item.ts_event, item.opened_ns) if item.ts_event != _NEVER else now_ns
        since = min(good, now_ns) if state.is_outage else now_ns
        by_venue = state is State.CLOSED and item.word is False
        return Change(*item.key, before, state, cause, now_ns, since, by_venue)

    def _state(self, item: _Item, now_ns: int, is_open: bool, word: str) -> tuple[State | None, str]:
        if not is_open:
            return State.CLOSED, f"venue: {word or 'closed'}" if item.word is False else "calendar"
        if not self._connected:
            return State.DEAD, self._disconnected
        if item.refused:
            return State.DEAD, item.refused
        # Silence begins with the last tick, or when one could have come at the earliest.
        from_ns = max(item.ticked_ns, item.subscribed_ns, self._connected_ns, item.opened_ns)
        silent_ns = now_ns - from_ns
        if silent_ns <= item.threshold_ns:
            if item.ticked_ns == from_ns:
                return State.LIVE, "ticks"
            # Nothing came since the market opened, or the connection: what was known still stands.
            return (State.QUIET, "waiting for the first tick") if item.state is State.CLOSED else (item.state, "")
        if item.state is State.STALE:
            return State.STALE, item.cause
        shown = f"silent for {silent_ns / 1e9:.0f} s"
        if item.halted:
            return State.QUIET, f"{shown}, venue: {item.halted}"
        if self.heartbeat_lost(now_ns):
            return State.STALE, f"{shown}, heartbeat stopped"
        if self._others_flow(item, now_ns):
            if item.is_heard(now_ns):
                return State.STALE, f"{shown}, its quotes are in quarantine"
            return State.STALE, f"{shown} while others flow"
        if silent_ns > PATIENCE * item.threshold_ns and (not self._promised or item.ticked_ns < item.opened_ns):
            return State.STALE, f"{shown}, as is all else"
        return State.QUIET, shown

    def _others_flow(self, item: _Item, now_ns: int) -> bool:
        """Tell whether another instrument ticked just now: when all fall silent, one is the first to be noticed."""
        return any(
            other is not item and other.state is not State.CLOSED and now_ns - other.ticked_ns <= FLOWS_NS
            for other in self._items.values()
        )
