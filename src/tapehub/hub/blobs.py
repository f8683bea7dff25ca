"""What does not fit a record: kept in a file named by its hash, which the record then names.

A record holds 4,032 bytes. The file is written and synced before the record, so a record never names what is not there;
a crash in between leaves a file that nobody names, and writing the same text again finds it. Nothing here is ever
removed: what the views name (the calendars' session tables) outlives the segment of the record that named it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from tapehub.errors import HubCorrupt, HubError
from tapehub.hub.home import Home, home_of

if TYPE_CHECKING:
    from tapehub.hub.datahub import DataHub

__all__ = ["BLOB_FLAG", "PAYLOAD_MAX", "fetch", "keep", "load", "store"]

PAYLOAD_MAX: Final = 63 * 64
BLOB_FLAG: Final = 0x80
"""Flag of a record whose payload is the name of a blob."""

_FOLDER: Final = "blobs"
_ATTEMPTS: Final = 5


def keep(hub: DataHub, data: bytes, publish: Callable[[int, bytes, int], int]) -> int:
    """Publish a record that carries ``data``, in the hub that has the blob. Returns the sequence number.

    Args:
        publish: called with the record's flags, its payload and the incarnation that both are for; what it looks up of
            the hub is of that one too. 0 when there is another by then: it is called again.

    Raises:
        HubNotRunning: the hub's directory was deleted.
    """
    for _ in range(_ATTEMPTS):
        home = home_of(hub)
        try:
            flags, payload = (0, data) if len(data) <= PAYLOAD_MAX else (BLOB_FLAG, _store(home, data).encode())
        except FileNotFoundError:
            hub._lost()  # looks now, where it would be noticed within a second
            hub._head()
            if home_of(hub) is home:
                raise
            continue
        if seq := publish(flags, payload, home.incarnation):
            return seq
    raise HubError(f"the hub was replaced {_ATTEMPTS} times while a record was written: {hub.path}; who restarts it?")


def store(hub: DataHub, data: bytes) -> str:
    """Write a blob, unless it is there, and give its name. One that is damaged is written anew."""
    return _store(home_of(hub), data)


def _store(home: Home, data: bytes) -> str:
    name = hashlib.sha256(data).hexdigest()
    if home.read(_FOLDER, name) != data:
        home.replace(_FOLDER, name, data, group_writes=False)  # nobody has to write what is named by its hash
    return name


def load(hub: DataHub, flags: int, payload: bytes) -> bytes:
    """Give back what `keep` took.

    Raises:
        HubCorrupt: the file is missing or does not match its name.
    """
    return fetch(home_of(hub), payload.decode(errors="replace")) if flags & BLOB_FLAG else payload


def fetch(home: Home, name: str) -> bytes:
    """Read the blob of this name.

    Raises:
        HubCorrupt: the file is missing or does not match its name.
    """
    data = home.read(_FOLDER, name) or b""
    if hashlib.sha256(data).hexdigest() != name:
        what = "damaged" if data else "missing"
        raise HubCorrupt(f"blob {name[:16]}… is {what}: {home.path / _FOLDER / name}; restore it from a backup")
    return data
