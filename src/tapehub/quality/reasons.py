"""Why a quote was put in quarantine. The numbers are stored in the log: append, never renumber."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["Reason"]


class Reason(IntEnum):
    """Name a reason; where several apply, the lowest number is given."""

    MALFORMED = 1  # a message that could not be read
    UNKNOWN_INSTRUMENT = 2
    NON_FINITE = 3  # a price that is NaN or infinite
    NON_POSITIVE = 4  # a price at or below zero
    CROSSED = 5  # ask below bid
    ANCIENT = 6  # event time before 1990: a zero, or seconds taken for nanoseconds
    FUTURE = 7  # event time ahead of the hub clock
    SCALE = 8  # a price 20 times off
    SPIKE = 9
    BLOWN_SPREAD = 10

    @property
    def label(self) -> str:
        """Give the name shown to people and used in metrics, such as ``non-positive``."""
        return self.name.lower().replace("_", "-")
