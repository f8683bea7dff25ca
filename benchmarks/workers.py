"""Run one role (a producer, a reader) in a process of its own and talk to it over a pipe.

A role is a module-level function ``role(link, *arguments)``: it prepares, says it is ready, then answers requests
until the link closes. Processes are forked from one clean server process that has imported numpy and these modules
and nothing of any peer: what a peer keeps per process is built in that process, and starting one takes milliseconds.
"""

from __future__ import annotations

import multiprocessing
import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

__all__ = ["CONTEXT", "Link", "Worker", "ask_all"]

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["benchmarks.__main__"])
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a thread pool that nobody uses must not be forked
_END = "end"


class Link:
    """Be the role's end of the pipe."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def ready(self, news: Any = None) -> None:
        """Tell the bench that preparation is over."""
        self._pipe.send(("value", news))

    def requests(self) -> Iterator[Any]:
        """Yield requests until the bench ends this role; each must be answered by ``reply``."""
        while True:
            kind, value = self._pipe.recv()
            if kind == _END:
                return
            yield value

    def reply(self, value: Any) -> None:
        """Answer the request last yielded."""
        self._pipe.send(("value", value))

    def asked(self) -> bool:
        """Return whether the next request is waiting: how a running role learns that it should stop."""
        return self._pipe.poll()


class Worker:
    """Start a role and hold the bench's end of the pipe; a context manager that leaves no process behind."""

    def __init__(self, role: Callable[..., None], *arguments: Any, timeout_s: float = 60.0) -> None:
        self._timeout_s = timeout_s
        self._name = f"{role.__module__.removeprefix('benchmarks.')}.{role.__name__}"
        self._pipe, theirs = CONTEXT.Pipe()
        self._process = CONTEXT.Process(target=_run, args=(theirs, role, arguments), name=self._name, daemon=True)
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        """Return the process id of the role."""
        return self._process.pid or 0

    def send(self, request: Any) -> None:
        """Hand over a request without waiting for the answer."""
        self._pipe.send(("request", request))

    def receive(self, timeout_s: float | None = None) -> Any:
        """Wait for the next answer, or for readiness.

        Raises:
            RuntimeError: the role raised, died or did not answer in time.
        """
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        try:
            if not self._pipe.poll(limit_s):
                raise RuntimeError(f"{self._name} gave no answer within {limit_s:g} s")
            kind, value = self._pipe.recv()
        except (EOFError, ConnectionResetError) as error:
            self._process.join(5)
            raise RuntimeError(f"{self._name} ended without an answer, exit code {self._process.exitcode}") from error
        if kind == "error":
            raise RuntimeError(f"{self._name} failed:\n{value}")
        return value

    def ask(self, request: Any, timeout_s: float | None = None) -> Any:
        """Send a request and wait for its answer."""
        self.send(request)
        return self.receive(timeout_s)

    def kill(self) -> None:
        """End the process by SIGKILL, as a crash would."""
        self._process.kill()
        self._process.join(10)

    def close(self) -> None:
        """End the role, by force when it does not end by itself."""
        with suppress(OSError):
            self._pipe.send((_END, None))
        self._process.join(5)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join(2)
        if self._process.is_alive():
            self.kill()
        self._pipe.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def ask_all(workers: Sequence[Worker], request: Any, timeout_s: float | None = None) -> list[Any]:
    """Send one request to all, then wait for every answer."""
    for worker in workers:
        worker.send(request)
    return [worker.receive(timeout_s) for worker in workers]


def _run(pipe: Connection, role: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    try:
        role(Link(pipe), *arguments)
    except (EOFError, KeyboardInterrupt):
        return
    except BaseException:
        pipe.send(("error", traceback.format_exc()))
        raise SystemExit(1) from None
