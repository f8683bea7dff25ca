"""Hubs that nobody closed: those that a process still has when it ends, and those it has let go of."""

from __future__ import annotations

import atexit
import warnings
import weakref
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tapehub.hub.datahub import DataHub

__all__ = ["dropped", "open_hubs"]

open_hubs: Final[weakref.WeakSet[DataHub]] = weakref.WeakSet()
"""Closed when the interpreter ends, which is a way to use a hub."""


def dropped(hub: DataHub) -> None:
    """Close a hub that is collected: it holds files, a place among 256 processes, a thread."""
    if "_names" not in hub.__dict__ or hub.closed:  # it was never open, or is no more
        return
    warnings.warn(f"hub was not closed: {hub._directory}", ResourceWarning, stacklevel=3, source=hub)
    hub.close()


@atexit.register
def _close_all() -> None:
    for hub in list(open_hubs):
        hub.close()
