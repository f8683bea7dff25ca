"""Instants as people and venues give them, to nanoseconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from tapehub.errors import ConfigError

__all__ = ["instant_ns", "rfc3339_ns"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FRACTION = re.compile(r"\.(\d{1,9})(?=Z|[+-]\d\d:\d\d\Z)", re.ASCII)


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
        if option.startswith("--"):  # typed in a terminal, where nobody has a datetime
            raise ConfigError(
                f"{option} {moment!r}: expected a date or a time, as 2026-06-02T12:00, in UTC where it names no zone"
            ) from None
        raise ConfigError(
            f"{option} {moment!r}: expected UTC nanoseconds, a datetime or text like 2019-02-04T07:00"
        ) from None


def rfc3339_ns(text: str) -> int:
    """Read a venue's RFC 3339 timestamp, such as ``2023-10-06T17:35:55.440295Z``, to the nanosecond.

    Raises:
        ValueError: it is no such text, names no zone, or is outside the years that int64 nanoseconds reach.
    """
    fraction = _FRACTION.search(text)
    # The fraction apart: `fromisoformat` keeps six digits of it, venues send up to nine.
    when = datetime.fromisoformat(text[: fraction.start()] + text[fraction.end() :] if fraction else text)
    if when.tzinfo is None or "T" not in text:
        raise ValueError(f"timestamp {text!r}: expected RFC 3339 with a zone, such as 2023-10-06T17:35:55.440295Z")
    whole = (when - _EPOCH) // timedelta(microseconds=1) * 1000
    ns = whole + (int(fraction[1].ljust(9, "0")) if fraction else 0)
    if not -(1 << 63) <= ns < 1 << 63:
        raise ValueError(f"timestamp {text!r} is beyond int64 nanoseconds, expected a year from 1678 to 2261")
    return ns
