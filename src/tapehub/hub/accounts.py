"""What became of every quote that feeds received, in all processes there are and were; and what callers published."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tapehub.hub.datahub import DataHub

__all__ = ["Account", "account_of"]

_READS = 5


@dataclass(frozen=True, slots=True)
class Account:
    """Count quotes of feeds: ``received`` is the sum of all others, unless the account does not balance.

    Attributes:
        published: as ticks, by those who received them.
        in_flight: received by processes that are attached, and not yet one of the others. Less than none when more is
            explained than was ever received.
        lost_in_producer: in hand in processes that died, or that left so.
        refused_callers: of what callers published who are no feed.
        acknowledged: records of any kind for which a call returned, whoever made it.
    """

    received: int
    published: int
    refused: int
    duplicates: int
    quarantined: int
    in_flight: int
    lost_in_producer: int
    refused_callers: int
    acknowledged: int

    @property
    def balanced(self) -> bool:
        """Whether every quote that was received has one fate, and no fate is of a quote that was not."""
        explained = self.published + self.refused + self.duplicates + self.quarantined
        return self.in_flight >= 0 and self.received == explained + self.in_flight + self.lost_in_producer


def account_of(hub: DataHub) -> Account:
    """Add up the counts. They move while they are read: what does not balance is read again."""
    for _ in range(_READS):
        found = _read(hub)
        if found.balanced:
            break
    return found


def _read(hub: DataHub) -> Account:
    told = hub._accounts()
    feeds, callers = told["feeds"], told["callers"]
    return Account(
        received=feeds["received"],
        published=feeds["published"],
        refused=feeds["refused"],
        duplicates=feeds["duplicates"],
        quarantined=feeds["quarantined"],
        in_flight=told["in_flight"],
        lost_in_producer=told["lost"],
        refused_callers=callers["refused"],
        acknowledged=feeds["published"] + callers["published"],
    )
