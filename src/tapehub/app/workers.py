"""Helper processes that a command starts, talks to and ends: JSON lines over their standard input and output.

A worker whose input closes ends by itself, so nothing is left behind even when the command is killed. Workers are
sessions of their own: a Ctrl-C at the terminal reaches the command alone, which ends them in the right order.
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from tapehub.errors import HubError

__all__ = ["Conversation", "Worker"]

Message = dict[str, Any]


class Worker:
    """One helper process, seen from the command.

    Args:
        role: a key of `roles.ROLES`.
        arguments: passed to it; must be JSON.

    Raises:
        HubError: it did not come up.
    """

    def __init__(self, role: str, *, label: str = "", ready_s: float = 30.0, **arguments: Any) -> None:
        self.label = label or role
        self.has_ended = threading.Event()
        """Set when it says that it has nothing more to do."""
        self._replies: queue.Queue[Message | None] = queue.Queue()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tapehub.app.roles", role, json.dumps(arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._listener = threading.Thread(target=self._listen, name=f"listen to {self.label}", daemon=True)
        self._listener.start()
        try:
            self.ready = self._reply("come up", ready_s)
        except BaseException:
            self.close(patience_s=1)
            raise

    @property
    def pid(self) -> int:
        """Give its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Tell whether it runs."""
        return self._process.poll() is None

    def ask(self, verb: str, timeout_s: float = 30.0, **arguments: Any) -> Message:
        """Send a command and wait for its reply.

        Raises:
            HubError: it ended, failed, or did not answer in time.
        """
        stdin = self._process.stdin
        assert stdin is not None
        try:
            stdin.write(json.dumps({"verb": verb, **arguments}) + "\n")
            stdin.flush()
        except (BrokenPipeError, ValueError):
            raise HubError(self._gone(verb)) from None
        return self._reply(verb, timeout_s)

    def close(self, patience_s: float = 10.0) -> None:
        """Let it end, and see that it has; idempotent."""
        process = self._process
        if process.stdin is not None and not process.stdin.closed:
            with suppress(BrokenPipeError):
                process.stdin.close()
        for end in (None, process.terminate, process.kill):
            if end is not None:
                end()
            try:
                process.wait(patience_s if end is None else 5.0)
                break
            except subprocess.TimeoutExpired:
                continue
        self._listener.join(5.0)
        if process.stdout is not None:
            process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(patience_s=10.0 if error is None else 2.0)

    def _reply(self, verb: str, timeout_s: float) -> Message:
        try:
            message = self._replies.get(timeout=timeout_s)
        except queue.Empty:
            raise HubError(
                f"{self.label} (process {self.pid}) did not {verb} in {timeout_s:g} s: is the machine overloaded?"
            ) from None
        if message is None:
            raise HubError(self._gone(verb))
        if "error" in message:
            raise HubError(f"{self.label} (process {self.pid}): {message['error']}")
        return message

    def _gone(self, verb: str) -> str:
        try:
            code: int | str = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            code = "unknown"
        return (
            f"{self.label} (process {self.pid}) ended with code {code}, expected it to {verb}; its messages stand above"
        )

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message = json.loads(line)
            if message.get("event") == "ended":
                self.has_ended.set()
            else:
                self._replies.put(message)
        self._replies.put(None)


class Conversation:
    """The other end, inside the worker.

    Attributes:
        stop: set by the first command, and when the input closes: what runs until then looks at it.
    """

    def __init__(self) -> None:
        self.stop = threading.Event()
        self._commands: queue.Queue[Message | None] = queue.Queue()
        threading.Thread(target=self._listen, name="commands", daemon=True).start()

    def commands(self) -> Iterator[Message]:
        """Wait for commands until the input closes."""
        while (command := self._commands.get()) is not None:
            yield command

    def command(self) -> Message | None:
        """Wait for the next command; None when the input has closed."""
        return next(self.commands(), None)

    def reply(self, **message: Any) -> None:
        """Answer."""
        print(json.dumps(message), flush=True)

    def ended(self) -> None:
        """Say, unasked, that there is nothing more to do."""
        self.reply(event="ended")

    def _listen(self) -> None:
        # Read by bytes: a daemon thread that holds the lock of sys.stdin at exit would abort the interpreter.
        with open(0, "rb", buffering=0, closefd=False) as source:
            pending = b""
            while chunk := source.read(4096):
                *lines, pending = (pending + chunk).split(b"\n")
                for line in lines:
                    self._commands.put(json.loads(line))
                    self.stop.set()
        self._commands.put(None)
        self.stop.set()
