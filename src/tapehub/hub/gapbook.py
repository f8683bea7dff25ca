"""Follow the gaps of all channels, without reading the log anew each time somebody asks.

`DataHub.gaps` reads the whole log for one instrument; a page of a hundred of them that asks every ten seconds has it
read ten times a second. Here it is read once for all, and from then on only what is new.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from tapehub.hub import marks, reading, scanning
from tapehub.model.records import Kind

if TYPE_CHECKING:
    from tapehub.hub.datahub import DataHub

__all__ = ["GapBook", "gap_book"]

_ROWS_MAX = 100_000
# A long log is gone through in parts, so that others have a turn.
_LINES_AT_ONCE = 1 << 20
Place = tuple[int, int]
"""Ids of instrument and source."""


class GapBook:
    """Hold one row for each gap that the log tells of. Any number of threads; they wait for who reads on.

    Args:
        rows_max: the newest so many are held; of a symbol with older ones, the log is asked.
    """

    def __init__(self, rows_max: int = _ROWS_MAX) -> None:
        self._rows_max = rows_max
        self._lock = threading.Lock()
        self._of: tuple[object, ...] = ()
        self._position = 0
        self._oldest = 0
        self._rows: OrderedDict[tuple[Place, int], dict[str, Any]] = OrderedDict()  # the latest word last
        self._by_place: dict[Place, dict[int, dict[str, Any]]] = {}
        self._forgot: set[Place] = set()

    def of(self, hub: DataHub, symbol: str, source: str | None = None) -> list[dict[str, Any]]:
        """Give what `DataHub.gaps` gives."""
        channel = reading.find_channel(hub, symbol, source)
        if channel is None:
            return []
        place = hub._channels()[channel]
        with self._lock:
            self._read(hub)
            if place not in self._forgot:
                found = self._by_place.get(place, {})
                return [{name: found[start][name] for name in marks.GAP_FIELDS} for start in sorted(found)]
        return hub.gaps(symbol, source)

    # ------------------------------------------------------------ reading on

    def _read(self, hub: DataHub) -> None:
        oldest = int(hub._hub_state()["oldest"])
        of = (hub._incarnation, hub.hub_id, hub.epoch)
        if of != self._of:  # another hub lies there, or another epoch, in which a sequence means something else
            self._of, self._position, self._oldest = of, oldest, oldest
            self._rows.clear()
            self._by_place.clear()
            self._forgot.clear()
        self._position = max(self._position, oldest)
        head = hub.head
        while self._position < head:
            stop = min(head, self._position + _LINES_AT_ONCE)
            for seq, record in scanning.between(hub, 1 << Kind.GAP, self._position, stop):
                self._take((int(record[7]), int(record[8])), seq, record)
            self._position = stop
        if oldest > self._oldest:
            self._oldest = oldest
            self._drop_before(oldest)

    def _take(self, place: Place, seq: int, record: Any) -> None:
        row = marks.gap_row(seq, record)
        start = row["start"]
        before = self._rows.get((place, start))
        if before is not None and before["seqs"][-1] >= seq:  # of a part that could not be read to its end before
            return
        self._rows.pop((place, start), None)
        row["seqs"] = [*(before["seqs"] if before else ()), seq]
        row["seq"] = row["seqs"][0]
        self._rows[place, start] = row
        self._by_place.setdefault(place, {})[start] = row
        if len(self._rows) > self._rows_max:
            (place, start), _ = self._rows.popitem(last=False)
            del self._by_place[place][start]
            self._forgot.add(place)

    def _drop_before(self, oldest: int) -> None:
        """Forget what the log no longer tells."""
        for key in [key for key, row in self._rows.items() if row["seqs"][0] < oldest]:
            row = self._rows[key]
            row["seqs"] = [seq for seq in row["seqs"] if seq >= oldest]
            if row["seqs"]:
                row["seq"] = row["seqs"][0]
            else:
                del self._rows[key], self._by_place[key[0]][key[1]]


_books: WeakKeyDictionary[DataHub, GapBook] = WeakKeyDictionary()
_making = threading.Lock()


def gap_book(hub: DataHub) -> GapBook:
    """Give the gaps of a hub; what was read before is kept as long as the hub is open."""
    with _making:
        return _books.setdefault(hub, GapBook())
