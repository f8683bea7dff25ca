"""What happened lately, read back from the end of the log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from tapehub.errors import ConfigError
from tapehub.hub import scanning
from tapehub.hub.record import Record
from tapehub.model.records import Kind

if TYPE_CHECKING:
    from tapehub.hub import DataHub

__all__ = ["EVENT_KINDS", "newest_events"]

EVENT_KINDS: Final = ("state", "gap", "quarantine", "clear", "note", "clock", "epoch")
_RECORDS = [kind.name.lower() for kind in Kind if kind not in (Kind.TICK, Kind.CANDLE, Kind.ORDER_FLOW)]


def newest_events(hub: DataHub, kinds: Sequence[str], limit: int) -> list[Record]:
    """Read the newest records of some kinds, oldest first.

    Raises:
        ConfigError: a kind is none of these.
    """
    mask = 0
    for name in kinds:
        if name not in _RECORDS:
            raise ConfigError(f"kinds has {name!r}: expected of {', '.join(_RECORDS)}")
        mask |= 1 << Kind[name.upper()]
    found: list[Record] = []
    for seq, record in scanning.newest(hub, mask) if mask and limit else ():
        found.append(Record.of(hub, seq, record))
        if len(found) >= limit:
            break
    return found[::-1]
