"""Which history a sequence counts, and where its reader goes on when another one lies there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tapehub.errors import InvalidRecord
from tapehub.hub import scanning
from tapehub.hub.reading import EVER, NEVER
from tapehub.model.records import Kind

if TYPE_CHECKING:
    from tapehub.hub.datahub import DataHub

__all__ = ["Identity", "Place", "identity_of", "parted", "place_of"]

_BUT_TICKS = (1 << 62) - 1 & ~(1 << Kind.TICK)
_NO_ROWS = np.empty(0, np.uint8)


@dataclass(frozen=True, slots=True)
class Identity:
    """Tell one history from another: sequences mean the same under the same one."""

    hub_id: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Place:
    """Say where a reader goes on, and what it cannot have any more.

    Attributes:
        resumed: at the very place it asked for.
        lost: records between the asked place and this one.
        at_head: nothing in the log was asked for: it may go on at any line that comes next.
    """

    position: int
    resumed: bool = True
    lost: int = 0
    at_head: bool = False


def identity_of(hub: DataHub) -> Identity:
    """Give the history that a hub's sequences count now."""
    state = hub._hub_state()
    return Identity(bytes(state["hub_id"]).hex(), int(state["epoch"]))


def place_of(hub: DataHub, position: int, under: Identity) -> Place:
    """Find where a reader goes on that stood at a line under an identity.

    Where the hub was recovered and its tail cut off, that is at most where the histories part; in another hub, the
    oldest record. What was dropped is counted in lines, since nobody can tell any more how many records they held.

    Raises:
        InvalidRecord: no record begins there.
    """
    state = hub._hub_state()
    head, oldest = int(state["head"]), int(state["oldest"])
    if under.hub_id and under.hub_id != hub.hub_id:
        return Place(oldest, resumed=False)
    until = parted(hub, under.epoch)
    if position > until:
        return Place(until, resumed=False, lost=position - until if until < head else 0)
    if position < oldest:
        lost = min(oldest - position, int(hub._records_before(oldest)))
        return Place(oldest, resumed=not lost, lost=lost)
    if not _begins(hub, position, head):
        raise InvalidRecord(
            f"start is {position}: no record begins there; go on at the `next` of a batch, or at the `seq` of a record"
        )
    return Place(position)


def parted(hub: DataHub, epoch: int) -> int:
    """Find the line from which on the log is not the one of an epoch any more: the head, while that epoch lasts.

    A record says where each epoch begins. One that retention has dropped lies before everything that is left.
    """
    state = hub._hub_state()
    found, oldest = int(state["head"]), int(state["oldest"])
    if epoch >= int(state["epoch"]):
        return found
    found = oldest
    for seq, record in scanning.newest(hub, 1 << Kind.EPOCH):
        number = int(record[5])
        if number > epoch:
            found = seq
        if number <= epoch + 1:
            break
    return max(oldest, found)


def _begins(hub: DataHub, line: int, head: int) -> bool:
    if line >= head:
        return True
    # A line inside a record would stop every scan for ever. Ticks are passed over: there is no room for one.
    after = hub._scan(line, line + 1, b"", _BUT_TICKS, NEVER, EVER, _NO_ROWS)[0]
    return int(after) > line
