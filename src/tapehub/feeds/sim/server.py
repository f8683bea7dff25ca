"""The simulated venue on a socket: REST, streaming and a control endpoint on one port of the loopback interface.

Only sockets here: what is said stands in `Venue`, `Rest` and `Tlcp`. A task moves the venue's time on every few
milliseconds; each connection has a task of its own that sends what its channel holds, and waits when the peer is slow.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct

from tapehub.errors import ConfigError, MissingExtra
from tapehub.feeds.sim.rest import BASE, Request, Rest
from tapehub.feeds.sim.script import fault_from
from tapehub.feeds.sim.streams import Channel
from tapehub.feeds.sim.venue import Venue

try:
    from aiohttp import WSMsgType, web
except ImportError as error:
    raise MissingExtra(error.name or "aiohttp", "sim", "the simulator's server") from error

__all__ = ["Server"]

_PROTOCOLS = tuple(f"TLCP-2.{minor}.0.lightstreamer.com" for minor in range(6))
_STEP_S = 0.005
_JSON = "application/json; charset=UTF-8"
_TEXT = "text/enriched; charset=UTF-8"
_HOST = "127.0.0.1"


class Server:
    """Serve a venue from `start` to `stop`, within one event loop."""

    def __init__(self, venue: Venue, port: int = 0) -> None:
        self._venue = venue
        self._rest = Rest(venue)
        self._wanted = port
        self.port = 0
        self._runner: web.AppRunner | None = None
        self._clockwork: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            ConfigError: the port is taken.
        """
        app = web.Application(client_max_size=1 << 20)
        app.router.add_route("*", BASE + "/{path:.*}", self._on_rest)
        app.router.add_get("/lightstreamer", self._on_socket)
        app.router.add_post("/lightstreamer/{request}.txt", self._on_post)
        app.router.add_post("/sim/fault", self._on_fault)
        app.router.add_get("/sim/state", self._on_state)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, _HOST, self._wanted, reuse_address=True)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise ConfigError(
                f"port {self._wanted}: {error.strerror}: expected a free one; 0 lets the system choose"
            ) from error
        self.port = int(self._runner.addresses[0][1])
        self._venue.endpoint = f"http://{_HOST}:{self.port}"
        self._clockwork = asyncio.create_task(self._run(), name="simulator clockwork")

    async def stop(self) -> None:
        """Close every connection and stop listening."""
        if self._clockwork is not None:
            self._clockwork.cancel()
            await asyncio.wait({self._clockwork})  # what it raised, `check` raises
        for channel in list(self._venue.tlcp.channels):
            self._venue.tlcp.drop(channel, "close")
        if self._runner is not None:
            await self._runner.cleanup()

    def check(self) -> None:
        """Raise what stopped the clockwork, if anything did."""
        if self._clockwork is not None and self._clockwork.done() and not self._clockwork.cancelled():
            self._clockwork.result()

    async def _run(self) -> None:
        while True:
            self._venue.advance()
            await asyncio.sleep(_STEP_S)

    # ------------------------------------------------------------ REST and control

    async def _on_rest(self, request: web.Request) -> web.Response:
        body = await request.read()
        asked = Request(request.method, request.path, request.query_string, request.headers, body)
        if f"{BASE}/prices/" in request.path:
            # A week of made-up minutes takes a second: streams must not wait for it.
            await asyncio.to_thread(self._rest.prepare, asked)
        self._venue.advance()
        if self._venue.unreachable:
            _reset(request)
        reply = self._rest.handle(asked)
        text = b"" if reply.body is None else json.dumps(reply.body).encode()
        headers = {"Content-Type": _JSON, **reply.headers}
        return web.Response(status=reply.status, body=text, headers=headers)

    async def _on_fault(self, request: web.Request) -> web.Response:
        # A page of another site that a browser on this machine has open could post a form here; it cannot send JSON.
        if request.content_type != "application/json":
            return _json(415, {"error": "expected application/json"})
        try:
            fields = await request.json()
            if not isinstance(fields, dict):
                raise ConfigError(f"body is {type(fields).__name__}: expected an object")
            fault = fault_from(fields)
            self._venue.check_item(fault)
        except ValueError as error:
            return _json(400, {"error": f"body: {error}: expected JSON"})
        except ConfigError as error:
            return _json(400, {"error": str(error)})
        self._venue.advance()
        self._venue.inject(fault)
        return _json(200, {"ts_ns": self._venue.now_ns, "kind": fault.kind.value})

    async def _on_state(self, request: web.Request) -> web.Response:
        venue = self._venue
        faults = [{"kind": fault.kind.value, "item": fault.item} for fault in venue.faults.active(venue.now_ns)]
        return _json(
            200,
            {
                "ts_ns": venue.now_ns,
                "faults": faults,
                "sessions": len(venue.tlcp.sessions),
                "counts": dict(venue.journal.counts),
                "requests": dict(venue.journal.requests),
            },
        )

    # ------------------------------------------------------------ streaming

    async def _on_socket(self, request: web.Request) -> web.StreamResponse:
        if self._venue.unreachable:
            _reset(request)
        response = web.WebSocketResponse(protocols=_PROTOCOLS, timeout=0.5, compress=False)
        await response.prepare(request)
        channel = self._venue.tlcp.open("ws", response.ws_protocol or _PROTOCOLS[-1])
        woken = _alarm(request, channel)
        reader = asyncio.create_task(self._read(response, channel))
        try:
            while not reader.done():
                lines = channel.take()
                if lines:
                    await response.send_str("\r\n".join(lines) + "\r\n")
                    continue
                if channel.cut or channel.done:
                    break
                await _either(woken, reader)
        except ConnectionError:
            pass
        finally:
            reader.cancel()
            self._venue.tlcp.close(channel)
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await reader
        if not channel.cut:
            await response.close()
        return response

    async def _read(self, response: web.WebSocketResponse, channel: Channel) -> None:
        async for message in response:
            if message.type is WSMsgType.TEXT:
                self._venue.advance()
                self._venue.tlcp.receive(channel, message.data)

    async def _on_post(self, request: web.Request) -> web.StreamResponse:
        body = (await request.read()).decode(errors="replace")
        self._venue.advance()
        if self._venue.unreachable:
            _reset(request)
        protocol = request.query.get("LS_protocol", "TLCP-2.5.0")
        name = request.match_info["request"]
        channel = self._venue.tlcp.post(name, protocol, request.query_string, body)
        response = web.StreamResponse(headers={"Content-Type": _TEXT, "Cache-Control": "no-store"})
        try:
            await response.prepare(request)
            woken = _alarm(request, channel)
            while True:
                lines = channel.take()
                if lines:
                    await response.write(("\r\n".join(lines) + "\r\n").encode())
                elif channel.cut or channel.done:
                    break
                else:
                    await woken.wait()
                    woken.clear()
        except ConnectionError:
            pass
        finally:
            self._venue.tlcp.close(channel)
        return response


