"""The wrapping of a file: plain, gzip, or a zip with one table in it. Recognised from its first bytes."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from tapehub.errors import RecordingError

__all__ = ["Content", "lines", "unwrap", "whole"]

_HEAD_BYTES = 4096
_CHUNK_BYTES = 1 << 20  # some 40,000 ticks of text: a batch, and small enough to stay in the CPU's cache
_BROKEN = (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError, NotImplementedError)


@dataclass(frozen=True, slots=True)
class Content:
    """Stand for the bytes inside the wrapping.

    Attributes:
        path: the file.
        member: the name of what it holds: a zip's member, otherwise the file's own name.
        head: the first 4 KiB.
        open: starts reading from the beginning.
    """

    path: Path
    member: str
    head: bytes
    open: Callable[[], IO[bytes]]

    @property
    def first_line(self) -> str:
        """Give the first line; without its end, and with the replacement character for what is not ASCII."""
        return self.head.split(b"\n", 1)[0].strip().decode("ascii", "replace")


def unwrap(path: Path) -> Content:
    """Look into a file.

    Raises:
        RecordingError: it is absent, a folder, damaged, or a zip that holds other than one table.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(4)
        opener: Callable[[], IO[bytes]]
        if magic[:2] == b"\x1f\x8b":
            member = path.name.removesuffix(".gz")
            opener = partial(_open_gzip, path)
        elif magic == b"PK\x03\x04":
            member = _member(path)
            opener = partial(_open_member, path, member)
        else:
            member = path.name
            opener = partial(_open_plain, path)
        with opener() as stream:
            head = stream.read(_HEAD_BYTES)
    except FileNotFoundError:
        raise RecordingError(f"{path}: no such file; give the path of a recording") from None
    except IsADirectoryError:
        raise RecordingError(f"{path}: is a folder; give the files in it") from None
    except _BROKEN as error:
        raise RecordingError(f"{path}: cannot be read: {error}; fetch the file again") from error
    return Content(path, member, head, opener)


def _open_plain(path: Path) -> IO[bytes]:
    return path.open("rb")


def _open_gzip(path: Path) -> IO[bytes]:
    return gzip.GzipFile(path, "rb")  # type: ignore[return-value]  # an IO[bytes] in all but name


def _member(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
    tables = [name for name in names if name.lower().endswith(".csv")] or names  # HistData adds a .txt report
    if len(tables) != 1:
        raise RecordingError(f"{path}: zip holds {', '.join(names) or 'nothing'}: expected one table; unpack it")
    return tables[0]


def _open_member(path: Path, member: str) -> IO[bytes]:
    archive = zipfile.ZipFile(path)
    try:
        stream = archive.open(member)
    finally:
        archive.close()  # the file stays open until the member's stream is closed
    return stream


def whole(content: Content, size_bytes_max: int) -> bytes:
    """Read all of it.

    Raises:
        RecordingError: it is damaged, or larger than the format ever is.
    """
    try:
        data = b""
        with content.open() as stream:
            # In pieces: asked for the maximum at once, Python would allocate it whatever the file's size.
            while len(data) <= size_bytes_max and (block := stream.read(_CHUNK_BYTES)):
                data += block
    except _BROKEN as error:
        raise RecordingError(f"{content.path}: cannot be read: {error}; fetch the file again") from error
    if len(data) > size_bytes_max:
        raise RecordingError(f"{content.path}: over {size_bytes_max} bytes: expected one hour of ticks; split it")
    return data


def lines(content: Content, chunk_bytes: int = _CHUNK_BYTES) -> Iterator[bytes]:
    r"""Read whole lines, each chunk ending in ``\n``, about `chunk_bytes` at a time.

    Raises:
        RecordingError: the file is damaged, or has a line that long.
    """
    rest = b""
    done = 0
    try:
        with content.open() as stream:
            while block := stream.read(chunk_bytes):
                done += len(block)
                cut = block.rfind(b"\n") + 1
                if cut:
                    yield rest + block[:cut]
                    rest = block[cut:]
                elif len(rest) > chunk_bytes:
                    raise RecordingError(
                        f"{content.path}: no line end in {len(rest)} bytes before byte {done}: expected text"
                    )
                else:
                    rest += block
    except _BROKEN as error:
        raise RecordingError(
            f"{content.path}: damaged after byte {done} of {content.member}: {error}; fetch it again"
        ) from error
    if rest:
        yield rest + b"\n"
