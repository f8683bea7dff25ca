"""Clients of the gateway's stream that do little more than take frames: what is measured is the gateway."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import time
from collections import deque
from typing import Any

import numpy as np
import orjson

__all__ = ["Client", "run_clients"]

_PUBLISHED = re.compile(rb'"ts_publish":"([^"]{29})Z"')
_KEPT_S = 3.0


class Client(asyncio.Protocol):
    """One WebSocket, on a bare transport."""

    def __init__(
        self, number: int, host: str, token: str, subscribe: list[dict[str, Any]], stops_after_s: float | None
    ) -> None:
        self.number = number
        self.lossless = subscribe[0]["policy"] == "lossless"
        self.stops_after_s = stops_after_s
        self.frames = self.records = self.lost = self.bytes = 0
        self.closed: int | None = None
        self.in_order = True
        self.last_seq = -1
        self.latencies: list[np.ndarray[Any, Any]] = []
        self.recent: deque[tuple[float, bytes]] = deque()
        self.is_subscribed = asyncio.get_running_loop().create_future()
        self._subscribe = subscribe
        self._buffer = bytearray()
        self._is_open = False
        key = base64.b64encode(os.urandom(16)).decode()
        self._hello = (
            f"GET /api/v1/stream HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nAuthorization: Bearer {token}\r\n\r\n"
        ).encode()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self._hello)

    def connection_lost(self, error: Exception | None) -> None:
        if self.closed is None:
            self.closed = 1006
        if not self.is_subscribed.done():
            self.is_subscribed.set_exception(ConnectionError("closed before it was subscribed"))

    def data_received(self, data: bytes) -> None:
        now_ns = time.time_ns()
        self._buffer += data
        if not self._is_open:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            assert self._buffer.startswith(b"HTTP/1.1 101"), bytes(self._buffer[:200])
            del self._buffer[: end + 4]
            self._is_open = True
            for message in self._subscribe:
                self._say(message)
        buffer, at = self._buffer, 0
        while len(buffer) - at >= 2:
            code, size, head = buffer[at] & 0x0F, buffer[at + 1], 2
            if size >= 126:
                head = 4 if size == 126 else 10
                if len(buffer) - at < head:
                    break
                size = int.from_bytes(buffer[at + 2 : at + head], "big")
            if len(buffer) - at < head + size:
                break
            self._take(code, bytes(buffer[at + head : at + head + size]), now_ns)
            at += head + size
        del buffer[:at]

    def _say(self, message: dict[str, Any]) -> None:
        payload, mask = json.dumps(message).encode(), b"\0\0\0\0"
        self.transport.write(bytes([0x81, 0x80 | 126]) + len(payload).to_bytes(2, "big") + mask + payload)

    def _take(self, code: int, payload: bytes, now_ns: int) -> None:
        if code == 8:
            self.closed = int.from_bytes(payload[:2], "big")
        elif payload.startswith(b'{"op":"batch"'):
            self.frames += 1
            self.bytes += len(payload)
            if self.lossless:
                self._take_all(payload, now_ns)
            else:
                self._take_newest(payload, now_ns)
        elif payload.startswith(b'{"op":"subscribed"') and not self.is_subscribed.done():
            self.is_subscribed.set_result(None)

    def _take_all(self, payload: bytes, now_ns: int) -> None:
        batch = orjson.loads(payload)
        self.lost += batch["lost"]
        sequences = [record["seq"] for record in batch["records"]]
        self.records += len(sequences)
        if sequences:
            self.in_order = self.in_order and sequences[0] > self.last_seq and sequences == sorted(set(sequences))
            self.last_seq = sequences[-1]
            self._time([record["ts_publish"][:-1] for record in batch["records"]], now_ns)

    def _take_newest(self, payload: bytes, now_ns: int) -> None:
        # Reading all of it would take more than sending it does: a tenth of the messages, and the last ones, must do.
        now_s = now_ns / 1e9
        self.recent.append((now_s, payload))
        while self.recent[0][0] < now_s - _KEPT_S:
            self.recent.popleft()
        if self.frames % 10 == self.number % 10 and b'"snapshot":true' not in payload[:120]:
            found = _PUBLISHED.findall(payload)
            self.records += len(found)
            self._time([text.decode() for text in found], now_ns)

    def _time(self, published: list[str], now_ns: int) -> None:
        stamps = np.array(published, "M8[ns]").view("i8")
        self.latencies.append((now_ns - stamps) / 1e6)

    def newest(self) -> dict[str, int]:
        """Give the sequence of the newest tick of each instrument."""
        out: dict[str, int] = {}
        for _, payload in self.recent:
            for record in orjson.loads(payload)["records"]:
                if record["kind"] == "tick":
                    out[record["symbol"]] = max(out.get(record["symbol"], 0), record["seq"])
        return out

    def report(self, wants_newest: bool) -> dict[str, Any]:
        told = {
            "number": self.number, "lossless": self.lossless, "stopped": self.stops_after_s is not None,
            "frames": self.frames, "records": self.records, "bytes": self.bytes, "lost": self.lost,
            "in_order": self.in_order, "closed": self.closed,
            "latencies": np.concatenate(self.latencies) if self.latencies else np.empty(0),
        }  # fmt: skip
        return told | ({"newest": self.newest()} if wants_newest and not self.lossless else {})


def run_clients(plan: list[dict[str, Any]], host: str, token: str, ready: Any, go: Any, end: Any, out: Any) -> None:
    """Be some of the clients, in a process of their own."""
    asyncio.run(_clients(plan, host, token, ready, go, end, out))


async def _clients(plan: list[dict[str, Any]], host: str, token: str, ready: Any, go: Any, end: Any, out: Any) -> None:
    loop = asyncio.get_running_loop()
    address, _, port = host.partition(":")
    clients = []
    for row in plan:
        client = Client(row["number"], host, token, row["subscribe"], row["stops_after_s"])
        await loop.create_connection(lambda client=client: client, address, int(port))  # type: ignore[misc]
        await client.is_subscribed
        clients.append(client)
    ready.release()
    await loop.run_in_executor(None, go.wait)
    for client in clients:
        if client.stops_after_s is not None:
            loop.call_later(client.stops_after_s, _pause, client)
    await loop.run_in_executor(None, end.wait)
    for client in clients:  # those that had stopped hear now what became of them
        if client.stops_after_s is not None and not client.transport.is_closing():
            client.transport.resume_reading()
    await asyncio.sleep(1.0)
    out.put([client.report(wants_newest=client.stops_after_s is None) for client in clients])
    for client in clients:
        client.transport.abort()


def _pause(client: Client) -> None:
    if not client.transport.is_closing():
        client.transport.pause_reading()
