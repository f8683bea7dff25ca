"""A hub of a Friday evening with an agent that traded, and the official client to ask about it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tapehub import DataHub, OrderFlowMetrics
from tapehub.agents import Runner
from tapehub.hub import marks
from tapehub.hub.reading import to_ns
from tapehub.model.states import GapStatus
from tests.models.paper import SECOND, ThreeUp, event_hub, publish, rng, series

_Result = TypeVar("_Result")

FRIDAY = ("2026-06-05T18:00", "2026-06-05T20:59")
LAST_NS = to_ns(datetime(2026, 6, 5, 20, 59, tzinfo=UTC))
SATURDAY_NS = to_ns(datetime(2026, 6, 6, 12, tzinfo=UTC))
STANDS = 1e-9  # rate of a clock that stands, as near as one can be to it

# Every tool, and the least it can be asked.
TOOLS: dict[str, dict[str, Any]] = {
    "snapshot": {"symbol": "EUR_USD"},
    "candles": {"symbol": "EUR_USD"},
    "history": {"symbol": "EUR_USD"},
    "order_flow": {"symbol": "EUR_USD"},
    "states": {},
    "why_no_data": {},
    "gaps": {},
    "ledger": {},
    "instruments": {},
    "positions": {},
    "account": {},
    "signals": {},
    "opinions": {},
    "submit_opinion": {"symbol": "EUR_USD", "side": "buy", "confidence": 0.7, "reason": "three higher lows"},
}
RESOURCES = {
    f"tapehub://{name}"
    for name in ("instruments", "states", "ledger", "why", "positions", "account", "signals", "opinions")
}
TEMPLATES = {
    "tapehub://snapshot/{symbol}",
    "tapehub://candles/{symbol}/{timeframe}",
    "tapehub://history/{symbol}/{timeframe}",
    "tapehub://orderflow/{symbol}",
    "tapehub://gaps/{symbol}",
    "tapehub://why/{symbol}",
}


def friday(path: Path) -> DataHub:
    """Make a hub: three hours of quotes, a gap, order flow, and an agent whose run stopped with a position open."""
    hub = event_hub(path)
    first, *others = series(3, *FRIDAY)
    publish(hub, first)
    with Runner(hub, [ThreeUp()], ["ThreeUp"], rng=rng(3)) as runner:
        for batch in others:
            publish(hub, batch)
        assert runner.reader is not None
        # It ends as if killed, in the middle of a trade: an open position is what a model shall see.
        while not runner.engine.account().positions:
            assert runner.reader.drive(runner.engine, records_max=20)
    source = first.sources[0]
    marks.gap(hub, "EUR_USD", source, LAST_NS - 600 * SECOND, LAST_NS - 570 * SECOND, "mute", GapStatus.OPEN)
    hub.update_order_flow(
        OrderFlowMetrics("EUR_USD", "6E", datetime.fromtimestamp(LAST_NS / 1e9 - 2, UTC), ofi_60s=12.5)
    )
    return hub


def at(hub: DataHub, instant_ns: int) -> None:
    """Let the hub clock stand."""
    hub.set_clock("virtual", anchor_ns=instant_ns, rate=STANDS)


@asynccontextmanager
async def reached(url: str, token: str) -> AsyncIterator[Any]:
    """Reach a server over HTTP with a token."""
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=20) as http,
        streamable_http_client(url, http_client=http) as streams,
    ):
        yield streams


def asked(server: Any, what: Callable[[Client], Awaitable[_Result]], **options: Any) -> _Result:
    """Let the official client do something with a server, however it is reached."""

    async def run() -> _Result:
        async with Client(server, **options) as client:
            return await what(client)

    return asyncio.run(run())


async def told(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool that answers: its structured answer, which its text says, too."""
    answer = await client.call_tool(tool, arguments)
    assert not answer.is_error, answer.content
    found = answer.structured_content
    assert isinstance(found, dict)
    assert json.loads(answer.content[0].text) == found  # type: ignore[union-attr]
    return found


async def refusal(client: Client, tool: str, **arguments: Any) -> str:
    """Call a tool that refuses: why."""
    answer = await client.call_tool(tool, arguments)
    assert answer.is_error
    return str(answer.content[0].text)  # type: ignore[union-attr]
