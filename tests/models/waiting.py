"""Waiting for what other threads and processes do; a wait in vain says for what."""

import asyncio
import socket
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

WITHIN_S = 30.0  # far longer than anything takes, so that only a hang fails


def until(holds: Callable[[], T], what: str, within_s: float = WITHIN_S, every_s: float = 0.005) -> T:
    """Wait until something holds, and give it."""
    end = time.monotonic() + within_s
    while not (found := holds()):
        assert time.monotonic() < end, f"not within {within_s:g} s: {what}; the last look gave {found!r}"
        time.sleep(every_s)
    return found


async def until_async(holds: Callable[[], T], what: str, within_s: float = WITHIN_S, every_s: float = 0.005) -> T:
    """Wait until something holds, while other tasks run, and give it."""
    end = time.monotonic() + within_s
    while not (found := holds()):
        assert time.monotonic() < end, f"not within {within_s:g} s: {what}; the last look gave {found!r}"
        await asyncio.sleep(every_s)
    return found


def free_port() -> int:
    """Let the system choose a port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
