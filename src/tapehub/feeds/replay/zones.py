"""Wall times of a file to UTC. A zone is stated by the format or by the caller; it is never guessed."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tapehub.errors import ConfigError, RecordingError
from tapehub.model.calendars import utc_ns, zone_transitions

__all__ = ["EST", "UTC", "Zone", "zone_of"]

_FIXED = re.compile(r"(?:UTC|GMT)?(?:([+-])(\d{1,2})(?::?(\d{2}))?)?\Z|Z\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Zone:
    """Turn wall time into UTC, by a fixed offset or by an IANA zone's rules."""

    name: str
    offset_ns: int | None = None

    def to_utc(self, wall_ns: npt.NDArray[np.int64], place: str) -> npt.NDArray[np.int64]:
        """Convert wall times.

        Raises:
            RecordingError: a time falls into an hour that happens twice, or never, when the clocks change.
        """
        if self.offset_ns is not None:
            return wall_ns - self.offset_ns
        from_ns, offset_ns = zone_transitions(zone=self.name)
        opens = from_ns[1:] + np.minimum(offset_ns[:-1], offset_ns[1:])
        closes = from_ns[1:] + np.maximum(offset_ns[:-1], offset_ns[1:])
        at = np.searchsorted(opens, wall_ns, side="right") - 1
        if len(opens):
            unclear = np.flatnonzero((at >= 0) & (wall_ns < closes[np.maximum(at, 0)]))
            if len(unclear):
                moment = np.datetime64(int(wall_ns[unclear[0]]), "ns")
                raise RecordingError(
                    f"{place}: {moment} in {self.name} happens twice or never as clocks change: convert the file to UTC"
                )
        return utc_ns(wall_ns, self.name)


UTC = Zone("UTC", 0)
EST = Zone("UTC-05", -5 * 3_600_000_000_000)


def zone_of(text: str) -> Zone:
    """Read a zone: ``UTC``, ``UTC-05``, ``+05:30`` or an IANA name.

    Raises:
        ConfigError: it is none of these.
    """
    if match := _FIXED.match(text.strip().upper()):
        sign, hours, minutes = match.groups()
        offset_min = (int(hours or 0) * 60 + int(minutes or 0)) * (-1 if sign == "-" else 1)
        if text.strip() and abs(offset_min) <= 15 * 60:
            return Zone(text.strip().upper(), offset_min * 60_000_000_000)
    elif text.strip():
        zone_transitions(zone=text.strip())
        return Zone(text.strip())
    raise ConfigError(
        f"tz {text!r}: expected UTC, a fixed offset like UTC-05 or +05:30, or an IANA name like America/New_York"
    )
