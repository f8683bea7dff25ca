"""What a collector tells of its connection, so that whoever asks why there is no data need not ask the collector.

A state says that an instrument is dead; this says how far the feed came: which login was refused with which code, what
the streaming server answered, which subscription was not taken, what was tried. It is logged when it changes and four
times a minute, so that its age also tells whether the collector still moves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from tapehub.collector.repair import Request
from tapehub.feeds.feed import MarketStatus, Stage, Status, StatusKind
from tapehub.quality import Liveness

__all__ = ["TOLD_EVERY_NS", "Link"]

_SECOND = 1_000_000_000
TOLD_EVERY_NS = 15 * _SECOND
TOLD_AT_MOST_NS = _SECOND
"""A connection that flaps must not fill the tape with its story."""
_TEXT_MAX = 400
_REMARKS_MAX = 12
WAITS_FOR_S = 120.0
"""How long something is taken to wait that does not say for how long."""


class Link:
    """Keep what a feed says of its connection. One thread.

    Ages in what is told are seconds before it was told: shorter than instants, and forty instruments fit one record.
    """

    def __init__(self, now_ns: int, made_up: str = "") -> None:
        self._made_up = made_up
        self.phase = "starting"
        self._since_ns = now_ns
        self._detail = self._where = ""
        self._refusal: dict[str, Any] | None = None
        self._waits: tuple[int, str, float] | None = None
        self._remarks: dict[str, str] = {}
        self._refused: dict[str, dict[str, Any]] = {}
        self._words: dict[str, str] = {}
        self._repair: tuple[int, Request] | None = None
        self._asked: Counter[str] = Counter()
        self._budget: tuple[int, int] | None = None
        self._restarts = 0
        self._restart: tuple[int, str, float] | None = None
        self._told_ns = now_ns
        self.changed = True

    # ------------------------------------------------------------ in

    def on_status(self, event: Status, now_ns: int) -> None:
        """Take in what the transport says of itself; a heartbeat is no news."""
        kind = event.kind
        if kind is StatusKind.HEARTBEAT:
            return
        self.changed = True
        self._where = event.where or self._where
        self._budget = event.subscriptions or self._budget
        if event.stage is Stage.ALLOWANCE:
            self._waits = (now_ns, event.detail[:_TEXT_MAX], event.wait_s or WAITS_FOR_S)
        elif kind is StatusKind.SUBSCRIBED:
            for symbol in event.symbols or list(self._refused):
                self._refused.pop(symbol, None)
        elif kind is StatusKind.REFUSED and event.symbols:
            for symbol in event.symbols:
                self._refused[symbol] = self._told_refusal(event, now_ns, self._refused.get(symbol))
        elif kind is StatusKind.CONNECTED:
            self._enter("connected", event.detail, now_ns)
            self._refusal = self._waits = self._restart = None
            self._refused.clear()  # what is refused still, is said again
        else:
            if kind is StatusKind.REFUSED or event.stage is not None:
                self._refusal = self._told_refusal(event, now_ns, self._refusal)
            if kind is StatusKind.ENDED:
                self._enter("ended", event.detail, now_ns)
            elif self.phase != "ended":
                self._enter("refused" if kind is StatusKind.REFUSED else "disconnected", event.detail, now_ns)

    def on_market(self, event: MarketStatus) -> None:
        """Take in the venue's word on its markets."""
        for symbol in event.symbols:
            if self._words.get(symbol) != event.detail:
                self._words[symbol] = event.detail
                self.changed = True

    def on_repair(self, request: Request, now_ns: int) -> None:
        """Take in what the feed is asked for."""
        self._repair = (now_ns, request)
        self._asked[request.step.value] += 1
        self.changed = True

    def on_remarks(self, remarks: Mapping[str, str]) -> None:
        """Take in what the feed goes on without, and why."""
        if remarks != self._remarks:
            self._remarks = dict(remarks)
            self.changed = True

    def on_restart(self, why: str, wait_s: float, now_ns: int) -> None:
        """Take in that the feed failed, and how long it rests before it is started again."""
        self._restarts += 1
        self._restart = (now_ns, why[:_TEXT_MAX], wait_s)
        self.changed = True

    def stop(self, cause: str, now_ns: int) -> None:
        """Take in that nobody collects any more."""
        if self.phase != "ended":
            self._enter("stopped", cause, now_ns)
        self.changed = True

    # ------------------------------------------------------------ out

    def due(self, now_ns: int) -> bool:
        """Tell whether it is time to tell."""
        return not 0 <= now_ns - self._told_ns < (TOLD_AT_MOST_NS if self.changed else TOLD_EVERY_NS)

    def tell(self, now_ns: int, liveness: Liveness) -> dict[str, Any]:
        """Give all that is known, for the log."""
        self._told_ns, self.changed = now_ns, False

        def age(at_ns: int | None) -> float | None:
            return None if at_ns is None or at_ns < 0 else round((now_ns - at_ns) / _SECOND, 3)

        groups: dict[tuple[str, str], list[list[Any]]] = {}
        for row in liveness.tell():
            known = [row.symbol, row.source, age(row.since_ns), age(row.ticked_ns), age(row.heard_ns)]
            groups.setdefault((row.state, row.cause[:_TEXT_MAX]), []).append([*known, self._words.get(row.symbol, "")])
        told: dict[str, Any] = {
            "phase": self.phase,
            "for": age(self._since_ns),
            "detail": self._detail,
            "where": self._where,
            "beat": age(liveness.beat_ns),
            "beat_lost": liveness.heartbeat_lost(now_ns),
            "items": [[*group, rows] for group, rows in groups.items()],
        }
        if self._made_up:
            told["made_up"] = self._made_up
        if self._refusal:
            told["refusal"] = _aged(self._refusal, now_ns)
        if self._refused:
            told["refused"] = {symbol: _aged(one, now_ns) for symbol, one in self._refused.items()}
        if self._budget:
            told["subscriptions"] = self._budget
        if self._waits:
            at_ns, detail, wait_s = self._waits
            left_s = wait_s - (now_ns - at_ns) / _SECOND
            if left_s > 0:
                told["waits"] = {"age": age(at_ns), "detail": detail, "left": round(left_s, 3)}
            else:  # over: whatever is wrong now, it is not this
                self._waits = None
        if self._remarks:
            texts = [text[:_TEXT_MAX] for text in self._remarks.values()]
            more = len(texts) - _REMARKS_MAX
            told["remarks"] = texts[:_REMARKS_MAX] + ([f"and {more} more"] if more > 0 else [])
        if self._repair:
            at_ns, request = self._repair
            told["repair"] = {
                "age": age(at_ns), "step": request.step.value, "symbols": request.symbols, "why": request.why,
            }  # fmt: skip
            told["repairs"] = dict(self._asked)
        if self._restart:
            at_ns, why, wait_s = self._restart
            told["restart"] = {"age": age(at_ns), "why": why, "wait_s": round(wait_s, 1), "times": self._restarts}
        return told

    # ------------------------------------------------------------ helpers

    def _enter(self, phase: str, detail: str, now_ns: int) -> None:
        if phase != self.phase:
            self.phase, self._since_ns = phase, now_ns
        self._detail = detail[:_TEXT_MAX]

    def _told_refusal(self, event: Status, now_ns: int, before: dict[str, Any] | None) -> dict[str, Any]:
        stage = event.stage.value if event.stage else ""
        same = before is not None and (before["stage"], before["code"]) == (stage, event.code)
        return {
            "at_ns": now_ns,
            "stage": stage,
            "code": event.code,
            "detail": event.detail[:_TEXT_MAX],
            "where": event.where,
            "times": before["times"] + 1 if same and before else 1,
        }


def _aged(refusal: dict[str, Any], now_ns: int) -> dict[str, Any]:
    return {"age": round((now_ns - refusal["at_ns"]) / _SECOND, 3)} | {
        key: value for key, value in refusal.items() if key != "at_ns" and value != ""
    }
