"""The process of `python -m tapehub.gateway.manager`, seen from the program that starts it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from contextlib import suppress
from typing import IO, Any

from tapehub.errors import HubNotRunning

__all__ = ["start", "stop"]

_START_S = 30.0
_END_S = 5.0


def start(**wanted: Any) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    """Start one, tell it what to do, and wait for what it says: its ``address``, or an ``error``.

    Raises:
        HubNotRunning: it said nothing.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "tapehub.gateway.manager"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps(wanted) + "\n")
            process.stdin.flush()
        line = _line_within(process.stdout, _START_S)
        if not line:
            raise HubNotRunning(
                f"the server of the hub (process {process.pid}) ended before it was up; its messages say why"
            )
        return process, json.loads(line)
    except BaseException:
        stop(process)
        raise


def stop(process: subprocess.Popen[str]) -> None:
    """Let the server end by itself, and see that it has."""
    with suppress(OSError):
        if process.stdin is not None:
            process.stdin.close()
    for end in (None, process.terminate, process.kill):
        if end is not None:
            end()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_END_S)
            break
    if process.stdout is not None:
        process.stdout.close()


def _line_within(source: IO[str], timeout_s: float) -> str:
    found: list[str] = []
    reader = threading.Thread(target=lambda: found.append(source.readline()), daemon=True)
    reader.start()
    reader.join(timeout_s)
    return found[0] if found else ""
