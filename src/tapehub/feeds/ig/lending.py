"""Lend the session of a running collector to order code of the same user, so that nobody logs in twice.

What is lent was vouched for by REST lately; whoever had a 401 says of which session, and it is asked about at once.

A second login can end the first one's tokens, and logins are counted. The secrets go over a Unix socket that only the
user can reach (directory 0700, socket 0600), to processes of the same user alone (the kernel says whose they are), and
stand in no file and not in the hub.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import socket
import stat
import struct
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tapehub.errors import ConfigError, FeedError

if TYPE_CHECKING:
    from tapehub.feeds.ig.account import Login
    from tapehub.feeds.ig.credentials import Credentials

__all__ = ["BorrowedSession", "Lender", "borrow", "socket_path"]

_log = logging.getLogger("tapehub.feeds.ig")
_TIMEOUT_S = 5.0
_REPLY_BYTES_MAX = 65_536
_QUESTION_BYTES_MAX = 256
_QUESTION_WITHIN_S = 0.25  # a borrower of an earlier version asks nothing
_VOUCHED_WITHIN_S = 3.0  # below a borrower's patience: rather the tokens there are than none
_AT_ONCE_MAX = 16


@dataclass(frozen=True, slots=True, repr=False)
class BorrowedSession:
    """Hold a session that a collector logged in; printing it hides the tokens.

    Borrow again after a 401, and name this session as the one that failed: the collector then renews the tokens.

    Attributes:
        endpoint: of streaming.
        base_url: of the REST API.
    """

    account: str
    account_type: str
    endpoint: str
    base_url: str
    api_key: str
    cst: str
    security_token: str

    def __repr__(self) -> str:
        return f"BorrowedSession({self.account_type}, {self.base_url}, account and tokens hidden)"

    @property
    def headers(self) -> dict[str, str]:
        """Give the headers that every request needs beside VERSION."""
        return {
            "X-IG-API-KEY": self.api_key,
            "CST": self.cst,
            "X-SECURITY-TOKEN": self.security_token,
            "IG-ACCOUNT-ID": self.account,
            "Content-Type": "application/json; charset=UTF-8",
            "Accept": "application/json; charset=UTF-8",
        }

    def service(self, **options: Any) -> Any:
        """Make a `trading_ig.IGService` that is logged in already.

        Args:
            options: of `IGService`, such as ``return_dataframe``.
        """
        from tapehub.feeds.ig.rest import service_class

        # No user and no password: what is borrowed cannot log in, and so cannot end the collector's session.
        service = service_class()("", "", self.api_key, acc_type=self.account_type, acc_number=self.account, **options)
        service.BASE_URL = service.crud_session.BASE_URL = self.base_url
        service.session.headers.update(self.headers)
        return service


def socket_path(account_type: str = "demo") -> Path:
    """Name the socket: in the user's runtime directory, else in a private one below the temporary directory."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(runtime) / "tapehub" if runtime else Path(tempfile.gettempdir()) / f"tapehub-{os.getuid()}"
    return folder / f"ig-{account_type.lower()}.sock"


def borrow(path: Path, failed: BorrowedSession | None = None) -> BorrowedSession:
    """Ask the collector behind a socket for its session.

    Args:
        failed: one borrowed before whose tokens IG refused: they are asked about before anything is lent again.

    Raises:
        FeedError: no collector lends there, or not to this user.
    """
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with line:
        line.settimeout(_TIMEOUT_S)
        try:
            line.connect(os.fspath(path))
            if _owner_of(line) != os.getuid():
                raise FeedError(f"{path} belongs to another user, expected one's own collector; nothing was asked")
            reply = b""
            question = {"failed": _mark_of(failed.cst) if failed is not None else ""}
            with contextlib.suppress(ConnectionError):  # turned away before it was read
                line.sendall(json.dumps(question).encode() + b"\n")
                while chunk := line.recv(_REPLY_BYTES_MAX):
                    reply += chunk
                    if len(reply) > _REPLY_BYTES_MAX:
                        break
        except OSError as error:
            raise FeedError(
                f"no IG session to borrow at {path} ({error.strerror or type(error).__name__}): expected a collector "
                'that is logged in; start it with "tapehub collect ig"'
            ) from None
    try:
        return BorrowedSession(**json.loads(reply))
    except (ValueError, TypeError):
        raise FeedError(f"{path}: the collector lends no session (it is of another user, or not logged in)") from None


