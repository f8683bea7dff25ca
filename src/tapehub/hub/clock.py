"""The hub clock: one time line for lateness, future checks, ages and sessions, in every process."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from operator import index
from typing import TYPE_CHECKING, Any

import numpy as np

from tapehub._native import boot_ns
from tapehub.errors import ConfigError, InvalidRecord
from tapehub.hub.reading import TIME_MIN, to_ns
from tapehub.model.policies import ClockMode
from tapehub.model.records import CLOCK_STRUCT, Kind

if TYPE_CHECKING:
    from tapehub.hub.datahub import DataHub

__all__ = [
    "SAME_TIME_LINE", "WATERMARK_SERVER", "WATERMARK_TICKS", "ClockReading", "advance", "checked", "clock_of",
    "moment_of", "set_clock", "set_skew", "set_watermark_mode",
]  # fmt: skip

WATERMARK_TICKS = 0
WATERMARK_SERVER = 1
SAME_TIME_LINE = 1
SAME_AUTHOR = 2
"""Beside the same time line: whoever closed intervals goes on doing so."""
_NEVER = -(1 << 63)
_SHOWN_NS = 50_000_000
_SKEW_MAX_NS = 10**18
_LABELS = {ClockMode.VIRTUAL: "SIMULATED", ClockMode.EVENT: "EVENT TIME", ClockMode.WALL: ""}


@dataclass(frozen=True, slots=True)
class ClockReading:
    """Tell which clock is in force, and what it showed when it was looked at.

    Attributes:
        rate: hub seconds in a second; 1.0 for a wall clock, 0.0 for one that only events move.
        now_ns: its reading.
        skew_ns: how far a wall clock is ahead of this machine's, to be with the venue's.
    """

    mode: ClockMode
    rate: float
    now_ns: int
    skew_ns: int = 0

    @property
    def simulated(self) -> bool:
        """Tell whether it shows another time than the wall."""
        return self.mode is not ClockMode.WALL

    @property
    def label(self) -> str:
        """Name it in two words at most; empty for the wall clock."""
        return _LABELS[self.mode]

    def to_dict(self) -> dict[str, Any]:
        """Describe it as the APIs do, without the reading, which each of them writes in its own way."""
        told = {"mode": self.mode.name.lower(), "rate": self.rate}
        return {**told, "simulated": self.simulated, "label": self.label}

    def __str__(self) -> str:
        if self.mode is ClockMode.EVENT and self.now_ns <= 0:
            return "event clock (time of the latest tick), no tick yet"
        at = datetime.fromtimestamp(self.now_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        if self.mode is ClockMode.EVENT:
            return f"event clock (time of the latest tick), {at}"
        if self.mode is ClockMode.VIRTUAL:
            return f"virtual clock at {self.rate:g}× (SIMULATED), {at}"
        ahead = f", {self.skew_ns / 1e9:.1f} s ahead of this machine's" if abs(self.skew_ns) >= _SHOWN_NS else ""
        return f"wall clock{ahead}, {at}"


def clock_of(hub: DataHub) -> ClockReading:
    """Read which clock is in force. The one place that says at which rate each mode runs."""
    state = hub._hub_state()
    mode = ClockMode(int(state["clock_mode"]))
    rate = {ClockMode.WALL: 1.0, ClockMode.EVENT: 0.0, ClockMode.VIRTUAL: float(state["rate"])}[mode]
    return ClockReading(mode, rate, hub.now(), int(state["skew_ns"]) if mode is ClockMode.WALL else 0)


def set_clock(hub: DataHub, mode: ClockMode, *, anchor_ns: int | None, rate: float, skew_ns: int) -> int:
    """Log a new clock; it holds for every process from that record on.

    Raises:
        ConfigError: a virtual clock without an anchor, or a rate that is not above 0.
    """
    anchor_ns, rate, skew_ns = checked(mode, anchor_ns, rate, skew_ns)
    watermark_mode = int(hub._hub_state()["watermark_mode"])
    body = CLOCK_STRUCT.pack(
        int(mode), watermark_mode, anchor_ns if anchor_ns is not None else _NEVER, boot_ns(), rate, skew_ns, _NEVER
    )
    return hub._publish_record(int(Kind.CLOCK), hub.now() if mode is ClockMode.WALL else anchor_ns or 0, payload=body)


def checked(mode: ClockMode, anchor_ns: int | None, rate: float, skew_ns: int) -> tuple[int | None, float, int]:
    """Give anchor, rate and skew of a clock that can be.

    Raises:
        ConfigError: one cannot: see `set_clock`.
    """
    if mode is ClockMode.VIRTUAL and anchor_ns is None:
        raise ConfigError("a virtual clock needs anchor_ns: the hub time it starts from, in ns UTC")
    if not hasattr(rate, "__float__") or not 0 < float(rate) < 1e7:
        raise ConfigError(f"clock rate is {rate!r}, expected hub seconds per second, above 0 (1 is market pace)")
    anchor_ns = None if anchor_ns is None else _whole("anchor_ns", anchor_ns, (1 << 63) - 1)
    return anchor_ns, float(rate), _whole("skew_ns", skew_ns, _SKEW_MAX_NS)


def _whole(name: str, value: int, most: int) -> int:
    try:
        found = index(value)
    except TypeError:
        raise ConfigError(f"{name} is {value!r}, expected a whole number of nanoseconds") from None
    if not -most <= found <= most:
        raise ConfigError(f"{name} is {value!r}, expected nanoseconds from {-most} to {most}")
    return found


def set_skew(hub: DataHub, skew_ns: int) -> None:
    """Log how far the wall clock is corrected, on the same time line: lateness and watermark go on.

    Args:
        skew_ns: the venue's clock minus this machine's.
    """
    _go_on(hub, skew_ns=skew_ns)


def set_watermark_mode(hub: DataHub, mode: int) -> None:
    """Say in the log who closes intervals from here on: the server's watermarks, or the ticks themselves."""
    if int(hub._hub_state()["watermark_mode"]) != mode:
        _go_on(hub, watermark_mode=mode)


