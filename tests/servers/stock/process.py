"""A program without tapehub, and how a test talks to it."""

import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

SCRIPT = Path(__file__).with_name("stock_client.py")


class StockClient:
    """A process of a Python that has nothing but its standard library."""

    def __init__(self, address: tuple[str, int], key: str, form: str = "auto", python: str = sys.executable) -> None:
        self._process = subprocess.Popen(
            [python, "-S", "-I", str(SCRIPT), address[0], str(address[1]), key, form],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def connect(self) -> Self:
        """Connect, and get the hub's proxy."""
        self.does("manager = connect()")
        self.does("hub = manager.DataHub()")
        return self

    def does(self, code: str) -> str:
        """Run a line there; it must succeed. Returns the repr of an expression."""
        answer = self.says(code)
        assert not answer.startswith("! "), f"{code}: {answer}"
        return answer

    def says(self, code: str) -> str:
        """Run a line there; an error is answered as "! Type: text"."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(code + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the client ended with {self._process.wait()} at: {code}"
        return line.rstrip("\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
