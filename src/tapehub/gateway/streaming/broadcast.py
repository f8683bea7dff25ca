"""All clients of the stream: who they are, what they share, what was sent."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from tapehub.errors import TapehubError
from tapehub.gateway.about import about
from tapehub.gateway.encoding import dumps
from tapehub.gateway.instants import iso
from tapehub.gateway.problems import Problem, as_problem
from tapehub.gateway.states import channel_states
from tapehub.gateway.streaming.conflate import Conflated, Group
from tapehub.gateway.streaming.frame import Frame
from tapehub.gateway.streaming.lossless import Lossless
from tapehub.gateway.streaming.messages import Subscribe
from tapehub.gateway.streaming.pace import Paces
from tapehub.gateway.streaming.selection import Channels, Selection
from tapehub.gateway.streaming.tape import Tape
from tapehub.hub.lineage import Place, place_of
from tapehub.hub.record import Record

if TYPE_CHECKING:
    from tapehub.gateway.settings import Limits
    from tapehub.gateway.streaming.session import Session
    from tapehub.hub import DataHub

__all__ = ["Broadcast", "Subscription"]

Subscription = Conflated | Lossless
_BEAT_S = 1.0
_LOG_READS = 2
_log = logging.getLogger("tapehub.gateway")


class Broadcast:
    """Feed the clients. One event loop, from `start` to `stop`.

    Attributes:
        sent: counters by (what, policy): frames, bytes, records, lost, stalled.
        beat: the newest beat, and its number.
    """

    def __init__(self, hub: DataHub, limits: Limits) -> None:
        self.hub = hub
        self.limits = limits
        self.tape = Tape(hub, limits, self._on_frame, self._on_news)
        self.sessions: set[Session] = set()
        self.sent: Counter[tuple[str, str]] = Counter()
        self.beat = (0, "")
        self.news = (0, "")
        self.paces = Paces(limits)
        self._groups: dict[tuple[Selection, float], Group] = {}
        self._made_for: dict[tuple[Selection, float], str] = {}
        self._channels = Channels(hub)
        self._executor = ThreadPoolExecutor(_LOG_READS, thread_name_prefix="gateway-log")
        self._tasks: list[asyncio.Task[None]] = []
        self._states: dict[tuple[str, str], str] = {}

    async def start(self) -> None:
        """Begin."""
        self._tasks = [
            asyncio.create_task(self.tape.run(), name="gateway tape"),
            asyncio.create_task(self._beat(), name="gateway beat"),
        ]

    async def stop(self) -> None:
        """Close every client and end."""
        self.end(1001, "the gateway ends")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for group in self._groups.values():
            group.stop()
        self._executor.shutdown(wait=True, cancel_futures=True)

    def end(self, code: int, reason: str) -> None:
        """Close every client in order."""
        for session in list(self.sessions):
            session.end(code, reason)

    # ------------------------------------------------------------ subscriptions

    def subscribe(self, asked: Subscribe, wake: Callable[[], None], token: str = "") -> tuple[Subscription, str]:
        """Make a subscription, and the message that says so.

        Args:
            token: of whom it is.

        Raises:
            Problem: ``busy``, when as many different selections and rates are served as may be.
            TapehubError: a symbol or timeframe cannot be, no record begins at the start, or the hub is gone.
        """
        self.tape.start()
        selection = Selection.of(self.hub, asked.symbols, asked.kinds, asked.timeframes)
        if asked.lossless:
            place = self._place(asked)
            made: Subscription = Lossless(
                asked.id, selection, place, self.hub, self.tape, self._channels, self._executor,
                self._counting("lossless"),
            )  # fmt: skip
        else:
            group = self._group(selection, asked.rate_hz, token)
            made = Conflated(asked.id, group, snapshot=asked.snapshot, count=self._counting("conflate"))
            group.members[made] = wake
            place = Place(self.tape.position)
        position = made.position if isinstance(made, Lossless) else place.position
        identity = self.tape.identity
        return made, dumps(
            {
                "op": "subscribed",
                "id": asked.id,
                "policy": made.policy,
                "symbols": "*" if selection.symbols is None else sorted(selection.symbols),
                "kinds": sorted(selection.kinds),
                "timeframes": selection.timeframes,
                "epoch": identity.epoch,
                "hub_id": identity.hub_id,
                "position": position,
                "resumed": place.resumed,
                "lost": place.lost,
            }
        )

    def unsubscribe(self, subscription: Subscription) -> None:
        """Forget a subscription, and stop what nobody listens to any more."""
        subscription.close()
        for key, group in list(self._groups.items()):
            if not group.members:
                group.stop()
                del self._groups[key], self._made_for[key]
        if not any(session.subscriptions for session in self.sessions):
            self.tape.rest()

    def _place(self, asked: Subscribe) -> Place:
        if asked.start == "now":  # as of a local stream: the tape may stand a frame behind
            return Place(self.hub.head, at_head=True)
        if asked.start == "oldest":
            return Place(int(self.hub._hub_state()["oldest"]))
        return place_of(self.hub, int(asked.start), asked.under or self.tape.identity)

    def _group(self, selection: Selection, rate_hz: float, token: str) -> Group:
        key = (selection, rate_hz)
        group = self._groups.get(key)
        if group is None:
            most, mine = self.limits.groups, sum(one == token for one in self._made_for.values())
            if len(self._groups) >= most or mine >= most // 2:
                raise Problem(
                    "busy", f"{len(self._groups)} different selections and rates are served, {mine} of this token: "
                    f"expected below {most}, and {most // 2} of one token; ask for what others ask for, or for less",
                    remedy="unsubscribe from what is not looked at",
                )  # fmt: skip
            made = Group(selection, rate_hz, self.hub, self.tape, self._channels, self.limits.batch_bytes)
            made.begin()
            group = self._groups[key] = made
            self._made_for[key] = token
        return group

    def _counting(self, policy: str) -> Callable[[int, int], None]:
        def count(records: int, lost: int) -> None:
            self.sent["records", policy] += records
            self.sent["lost", policy] += lost

        return count

    # ------------------------------------------------------------ what comes in

    def _on_frame(self, frame: Frame) -> None:
        for item in frame.items:
            if type(item) is Record and item.kind == "state":
                self._states[item.symbol, item.source] = about(item).get("state", "")
        for group in self._groups.values():
            group.on_frame(frame)
        for session in self.sessions:
            if session.lossless:
                session.wake()

    def _on_news(self) -> None:
        """Tell everyone that the hub is gone, or that another one is there."""
        tape = self.tape
        if tape.gone:
            told: dict[str, object] = {"op": "hub", "state": "gone", "detail": tape.gone}
        else:
            state = self.hub._hub_state()
            told = {
                "op": "hub", "state": "replaced", "hub_id": tape.identity.hub_id, "epoch": tape.identity.epoch,
                "oldest": int(state["oldest"]), "head": int(state["head"]),
            }  # fmt: skip
            self._states.clear()
            for group in self._groups.values():
                group.begin()
                for member in group.members:
                    member.restart()
        self.news = (self.news[0] + 1, dumps(told))
        for session in self.sessions:
            session.wake()

    async def _beat(self) -> None:
        """Look at the states, tell everyone that the connection lives, and close who takes nothing."""
        while True:
            await asyncio.sleep(_BEAT_S)
            with suppress(TapehubError):  # the tape says so
                self._look_at_states()
            self.beat = (self.beat[0] + 1, self._beat_text())
            now_s = asyncio.get_running_loop().time()
            for session in list(self.sessions):
                if session.stalled_s(now_s) > self.limits.stall_s:
                    self.sent["stalled", ""] += 1
                    session.abort(f"took nothing for {self.limits.stall_s:g} s")
                else:
                    session.wake()

    def _look_at_states(self) -> None:
        """Find states that changed without a record: those that depend on the time, or on a process that died."""
        if not any(group.selection.wants_kind("state") for group in self._groups.values()) or self.tape.gone:
            return
        now = channel_states(self.hub)
        changed = [one for one in now if self._states.get((one.symbol, one.source)) != one.state]
        self._states.update({(one.symbol, one.source): one.state for one in now})
        for group in self._groups.values():
            group.on_states(changed)

    def _beat_text(self) -> str:
        hub, tape = self.hub, self.tape
        told: dict[str, object] = {"op": "beat", "now": None, "head": tape.position, "epoch": tape.identity.epoch}
        try:
            served = "served" if hub.server() is not None else "unserved"
            return dumps(told | {"now": iso(max(hub.now(), 0)), "head": hub.head, "hub": served})
        except TapehubError:
            return dumps(told | {"hub": "gone"})

    def problem(self) -> Problem | None:
        """Say why the hub cannot be read, if it cannot."""
        try:
            self.hub.head  # noqa: B018  (an attached process notices here what became of its hub)
        except TapehubError as error:
            return as_problem(error)
        return None
