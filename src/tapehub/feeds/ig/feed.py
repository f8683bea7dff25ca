"""IG as a live feed: login, plan, stream, and the way back when one of them fails.

A connection that is cut is first recovered by the client (the same session: nothing is lost, nothing merged anew). When
that fails, the session is over: tokens that IG has just vouched for, a new stream, all merges cleared. One keeper task
decides; what callbacks and callers want of it arrives as orders.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from tapehub.errors import ConfigError
from tapehub.feeds.backoff import Backoff
from tapehub.feeds.feed import Event, Guarantees, LiveFeed, Malformed, Quotes, Repair, Stage, Status, StatusKind
from tapehub.feeds.ig.account import Account
from tapehub.feeds.ig.budget import shown
from tapehub.feeds.ig.credentials import Credentials, find_credentials
from tapehub.feeds.ig.epics import FORMS, looks_like_epic, symbol_of
from tapehub.feeds.ig.keeper import Keeper
from tapehub.feeds.ig.protocol import Protocol
from tapehub.feeds.ig.settings import Settings
from tapehub.model.instruments import InstrumentBook

if TYPE_CHECKING:
    from tapehub.feeds.ig.stream import Entry, Inbox

__all__ = ["IgFeed"]

_PENDING_MAX = 1_000_000


class IgFeed(LiveFeed):
    """Quotes of IG over the official streaming client. One consumer at a time, in one event loop.

    Order: as IG sends within an instrument. Loss: none within a session, recovered ones included; between sessions
    what IG quoted meanwhile is lost, and DISCONNECTED and CONNECTED say from when to when. Duplicates: the last tick
    may come again after a new session (the gate drops it).

    Args:
        symbols: instruments in any spelling, or epics; those of `epics` when empty.
        credentials: looked up where `find_credentials` looks when None.
        now: the hub clock, ns UTC: `DataHub.now`.
        rng: for jitter.
        base_url: of another REST API than IG's, such as the simulator's.
        epics: the configured epic of each symbol, before the built-in table.
        book: the hub's instruments, for plausible prices; epics become aliases in it.
        form: of the epics in the built-in table: CFD, MINI or TODAY.
        settings: what else can be chosen, see `Settings`.
    """

    counts_received = True
    # No heartbeat is promised: IG may refuse that item, and the budget may have no place for it.
    guarantees = Guarantees(receive_times=True)

    def __init__(
        self,
        symbols: Iterable[str] = (),
        *,
        credentials: Credentials | None = None,
        now: Callable[[], int],
        rng: random.Random | None = None,
        base_url: str | None = None,
        epics: Mapping[str, str] | None = None,
        book: InstrumentBook | None = None,
        form: str = "CFD",
        settings: Settings | None = None,
        name: str = "ig",
    ) -> None:
        self.name = name
        self.book = book or InstrumentBook()
        self.epics = {self.book.name(symbol): epic for symbol, epic in (epics or {}).items()}
        if form not in FORMS:
            raise ConfigError(f"IG form is {form!r}, expected one of {', '.join(FORMS)}")
        self.form = form
        names = [self._symbol(word) for word in (symbols or self.epics)]
        self.symbols = tuple(dict.fromkeys(names))
        if not self.symbols:
            raise ConfigError("the feed ig has no symbol: name some, or put epics into [ig.epics] of tapehub.toml")
        self.settings = settings or Settings()
        self.base_url = base_url
        self.now = now
        self.rng = rng or random.Random()
        self.credentials = credentials or find_credentials()
        self._keeper: Keeper | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._barred = Backoff(self.rng, self.settings.barred_first_s, self.settings.barred_ceiling_s)
        self._barred_until_s = float("-inf")
        self.faults = 0
        self._remarks: dict[str, str] = {}
        self._left: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"IgFeed({', '.join(self.symbols)})"

    @property
    def account(self) -> Account | None:
        """Give the REST session while `events` runs."""
        return self._keeper.account if self._keeper is not None else None

    @property
    def remarks(self) -> dict[str, str]:
        """Say what the feed goes on without: items beyond the budget, items IG refused, limits it did not tell."""
        return self._remarks

    def ask_markets(self, symbols: tuple[str, ...]) -> None:
        """Ask for IG's word on markets that opened by their calendars, from any thread."""
        if self._loop is not None and self._keeper is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._keeper.states.want, symbols)

    async def events(self) -> AsyncGenerator[Event, None]:
        """Iterate over what IG says, reconnecting by itself, until the consumer leaves.

        Raises:
            VenueError: IG refuses the login for good (its code says why): a changed password, a locked account.
            ConfigError: the account number is none of the login's.

        Iterated again after that, it waits before it logs in: a wrong password that is repeated locks the account, and
        whoever restarts feeds need not know that.
        """
        if (wait_s := self._barred_until_s - asyncio.get_running_loop().time()) > 0:
            why = f"no login before {wait_s / 60:.0f} min have passed, since IG refused the last one for good"
            yield Status(StatusKind.REFUSED, (), self.now(), why, Stage.ALLOWANCE, wait_s=wait_s)
            await asyncio.sleep(wait_s)
        self._loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        protocol = Protocol(self.symbols, self.name)
        # In a thread, since the libraries underneath take a second to import.
        account, make_inbox = await asyncio.to_thread(self._prepare)

        def digest() -> None:
            while len(inbox) and protocol.pending < _PENDING_MAX:
                for entry in inbox.take(4096):
                    self._handle(entry, keeper, protocol)
            if inbox.overflowed:
                lost, inbox.overflowed = inbox.overflowed, Counter()
                self.faults += 1
                for symbol, count in lost.items():
                    why = f"{count} updates of the stream found no room: the consumer is too slow"
                    protocol.lose(symbol, count, why, self.now())
            ready.set()

        inbox = make_inbox(self._loop, digest, self.on_received)
        taken: deque[Event] = deque()
        keeper = self._keeper = Keeper(self, account, protocol, inbox, ready.set)
        keeping = asyncio.create_task(keeper.run(), name="ig-keeper")
        keeping.add_done_callback(lambda _: ready.set())
        try:
            while True:
                await ready.wait()
                ready.clear()
                taken.extend(protocol.take())
                while taken:
                    yield taken.popleft()
                if len(inbox):
                    digest()
                if keeping.done() and not protocol.pending:
                    self._barred_until_s = self._loop.time() + self._barred.next_s()
                    keeping.result()
                    return
        finally:
            keeping.cancel()
            try:
                await asyncio.gather(keeping, return_exceptions=True)
            finally:
                self._leave(inbox, protocol, taken)
                self._keeper = None
                account.close()

    def repair(self, step: Repair, symbols: tuple[str, ...] = ()) -> None:
        """Ask for a repair, from any thread; nothing happens while `events` does not run."""
        if self._loop is not None and self._keeper is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._keeper.order, step, symbols)

    def take_left(self) -> dict[str, int]:
        """Give, by symbol, the quotes that came and that nobody took before the iterator was closed; once."""
        left, self._left = self._left, Counter()
        return dict(left)

    def _leave(self, inbox: Inbox, protocol: Protocol, taken: Iterable[Event]) -> None:
        """Count what came and is not handed over any more."""
        from tapehub.feeds.ig.stream import Update

        for entry in inbox.close():
            if isinstance(entry, Update):
                protocol.update(entry.name, entry.changes, entry.ts_recv, entry.symbol)
        for symbol, count in inbox.overflowed.items():
            protocol.lose(symbol, count, "no room", 0)
        for event in (*taken, *protocol.take()):
            if isinstance(event, Quotes):
                for row in event.records["instrument"].tolist():
                    self._left[event.symbols[row]] += 1
            elif isinstance(event, Malformed) and event.symbol:
                self._left[event.symbol] += event.count

    def _prepare(self) -> tuple[Account, type[Inbox]]:
        from tapehub.feeds.ig.stream import Inbox

        account = Account(
            self.credentials,
            now=self.now,
            base_url=self.base_url,
            version=self.settings.session_version,
            reserved_share=self.settings.reserved_share,
            assumed_life_s=self.settings.assumed_life_s,
            barred_first_s=self.settings.barred_first_s,
            barred_ceiling_s=self.settings.barred_ceiling_s,
        )
        return account, Inbox

    def _symbol(self, word: str) -> str:
        if not looks_like_epic(word):
            return self.book.name(word)
        symbol = symbol_of(word, self.epics)
        if symbol is None:
            raise ConfigError(
                f"epic {word} stands for no symbol known here: expected one of the built-in table, or a line in "
                f'[ig.epics] of tapehub.toml such as MY_SYMBOL = "{word}"'
            )
        self.epics.setdefault(symbol, word)
        return symbol

    def _handle(self, entry: Entry, keeper: Keeper, protocol: Protocol) -> None:
        from tapehub.feeds.ig import stream as said

        match entry:
            case said.Update():
                if keeper.is_current(entry.name, entry.serial):
                    protocol.update(entry.name, entry.changes, entry.ts_recv, entry.symbol)
                else:
                    protocol.late(entry.name, entry.changes, entry.ts_recv, entry.symbol)
            case said.Confirmed():
                protocol.subscribed(entry.name)
                keeper.confirmed(entry)
            case said.Lost():
                why = f"IG's server dropped {entry.updates} updates of {shown(entry.name)}"
                protocol.say(Malformed(b"", why, entry.ts_recv))
            case said.Fault():
                self.faults += 1
                protocol.say(Malformed(shown(entry.name).encode(), f"our callback failed: {entry.why}", entry.ts_recv))
            case said.ItemRefused():
                keeper.item_refused(entry)
            case said.State():
                keeper.state_changed(entry)
            case said.ServerError():
                keeper.server_refused(entry)
