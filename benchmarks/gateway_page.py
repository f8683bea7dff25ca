"""What a page asks the gateway over HTTP beside its stream: the same questions as often, one of each at a time."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

import httpx

__all__ = ["ASKED", "COVERAGE_EVERY_S", "ask_as_a_page"]

ASKED = {
    "why": 2.0, "states": 1.0, "snapshot?timeframe=1m&limit=2": 5.0, "thresholds": 5.0, "instruments": 60.0,
    "gaps?limit=500": 10.0, "quarantine?limit=100": 10.0, "pipeline": 1.0, "processes": 2.0, "components": 2.0,
    "readers": 2.0, "allowance": 10.0,
}  # fmt: skip
"""Path, and every how many seconds: gateway/page/static/js/main.js."""
COVERAGE_EVERY_S = 60.0
"""Of each instrument, one after the other."""


def ask_as_a_page(host: str, token: str, symbols: list[str], ready: Any, go: Any, end: Any, out: Any) -> None:
    """Ask until the end, and say what was answered: ``(path, status)`` and how often."""
    out.put(asyncio.run(_ask(host, token, symbols, ready, go, end)))


async def _ask(host: str, token: str, symbols: list[str], ready: Any, go: Any, end: Any) -> dict[str, int]:
    answers: Counter[str] = Counter()
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=f"http://{host}/api/v1/", headers=headers, timeout=20.0) as http:

        async def ask(path: str) -> None:
            reply = await http.get(path)
            answers[f"{path.partition('?')[0].partition('/')[0]} {reply.status_code}"] += 1

        async def poll(path: str, every_s: float) -> None:
            while not end.is_set():
                await ask(path)
                await asyncio.sleep(every_s)

        async def cover() -> None:
            while not end.is_set():
                for symbol in symbols:
                    await ask(f"coverage/{symbol}")
                    if end.is_set():
                        return
                await _until(end, COVERAGE_EVERY_S)

        await ask("status")
        ready.release()
        while not go.is_set():
            await asyncio.sleep(0.01)
        waiting = [asyncio.create_task(poll(path, every_s)) for path, every_s in ASKED.items()]
        waiting.append(asyncio.create_task(cover()))
        await _until(end, float("inf"))
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    return dict(answers)


async def _until(end: Any, within_s: float) -> None:
    deadline_s = time.monotonic() + within_s
    while not end.is_set() and time.monotonic() < deadline_s:
        await asyncio.sleep(0.05)
