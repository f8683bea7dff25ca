"""How old data are, and from when on they lie too far ahead of the hub clock to be of now."""

from __future__ import annotations

from typing import Final

__all__ = ["AHEAD_MAX_S", "is_ahead", "is_within"]

AHEAD_MAX_S: Final = 60.0
"""Clocks differ: the hub takes a tick that is stamped up to a minute ahead of its own. What lies further ahead is of
another time line, from before the clock was set back, and nobody can tell how old it is."""


def is_ahead(age_s: float) -> bool:
    """Tell whether an age is of another time line."""
    return age_s < -AHEAD_MAX_S


def is_within(age_s: float, limit_s: float) -> bool:
    """Tell whether data are fresh by their age: not older than a limit, nor of another time line."""
    return age_s <= limit_s and not is_ahead(age_s)
