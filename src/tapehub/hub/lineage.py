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

__all__ = ["Identity", "Place", "identity_of", "left_behind", "parted", "place_of"]

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


@dataclass(frozen=True, slots=True)
class _End:
    """Tell how far an incarnation went that another one has taken the place of."""

    under: Identity
    oldest: int
    oldest_records: int
    head: int
    records: int


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


def left_behind(hub: DataHub, since: int, position: int, ordinal: int | None) -> tuple[int, int]:
    """Find where a reader goes on that stood in an incarnation of a hub, and how many records it cannot have any more.

    There may have been several since, each another hub: of those between it can have nothing.

    Args:
        since: the incarnation that it stood in.
        position: where it stood.
        ordinal: how many records lie before that place; None when nobody knows, then lines are counted for records.
    """
    ends = [_End(Identity(hub_id.hex(), epoch), *rest) for hub_id, epoch, *rest in hub._ends(since)]
    now = identity_of(hub)
    if ends[0].under == now:  # there again, or still there
        others = {end.under.hub_id: end for end in ends if end.under.hub_id != now.hub_id}
        return position, sum(end.records - end.oldest_records for end in others.values())
    lost = 0
    for end, then in zip(ends, [*ends[1:], None], strict=True):
        under = then.under if then else now
        if under == end.under:  # opened anew, or by a forked child
            continue
        unread = end.head - position if ordinal is None else end.records - ordinal
        if under.hub_id != end.under.hub_id:
            position, ordinal = (then.oldest, then.oldest_records) if then else (int(hub._hub_state()["oldest"]), None)
        elif under.hub_id == now.hub_id:
            cut = parted(hub, end.under.epoch)
            if cut >= position:  # what lies before the cut is still to be read
                unread -= cut - position if ordinal is None else int(hub._records_before(cut)) - ordinal
            else:
                position, ordinal = cut, int(hub._records_before(cut))
        elif ordinal is not None:  # where the histories of a hub part that is gone, nobody can tell any more
            ordinal = max(ordinal, end.records)
        lost += max(0, unread)
    return position, lost


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
