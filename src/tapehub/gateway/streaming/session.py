"""One client of the stream: what it asks, and what it is sent."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from tapehub.errors import TapehubError
from tapehub.gateway.access.scopes import KEY, Identity
from tapehub.gateway.encoding import dumps
from tapehub.gateway.instants import iso
from tapehub.gateway.problems import Problem, as_problem
from tapehub.gateway.streaming import messages
from tapehub.gateway.streaming.lossless import Lossless
from tapehub.hub.clock import clock_of

if TYPE_CHECKING:
    from tapehub.gateway.streaming.broadcast import Broadcast, Subscription

__all__ = ["ABORT", "Session"]

ABORT: Final = "tapehub.abort"
"""Key of a connection's scope: a call that drops it at once, whatever waits to be sent."""
_ANSWERS_MAX = 64
_log = logging.getLogger("tapehub.gateway")


class Session:
    """Serve one WebSocket from `run` to its end. One event loop.

    Attributes:
        subscriptions: by the client's number.
        lossless: how many of them are.
    """

    def __init__(self, socket: WebSocket, broadcast: Broadcast, version: str) -> None:
        self.subscriptions: dict[int, Subscription] = {}
        self.lossless = 0
        self._socket = socket
        self._broadcast = broadcast
        self._limits = broadcast.limits
        self._version = version
        self._answers: deque[str] = deque()
        self._room = asyncio.Event()
        self._news = asyncio.Event()
        self._told_beat = broadcast.beat[0]
        self._told_news = broadcast.news[0]
        self._sending_since_s = 0.0
        self._unread = 0
        who = socket.scope.get(KEY)
        self._token = who.token.hex() if isinstance(who, Identity) else ""
        self._pace = broadcast.paces.of(self._token)
        self._close: tuple[int, str] | None = None
        self._task: asyncio.Task[Any] | None = None

    async def run(self) -> None:
        """Serve until the client leaves, or is closed."""
        broadcast, socket = self._broadcast, self._socket
        self._task = asyncio.current_task()
        await socket.accept()
        broadcast.sessions.add(self)
        reader = asyncio.create_task(self._read(), name="gateway client, reading")
        sender = asyncio.create_task(self._send(), name="gateway client, sending")
        try:
            await asyncio.wait({reader, sender}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            broadcast.sessions.discard(self)
            for subscription in self.subscriptions.values():
                broadcast.unsubscribe(subscription)
            self.subscriptions.clear()
            reader.cancel()
            sender.cancel()
            ends = await asyncio.gather(reader, sender, return_exceptions=True)
            await self._end(ends)

    async def _end(self, ends: Sequence[Any]) -> None:
        for end in ends:
            if isinstance(end, Exception) and not isinstance(end, WebSocketDisconnect | ConnectionError | OSError):
                _log.error("a client of the stream failed", exc_info=end)
                self._close = self._close or (1011, "a fault of the gateway; its log has it")
        if self._close is not None and self._socket.application_state is WebSocketState.CONNECTED:
            # A client that does not read gives no room for the farewell either.
            with contextlib.suppress(Exception):
                async with asyncio.timeout(1.0):
                    await self._socket.close(*self._close)

    # ------------------------------------------------------------ from others

    def wake(self) -> None:
        """Look whether there is something to send."""
        self._news.set()

    def end(self, code: int, reason: str) -> None:
        """Close in order."""
        self._close = self._close or (code, reason)
        self._news.set()

    def stalled_s(self, now_s: float) -> float:
        """Give the seconds since the client took something, while something waits for it."""
        return now_s - self._sending_since_s if self._sending_since_s else 0.0

    def abort(self, why: str) -> None:
        """Drop a client that takes nothing: no farewell would reach it."""
        _log.info("closed a client of the stream: it %s", why)
        self._close = self._close or (4408, why)
        drop = self._socket.scope.get(ABORT)
        if drop is not None:
            drop(*self._close)
        elif self._task is not None:
            self._task.cancel()

    # ------------------------------------------------------------ to the client

    async def _send(self) -> None:
        broadcast = self._broadcast
        try:
            hello = self._hello()
        except TapehubError as error:
            self._close = (1013, f"the hub cannot be read, try again: {error}"[:120])
            return
        await self._put(hello)
        while self._close is None:
            self._news.clear()
            sent = False
            while self._answers:
                await self._put(self._answers.popleft())
                self._room.set()
            if self._told_news != broadcast.news[0]:
                self._told_news, text = broadcast.news
                await self._put(text)
            for subscription in list(self.subscriptions.values()):
                message = await subscription.take()
                # It may have been given up while this one was made.
                if message is not None and self.subscriptions.get(subscription.number) is subscription:
                    await self._put(message, subscription.policy)
                    sent = True
            if self._told_beat != broadcast.beat[0]:
                self._told_beat, text = broadcast.beat
                for subscription in list(self.subscriptions.values()):
                    if (progress := subscription.progress()) is not None:
                        await self._put(progress, subscription.policy)
                await self._put(text)
            if not sent and not self._answers:
                await self._news.wait()

    async def _put(self, text: str, policy: str = "") -> None:
        self._sending_since_s = asyncio.get_running_loop().time()
        await self._socket.send({"type": "websocket.send", "text": text})
        self._sending_since_s = 0.0
        sent = self._broadcast.sent
        sent["frames", policy] += 1
        sent["bytes", policy] += len(text)

    def _hello(self) -> str:
        hub, identity = self._broadcast.hub, self._broadcast.tape.identity
        state = hub._hub_state()
        limits = self._limits
        return dumps(
            {
                "op": "hello",
                "protocol": messages.PROTOCOL,
                "version": self._version,
                "hub_id": identity.hub_id,
                "epoch": identity.epoch,
                "oldest": int(state["oldest"]),
                "head": int(state["head"]),
                "now": iso(max(hub.now(), 0)),
                "clock": clock_of(hub).to_dict(),
                "limits": {
                    "subscriptions": limits.subscriptions,
                    "symbols": limits.symbols,
                    "message_bytes": limits.message_bytes,
                    "rate_hz": limits.rate_hz,
                    "stall_s": limits.stall_s,
                },
            }
        )

    # ------------------------------------------------------------ from the client

    async def _read(self) -> None:
        while True:
            event = await self._socket.receive()
            if event["type"] == "websocket.disconnect":
                return
            if too_fast := self._pace.message():
                self.end(4429, too_fast)
                return
            text = event.get("text")
            message = text if text is not None else event.get("bytes") or b""
            await self._pace.work(partial(self._handle, message))
            while len(self._answers) >= _ANSWERS_MAX:  # who asks more than it reads is not read either
                self._room.clear()
                await self._room.wait()
            if self._close is not None:
                return

    def _handle(self, text: str | bytes) -> None:
        number: int | None = None
        try:
            message = messages.read_message(text)
            number = message["id"] if type(message.get("id")) is int else None
            self._serve(message)
            self._unread = 0
        except TapehubError as error:
            self._refuse(number, as_problem(error))
        except Problem as problem:
            self._refuse(number, problem)
        self._news.set()

    def _refuse(self, number: int | None, problem: Problem) -> None:
        self._answers.append(messages.error(number, problem))
        self._unread += problem.status < 500
        if self._unread >= self._limits.messages_unread:
            self._close = (4400, f"{self._unread} messages in a row could not be served")

    def _serve(self, message: dict[str, Any]) -> None:
        op = message["op"]
        if op == "ping":
            told = {"op": "pong", "data": message.get("data"), "now": iso(max(self._broadcast.hub.now(), 0))}
            self._answers.append(dumps(told))
            return
        number = messages.number_of(message)
        if op == "unsubscribe":
            subscription = self.subscriptions.pop(number, None)
            if subscription is None:
                raise messages.bad("id", number, "that of a subscription of this connection")
            self.lossless -= isinstance(subscription, Lossless)
            self._broadcast.unsubscribe(subscription)
            self._answers.append(dumps({"op": "unsubscribed", "id": number}))
            return
        if too_fast := self._pace.subscribe():
            self.end(4429, too_fast)
            return
        if number in self.subscriptions:
            raise messages.bad("id", number, "one that this connection does not use; unsubscribe it first")
        if len(self.subscriptions) >= self._limits.subscriptions:
            raise messages.bad("subscriptions", len(self.subscriptions), f"at most {self._limits.subscriptions}")
        asked = messages.read_subscribe(message, self._limits)
        subscription, told_text = self._broadcast.subscribe(asked, self.wake, self._token)
        self.subscriptions[number] = subscription
        self.lossless += isinstance(subscription, Lossless)
        self._answers.append(told_text)
