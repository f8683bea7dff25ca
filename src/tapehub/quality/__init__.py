"""What stands between feeds and hub: which quotes are refused and why, and whether the feed is alive at all."""

from __future__ import annotations

from tapehub.quality.gaps import Gap, GapBook
from tapehub.quality.gate import Arrival, Gate, Tally, Verdict
from tapehub.quality.liveness import Change, Liveness
from tapehub.quality.reasons import Reason
from tapehub.quality.rhythm import Rhythm
from tapehub.quality.skew import Skew

__all__ = ["Arrival", "Change", "Gap", "GapBook", "Gate", "Liveness", "Reason", "Rhythm", "Skew", "Tally", "Verdict"]
