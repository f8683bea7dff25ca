"""A venue on the loopback that speaks Kraken's WebSocket v2 ticker, as its documentation and captures show it."""

import asyncio
import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, NamedTuple, Self

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

SHAPES = {"BTC/USD": (1_059_442, 1), "USD/JPY": (150_123, 3)}  # the first price in ticks, digits after the point
START = datetime(2026, 6, 2, 12, tzinfo=UTC)


class Top(NamedTuple):
    """The top of a book, each number as the text that stands in the message."""

    symbol: str
    bid: str
    bid_qty: str
    ask: str
    ask_qty: str
    timestamp: str = ""


def ticker(top: Top, kind: str = "update") -> str:
    """Write a ticker message; without a timestamp if there is none."""
    stamp = f',"timestamp":"{top.timestamp}"' if top.timestamp else ""
    return (
        f'{{"channel":"ticker","type":"{kind}","data":[{{"symbol":"{top.symbol}","bid":{top.bid},'
        f'"bid_qty":{top.bid_qty},"ask":{top.ask},"ask_qty":{top.ask_qty},"last":{top.ask},"volume":163.28908096,'
        f'"vwap":{top.bid},"low":{top.bid},"high":{top.ask},"change":0.00011,"change_pct":0.01{stamp}}}]}}'
    )


def made_up(symbols: Iterable[str], count: int, start: datetime = START) -> list[Top]:
    """Make `count` tops of each symbol, a millisecond apart."""
    names = list(symbols)
    rows = []
    for i in range(count):
        for j, name in enumerate(names):
            first, digits = SHAPES.get(name, (115_149, 5))
            bid, ask = ((first + i % 11 + wide) / 10**digits for wide in (0, 6))
            stamp = (start + timedelta(milliseconds=i, microseconds=j)).isoformat().replace("+00:00", "Z")
            rows.append(Top(name, f"{bid:.{digits}f}", f"{1000 + i}.25", f"{ask:.{digits}f}", f"{2000 + i}.5", stamp))
    return rows


class KrakenVenue:
    """Serve in a thread of its own: answers to subscriptions, a snapshot and updates of each symbol, heartbeats.

    Args:
        tops: what is quoted, in order; the first of each symbol is its snapshot.
        unlisted: symbols that are refused.
        mute_first: how many of the first connections say nothing beyond the handshake, but for pongs.
        answers_pings: else nothing at all comes from a mute connection.
        extra: messages sent as they are once all tops are.
    """

    def __init__(
        self,
        tops: Sequence[Top] = (),
        *,
        unlisted: Iterable[str] = (),
        mute_first: int = 0,
        answers_pings: bool = True,
        extra: Sequence[str | bytes] = (),
    ) -> None:
        self.tops = tops
        self.unlisted = set(unlisted)
        self.mute_first = mute_first
        self.answers_pings = answers_pings
        self.extra = extra
        self.requests: list[list[dict[str, Any]]] = []
        """What was asked, by connection."""
        self.url = ""
        self._links: set[ServerConnection] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kraken-venue")

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive()

    @property
    def open_links(self) -> int:
        """Count the connections that are open."""
        return len(self._links)

    def cut(self) -> None:
        """Drop every connection without a word."""
        self._loop.call_soon_threadsafe(lambda: [link.transport.abort() for link in set(self._links)])

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        async with serve(self._talk, "127.0.0.1", 0, ping_interval=None, close_timeout=0.5) as server:
            (address, *_) = [one.getsockname() for one in server.sockets]
            self.url = f"ws://{address[0]}:{address[1]}/v2"
            self._ready.set()
            await self._stop.wait()

    async def _talk(self, link: ServerConnection) -> None:
        self._links.add(link)
        asked: list[dict[str, Any]] = []
        self.requests.append(asked)
        mute = len(self.requests) <= self.mute_first
        playing: set[asyncio.Task[None]] = set()
        try:
            if not mute:
                await link.send(
                    '{"channel":"status","type":"update","data":[{"version":"2.0.10","system":"online",'
                    '"api_version":"v2","connection_id":12393906104898154338}]}'
                )
            async for text in link:
                message = json.loads(text)
                asked.append(message)
                if message["method"] == "ping" and self.answers_pings:
                    await link.send(json.dumps({"method": "pong", "req_id": message["req_id"]}))
                elif message["method"] == "subscribe" and not mute:
                    await self._confirm(link, message)
                    wanted = [name for name in message["params"]["symbol"] if name not in self.unlisted]
                    if wanted:
                        playing.add(asyncio.create_task(self._play(link, wanted)))
                elif message["method"] == "unsubscribe" and not mute:
                    for task in playing:
                        task.cancel()
                    playing.clear()
                    await self._confirm(link, message)
        except ConnectionClosed:
            pass
        finally:
            self._links.discard(link)
            for task in playing:
                task.cancel()
            await asyncio.gather(*playing, return_exceptions=True)

    async def _confirm(self, link: ServerConnection, message: Mapping[str, Any]) -> None:
        times = {"time_in": "2023-09-25T09:04:31.742599Z", "time_out": "2023-09-25T09:04:31.742648Z"}
        for name in message["params"]["symbol"]:
            answer: dict[str, Any] = {"method": message["method"], "req_id": message["req_id"]}
            if name in self.unlisted:
                answer |= {"error": f"Currency pair not supported {name}", "success": False, "symbol": name}
            else:
                result = {"channel": "ticker", "event_trigger": "bbo", "snapshot": True, "symbol": name}
                answer |= {"result": result, "success": True}
            await link.send(json.dumps(answer | times))

    async def _play(self, link: ServerConnection, symbols: list[str]) -> None:
        try:
            seen: set[str] = set()
            for i, top in enumerate(row for row in self.tops if row.symbol in symbols):
                await link.send(ticker(top, "update" if top.symbol in seen else "snapshot"))
                seen.add(top.symbol)
                if i % 16 == 15:
                    await link.send('{"channel":"heartbeat"}')
            for message in self.extra:
                await link.send(message, text=True)
            while True:
                await link.send('{"channel":"heartbeat"}')
                await asyncio.sleep(0.02)
        except ConnectionClosed:
            pass
