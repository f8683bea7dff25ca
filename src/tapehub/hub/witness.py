"""Who said so: a process answers for the states that it records, and for those alone while it is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tapehub.hub.datahub import DataHub

__all__ = ["is_believed", "witness"]

# Above the state's own byte: slot + 1 of the process that said so, and 32 bits of when it attached.


def witness(hub: DataHub) -> int:
    """Give the bits that name this process in a state record."""
    mine = hub._slot()
    return next((_sign(row) for row in hub._slots() if row["slot"] == mine), 0)


def _sign(slot: dict[str, Any]) -> int:
    return (int(slot["slot"]) + 1) << 8 | (int(slot["attached_ns"]) >> 10 & 0xFFFFFFFF) << 32


def is_believed(hub: DataHub, recorded: int) -> bool:
    """Tell whether the process that recorded a state is still there to take it back."""
    signed = recorded & ~0xFF
    return not signed or any(slot["alive"] and _sign(slot) == signed for slot in hub._slots())
