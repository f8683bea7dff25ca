"""The keeper of a connection: opens it, watches it, opens it again; one task, one stream at a time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from tapehub.errors import ConfigError, FeedError, VenueError
from tapehub.feeds.backoff import Backoff
from tapehub.feeds.feed import MarketStatus, Repair, Stage, Status, StatusKind
from tapehub.feeds.ig.account import Account, Login
from tapehub.feeds.ig.budget import Item, Role, shown
from tapehub.feeds.ig.markets import is_halted, is_open
from tapehub.feeds.ig.protocol import Protocol
from tapehub.feeds.ig.refusals import STREAM_PATIENCE_S, Remedy, is_about_tokens, remedy_of, wait_s
from tapehub.feeds.ig.roster import Retry, Roster
from tapehub.feeds.ig.states import States
from tapehub.feeds.ig.tokens import Tokens

if TYPE_CHECKING:
    from tapehub.feeds.ig.feed import IgFeed
    from tapehub.feeds.ig.stream import Confirmed, Inbox, ItemRefused, ServerError, State, Stream

__all__ = ["Keeper"]

_log = logging.getLogger("tapehub.feeds.ig")
_TICK_S = 1.0  # how often timers are looked at
_FOR_GOOD = (Remedy.MEND, Remedy.ENCRYPT, Remedy.NONE)


@dataclass(slots=True)
class _Broken:
    why: str
    tokens_refused: bool = False
    wait_s: float = 0.0
    asked_for: bool = False
    login: bool = False


class Keeper:
    """Keep a feed connected. Methods in the loop's thread."""

    def __init__(
        self, feed: IgFeed, account: Account, protocol: Protocol, inbox: Inbox, ready: Callable[[], None]
    ) -> None:
        self._feed = feed
        self._settings = feed.settings
        self.account = account
        self._protocol = protocol
        self._inbox = inbox
        self._ready = ready
        self._orders: asyncio.Queue[_Broken | tuple[Repair, tuple[str, ...]]] = asyncio.Queue()
        self._stream: Stream | None = None
        self._number = 0
        self._confirmed: dict[str, int] = {}
        self._status_at_s = self._limits_at_s = 0.0
        self._connected = False
        self._was_connected = False
        self._error: ServerError | None = None
        self.states = States(account, self._market_state)
        self._roster = Roster(feed, account, self._refuse_symbol, self.states.found)
        self._tokens = Tokens(account, feed.settings, feed.credentials, self._renewed)

    # ---------------------------------------------------------------- the task

    async def run(self) -> None:
        """Stay connected until cancelled.

        Raises:
            VenueError, ConfigError: a login is refused for a reason that waiting does not cure.
        """
        backoff = Backoff(self._feed.rng, self._settings.retry_first_s, self._settings.retry_ceiling_s)
        loop = asyncio.get_running_loop()

        def tell_wait(why: str, wait_s: float) -> None:
            said = partial(self._say, StatusKind.REFUSED, why, stage=Stage.ALLOWANCE, wait_s=wait_s)
            loop.call_soon_threadsafe(said)

        self.account.tell_waits(tell_wait)
        broken = _Broken("")
        try:
            while True:
                stage = Stage.LOGIN
                try:
                    login = await self._tokens.fresh(wanted=broken.login)
                    stage = Stage.MARKETS
                    plan = await self._roster.make()
                    self._protocol.assign(plan.items, self._roster.known.scalers)
                except ConfigError as error:
                    self._say(StatusKind.REFUSED, str(error), stage=Stage.CREDENTIALS)
                    raise
                except Exception as error:
                    # A reply that cannot be read is as passing as one that does not come.
                    known = isinstance(error, FeedError)
                    why = str(error) if known else f"{type(error).__name__} while logging in"
                    code = error.code if isinstance(error, VenueError) else ""
                    self._say(StatusKind.REFUSED, why, stage=stage, code=code, where=self.account.base_url)
                    if not known:
                        _log.exception("while logging in")
                    remedy = Remedy.RETRY
                    if isinstance(error, VenueError):
                        remedy = remedy_of(error.code, error.status, at_login=error.at_login)
                    if remedy in _FOR_GOOD:
                        raise
                    await asyncio.sleep(backoff.next_s(wait_s(remedy)))
                    continue
                began_s = self._clock()
                broken = await self._connection(login)
                if self._was_connected and self._clock() - began_s >= self._settings.retry_ceiling_s / 2:
                    backoff.reset()
                _log.info("connection %d ended: %s", self._number, broken.why)
                # A repair that was asked for waits too: a consumer that asks in a circle must not hammer.
                await asyncio.sleep(backoff.next_s(broken.wait_s))
                # The error may have come after the state.
                if broken.tokens_refused or (self._error is not None and is_about_tokens(self._error.code)):
                    await self._wait_out(self._tokens.refused())
        finally:
            self._close_stream()
            self._tokens.close()

    async def _wait_out(self, patience_s: float) -> None:
        if patience_s:
            why = f"the streaming server refuses fresh tokens too: it is left alone for {patience_s:.0f} s"
            self._say(StatusKind.REFUSED, why, stage=Stage.ALLOWANCE, wait_s=patience_s)
            await asyncio.sleep(patience_s)

    async def _connection(self, login: Login) -> _Broken:
        """Hold one connection until it is over."""
        from tapehub.feeds.ig.stream import Stream

        self._number += 1
        self._error = None
        self._was_connected = False
        self.states.connecting()
        self._orders = asyncio.Queue()
        self._stream = Stream(
            login.endpoint, login.account, login.stream_password, inbox=self._inbox, now=self._feed.now,
            number=self._number,
        )  # fmt: skip
        self._stream.connect(self._roster.plan.items)
        deadline_s = self._clock() + self._settings.connect_within_s
        self._status_at_s = self._limits_at_s = self._clock() + self._settings.status_every_s
        chores = asyncio.create_task(self._chores(), name="ig-chores")
        try:
            while True:
                order = None
                with contextlib.suppress(asyncio.TimeoutError):
                    order = await asyncio.wait_for(self._orders.get(), _TICK_S)
                if isinstance(order, _Broken):
                    return order
                if order is not None and (broken := await self._repair(*order)) is not None:
                    return broken
                if self._connected:
                    deadline_s = self._clock() + self._settings.connect_within_s
                elif self._clock() > deadline_s:
                    why = f"not connected within {self._settings.connect_within_s:g} s"
                    self._say(StatusKind.DISCONNECTED, why, stage=Stage.STREAM, where=login.endpoint)
                    return _Broken(why)
        finally:
            chores.cancel()
            await asyncio.gather(chores, return_exceptions=True)
            self._close_stream()

    def _close_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
        if self._connected:
            self._connected = False
            self._say(StatusKind.DISCONNECTED, "connection given up")

    async def _chores(self) -> None:
        """Check tokens, ask for states that no stream tells, try refused symbols again.

        A task beside the connection, which none of it is worth: what fails here is logged, and tried again later each
        time, since a login that is refused while the stream is well must not be repeated every second. One chore's
        failure delays no other.
        """
        first_s, ceiling_s = self._settings.item_retry_first_s, self._settings.item_retry_ceiling_s
        rests = {
            chore: Retry(Backoff(self._feed.rng, first_s, ceiling_s), self._clock())
            for chore in (self._tokens.check, self._ask_states, self._retry_refused, self._read_limits)
        }
        while True:
            await asyncio.sleep(_TICK_S)
            for chore, rest in rests.items():
                if self._clock() < rest.at_s:
                    continue
                try:
                    await chore()
                    rest.backoff.reset()
                except Exception as error:
                    _log.warning("while connected: %s: %s", type(error).__name__, error)
                    rest.at_s = self._clock() + rest.backoff.next_s()

    def _renewed(self, login: Login) -> None:
        if self._stream is not None:
            self._stream.set_password(login.stream_password)

    async def _ask_states(self) -> None:
        if self.states.wanted:
            await self.states.ask_wanted(self._roster.epics)
        if self._clock() >= self._status_at_s:
            self._status_at_s = self._clock() + self._settings.status_every_s
            await self.states.ask_others(self._roster.epics)

    async def _read_limits(self) -> None:
        """Read the limits that could not be had at the login; a plan by them is made with the next connection."""
        if not self.account.allowances.as_read and self._clock() >= self._limits_at_s:
            self._limits_at_s = self._clock() + self._settings.status_every_s
            await asyncio.to_thread(self.account.read_allowances)
            self._roster.remark_limits()

    async def _retry_refused(self) -> None:
        for symbol in self._roster.due():
            item, gone = await self._roster.reconsider(symbol)
            if item is None or self._stream is None:
                continue
            if gone is not None:
                self._give_up(gone)
            self._protocol.assign(self._roster.plan.items, self._roster.known.scalers)
            self._stream.subscribe(item)

    def _give_up(self, item: Item) -> None:
        assert self._stream is not None
        self._stream.unsubscribe(item)
        self._confirmed.pop(item.name, None)
        if item.role is Role.PRICE:
            self.states.streamed.discard(item.symbol)

    # ---------------------------------------------------------------- what others want or report

    def order(self, step: Repair, symbols: tuple[str, ...]) -> None:
        """Take an order for a repair."""
        self._orders.put_nowait((step, symbols))

    async def _repair(self, step: Repair, symbols: tuple[str, ...]) -> _Broken | None:
        if step is not Repair.RESUBSCRIBE:
            if self._connected and await self.states.none_is_open(self._roster.epics):
                _log.info("no %s: IG says that all these markets are closed", step.value)
                return None
            return _Broken(f"{step.value} was asked for", asked_for=True, login=step is Repair.RELOGIN)
        if self._stream is not None:
            for item in self._roster.plan.items:
                if item.role is Role.TICK and (not symbols or item.symbol in symbols):
                    self._stream.subscribe(item)
        return None

    def is_current(self, name: str, serial: int) -> bool:
        """Tell whether an update belongs to the item's subscription that was confirmed last."""
        return self._confirmed.get(name) == serial

    def confirmed(self, entry: Confirmed) -> None:
        """Note that the server took a subscription."""
        self._confirmed[entry.name] = entry.serial
        item = self._roster.item(entry.name)
        if item is not None and item.role is Role.TICK:
            self._roster.taken(item.symbol)
            self._say(StatusKind.SUBSCRIBED, item.name, (item.symbol,), entry.ts_recv)
        elif item is not None and item.role is Role.PRICE:
            self.states.streamed.add(item.symbol)

    def item_refused(self, entry: ItemRefused) -> None:
        """Note that the server refused an item; the others go on."""
        why = f"IG refused {shown(entry.name)}: {entry.code} {entry.message}".rstrip()
        item = self._roster.item(entry.name)
        if item is not None and item.role is Role.TICK:
            self._say(
                StatusKind.REFUSED, f"{item.symbol}: {why}", (item.symbol,), entry.ts_recv,
                stage=Stage.SUBSCRIPTION, code=str(entry.code),
            )  # fmt: skip
            self._roster.retry_later(item.symbol)
        else:
            self._feed.remarks[shown(entry.name)] = why
            _log.info("%s; the feed goes on without it", why)

    def state_changed(self, entry: State) -> None:
        """Follow the client's state; one that will not mend itself ends the connection."""
        if entry.number != self._number or self._stream is None:
            return
        word = entry.word
        if word.startswith("CONNECTED:") and "SENSING" not in word:
            if not self._connected:
                self._connected = True
                detail = word + (", session recovered: nothing is lost" if self._was_connected else "")
                self._was_connected = True
                self._tokens.taken()
                self._say(StatusKind.CONNECTED, detail, ts_recv=entry.ts_recv, where=self._stream.endpoint)
                self.states.connected()
                # No connection changes it; a consumer takes one for a new chance.
                for symbol, why in self._roster.refused.items():
                    self._refuse_symbol(symbol, f"{symbol}: {why.removeprefix(f'{symbol}: ')}")
        elif word.startswith("DISCONNECTED"):
            recovering = word.endswith("TRYING-RECOVERY")
            if self._connected:
                self._connected = False
                what = "connection lost, recovering the session" if recovering else "connection lost"
                self._say(StatusKind.DISCONNECTED, f"{what} ({word})", ts_recv=entry.ts_recv)
            if not recovering:
                self._orders.put_nowait(_Broken(f"client says {word}"))

    def server_refused(self, entry: ServerError) -> None:
        """Note why the server refused or ended the session: the client stays away for good, so the keeper acts."""
        if entry.number != self._number:
            return
        self._error = entry
        kind = StatusKind.DISCONNECTED if self._was_connected else StatusKind.REFUSED
        why = f"streaming server: {entry.code} {entry.message}".rstrip()
        where = self._stream.endpoint if self._stream is not None else ""
        self._say(kind, why, ts_recv=entry.ts_recv, stage=Stage.STREAM, code=str(entry.code), where=where)
        patience_s = STREAM_PATIENCE_S.get(entry.code, 0.0)
        self._orders.put_nowait(_Broken(f"server error {entry.code}", is_about_tokens(entry.code), patience_s))

    # ---------------------------------------------------------------- helpers

    def _refuse_symbol(self, symbol: str, why: str) -> None:
        self._say(StatusKind.REFUSED, why, (symbol,), stage=Stage.SUBSCRIPTION)

    def _market_state(self, symbol: str, word: str) -> None:
        self._protocol.say(MarketStatus((symbol,), is_open(word), self._feed.now(), word, is_halted(word)))
        self._ready()

    def _say(
        self, kind: StatusKind, detail: str, symbols: tuple[str, ...] = (), ts_recv: int = 0, *,
        stage: Stage | None = None, code: str = "", where: str = "", wait_s: float = 0.0,
    ) -> None:  # fmt: skip
        roster = self._roster
        budget = (len(roster.plan.items), roster.limit) if roster.limit else None
        now_ns = ts_recv or self._feed.now()
        self._protocol.say(Status(kind, symbols, now_ns, detail, stage, code, where, budget, wait_s))
        self._ready()

    @staticmethod
    def _clock() -> float:
        return asyncio.get_running_loop().time()
