"""The cursors of durable streams and of agents' runs, a file each in ``<hub>/cursors``: ``position epoch hub_id``.

The position comes first, alone in files of older versions: retention and a recovery read it too (upkeep.hpp,
recovery.hpp). A position without the history it counts means nothing once the tail was cut or the hub replaced.
"""

from __future__ import annotations

from pathlib import Path

from tapehub.errors import ConfigError
from tapehub.hub.lineage import Identity
from tapehub.hub.paths import make_folder, replace_file

__all__ = ["drop", "keep", "kept"]

_FOLDER = "cursors"


def keep(hub: Path, name: str, position: int, under: Identity) -> None:
    """Put a position on stable storage: what is before it may be dropped from the log now."""
    folder = hub / _FOLDER
    make_folder(folder)
    replace_file(folder / name, f"{position} {under.epoch} {under.hub_id}\n", durable=True)


def drop(hub: Path, name: str) -> None:
    """Let go of the log that a cursor holds back; one that is not there is none."""
    (hub / _FOLDER / name).unlink(missing_ok=True)


def kept(hub: Path, name: str) -> tuple[int, Identity | None] | None:
    """Read a position back; the history it counts is None in a file of an older version, which did not say it.

    Raises:
        ConfigError: the file holds something else.
    """
    path = hub / _FOLDER / name
    if not path.exists():
        return None
    words = path.read_text(errors="replace").split()
    try:
        if len(words) == 1:
            return int(words[0]), None
        position, epoch, hub_id = words
        return int(position), Identity(hub_id, int(epoch))
    except ValueError:
        raise ConfigError(
            f'cursor {path} holds {" ".join(words)[:80]!r}, expected "position epoch hub_id"; remove it to begin anew'
        ) from None
