"""Ask a running "tapehub up" what it runs, and tell it to stop or to start a component again.

It listens at ``up.sock`` in the hub's directory: whoever may open the directory may ask. One line of JSON each way, and
a verb is one of three: nothing that comes in is ever run. The socket belongs to whoever holds ``up.lock``, so one that
a killed process left behind answers nobody, and the next "up" puts its own in place.
"""

from __future__ import annotations

import fcntl
import json
import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tapehub.app.supervisor import Row
from tapehub.errors import HubError
from tapehub.hub.paths import file_mode, make_own

__all__ = ["Control", "ask", "collected", "described", "only_one", "owner_of", "running_components", "running_up"]

SOCKET = "up.sock"
_LOCK = "up.lock"
_ADDRESS_BYTES_MAX = 100  # sun_path is 104 bytes on macOS, 108 on Linux
_LINE_BYTES_MAX = 4096
_ASKED_AT_ONCE_MAX = 16
_PATIENCE_S = 5.0
_ORDER_S = 10.0

Message = dict[str, Any]


# ---------------------------------------------------------------- asking


def running_components(where: Path) -> list[Message]:
    """Give the processes of the "up" that runs a hub, a row for each; empty where none runs.

    Returns:
        rows of ``name``, ``phase`` (as `supervisor.Phase`), ``pid`` (or None), ``restarts``, ``looping``, ``since``
        (ISO 8601, when the phase began), ``for_s`` and ``told``, in the order in which they are started.

    Raises:
        HubError: one runs and does not answer.
    """
    found = running_up(where)
    return [] if found is None else list(found["components"])


def running_up(where: Path) -> Message | None:
    """Give ``pid``, ``since`` and ``components`` of the "up" that runs a hub; None where none does.

    Raises:
        HubError: one runs and does not answer.
    """
    return ask(where, "components")


def collected(where: Path) -> str:
    """Name the feed that the "up" of a hub collects: none for a hub alone, empty where that cannot be told now.

    Raises:
        HubError: one runs and does not answer.
    """
    found = running_up(where)
    if found is None or not found["components"]:  # it has not looked at them yet
        return ""
    rows = {row["name"]: row for row in found["components"]}
    if "collector" not in rows:
        return "none"
    if "simulator" in rows:
        return "sim"
    # A collector says its feed and its instruments when it has come up; until then, or dead, something else is told.
    return str(rows["collector"]["told"]).partition(":")[0] if rows["collector"]["phase"] == "running" else ""


def ask(where: Path, verb: str, timeout_s: float = _PATIENCE_S, **arguments: Any) -> Message | None:
    """Ask the "up" of a hub.

    Returns:
        its answer; None where none runs.

    Raises:
        HubError: it refused, or does not answer.
    """
    asked = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with asked:
        asked.settimeout(timeout_s)
        try:
            with _address(where) as address:
                asked.connect(address)
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            return None
        except PermissionError as error:
            raise HubError(f"{where / SOCKET}: {error.strerror}: the hub is another user's; ask as that user") from None
        except (TimeoutError, BlockingIOError):
            raise HubError(_silent(where, timeout_s)) from None
        try:
            asked.sendall(json.dumps({"verb": verb, **arguments}).encode() + b"\n")
            line = b"".join(iter(lambda: asked.recv(65_536), b""))
        except TimeoutError:
            raise HubError(_silent(where, timeout_s)) from None
        except (ConnectionError, BrokenPipeError):
            return None  # it ended at this very moment
    if not line:
        return None
    answer: Message = json.loads(line)
    if "error" in answer:
        raise HubError(answer["error"])
    return answer


def _silent(where: Path, timeout_s: float) -> str:
    return (
        f'"tapehub up", process {owner_of(where) or "unknown"}, did not answer within {timeout_s:g} s: '
        f"is it stopped? continue or kill it: {where}"
    )


# ---------------------------------------------------------------- who runs it


def owner_of(where: Path) -> str:
    """Give the process id that the last "up" of a hub wrote down; it may be gone."""
    try:
        return (where / _LOCK).read_text(errors="replace").strip()
    except OSError:
        return ""


