"""Helper processes that a command starts, talks to and ends: JSON lines over their standard input and output.

A worker whose input closes ends by itself, so nothing is left behind even when the command is killed. Workers are
sessions of their own: a Ctrl-C at the terminal reaches the command alone, which ends them in the right order.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
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
        ready_s: how long to wait until it is up; None to go on at once, and look with `is_up` or `wait_up`.
        on_line: takes each line that it writes on stderr, in a thread; None lets it write where the command does.
        arguments: passed to it; must be JSON.

    Raises:
        HubError: it did not come up.
    """

    def __init__(
        self,
        role: str,
        *,
        label: str = "",
        ready_s: float | None = 30.0,
        on_line: Callable[[str], None] | None = None,
        **arguments: Any,
    ) -> None:
        self.label = label or role
        self.has_ended = threading.Event()
        """Set when it says that it has nothing more to do."""
        self.ready: Message = {}
        """What it said when it was up."""
        self.exit_code: int | None = None
        """What a command would end with for what it failed of, if it said so."""
        self._replies: queue.Queue[Message | None] = queue.Queue()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tapehub_entry", "tapehub.app.roles", role, json.dumps(arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if on_line is None else subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._listeners = [threading.Thread(target=self._listen, name=f"listen to {self.label}", daemon=True)]
        if on_line is not None:
            relay = threading.Thread(target=self._relay, args=(on_line,), name=f"log of {self.label}", daemon=True)
            self._listeners.append(relay)
        for listener in self._listeners:
            listener.start()
        if ready_s is not None:
            self.wait_up(ready_s)

    def wait_up(self, within_s: float = 30.0) -> Self:
        """Wait until it is up.

        Raises:
            HubError: it did not come up, and is ended.
        """
        if not self.ready:
            try:
                self.ready = self._reply("come up", within_s)
            except BaseException:
                self.close(patience_s=1)
                raise
        return self

    def is_up(self) -> bool:
        """Tell whether it has come up, without waiting.

        Raises:
            HubError: it could not, or has ended.
        """
        if not self.ready:
            with suppress(queue.Empty):
                self.ready = self._taken(self._replies.get_nowait(), "come up")
        return bool(self.ready)

    def failure(self) -> str:
        """Say why it ended, by its own last words if it had any."""
        with suppress(queue.Empty):
            while (message := self._replies.get_nowait()) is not None:
                if "error" in message:
                    self.exit_code = message.get("code")
                    return str(message["error"])
        code = self._process.poll()
        return f"killed by signal {-code}" if code is not None and code < 0 else f"ended with code {code}"

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

    def hang_up(self) -> None:
        """Let it end, in its own time; idempotent."""
        stdin = self._process.stdin
        if stdin is not None and not stdin.closed:
            with suppress(BrokenPipeError):
                stdin.close()

    def close(self, patience_s: float = 10.0, insist_s: float = 5.0) -> None:
        """Let it end, and see that it has; idempotent.

        Args:
            patience_s: after this it is told to, and `insist_s` later killed.
        """
        process = self._process
        self.hang_up()
        for end in (None, process.terminate, process.kill):
            if end is not None:
                end()
            try:
                process.wait(patience_s if end is None else insist_s)
                break
            except subprocess.TimeoutExpired:
                continue
        for listener in self._listeners:
            listener.join(5.0)
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()

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
        return self._taken(message, verb)

    def _taken(self, message: Message | None, verb: str) -> Message:
        if message is None:
            raise HubError(self._gone(verb))
        if "error" in message:
            self.exit_code = message.get("code")
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

    def _relay(self, on_line: Callable[[str], None]) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            on_line(line.rstrip())


class Conversation:
    """The other end, inside the worker.

    Args:
        ends_within_s: after the input has closed; a process that hangs is ended then, as nobody else will do it.

    Attributes:
        stop: set by the first command, and when the input closes: what runs until then looks at it.
    """

    def __init__(self, ends_within_s: float = 8.0) -> None:
        self.stop = threading.Event()
        self._ends_within_s = ends_within_s
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
        time.sleep(self._ends_within_s)
        os._exit(1)
