"""The hub clock: one time line for lateness, future checks, ages and sessions, in every process."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from tapehub._native import boot_ns
from tapehub.errors import ConfigError
from tapehub.hub.reading import to_ns
from tapehub.model.policies import ClockMode
from tapehub.model.records import CLOCK_STRUCT, Kind

if TYPE_CHECKING:
    from tapehub.hub.datahub import DataHub

__all__ = ["SAME_TIME_LINE", "WATERMARK_SERVER", "WATERMARK_TICKS", "advance", "set_clock", "set_watermark_mode"]

WATERMARK_TICKS = 0
WATERMARK_SERVER = 1
SAME_TIME_LINE = 1
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


def set_watermark_mode(hub: DataHub, mode: int) -> None:
    """Say in the log who closes intervals from here on: the server's watermarks, or the ticks themselves."""
    state = hub._hub_state()
    if int(state["watermark_mode"]) == mode:
        return
    body = CLOCK_STRUCT.pack(
        state["clock_mode"], mode, state["anchor_ns"], state["anchor_boot_ns"], state["rate"], state["skew_ns"],
        state["watermark_ns"],
    )  # fmt: skip
    hub._publish_record(int(Kind.CLOCK), hub.now(), flags=SAME_TIME_LINE, payload=body)


def advance(hub: DataHub, now: int | datetime) -> int:
    """Log a watermark: no interval that ended a grace before ``now`` is open any more."""
    if isinstance(now, datetime):
        now = to_ns(now)
    return hub._publish_record(int(Kind.WATERMARK), now - int(hub._hub_state()["grace_ns"]))
