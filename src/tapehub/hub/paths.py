"""Where a hub is."""

from __future__ import annotations

import grp
import os
import stat
from pathlib import Path

from tapehub.errors import ConfigError

__all__ = ["group_id", "hub_path", "make_folder"]


def hub_path(name: str | None = None) -> Path:
    """Give the directory of a named hub.

    ``TAPEHUB_HOME`` is the parent (default ``~/.local/state/tapehub``), ``TAPEHUB_NAME`` the name (default
    ``default``).

    Raises:
        ConfigError: the name is no single path component.
    """
    home = os.environ.get("TAPEHUB_HOME")
    parent = Path(home).expanduser() if home else Path.home() / ".local" / "state" / "tapehub"
    chosen = name or os.environ.get("TAPEHUB_NAME") or "default"
    if chosen in {".", ".."} or "/" in chosen or "\0" in chosen:
        raise ConfigError(f"hub name is {chosen!r}, expected one path component; use path= for a directory of your own")
    return parent / chosen


def group_id(group: str | int | None) -> int | None:
    """Look a group of users up.

    Raises:
        ConfigError: there is none of that name.
    """
    if not isinstance(group, str):
        return group
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise ConfigError(
            f"group {group!r} is not known to this machine: expected one that `getent group` lists"
        ) from None


def make_folder(path: Path) -> None:
    """Make a folder inside a hub's directory, for its owner alone, or for the group the hub is shared with."""
    path.mkdir(mode=0o700, exist_ok=True)
    shared = stat.S_ISGID | stat.S_IWGRP
    if path.parent.stat().st_mode & shared == shared and path.stat().st_uid == os.getuid():
        path.chmod(0o2770)
