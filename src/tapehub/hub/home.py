"""The directory of the very hub that a process is attached to, wherever it is now, and the small files in it."""

from __future__ import annotations

import os
import stat
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING

from tapehub.hub.paths import file_mode, opened, replace_in

if TYPE_CHECKING:
    from pathlib import Path

    from tapehub.hub.datahub import DataHub

__all__ = ["Home", "home_of"]


class Home:
    """Hold the directory of one incarnation of a hub. Any number of threads.

    It takes a process up to a second to notice that its hub was replaced. Until then a path leads to the new one, whose
    cursors and blobs are not ours to write.

    Attributes:
        path: where the hub lay when it was opened, for messages.
        incarnation: the hub's own count of what it has been attached to.
    """

    def __init__(self, hub: DataHub) -> None:
        self.path: Path = hub.path
        self._directory, self.incarnation = hub._open_home()
        weakref.finalize(self, os.close, self._directory)

    def read(self, folder: str, name: str) -> bytes | None:
        """Read a file of a folder; None where there is none."""
        try:
            with opened(folder, self._directory) as inside:
                handle = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=inside)
        except FileNotFoundError:
            return None
        with os.fdopen(handle, "rb") as file:
            return file.read()

    def replace(self, folder: str, name: str, data: bytes | str, *, group_writes: bool = True) -> None:
        """Put a file on stable storage, in a folder that is made where there is none: see `paths.replace_file`.

        Args:
            group_writes: whether the group of a shared hub may write it too.

        Raises:
            FileNotFoundError: the directory was deleted.
        """
        with opened(folder, self._directory, make=True) as inside:
            mode = file_mode(inside) & ~(0 if group_writes else stat.S_IWGRP)
            replace_in(inside, name, data, durable=True, mode=mode)

    def remove(self, folder: str, name: str) -> None:
        """Remove a file; one that is not there is none."""
        with suppress(FileNotFoundError), opened(folder, self._directory) as inside:
            os.unlink(name, dir_fd=inside)


_homes: weakref.WeakKeyDictionary[DataHub, Home] = weakref.WeakKeyDictionary()


def home_of(hub: DataHub) -> Home:
    """Give the directory of the hub that is there now: the same for as long as the hub is."""
    known = _homes.get(hub)
    if known is None or known.incarnation != hub._incarnation:
        known = _homes[hub] = Home(hub)
    return known