def _alarm(request: web.Request, channel: Channel) -> asyncio.Event:
    """Be woken when there is something to do; a cut happens at once, though a write wait for a slow peer."""
    woken = asyncio.Event()

    def wake() -> None:
        woken.set()
        _hang_up(request, channel)

    channel.wake = wake
    return woken


async def _either(woken: asyncio.Event, reader: asyncio.Task[None]) -> None:
    """Wait for something to send, or for the connection to end."""
    waiter = asyncio.ensure_future(woken.wait())
    try:
        await asyncio.wait({waiter, reader}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiter.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiter
        woken.clear()


def _hang_up(request: web.Request, channel: Channel) -> None:
    """Close the socket as the script says: with a FIN, or with a reset."""
    transport = request.transport
    if not channel.cut or transport is None:
        return
    if channel.cut == "reset":
        with contextlib.suppress(ConnectionResetError):
            _reset(request)
    transport.abort()


def _reset(request: web.Request) -> None:
    """Reset a connection in place of an answer; what the handler writes afterwards goes nowhere."""
    transport = request.transport
    raw = None if transport is None else transport.get_extra_info("socket")
    if transport is not None and raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    raise ConnectionResetError("the script cut the connection")


def _json(status: int, body: object) -> web.Response:
    return web.json_response(body, status=status)
