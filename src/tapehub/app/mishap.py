"""What goes wrong in the demonstration, unasked: an instrument falls silent at the venue, is noticed, comes back."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

from tapehub.app.console import span_text
from tapehub.app.why import sentence

if TYPE_CHECKING:
    from tapehub.hub import DataHub

__all__ = ["Mishap", "begins_at_s", "counts_of"]

BEGINS_AT_S = 20.0
MUTE_FOR_S = 3.0
"""How long it stays so after it was noticed: long enough to be read."""
BACK_WITHIN_S = 5.0
"""What is kept free at the end of a short demonstration, beside the silence that has to be waited for."""
LEAST_S = 2.0 + MUTE_FOR_S + BACK_WITHIN_S
_FAVOURITE = "EUR_USD"
_TIMEOUT_S = 5.0


class _Act(Enum):
    COMING = "coming"
    MUTE = "mute"
    NOTICED = "noticed"
    LIFTED = "lifted"
    OVER = "over"


class Mishap:
    """Play one fault and say what becomes of it. One thread.

    Args:
        venue: what the simulator said when it came up: `control`, `symbols`, `stale_after_s`.
        seconds: how long the demonstration lasts; None without end.
        say: takes one line.
    """

    def __init__(
        self, hub: DataHub, venue: Mapping[str, Any], seconds: float | None, say: Callable[[str], None]
    ) -> None:
        self._hub = hub
        self._control = str(venue["control"])
        self._say = say
        symbols = list(venue["symbols"])
        self.symbol = _FAVOURITE if _FAVOURITE in symbols else symbols[0]
        self._noticed_at_s = 0.0
        stale_after_s = float(venue["stale_after_s"].get(self.symbol, 30.0))
        self.begins_at_s = begins_at_s(seconds, stale_after_s)
        self._act = _Act.COMING
        if len(symbols) < 2:  # when nothing else flows, a silence is a slow market
            self._act = _Act.OVER
        elif self.begins_at_s is None:
            self._act = _Act.OVER
            least_s = LEAST_S + stale_after_s
            say(f"no fault is played, since that takes {least_s:.0f} s: {self.symbol} is often silent for a while")

    @property
    def over(self) -> bool:
        """Tell whether nothing more is to come."""
        return self._act is _Act.OVER

    def step(self, elapsed_s: float) -> None:
        """Look whether it is time for the next act."""
        if self._act is _Act.COMING:
            if self.begins_at_s is not None and elapsed_s >= self.begins_at_s:
                self._play("mute")
                self._say(f"FAULT, played on purpose: the venue goes mute on {self.symbol}, its connection is fine")
                self._act = _Act.MUTE
        elif self._act is _Act.MUTE:
            if self._hub.state(self.symbol) == "stale":
                self._say(f"{self.symbol} is STALE; tapehub doctor: {sentence(self._hub, [self.symbol])}")
                self._noticed_at_s, self._act = elapsed_s, _Act.NOTICED
        elif self._act is _Act.NOTICED:
            if elapsed_s >= self._noticed_at_s + MUTE_FOR_S:
                self._play("unmute")
                self._say("the venue speaks again, and the collector has subscribed anew")
                self._act = _Act.LIFTED
        elif self._act is _Act.LIFTED and self._hub.state(self.symbol) == "live":
            gaps = [gap for gap in self._hub.gaps(self.symbol) if gap["end"] is not None]
            if gaps:
                self._say(f"{self.symbol} is LIVE again; what is missing is known: {_gap_text(gaps[-1])}")
                self._act = _Act.OVER

    def _play(self, kind: str) -> None:
        body = json.dumps({"kind": kind, "item": self.symbol}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self._control}/sim/fault", body, headers)  # noqa: S310  (loopback)
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S):  # noqa: S310
            pass


def begins_at_s(seconds: float | None, stale_after_s: float) -> float | None:
    """Say when the fault begins, so that all of it is seen before the end; None when the demonstration is too short."""
    if seconds is None:
        return BEGINS_AT_S
    latest = seconds - stale_after_s - MUTE_FOR_S - BACK_WITHIN_S
    return min(BEGINS_AT_S, latest) if seconds >= LEAST_S + stale_after_s else None


def counts_of(control: str) -> dict[str, int]:
    """Ask a simulator what it did so far."""
    with urllib.request.urlopen(f"{control}/sim/state", timeout=_TIMEOUT_S) as reply:  # noqa: S310  (loopback)
        counts: dict[str, int] = json.load(reply)["counts"]
    return counts


def _gap_text(gap: Mapping[str, Any]) -> str:
    start, end = (datetime.fromtimestamp(gap[name] / 1e9, UTC) for name in ("start", "end"))
    lasted = span_text((gap["end"] - gap["start"]) / 1e9)
    return f"a gap of {lasted} from {start:%H:%M:%S} to {end:%H:%M:%S} UTC ({gap['cause']})"
