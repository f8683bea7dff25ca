"""How far a run was behind the hub, for the records it read then.

It is measured by a look at the hub, so it is written into the log, with the place in the log from which it holds; a
replay reads it up front. (It was taken up where the record of it stood once: at the head of the log, where the run is
behind no longer when it comes there.)
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from operator import itemgetter

__all__ = ["Lags"]

_place = itemgetter(0)


class Lags:
    """Hold what was measured, by the sequence of the first record it holds for. One thread.

    Args:
        noted: place and seconds, in the order they were written.
    """

    def __init__(self, noted: Iterable[tuple[int, float]] = ()) -> None:
        self._noted: list[tuple[int, float]] = []
        for place, seconds in noted:
            self.note(place, seconds)

    def note(self, place: int, seconds: float) -> None:
        """Take up a measurement; of two for one place, the later one holds."""
        self._noted.insert(bisect_right(self._noted, place, key=_place), (place, seconds))

    def at(self, cause: int) -> float:
        """Give the seconds that hold for a record."""
        number = bisect_right(self._noted, cause, key=_place)
        return self._noted[number - 1][1] if number else 0.0
