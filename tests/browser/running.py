"""A hub with a simulated market and its gateway, run as people run it: `tapehub up --feed sim`, on free ports."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tapehub.app.gateway import login_link

COMMAND = [sys.executable, "-m", "tapehub.app.cli"]
TUESDAY = "2026-06-02T12:00"
SYMBOLS = "EUR_USD,GBP_USD,USD_JPY,XAU_USD"
WITHIN_S = 40.0
# Enough that a minute shows something, and that the rhythm of each instrument is learnt in some ten seconds.
RATE = "25"


class Running:
    """The command, its processes by name, and the link that it printed."""

    def __init__(
        self, *, symbols: str = SYMBOLS, rate: str = RATE, at: str | None = TUESDAY, feed: str = "sim", config: str = ""
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tapehub-page-"))
        (self.folder / "tapehub.toml").write_text(f"[gateway]\nport = 0\n{config}")
        environment = os.environ | {
            "PYTHONUNBUFFERED": "1",
            "COLUMNS": "400",
            "TAPEHUB_HOME": str(self.folder / "home"),
            "TAPEHUB_CONFIG": str(self.folder / "tapehub.toml"),
        }
        environment.pop("TAPEHUB_NAME", None)
        self.process = subprocess.Popen(
            [*COMMAND, "up", "--feed", feed, "--symbols", symbols, "--rate", rate, "--name", "market"]
            + (["--at", at] if at is not None else []),
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, name="what up says")
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as said:
            self.lines.extend(iter(said.readline, ""))

    @property
    def said(self) -> str:
        return "".join(self.lines)

    def says(self, pattern: str, times: int = 1) -> re.Match[str]:
        """Wait until it has said something so many times, and give the last."""
        deadline = time.monotonic() + WITHIN_S
        while len(found := list(re.finditer(pattern, self.said))) < times:
            assert time.monotonic() < deadline, f"no {pattern!r} × {times} within {WITHIN_S} s:\n{self.said}"
            assert self.process.poll() is None, f"ended before {pattern!r}:\n{self.said}"
            time.sleep(0.02)
        return found[-1]

    @property
    def hub_path(self) -> Path:
        """Name the hub's directory."""
        return self.folder / "home" / "market"

    @property
    def link(self) -> str:
        """Wait for the gateway, and give the link that `up` prints on a terminal."""
        url = self.says(r"gateway +running, process \d+: (http://\S+)")[1]
        return login_link(self.hub_path, url)

    def pid_of(self, name: str) -> int:
        """Give the latest process of a component."""
        return int(self.says(rf"{name} +running, process (\d+)")[1])

    def restarts_of(self, name: str) -> int:
        """Count how often a component came up."""
        return len(re.findall(rf"{name} +running, process (\d+)", self.said))

    def signal(self, name: str, number: int) -> None:
        """Send a signal to a component."""
        os.kill(self.pid_of(name), number)

    def close(self) -> None:
        """End it, whatever state its processes are in."""
        for name in ("gateway", "collector", "server"):
            with suppress(AssertionError, ProcessLookupError):
                if self.restarts_of(name):
                    os.kill(self.pid_of(name), signal.SIGCONT)
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join(20)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
