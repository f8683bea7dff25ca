"""How much of the log is kept: the oldest segments go when it is larger, or they are older.

The hub keeps the bounds itself, in its control file, so that they hold whichever process drops the segments.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tapehub.errors import ConfigError

if TYPE_CHECKING:
    from tapehub.hub.datahub import DataHub

__all__ = ["Retention", "checked", "days_left", "retention_of", "set_retention"]

_DAY_S = 86_400
_LINE_BYTES = 64


@dataclass(frozen=True, slots=True)
class Retention:
    """Bound the log. Durable cursors hold it back, up to twice ``bytes_max``."""

    bytes_max: int
    days_max: float


def retention_of(hub: DataHub) -> Retention:
    """Read what a hub keeps now."""
    bytes_max, ns_max = hub._retention()
    return Retention(bytes_max, ns_max / 1e9 / _DAY_S)


def set_retention(hub: DataHub, *, bytes_max: int | None = None, days_max: float | None = None) -> Retention:
    """Change what a hub keeps, for every process at once; None leaves a bound as it is.

    Raises:
        ConfigError: a bound that is not above 0.
    """
    ns_max = checked(bytes_max, days_max)
    if bytes_max is not None or ns_max:
        hub._set_retention(bytes_max or 0, ns_max)
    return retention_of(hub)


def checked(bytes_max: int | None, days_max: float | None) -> int:
    """Refuse bounds that cannot be; give the days in ns, 0 for None."""
    if bytes_max is not None and not 0 < bytes_max < 1 << 63:
        raise ConfigError(f"retention_bytes is {bytes_max}, expected above 0: bytes of log that are kept")
    if days_max is not None and not 0 < days_max <= 36_525:
        raise ConfigError(f"retention_days is {days_max}, expected above 0 and at most 36525: a hundred years")
    return 0 if days_max is None else max(1, round(days_max * _DAY_S * 1e9))


def days_left(hub: DataHub, state: dict[str, Any]) -> float | None:
    """Count the days until the oldest segment goes, by size at the pace so far or by age; None for a new hub."""
    bounds = retention_of(hub)
    now_s = time.time()
    age_s = now_s - int(state["created_ns"]) / 1e9
    head, oldest = int(state["head"]), int(state["oldest"])
    if age_s < 60 or head == 0:
        return None
    by_size = (bounds.bytes_max - (head - oldest) * _LINE_BYTES) / (head * _LINE_BYTES / age_s) / _DAY_S
    by_age = bounds.days_max
    segment = oldest // int(state["segment_lines"])
    if segment < head // int(state["segment_lines"]):  # the one that is written to has no age yet
        with contextlib.suppress(FileNotFoundError):  # it goes just now
            written_s = (hub.path / "log" / f"{segment:012d}.tape").stat().st_mtime
            by_age -= (now_s - written_s) / _DAY_S
    return max(0.0, min(by_size, by_age))