def _go_on(hub: DataHub, **changed: int) -> None:
    """Log the clock there is with something changed about it."""
    state = hub._hub_state() | changed
    body = CLOCK_STRUCT.pack(
        state["clock_mode"], state["watermark_mode"], state["anchor_ns"], state["anchor_boot_ns"], state["rate"],
        state["skew_ns"], state["watermark_ns"],
    )  # fmt: skip
    flags = SAME_TIME_LINE if "watermark_mode" in changed else SAME_TIME_LINE | SAME_AUTHOR
    hub._publish_record(int(Kind.CLOCK), hub.now(), flags=flags, payload=body)


def advance(hub: DataHub, now: int | datetime) -> int:
    """Log a watermark: no interval that ended a grace before ``now`` is open any more.

    Raises:
        InvalidRecord: no datetime or int64 ns UTC, before 1990, or over a minute ahead of a clock that is not
            ``event``: watermarks do not go back, and every tick up to there would be late for ever.
    """
    at = moment_of(now)
    state = hub._hub_state()
    latest = (1 << 63) - 1 if int(state["clock_mode"]) == ClockMode.EVENT else hub.now() + 60_000_000_000
    if not TIME_MIN <= at <= latest:
        raise InvalidRecord(
            f"advance to {now!r}, expected a time from 1990 to a minute ahead of the hub clock, in UTC (integers are "
            f"nanoseconds)"
        )
    return hub._publish_record(int(Kind.WATERMARK), at - int(state["grace_ns"]))


def moment_of(now: int | datetime) -> int:
    """Give ns UTC of what a clock is to go to.

    Raises:
        InvalidRecord: it is neither a datetime nor a whole number.
    """
    if isinstance(now, bool) or not isinstance(now, datetime | int | np.integer):
        raise InvalidRecord(f"advance to {now!r}, expected a datetime, or an int of nanoseconds, UTC")
    return to_ns(now) if isinstance(now, datetime) else int(now)
