"""The gate between feeds and hub: what is refused, why, and how many."""

from __future__ import annotations

from tapehub.quality.gate import Gate, Tally, Verdict
from tapehub.quality.reasons import Reason

__all__ = ["Gate", "Reason", "Tally", "Verdict"]
