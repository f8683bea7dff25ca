"""The hub clock: one time line for lateness, future checks, ages and sessions, in every process."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from tapehub._native import boot_ns
from tapehub.errors import ConfigError, InvalidRecord
from tapehub.hub.reading import TIME_MIN, to_ns
from tapehub.model.policies import ClockMode
from tapehub.model.records import CLOCK_STRUCT, Kind

if TYPE_CHECKING:
    from tapehub.hub.datahub import DataHub

__all__ = [
    "SAME_TIME_LINE", "WATERMARK_SERVER", "WATERMARK_TICKS", "advance", "set_clock", "set_skew", "set_watermark_mode",
]  # fmt: skip

WATERMARK_TICKS = 0
WATERMARK_SERVER = 1
SAME_TIME_LINE = 1
SAME_AUTHOR = 2
"""Beside the same time line: whoever closed intervals goes on doing so."""
_NEVER = -(1 << 63)


def set_clock(hub: DataHub, mode: ClockMode, *, anchor_ns: int | None, rate: float, skew_ns: int) -> int:
    """Log a new clock; it holds for every process from that record on.

    Raises:
        ConfigError: a virtual clock without an anchor, or a rate that is not above 0.
    """
    if mode is ClockMode.VIRTUAL and anchor_ns is None:
        raise ConfigError("a virtual clock needs anchor_ns: the hub time it starts from, in ns UTC")
    if not 0 < rate < 1e7:
        raise ConfigError(f"clock rate is {rate}, expected hub seconds per second, above 0 (1 is market pace)")
    watermark_mode = int(hub._hub_state()["watermark_mode"])
    body = CLOCK_STRUCT.pack(
        int(mode), watermark_mode, anchor_ns if anchor_ns is not None else _NEVER, boot_ns(), rate, skew_ns, _NEVER
    )
    return hub._publish_record(int(Kind.CLOCK), hub.now() if mode is ClockMode.WALL else anchor_ns or 0, payload=body)


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
    if isinstance(now, bool) or not isinstance(now, datetime | int | np.integer):
        raise InvalidRecord(f"advance to {now!r}, expected a datetime, or an int of nanoseconds, UTC")
    at = to_ns(now) if isinstance(now, datetime) else int(now)
    state = hub._hub_state()
    latest = (1 << 63) - 1 if int(state["clock_mode"]) == ClockMode.EVENT else hub.now() + 60_000_000_000
    if not TIME_MIN <= at <= latest:
        raise InvalidRecord(
            f"advance to {now!r}, expected a time from 1990 to a minute ahead of the hub clock, in UTC (integers are "
            f"nanoseconds)"
        )
    return hub._publish_record(int(Kind.WATERMARK), at - int(state["grace_ns"]))
