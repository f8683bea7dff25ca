"""Real processes that hold one hub: started with a role and a path, told what to do line by line, answering in JSON."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]


class Process:
    """One interpreter that runs `tests/servers/attached.py` and does what it is told."""

    def __init__(self, path: Path, *, role: str = "attached", **options: Any) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"tests.servers.{role}", str(path), json.dumps(options)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.pid = self._process.pid

    def ask(self, what: str, **arguments: Any) -> Any:
        """Send a command and wait for its answer."""
        self.tell(what, **arguments)
        return self.answer()

    def tell(self, what: str, **arguments: Any) -> None:
        """Send a command."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([what, arguments]) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        """Wait for the next answer.

        Raises:
            EOFError: the process has ended.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.endswith("\n"):
            raise EOFError(f"process {self.pid} has ended, its last words: {line!r}")
        return json.loads(line)

    def kill(self, how: int = signal.SIGKILL) -> None:
        """Send a signal, unless it has ended; after SIGKILL, wait for the end."""
        if self._process.poll() is None:
            os.kill(self.pid, how)
        if how == signal.SIGKILL:
            self._process.wait()

    def end(self) -> None:
        """Let it end by itself, or kill it."""
        if self._process.poll() is None:
            os.kill(self.pid, signal.SIGCONT)
            if self._process.stdin is not None and not self._process.stdin.closed:
                self._process.stdin.close()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


@contextmanager
def processes(path: Path, count: int, **options: Any) -> Iterator[list[Process]]:
    """Start several processes at once; all of them are gone afterwards."""
    started: list[Process] = []
    try:
        started.extend(Process(path, **options) for _ in range(count))
        yield started
    finally:
        for one in started:
            one.end()
