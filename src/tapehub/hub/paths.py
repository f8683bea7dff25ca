"""Where a hub is, and how the files beside its log are made and replaced."""

from __future__ import annotations

import grp
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from tapehub.errors import ConfigError

__all__ = [
    "config_home", "file_mode", "group_id", "hub_path", "make_folder", "make_own", "opened", "replace_file",
    "replace_in",
]  # fmt: skip


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
    with opened(path.parent) as parent, opened(path.name, parent, make=True):
        pass


@contextmanager
def opened(path: Path | str, parent: int | None = None, *, make: bool = False) -> Iterator[int]:
    """Hold a directory by its descriptor: what is done there reaches it wherever it is moved to.

    Args:
        parent: descriptor of the directory that the path is relative to.
        make: make it where there is none, as open as its parent.
    """
    if make:
        with suppress(FileExistsError):
            os.mkdir(path, 0o700, dir_fd=parent)
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=parent)
    try:
        if make and parent is not None and _is_shared(parent) and os.fstat(handle).st_uid == os.getuid():
            os.fchmod(handle, 0o2770)
        yield handle
    finally:
        os.close(handle)


def make_own(path: Path) -> Path:
    """Make a file inside a hub's directory, unless it is there, for whoever may read the directory; give its path."""
    path.touch(0o600)
    found = path.stat()
    if found.st_uid == os.getuid() and stat.S_IMODE(found.st_mode) != file_mode(path.parent):
        path.chmod(file_mode(path.parent))
    return path


def replace_file(path: Path, data: bytes | str, *, durable: bool, mode: int | None = None) -> None:
    """Replace a file at once: whoever reads it sees all of the old one or all of the new one, whoever dies meanwhile.

    Any number of writers: each writes aside under a name of its own, and the last to end is the one that counts. With
    one name for all, one of them renamed what another had half written.

    Args:
        data: all that it is to hold; a text as UTF-8.
        durable: on stable storage, name and all, before this returns: two syncs. Without, a power loss may leave the
            old one, the new one or an empty one.
        mode: of the file; default is that of its folder's files: see `file_mode`.
    """
    with opened(path.parent) as folder:
        replace_in(folder, path.name, data, durable=durable, mode=mode)


def replace_in(folder: int, name: str, data: bytes | str, *, durable: bool, mode: int | None = None) -> None:
    """Replace a file of an opened directory as `replace_file` does."""
    aside = f".{name}.{secrets.token_hex(4)}"
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(handle, file_mode(folder) if mode is None else mode)
            file.write(data.encode() if isinstance(data, str) else data)
            if durable:
                file.flush()
                os.fsync(handle)
        os.replace(aside, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(aside, dir_fd=folder)
        raise
    if durable:  # a name that is not stored yet is lost with the power, and a cursor that is lost starts at the head
        os.fsync(folder)


def file_mode(folder: Path | int) -> int:
    """Give the mode of files in a folder of a hub: 0600, or 0660 where a group shares it, whatever the umask."""
    return 0o660 if _is_shared(folder) else 0o600


def _is_shared(folder: Path | int) -> bool:
    shared = stat.S_ISGID | stat.S_IWGRP
    return (os.fstat(folder) if isinstance(folder, int) else folder.stat()).st_mode & shared == shared
