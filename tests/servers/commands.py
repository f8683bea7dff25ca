"""Commands as people run them: processes that go on, what they have said so far, and how they are ended."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

COMMAND = [sys.executable, "-m", "tapehub.app.cli"]
TUESDAY = "2026-06-02T12:00"
WITHIN_S = 40.0


def tapehub(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments], env=os.environ | environment, capture_output=True, text=True, timeout=50
    )


class Run:
    """A command that goes on, and what it has said so far."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            env=os.environ | {"PYTHONUNBUFFERED": "1"} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as said:
            self.lines.extend(iter(said.readline, ""))

    @property
    def said(self) -> str:
        return "".join(self.lines)

    def until(self, done: Callable[[], object], what: str) -> None:
        """Wait for a condition."""
        deadline = time.monotonic() + WITHIN_S
        while not done():
            assert time.monotonic() < deadline, f"no {what} within {WITHIN_S} s:\n{self.said}"
            assert self.process.poll() is None, f"ended before {what}:\n{self.said}"
            time.sleep(0.02)

    def says(self, pattern: str, times: int = 1) -> None:
        """Wait until it has said something so many times."""
        self.until(lambda: len(re.findall(pattern, self.said)) >= times, f"{pattern!r} × {times}")

    def pid_of(self, name: str) -> int:
        """Give the latest process of a component."""
        return int(re.findall(rf"{name} +running, process (\d+)", self.said)[-1])

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(30)
        self._reader.join(30)
        return code


@contextmanager
def running(*arguments: str, **environment: str) -> Iterator[Run]:
    run = Run(*arguments, **environment)
    try:
        yield run
    finally:
        run.end(signal.SIGKILL)
