"""Records of kinds that have no type of their own, and kinds by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import index
from typing import TYPE_CHECKING, Any, Self

from tapehub.errors import ConfigError
from tapehub.hub import blobs
from tapehub.hub.naming import symbol_of
from tapehub.model.records import Kind

if TYPE_CHECKING:
    from tapehub.hub.datahub import DataHub

__all__ = ["INTERVAL_KINDS", "Record", "parse_kinds", "parse_start"]

INTERVAL_KINDS = sum(
    1 << kind
    for kind in (
        Kind.TICK, Kind.WATERMARK, Kind.CLOCK, Kind.CANDLE, Kind.CLEAR, Kind.GAP, Kind.CHANNEL, Kind.CALENDAR,
    )
)  # fmt: skip
"""What a reader of intervals has to see."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record that is neither tick, candle nor order flow.

    Attributes:
        kind: such as ``"watermark"``, ``"state"``, ``"clear"``.
        ts_event, ts_publish: int64 ns UTC.
        fixed: the two numbers every record has room for; their meaning goes by kind, as that of `flags` does.
    """

    seq: int
    kind: str
    ts_event: int
    ts_publish: int
    symbol: str
    source: str
    fixed: tuple[int, int]
    payload: bytes = field(repr=False)
    flags: int = field(default=0, repr=False)

    @classmethod
    def of(cls, hub: DataHub, seq: int, raw: Any) -> Self:
        """Make one of what the native hub read at a line. A kind that this version does not know goes by its number."""
        kind, _, ts_event, _, ts_publish, one, two, instrument, source, flags, payload = raw
        sources = hub.sources
        return cls(
            seq=seq,
            kind=Kind(kind).name.lower() if kind in Kind._value2member_map_ else str(kind),
            ts_event=ts_event,
            ts_publish=ts_publish,
            symbol=symbol_of(hub, instrument) if instrument < hub._instrument_count() else "",
            source=sources[source] if source < len(sources) else "",
            fixed=(one, two),
            payload=blobs.load(hub, flags, payload),
            flags=flags & ~blobs.BLOB_FLAG,
        )

    @property
    def timestamp(self) -> datetime:
        """The event time, aware, rounded down to the microsecond."""
        return datetime.fromtimestamp(self.ts_event // 1000 / 1e6, UTC)


def parse_kinds(kinds: str | Iterable[str]) -> tuple[int, bool]:
    """Read kinds by name: a mask of them, and whether ``interval`` is among them."""
    names = [kinds] if isinstance(kinds, str) else list(kinds)
    mask, intervals = 0, False
    if not names:
        raise ConfigError("kinds is empty, expected one at least, such as 'tick', or 'all'")
    for name in names:
        if name == "all":
            mask |= (1 << 62) - 1
        elif name == "interval":
            intervals = True
        elif str(name).upper() in Kind.__members__:
            mask |= 1 << Kind[str(name).upper()]
        else:
            known = ", ".join(kind.name.lower() for kind in Kind)
            raise ConfigError(f"kind {name!r} is not one of {known}, interval, all")
    return mask, intervals


def parse_start(start: int | str, head_of: Callable[[], int]) -> int | str:
    """Read where a stream begins: ``now``, ``oldest``, or a sequence number up to the head of the log.

    Args:
        head_of: gives the head; asked for a number alone.

    Raises:
        ConfigError: it is none of these. A time is none either: records do not stand in the order of their times.
    """
    if isinstance(start, str) and start in ("now", "oldest"):
        return start
    told = f"start is {start!r}, expected 'now', 'oldest' or a sequence number"
    try:
        line = index(start)  # type: ignore[arg-type]
    except TypeError:
        raise ConfigError(told) from None
    if isinstance(start, bool) or line < 0:
        raise ConfigError(f"{told}, 0 or more")
    if line > (head := head_of()):
        raise ConfigError(f"{told} up to {head}, the head of the log: nothing is there yet; begin at 'now'")
    return line
