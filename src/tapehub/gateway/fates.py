"""What became of every quote that feeds received, counted at each hop and not inferred from the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tapehub.hub.accounts import account_of

if TYPE_CHECKING:
    from tapehub.hub import DataHub

__all__ = ["Fates", "fates"]


@dataclass(frozen=True, slots=True)
class Fates:
    """Count quotes: ``received`` is the sum of all others, unless the ledger does not add up.

    Attributes:
        accepted: published as ticks by those who received them.
        in_flight: received by processes that are alive, and not yet one of the others.
        lost_in_producer: in hand in processes that died.
    """

    received: int
    accepted: int
    duplicates: int
    refused: int
    quarantined: int
    in_flight: int
    lost_in_producer: int


def fates(hub: DataHub) -> Fates:
    """Count what feeds received and did with it, in all processes there are and were."""
    account = account_of(hub)
    return Fates(
        received=account.received,
        accepted=account.published,
        duplicates=account.duplicates,
        refused=account.refused,
        quarantined=account.quarantined,
        in_flight=account.in_flight,
        lost_in_producer=account.lost_in_producer,
    )
