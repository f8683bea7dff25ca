"""Text that does not fit a record: kept in a file named by its hash, which the record then names.

A record holds 4,032 bytes. The file is written and synced before the record, so a record never names what is not there;
a crash in between leaves a file that nobody names, and writing the same text again finds it.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

from tapehub.errors import HubCorrupt
from tapehub.hub.paths import make_folder

__all__ = ["BLOB_FLAG", "PAYLOAD_MAX", "keep", "load"]

PAYLOAD_MAX: Final = 63 * 64
BLOB_FLAG: Final = 0x80
"""Flag of a record whose payload is the name of a blob."""


def keep(hub_path: Path, data: bytes) -> tuple[int, bytes]:
    """Give the flags and the payload of a record that carries ``data``."""
    if len(data) <= PAYLOAD_MAX:
        return 0, data
    name = hashlib.sha256(data).hexdigest()
    folder = hub_path / "blobs"
    target = folder / name
    if not target.exists():
        make_folder(folder)
        temporary = folder / f".{name}.{os.getpid()}"
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    return BLOB_FLAG, name.encode()


def load(hub_path: Path, flags: int, payload: bytes) -> bytes:
    """Give back what `keep` took.

    Raises:
        HubCorrupt: the file is missing or does not match its name.
    """
    if not flags & BLOB_FLAG:
        return payload
    path = hub_path / "blobs" / payload.decode(errors="replace")
    data = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(data).hexdigest().encode() != payload:
        what = "damaged" if data else "missing"
        raise HubCorrupt(f"blob {path.name[:16]}… is {what}: {path}; restore it from a backup")
    return data
