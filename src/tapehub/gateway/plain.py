"""What the hub tells of itself, with its times as the API writes them."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Any

from tapehub.gateway.instants import iso
from tapehub.hub.reading import to_ns

__all__ = ["plain"]


def plain(value: Any) -> Any:
    """Give a value of plain types: datetimes as text, names of times in ns (`…_ns`) stay as they are."""
    if isinstance(value, datetime):
        return iso(to_ns(value))
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if hasattr(value, "item"):  # a numpy scalar
        return value.item()
    return value