@contextmanager
def only_one(where: Path) -> Iterator[str]:
    """Hold the lock of the one "up" of a hub, which goes with the process, however that ends; or say who holds it."""
    descriptor = os.open(make_own(where / _LOCK), os.O_RDWR | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            return
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield ""
    finally:
        os.close(descriptor)


# ---------------------------------------------------------------- answering


@dataclass(slots=True)
class _Order:
    """A change that someone asks for, which the supervisor's thread makes."""

    name: str
    done: threading.Event = field(default_factory=threading.Event)
    error: str = ""


class Control:
    """Answer those who ask. Made and stepped by the thread of the supervisor, in the process that holds the lock.

    Args:
        stop: set when someone wants all to end.
    """

    def __init__(self, where: Path, stop: threading.Event) -> None:
        self._where = where
        self._stop = stop
        self._since = datetime.now(UTC)
        self._rows: list[Message] = []
        self._orders: queue.Queue[_Order] = queue.Queue(_ASKED_AT_ONCE_MAX)
        self._ended = threading.Event()
        self._places = threading.Semaphore(_ASKED_AT_ONCE_MAX)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with suppress(FileNotFoundError):
            (where / SOCKET).unlink()  # left behind by one that was killed: the lock is ours
        with _address(where) as address:
            self._socket.bind(address)
        (where / SOCKET).chmod(file_mode(where))
        self._socket.listen(_ASKED_AT_ONCE_MAX)
        self._thread = threading.Thread(target=self._accept, name="control", daemon=True)
        self._answering: set[threading.Thread] = set()
        self._thread.start()

    def step(self, rows: list[Message], restart: Callable[[str], None]) -> None:
        """Show what runs now, as `described` gives it, and do what was asked for."""
        self._rows = rows
        while not self._orders.empty():
            order = self._orders.get()
            try:
                restart(order.name)
            except Exception as error:  # whoever asked is told; what runs goes on
                order.error = str(error)
            order.done.set()

    def close(self) -> None:
        """Tell those who wait for the end that it has come, and answer nobody any more."""
        with suppress(FileNotFoundError):
            (self._where / SOCKET).unlink()
        self._ended.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._socket.close()
        self._thread.join(1.0)
        for thread in list(self._answering):
            thread.join(0.5)

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                asker, _ = self._socket.accept()
            except OSError:
                return
            if not self._places.acquire(blocking=False):
                asker.close()
                continue
            thread = threading.Thread(target=self._serve, args=(asker,), name="asked", daemon=True)
            self._answering.add(thread)
            thread.start()

    def _serve(self, asker: socket.socket) -> None:
        try:
            with asker, suppress(OSError):
                asker.settimeout(_PATIENCE_S)
                asker.sendall(json.dumps(self._answer(_line(asker))).encode() + b"\n")
        finally:
            self._answering.discard(threading.current_thread())
            self._places.release()

    def _answer(self, line: bytes) -> Message:
        try:
            asked = json.loads(line)
            verb, name = str(asked["verb"]), str(asked.get("name", ""))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return {"error": f"asked {line[:80]!r}: expected a line of JSON with a verb"}
        if verb == "restart":
            order = _Order(name)
            self._orders.put(order, timeout=_PATIENCE_S)
            if not order.done.wait(_ORDER_S):
                return {"error": f"{name} was not started again within {_ORDER_S:g} s; see tapehub status"}
            if order.error:
                return {"error": order.error}
        elif verb == "stop":
            ran = [row["name"] for row in self._rows if row["pid"] is not None]
            self._stop.set()
            return {"pid": os.getpid(), "stopped": ran, "ended": self._ended.wait(_ORDER_S)}
        elif verb != "components":
            return {"error": f"verb {verb!r}: expected one of components, restart, stop"}
        return {"pid": os.getpid(), "since": self._since.isoformat(timespec="milliseconds"), "components": self._rows}


def described(rows: Sequence[Row]) -> list[Message]:
    """Give the rows of a supervisor as `running_components` does."""
    now = datetime.now(UTC)
    return [
        {
            "name": row.name, "phase": row.phase.value, "pid": row.pid, "restarts": row.restarts,
            "looping": row.looping,
            "since": (now - timedelta(seconds=row.for_s)).isoformat(timespec="milliseconds"),
            "for_s": round(row.for_s, 3), "told": row.told,
        }
        for row in rows
    ]  # fmt: skip


def _line(asker: socket.socket) -> bytes:
    """Read one line within a bound and a time."""
    deadline_s = time.monotonic() + _PATIENCE_S
    line = b""
    while b"\n" not in line and len(line) < _LINE_BYTES_MAX and time.monotonic() < deadline_s:
        part = asker.recv(_LINE_BYTES_MAX - len(line))
        if not part:
            break
        line += part
    return line


@contextmanager
def _address(where: Path) -> Iterator[str]:
    """Give a name of the socket that fits an address: a deep directory is named by a descriptor of it.

    Raises:
        HubError: it does not fit, and this system cannot name descriptors so.
    """
    path = where / SOCKET
    if len(os.fsencode(path)) <= _ADDRESS_BYTES_MAX:
        yield str(path)
        return
    descriptor = os.open(where, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        named = Path(f"/proc/self/fd/{descriptor}")
        if not named.is_dir():
            raise HubError(f"{path} has {len(os.fsencode(path))} bytes, expected at most {_ADDRESS_BYTES_MAX}: "
                           "a socket's name is no longer; give the hub a shorter directory")  # fmt: skip
        yield str(named / SOCKET)
    finally:
        os.close(descriptor)
