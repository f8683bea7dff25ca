"""What a read may be asked: limits and bounds that can be, by local and remote hubs alike."""

from __future__ import annotations

from datetime import datetime
from operator import index

from tapehub.errors import InvalidRecord

__all__ = ["check_bound", "check_limit"]


def check_bound(bound: object, name: str) -> int | datetime | None:
    """Give a bound that can be, or none.

    Args:
        name: of the argument, for the message.

    Raises:
        InvalidRecord: it is neither a sequence number nor a datetime.
    """
    if bound is None or isinstance(bound, datetime):
        return bound
    try:
        return index(bound)  # type: ignore[arg-type]
    except TypeError:
        how = f"datetime.fromisoformat({bound!r})" if isinstance(bound, str) else "datetime(2026, 6, 2, tzinfo=UTC)"
        raise InvalidRecord(
            f"{name} is {bound!r}, expected a sequence number or a datetime (UTC where it names no zone), as {how}"
        ) from None


def check_limit(limit: int | None) -> int | None:
    """Give a limit that can be, or none.

    Raises:
        InvalidRecord: it is no whole number, or below 0.
    """
    if limit is None:
        return None
    try:
        whole = index(limit)
    except TypeError:
        raise InvalidRecord(
            f"limit is {limit!r}, expected a whole number; start and end come after it, or go by name"
        ) from None
    if whole < 0:
        raise InvalidRecord(f"limit is {limit}, expected 0 or more")
    return whole
