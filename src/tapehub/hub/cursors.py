"""The cursors of durable streams and of agents' runs, a file each in ``<hub>/cursors``: ``position epoch hub_id``.

The position comes first, alone in files of older versions: retention and a recovery read it too (upkeep.hpp,
recovery.hpp). A position without the history it counts means nothing once the tail was cut or the hub replaced.
"""

from __future__ import annotations

from contextlib import suppress

from tapehub.errors import ConfigError
from tapehub.hub.home import Home
from tapehub.hub.lineage import Identity

__all__ = ["drop", "keep", "kept"]

_FOLDER = "cursors"


def keep(home: Home, name: str, position: int, under: Identity) -> None:
    """Put a position on stable storage: what is before it may be dropped from the log now.

    Of a hub that was deleted there is nothing to keep: the next read says so, or goes on in the one in its place.
    """
    with suppress(FileNotFoundError):
        home.replace(_FOLDER, name, f"{position} {under.epoch} {under.hub_id}\n")


def drop(home: Home, name: str) -> None:
    """Let go of the log that a cursor holds back; one that is not there is none."""
    home.remove(_FOLDER, name)


def kept(home: Home, name: str) -> tuple[int, Identity | None] | None:
    """Read a position back; the history it counts is None in a file of an older version, which did not say it.

    Raises:
        ConfigError: the file holds something else.
    """
    text = home.read(_FOLDER, name)
    if text is None:
        return None
    words = text.decode(errors="replace").split()
    try:
        if len(words) == 1:
            return int(words[0]), None
        position, epoch, hub_id = words
        return int(position), Identity(hub_id, int(epoch))
    except ValueError:
        raise ConfigError(
            f'cursor {home.path / _FOLDER / name} holds {" ".join(words)[:80]!r}, expected "position epoch hub_id"; '
            f"remove it to begin anew"
        ) from None
