"""A folder for this user alone, and files in it that nobody else could have written or read."""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tapehub.errors import ConfigError

_BYTES_MAX = 1 << 20
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: a named pipe in the place of a file must not hang whoever opens it.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Vault:
    """Keep small files in one folder. Any number of processes of one user.

    Folder and files are opened without following links and judged by what was opened, never by name, so that nobody
    can change them in between.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def exists(self) -> bool:
        """Tell whether the folder is there."""
        return self.folder.is_symlink() or self.folder.exists()

    def make(self) -> None:
        """Make the folder, 0700."""
        with suppress(FileExistsError):
            self.folder.mkdir(mode=0o700)

    def read(self, name: str) -> bytes | None:
        """Read a file; None when there is none.

        Raises:
            ConfigError: it is a link, no plain file, another user's, or open to others.
        """
        with self._opened() as folder:
            return None if folder is None else self._read(folder, name)

    def stamp(self, name: str) -> tuple[int, ...]:
        """Give what changes whenever the file does; empty when there is none."""
        with self._opened() as folder:
            if folder is None:
                return ()
            try:
                found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:
                return ()
            return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size

    @contextmanager
    def changing(self) -> Iterator[Change]:
        """Hold the folder alone, to read and replace files in it."""
        self.make()
        with self._opened() as folder:
            if folder is None:
                raise ConfigError(f"{self.folder} vanished while it was opened; try again")
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield Change(self, folder)

    @contextmanager
    def _opened(self) -> Iterator[int | None]:
        try:
            folder = os.open(self.folder, _DIRECTORY)
        except FileNotFoundError:
            yield None
            return
        except OSError as error:
            what = "a symbolic link" if self.folder.is_symlink() else error.strerror
            raise ConfigError(f"{self.folder} is {what}, expected a folder of this user: remove it") from None
        try:
            _judge(os.fstat(folder), self.folder, 0o700)
            yield folder
        finally:
            os.close(folder)

    def _read(self, folder: int, name: str) -> bytes | None:
        where = self.folder / name
        try:
            file = os.open(name, _READ, dir_fd=folder)
        except FileNotFoundError:
            return None
        except OSError as error:
            what = "a symbolic link" if where.is_symlink() else error.strerror
            raise ConfigError(f"{where} is {what}, expected a plain file of this user: remove it") from None
        with os.fdopen(file, "rb") as opened:
            found = os.fstat(file)
            if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
                kind = "a file with several names" if stat.S_ISREG(found.st_mode) else "no plain file"
                raise ConfigError(f"{where} is {kind}, expected a plain file of this user: remove it")
            _judge(found, where, 0o600)
            data = opened.read(_BYTES_MAX + 1)
        if len(data) > _BYTES_MAX:
            raise ConfigError(f"{where} is larger than {_BYTES_MAX:,} bytes, expected a few lines: remove it")
        return data


class Change:
    """Read and replace files while nobody else does."""

    def __init__(self, vault: Vault, folder: int) -> None:
        self._vault = vault
        self._folder = folder

    def read(self, name: str) -> bytes | None:
        """Read a file as it is now: see `Vault.read`."""
        return self._vault._read(self._folder, name)

    def write(self, name: str, data: bytes) -> None:
        """Put a new file, 0600, in the place of another; whoever reads sees the one or the other whole."""
        temporary = f".{name}.{secrets.token_hex(8)}"
        file = os.open(temporary, _NEW, 0o600, dir_fd=self._folder)
        try:
            with os.fdopen(file, "wb") as opened:
                os.fchmod(file, 0o600)
                opened.write(data)
                opened.flush()
                os.fsync(file)
            os.rename(temporary, name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=self._folder)
            raise
        os.fsync(self._folder)


def _judge(found: os.stat_result, where: Path, mode: int) -> None:
    if found.st_uid != os.geteuid():
        raise ConfigError(
            f"{where} belongs to user {found.st_uid}, expected {os.geteuid()}: whoever owns it can read its secrets; "
            "remove it, or run as that user"
        )
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise ConfigError(
            f"{where} has mode {stat.S_IMODE(found.st_mode):04o}, expected {mode:04o}: others may have read its "
            f'secrets; "chmod {mode:04o}" it, then change them with "tapehub token revoke"'
        )
