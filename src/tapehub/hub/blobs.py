"""What does not fit a record: kept in a file named by its hash, which the record then names.

A record holds 4,032 bytes. The file is written and synced before the record, so a record never names what is not there;
a crash in between leaves a file that nobody names, and writing the same text again finds it. Nothing here is ever
removed: what the views name (the calendars' session tables) outlives the segment of the record that named it.
"""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path
from typing import Final

from tapehub.errors import HubCorrupt
from tapehub.hub.paths import file_mode, make_folder, replace_file

__all__ = ["BLOB_FLAG", "PAYLOAD_MAX", "fetch", "keep", "load", "store"]

PAYLOAD_MAX: Final = 63 * 64
BLOB_FLAG: Final = 0x80
"""Flag of a record whose payload is the name of a blob."""


def keep(hub_path: Path, data: bytes) -> tuple[int, bytes]:
    """Give the flags and the payload of a record that carries ``data``."""
    if len(data) <= PAYLOAD_MAX:
        return 0, data
    return BLOB_FLAG, store(hub_path, data).encode()


def store(hub_path: Path, data: bytes) -> str:
    """Write a blob, unless it is there, and give its name. One that is damaged is written anew."""
    name = hashlib.sha256(data).hexdigest()
    folder = hub_path / "blobs"
    target = folder / name
    if not _holds(target, data):
        make_folder(folder)
        # The group reads it; nobody has to write what is named by its hash.
        replace_file(target, data, durable=True, mode=file_mode(folder) & ~stat.S_IWGRP)
    return name


def load(hub_path: Path, flags: int, payload: bytes) -> bytes:
    """Give back what `keep` took.

    Raises:
        HubCorrupt: the file is missing or does not match its name.
    """
    return fetch(hub_path, payload.decode(errors="replace")) if flags & BLOB_FLAG else payload


def fetch(hub_path: Path, name: str) -> bytes:
    """Read the blob of this name.

    Raises:
        HubCorrupt: the file is missing or does not match its name.
    """
    path = hub_path / "blobs" / name
    data = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(data).hexdigest() != name:
        what = "damaged" if data else "missing"
        raise HubCorrupt(f"blob {path.name[:16]}… is {what}: {path}; restore it from a backup")
    return data


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() == data
    except FileNotFoundError:
        return False
