"""Whether every byte of the log is what was written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tapehub.hub.datahub import DataHub

__all__ = ["Report", "verify"]


@dataclass(frozen=True, slots=True)
class Report:
    """Say what a walk over the whole log found.

    Attributes:
        records: records whose checksums match.
        segments: files that were read.
        bad: (line, what is wrong), the first of each segment: behind it the walk has lost its footing.
        expected_records: records the hub counted when the walk began. A live hub grows meanwhile: more are no fault.
    """

    records: int
    segments: int
    expected_records: int
    bad: list[tuple[int, str]] = field(default_factory=list)

    @property
    def missing(self) -> int:
        """How many records the hub counts that are not there, where no damage says why."""
        return 0 if self.bad else max(0, self.expected_records - self.records)

    @property
    def ok(self) -> bool:
        """Whether nothing is damaged and nothing is missing."""
        return not self.bad and not self.missing


def verify(hub: DataHub, progress: Callable[[int, int], None] | None = None) -> Report:
    """Walk every segment up to the head and check each record.

    Args:
        progress: called with (lines done, lines in all) after each segment.
    """
    state = hub._hub_state()
    head = int(state["head"])
    lines, oldest = int(state["segment_lines"]), int(state["oldest"])
    segments = list(range(oldest // lines, -(-head // lines)))  # all that are to be there: what is missing is found bad
    before = hub._records_before(segments[0] * lines) if segments else 0
    records = 0
    bad: list[tuple[int, str]] = []
    for done, number in enumerate(segments, 1):
        sound, line, why = hub._verify_segment(number)
        records += sound
        if why:
            bad.append((line, why))
        if progress:
            progress(min(done * lines, head), head)
    # Not counted from the last header: a segment that the head has only just reached has none yet.
    expected = int(state["records"]) - before if segments else 0
    return Report(records, len(segments), expected, bad)
