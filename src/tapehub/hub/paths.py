"""Where a hub is."""

from __future__ import annotations

import grp
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from tapehub.errors import ConfigError

__all__ = ["config_home", "file_mode", "group_id", "hub_path", "make_folder", "make_own"]


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


def config_home(environ: Mapping[str, str]) -> Path:
    """Give the directory of a user's configuration files.

    Source: XDG Base Directory Specification 0.8: a relative path is invalid, and is as good as none.
    """
    named = Path(environ.get("XDG_CONFIG_HOME", ""))
    return named if named.is_absolute() else Path.home() / ".config"


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
    if _is_shared(path.parent) and path.stat().st_uid == os.getuid():
        path.chmod(0o2770)


def make_own(path: Path) -> Path:
    """Make a file inside a hub's directory, unless it is there, for whoever may read the directory; give its path."""
    path.touch(0o600)
    found = path.stat()
    if found.st_uid == os.getuid() and stat.S_IMODE(found.st_mode) != file_mode(path.parent):
        path.chmod(file_mode(path.parent))
    return path


def file_mode(folder: Path) -> int:
    """Give the mode of files in a folder of a hub: 0600, or 0660 where a group shares it, whatever the umask."""
    return 0o660 if _is_shared(folder) else 0o600


def _is_shared(folder: Path) -> bool:
    shared = stat.S_ISGID | stat.S_IWGRP
    return folder.stat().st_mode & shared == shared