def _mark_of(cst: str) -> str:
    """Name a session without its secret."""
    return hashlib.sha256(cst.encode()).hexdigest()[:32]


class Lender:
    """Answer whoever asks with the latest session. In one event loop.

    An answer is smaller than a socket's buffer, so it is sent at once and no connection outlives it.

    Args:
        vouched: awaited before a session is lent, told whether the borrower says that the latest one failed; what it
            renews comes by `lend`.
    """

    def __init__(self, path: Path | None = None, vouched: Callable[[bool], Awaitable[None]] | None = None) -> None:
        self._chosen = path
        self._vouched = vouched
        self._answering: set[asyncio.Task[None]] = set()
        self._mark = ""
        self.path: Path | None = None
        self._listening: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reply = b""

    def lend(self, login: Login, credentials: Credentials) -> None:
        """Lend this session from now on; a place that cannot be had is no reason to have no data."""
        session = {
            "account": login.account,
            "account_type": credentials.account_type.name.lower(),
            "endpoint": login.endpoint,
            "base_url": login.base_url,
            "api_key": credentials.api_key,
            "cst": login.cst,
            "security_token": login.security_token,
        }
        self._reply = json.dumps(session).encode()
        self._mark = _mark_of(login.cst)
        if self._listening is None:
            path = self._chosen or socket_path(credentials.account_type.name)
            if _make_private(path.parent) and not _answers(path):
                self._listen(path)

    def close(self) -> None:
        """Lend nothing any more."""
        self._reply = b""
        for task in self._answering:
            task.cancel()
        listening, self._listening = self._listening, None
        if listening is not None and self._loop is not None and self.path is not None:
            self._loop.remove_reader(listening)
            listening.close()
            self.path.unlink(missing_ok=True)

    def _listen(self, path: Path) -> None:
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            path.unlink(missing_ok=True)
            listening.bind(os.fspath(path))
            listening.listen(16)
            listening.setblocking(False)
        except OSError as error:
            listening.close()
            _log.warning("the session is not lent: %s: %s", path, error.strerror or error)
            return
        finally:
            os.umask(before)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(listening, self._answer)
        self._listening, self.path = listening, path

    def _answer(self) -> None:
        assert self._listening is not None
        try:
            line, _ = self._listening.accept()
        except OSError:  # who asked is gone
            return
        line.setblocking(False)
        if _owner_of(line) != os.getuid() or len(self._answering) >= _AT_ONCE_MAX:
            line.close()
            return
        task = asyncio.create_task(self._lend_to(line), name="ig-lending")
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _lend_to(self, line: socket.socket) -> None:
        with line, contextlib.suppress(OSError):
            failed = await self._question(line)
            if self._vouched is not None:
                try:
                    await asyncio.wait_for(self._vouched(failed == self._mark != ""), _VOUCHED_WITHIN_S)
                except Exception as error:  # what there is may hold all the same
                    _log.warning("the session is lent unasked: %s: %s", type(error).__name__, error)
            line.sendall(self._reply)

    @staticmethod
    async def _question(line: socket.socket) -> str:
        try:
            text = await asyncio.wait_for(
                asyncio.get_running_loop().sock_recv(line, _QUESTION_BYTES_MAX), _QUESTION_WITHIN_S
            )
            asked = json.loads(text)
            return str(asked.get("failed") or "") if isinstance(asked, dict) else ""
        except (TimeoutError, ValueError):
            return ""


def _owner_of(line: Any) -> int:
    """Ask the kernel whose process is at the other end."""
    peer = getattr(socket, "SO_PEERCRED", None)
    if peer is None:
        raise ConfigError("this system does not say who is at the other end of a socket, expected SO_PEERCRED (Linux)")
    _, user, _ = struct.unpack("3i", line.getsockopt(socket.SOL_SOCKET, peer, struct.calcsize("3i")))
    return int(user)


def _make_private(folder: Path) -> bool:
    """Make a directory that is ours alone; False when it is somebody else's or open to others."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077


def _answers(path: Path) -> bool:
    """Tell whether another collector lends here; what a dead one left behind does not answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(1.0)
        try:
            line.connect(os.fspath(path))
        except OSError:
            return False
        return True
