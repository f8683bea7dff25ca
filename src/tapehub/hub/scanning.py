"""Walk the log for records of some kinds, also while retention drops segments under the reader."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from tapehub.hub.reading import EVER, NEVER

if TYPE_CHECKING:
    from tapehub.hub.datahub import DataHub

__all__ = ["between", "newest"]

_NO_ROWS = np.empty(0, np.uint8)


def between(hub: DataHub, kinds: int, position: int, stop: int, channels: bytes = b"") -> Iterator[tuple[int, Any]]:
    """Go through the records of some kinds from one line of the log to another, oldest first: sequence and record.

    Where segments are dropped under it, it goes on at the oldest line that is left: it stopped there once, and what
    came after them was missing, too, from whatever was told of the log.

    Args:
        kinds: a mask, one bit for each.
        channels: a mask, one byte for each; empty is every channel.
    """
    while position < stop:
        after, _, _, found, oldest = hub._scan(position, stop, channels, kinds, NEVER, EVER, _NO_ROWS)
        record = hub._record(found) if found else None
        if record is not None:  # else dropped with its segment since
            yield found, record
        if after <= position:
            if oldest <= position:
                return
            after = oldest
        position = after


def newest(hub: DataHub, kinds: int, oldest: int = 0) -> Iterator[tuple[int, Any]]:
    """Go through the records of some kinds, newest first, a segment at a time.

    Args:
        oldest: the line to stop at.
    """
    state = hub._hub_state()
    lines, last = int(state["segment_lines"]), hub.head
    oldest = max(oldest, int(state["oldest"]))
    for segment in range(last // lines, oldest // lines - 1, -1):
        begin, stop = max(oldest, segment * lines), min(last, (segment + 1) * lines)
        yield from reversed(list(between(hub, kinds, begin, stop)))
