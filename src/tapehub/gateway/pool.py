"""Long reads, over the log or of many rows: in a few threads, so that the event loop goes on; more are refused."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from tapehub.gateway.problems import Problem

__all__ = ["Pool"]

_Result = TypeVar("_Result")


class Pool:
    """Run calls in threads. One event loop.

    Args:
        threads: calls at a time.
        waiting: calls that may wait beside them, and no more; as many again by default.
    """

    def __init__(self, threads: int, name: str = "gateway-read", *, waiting: int | None = None) -> None:
        self._places_count = threads + (threads if waiting is None else waiting)
        self._places = threading.BoundedSemaphore(self._places_count)
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)

    async def run(self, call: Callable[[], _Result]) -> _Result:
        """Run a call and wait for it. One whose caller has gone keeps its place until it ends.

        Raises:
            Problem: ``busy``, when all threads are taken and as many calls wait.
        """
        if not self._places.acquire(blocking=False):
            raise Problem(
                "busy", f"{self._places_count} long reads are under way, expected fewer; try again in a second",
                {"Retry-After": "1"}, remedy="try again in a second",
            )  # fmt: skip
        future = self._executor.submit(call)
        future.add_done_callback(self._leave)
        return await asyncio.wrap_future(future)

    def _leave(self, future: Future[Any]) -> None:
        self._places.release()

    def close(self) -> None:
        """Wait for what runs; what waits is given up."""
        self._executor.shutdown(wait=True, cancel_futures=True)
