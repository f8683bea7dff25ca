"""The keeper of a connection: opens it, watches it, opens it again; one task, one stream at a time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from tapehub.errors import ConfigError, FeedError, VenueError
from tapehub.feeds.backoff import Backoff
from tapehub.feeds.feed import MarketStatus, Repair, Stage, Status, StatusKind
from tapehub.feeds.ig.account import Account, Login
from tapehub.feeds.ig.budget import Plan, Role, plan_of, tick_item
from tapehub.feeds.ig.catalogue import Catalogue, Entries
from tapehub.feeds.ig.lending import Lender
from tapehub.feeds.ig.markets import is_open
from tapehub.feeds.ig.protocol import Protocol
from tapehub.feeds.ig.refusals import Remedy, remedy_of, wait_s

if TYPE_CHECKING:
    from tapehub.feeds.ig.feed import IgFeed
    from tapehub.feeds.ig.stream import Confirmed, Inbox, ItemRefused, ServerError, State, Stream

__all__ = ["Keeper"]

_log = logging.getLogger("tapehub.feeds.ig")
_TICK_S = 1.0  # how often timers are looked at
_FOR_GOOD = (Remedy.MEND, Remedy.ENCRYPT, Remedy.NONE)
# Seconds to wait at least after a session's refusal. Source: TLCP specification, appendix of error codes.
_PATIENCE_S = {
    3: 300.0, 60: 300.0, 65: 300.0, 71: 300.0,  # this client is not allowed here: someone has to act
    7: 60.0, 8: 60.0, 9: 60.0, 10: 60.0,  # limits of the server
    35: 30.0,  # replaced by another stream of the same user: two that fight help nobody
}  # fmt: skip

Answer = TypeVar("Answer")


@dataclass(slots=True)
class _Broken:
    why: str
    tokens_refused: bool = False
    wait_s: float = 0.0
    asked_for: bool = False
    login: bool = False


@dataclass(slots=True)
class _Retry:
    backoff: Backoff
    at_s: float


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
        self._catalogue = Catalogue(account, feed.epics, feed.book, feed.form)
        self._known = Entries()
        self._plan = Plan((), {}, {})
        self._stream: Stream | None = None
        self._number = 0
        self._confirmed: dict[str, int] = {}
        self._retries: dict[str, _Retry] = {}
        self._connected = False
        self._was_connected = False
        self._error: ServerError | None = None
        self._login_at_s = float("-inf")
        self._early_states: dict[str, str] = {}
        self._limit = 0
        self._lender = Lender(feed.settings.lend_at)
        self._streamed_states: set[str] = set()

    # ---------------------------------------------------------------- the task

    async def run(self) -> None:
        """Stay connected until cancelled.

        Raises:
            VenueError, ConfigError: a login is refused for a reason that waiting does not cure.
        """
        backoff = Backoff(self._feed.rng, self._settings.retry_first_s, self._settings.retry_ceiling_s)
        loop = asyncio.get_running_loop()

        def tell_wait(why: str) -> None:
            loop.call_soon_threadsafe(partial(self._say, StatusKind.REFUSED, why, stage=Stage.ALLOWANCE))

        self.account.tell_waits(tell_wait)
        login: Login | None = None
        broken = _Broken("")
        try:
            while True:
                stage = Stage.LOGIN
                try:
                    login = await self._log_in(login, broken)
                    self._lend(login)
                    stage = Stage.MARKETS
                    await self._look_up()
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
                    remedy = remedy_of(error.code, error.status) if isinstance(error, VenueError) else Remedy.RETRY
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
                if self._error is not None:  # it may have come after the state
                    broken.tokens_refused = broken.tokens_refused or _about_tokens(self._error.code)
        finally:
            self._close_stream()
            self._lender.close()

    def _lend(self, login: Login) -> None:
        if self._settings.lend:
            self._lender.lend(login, self._feed.credentials)

    async def _log_in(self, login: Login | None, broken: _Broken) -> Login:
        relogin = broken.tokens_refused
        if broken.login and self._clock() - self._login_at_s >= self._settings.login_every_s:
            relogin = True
        before = self.account.logins
        fresh = await self._ask(lambda: self.account.fresh(login, refused=relogin))
        if self.account.logins > before:
            self._login_at_s = self._clock()
        return fresh

    async def _look_up(self) -> None:
        """Find out what the symbols mean, once; plan the subscriptions for what is known."""
        unknown = [one for one in self._feed.symbols if one not in self._known.epics and one not in self._known.refused]
        if unknown:
            self._add(await self._ask(lambda: self._catalogue.look_up(unknown)))
        self._limit = self.account.allowances.subscriptions
        if self._settings.subscriptions_max is not None:
            self._limit = min(self._limit, self._settings.subscriptions_max)
        login = self.account.login()
        wanted = {symbol: self._known.epics[symbol] for symbol in self._feed.symbols if symbol in self._known.epics}
        self._plan = plan_of(
            self._limit, wanted, login.account, heartbeat=self._settings.heartbeat, states=self._settings.states,
            candles=self._settings.candles,
        )  # fmt: skip
        self._feed.remarks |= self._plan.left_out
        self._protocol.assign(self._plan.items, self._known.scalers)

    def _add(self, found: Entries) -> None:
        for symbol, epic in found.epics.items():
            self._known.refused.pop(symbol, None)
            self._feed.book.alias(epic, symbol)
        self._known.epics.update(found.epics)
        self._known.markets.update(found.markets)
        self._known.scalers.update(found.scalers)
        self._known.refused.update(found.refused)
        for symbol, why in found.refused.items():
            self._say(StatusKind.REFUSED, why, (symbol,), stage=Stage.SUBSCRIPTION)
            self._retry_later(symbol)
        for symbol, market in found.markets.items():
            self._market_state(symbol, market.status)

    async def _connection(self, login: Login) -> _Broken:
        """Hold one connection until it is over."""
        from tapehub.feeds.ig.stream import Stream

        self._number += 1
        self._error = None
        self._was_connected = False
        self._streamed_states.clear()
        self._orders = asyncio.Queue()
        self._stream = Stream(
            login.endpoint, login.account, login.stream_password, inbox=self._inbox, now=self._feed.now,
            number=self._number,
        )  # fmt: skip
        self._stream.connect(self._plan.items)
        deadline_s = self._clock() + self._settings.connect_within_s
        chores = asyncio.create_task(self._chores(login), name="ig-chores")
        try:
            while True:
                order = None
                with contextlib.suppress(asyncio.TimeoutError):
                    order = await asyncio.wait_for(self._orders.get(), _TICK_S)
                if isinstance(order, _Broken):
                    return order
                if order is not None and (broken := self._repair(*order)) is not None:
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

    async def _chores(self, login: Login) -> None:
        """Renew tokens that age, ask for states that no stream tells, try refused symbols again.

        A task beside the connection, which none of it is worth: what fails here is logged, and tried again later each
        time, since a login that is refused while the stream is well must not be repeated every second.
        """
        backoff = Backoff(self._feed.rng, self._settings.item_retry_first_s, self._settings.item_retry_ceiling_s)
        status_at_s = self._clock() + self._settings.status_every_s
        while True:
            await asyncio.sleep(_TICK_S)
            try:
                if self.account.due():
                    await self._ask(lambda login=login: self.account.fresh(login))  # type: ignore[misc]
                if self._clock() >= status_at_s:
                    status_at_s = self._clock() + self._settings.status_every_s
                    await self._ask_states()
                for symbol in [one for one, retry in self._retries.items() if self._clock() >= retry.at_s]:
                    await self._reconsider(symbol)
                backoff.reset()
            except Exception as error:
                _log.warning("while connected: %s: %s", type(error).__name__, error)
                await asyncio.sleep(backoff.next_s())
            latest = self.account.current
            if latest is not None and latest.serial != login.serial:
                login = latest
                self._lend(login)
                if self._stream is not None:
                    self._stream.set_password(login.stream_password)

    async def _ask_states(self) -> None:
        silent = {
            epic: symbol for symbol, epic in self._known.epics.items()
            if symbol not in self._streamed_states and self._plan.has(Role.TICK, symbol)
        }  # fmt: skip
        if silent:
            for epic, word in (await self._ask(lambda: self.account.statuses(list(silent)))).items():
                if epic in silent:
                    self._market_state(silent[epic], word)

    async def _reconsider(self, symbol: str) -> None:
        """Look a refused symbol up again, and subscribe to it if it can be."""
        self._retry_later(symbol)
        found = await self._ask(lambda: self._catalogue.look_up([symbol]))
        self._add(found)
        if symbol not in found.epics or self._stream is None:
            return
        item = tick_item(symbol, found.epics[symbol])
        if not self._plan.has(Role.TICK, symbol):
            # It had no place in the plan: only a free one is taken, nobody else's.
            if len(self._plan.items) >= self._limit:
                return
            self._plan = Plan((*self._plan.items, item), self._plan.refused, self._plan.left_out)
        self._protocol.assign(self._plan.items, self._known.scalers)
        self._stream.subscribe(item)

    # ---------------------------------------------------------------- what others want or report

    def order(self, step: Repair, symbols: tuple[str, ...]) -> None:
        """Take an order for a repair."""
        self._orders.put_nowait((step, symbols))

    def _repair(self, step: Repair, symbols: tuple[str, ...]) -> _Broken | None:
        if step is not Repair.RESUBSCRIBE:
            return _Broken(f"{step.value} was asked for", asked_for=True, login=step is Repair.RELOGIN)
        if self._stream is not None:
            for item in self._plan.items:
                if item.role is Role.TICK and (not symbols or item.symbol in symbols):
                    self._stream.subscribe(item)
        return None

    def is_current(self, name: str, serial: int) -> bool:
        """Tell whether an update belongs to the item's subscription that was confirmed last."""
        return self._confirmed.get(name) == serial

    def confirmed(self, entry: Confirmed) -> None:
        """Note that the server took a subscription."""
        self._confirmed[entry.name] = entry.serial
        for item in self._plan.items:
            if item.name == entry.name and item.role is Role.TICK:
                self._retries.pop(item.symbol, None)
                self._say(StatusKind.SUBSCRIBED, item.name, (item.symbol,), entry.ts_recv)
            elif item.name == entry.name and item.role is Role.PRICE:
                self._streamed_states.add(item.symbol)

    def item_refused(self, entry: ItemRefused) -> None:
        """Note that the server refused an item; the others go on."""
        why = f"IG refused {entry.name}: {entry.code} {entry.message}".rstrip()
        item = next((one for one in self._plan.items if one.name == entry.name), None)
        if item is not None and item.role is Role.TICK:
            self._say(
                StatusKind.REFUSED, f"{item.symbol}: {why}", (item.symbol,), entry.ts_recv,
                stage=Stage.SUBSCRIPTION, code=str(entry.code),
            )  # fmt: skip
            self._retry_later(item.symbol)
        else:
            self._feed.remarks[entry.name] = why
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
                self._say(StatusKind.CONNECTED, detail, ts_recv=entry.ts_recv, where=self._stream.endpoint)
                states, self._early_states = self._early_states, {}
                for symbol, state in states.items():
                    self._market_state(symbol, state)
                # No connection changes it; a consumer takes one for a new chance.
                for symbol, why in {**self._known.refused, **self._plan.refused}.items():
                    self._say(StatusKind.REFUSED, f"{symbol}: {why}", (symbol,), stage=Stage.SUBSCRIPTION)
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
        patience_s = _PATIENCE_S.get(entry.code, 0.0)
        self._orders.put_nowait(_Broken(f"server error {entry.code}", _about_tokens(entry.code), patience_s))

    # ---------------------------------------------------------------- helpers

    def _retry_later(self, symbol: str) -> None:
        retry = self._retries.get(symbol)
        if retry is None:
            backoff = Backoff(self._feed.rng, self._settings.item_retry_first_s, self._settings.item_retry_ceiling_s)
            retry = self._retries[symbol] = _Retry(backoff, 0.0)
        retry.at_s = self._clock() + retry.backoff.next_s()

    def _market_state(self, symbol: str, word: str) -> None:
        if word and not self._connected:
            self._early_states[symbol] = word  # said once there is a connection: nothing comes before that
        elif word:
            self._protocol.say(MarketStatus((symbol,), is_open(word), self._feed.now(), word))
            self._ready()

    def _say(
        self, kind: StatusKind, detail: str, symbols: tuple[str, ...] = (), ts_recv: int = 0, *,
        stage: Stage | None = None, code: str = "", where: str = "",
    ) -> None:  # fmt: skip
        self._protocol.say(Status(kind, symbols, ts_recv or self._feed.now(), detail, stage, code, where))
        self._ready()

    async def _ask(self, request: Callable[[], Answer]) -> Answer:
        """Make a blocking request in a thread."""
        return await asyncio.to_thread(request)

    @staticmethod
    def _clock() -> float:
        return asyncio.get_running_loop().time()


def _about_tokens(code: int) -> bool:
    """Tell whether the server did not take user and password: 1 by the protocol, 0 and below by IG's adapter."""
    return code == 1 or code <= 0
