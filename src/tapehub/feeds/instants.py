"""Instants as people give them, to nanoseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tapehub.errors import ConfigError

__all__ = ["instant_ns"]


def instant_ns(moment: int | str | datetime | None, option: str) -> int | None:
    """Read an instant: nanoseconds, a datetime, or ISO 8601 text; without a zone it is UTC.

    Raises:
        ConfigError: it is none of these.
    """
    if moment is None or type(moment) is int:
        return moment
    try:
        when = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        if not isinstance(when, datetime):
            raise ValueError
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        return (when - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
    except ValueError:
        raise ConfigError(
            f"{option} {moment!r}: expected UTC nanoseconds, a datetime or text like 2019-02-04T07:00"
        ) from None
