"""Clients of the stream that say anything at all: nothing breaks, nothing is left over, and the others go on."""

import gc
import json
import os
import random
import resource
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tapehub import DataHub
from tapehub.gateway.streaming.selection import KINDS
from tests.models.gateway import API, Served, served
from tests.models.market import EUR, quotes, tick

SECONDS, LONG_SECONDS = 15.0, 300.0
GROWTH_BYTES = 48 << 20
WORDS: list[Any] = [
    None, True, -1, 0, 1, 2**31, 2**63, 2**70, 1e308, -0.0, "", "*", "EUR_USD", "x" * 70, "\0", "é" * 30, [], {}, [[]],
    ["EUR_USD", 5], {"op": "ping"}, "now", "oldest", "lossless", "conflate", "1m", "7m", *KINDS,
]  # fmt: skip
FIELDS = (
    "op",
    "id",
    "symbols",
    "kinds",
    "timeframes",
    "policy",
    "rate_hz",
    "snapshot",
    "start",
    "epoch",
    "hub_id",
    "z",
)


class Fuzzer:
    """A client on a bare socket."""

    def __init__(self, web: Served, chance: random.Random) -> None:
        self.random = chance
        host, _, port = web.gateway.url.removeprefix("http://").partition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=5)
        self.head = (
            f"GET {API}/stream HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
            f"Authorization: Bearer {web.token}\r\n\r\n"
        ).encode()

    def come_in(self) -> None:
        self.socket.sendall(self.head)
        seen = b""
        while b"\r\n\r\n" not in seen:
            seen += self.socket.recv(4096)
        assert seen.startswith(b"HTTP/1.1 101")

    def frame(self, payload: bytes, opcode: int = 1, *, final: bool = True, masked: bool = True) -> bytes:
        size = len(payload)
        length = (
            bytes([size | masked << 7]) if size < 126
            else bytes([126 | masked << 7]) + struct.pack(">H", size) if size < 1 << 16
            else bytes([127 | masked << 7]) + struct.pack(">Q", size)
        )  # fmt: skip
        mask = self.random.randbytes(4) if masked else b""
        body = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload)) if masked else payload
        return bytes([opcode | final << 7]) + length + mask + body

    def say(self, payload: bytes, **more: Any) -> None:
        self.socket.sendall(self.frame(payload, **more))

    def message(self) -> bytes:
        """Make a message, most of it plausible."""
        draw = self.random
        message: dict[str, Any] = {
            "op": draw.choice(["subscribe", "subscribe", "unsubscribe", "ping"]),
            "id": draw.randrange(4),
        }
        if draw.random() < 0.7:
            message |= {
                "kinds": draw.sample(KINDS, draw.randrange(1, 6)),
                "policy": draw.choice(["lossless", "conflate"]),
            }
        for _ in range(draw.choice([0, 0, 1, 3])):
            message[draw.choice(FIELDS)] = draw.choice(WORDS)
        text = json.dumps(message).encode()
        if draw.random() < 0.2:  # one byte is another
            place = draw.randrange(len(text))
            text = text[:place] + draw.randbytes(1) + text[place + 1 :]
        return text

    def take_some(self) -> None:
        self.socket.settimeout(0.02)
        try:
            while self.socket.recv(65536) and self.random.random() < 0.9:
                pass
        except TimeoutError:
            pass

    def end(self) -> None:
        if self.random.random() < 0.5:  # a reset instead of a farewell
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def plausible(one: Fuzzer) -> None:
    one.come_in()
    for _ in range(one.random.randrange(1, 25)):
        one.say(one.message(), opcode=one.random.choice([1, 1, 1, 2]))
    one.take_some()


def in_pieces(one: Fuzzer) -> None:
    one.come_in()
    text = one.message()
    for place in range(0, len(text), 7):
        one.say(text[place : place + 7], opcode=1 if place == 0 else 0, final=place + 7 >= len(text))
    one.say(b"", opcode=9)
    one.take_some()


def noise(one: Fuzzer) -> None:
    one.come_in()
    one.socket.sendall(one.random.randbytes(one.random.randrange(1, 4000)))
    one.take_some()


def oversized(one: Fuzzer) -> None:
    one.come_in()
    if one.random.random() < 0.5:
        one.socket.sendall(bytes([0x81, 0xFF]) + struct.pack(">Q", 1 << 40) + b"aaaa" + b"x" * 4096)
    else:
        for _ in range(40):  # none too long by itself
            one.socket.sendall(one.frame(b"y" * 4000, opcode=0, final=False))
    one.take_some()


def wrong_frames(one: Fuzzer) -> None:
    one.come_in()
    draw = one.random
    one.say(draw.randbytes(20), opcode=draw.randrange(16), final=draw.random() < 0.5, masked=draw.random() < 0.5)
    one.say(b"\xff\xfe", opcode=1)
    one.say(struct.pack(">H", draw.randrange(65536)) + b"bye", opcode=8)
    one.take_some()


def half_a_handshake(one: Fuzzer) -> None:
    draw = one.random
    head = bytearray(one.head)
    for _ in range(draw.randrange(4)):
        head[draw.randrange(len(head))] = draw.randrange(256)
    one.socket.sendall(head[: draw.randrange(len(head) + 1)])
    one.take_some()


def deaf(one: Fuzzer) -> None:
    one.come_in()
    one.say(b'{"op":"subscribe","id":1,"kinds":["all"],"policy":"lossless","start":"oldest"}')
    for _ in range(200):
        one.say(b'{"op":"ping","data":"' + b"z" * 2000 + b'"}')


ACTS: list[Callable[[Fuzzer], None]] = [
    plausible, plausible, plausible, in_pieces, noise, oversized, wrong_frames, half_a_handshake, deaf,
]  # fmt: skip


def rss() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def fuzz(hub: DataHub, seconds: float, note: Callable[[str, Any], None]) -> None:
    seed = int(os.environ.get("TAPEHUB_FUZZ_SEED", "1"))
    chance = random.Random(seed)
    counts: dict[str, int] = {}
    hub.set_clock("event")
    with served(hub, unknown_per_second=1e6, unknown_burst=1e6, requests_per_second=1e6, requests_burst=1e6) as web:
        with web.stream() as good:
            good.subscribe(kinds=["tick"], policy="lossless")
            expected, second, settled = 0, 0.0, 0
            end_s = time.monotonic() + seconds
            while (left_s := end_s - time.monotonic()) > 0:
                act = chance.choice(ACTS)
                counts[act.__name__] = counts.get(act.__name__, 0) + 1
                one = Fuzzer(web, chance)
                try:
                    act(one)
                except (ConnectionError, TimeoutError, BrokenPipeError):
                    pass  # it was shown the door
                finally:
                    one.end()
                second += 1
                expected += hub.publish(quotes([second + n / 100 for n in range(20)]), symbol=EUR)
                good.drain()
                if not settled and left_s < seconds / 2:
                    gc.collect()
                    settled = rss()
            last = hub.update_tick(tick(second + 2))
            got = good.records(1, lambda records: bool(records) and records[-1]["seq"] >= last)
            assert len(got) == expected + 1, "a client that behaves lost something"
            web.until(lambda: len(web.broadcast.sessions) == 1, "what the others left")
            gc.collect()
            grown = rss() - settled
            # The client above keeps what it got, which is no growth of the gateway's.
            kept = sum(len(json.dumps(message)) for message in good.messages) * 4
            assert grown < GROWTH_BYTES + kept, f"grew by {grown >> 20} MiB in half the time"
            assert web.get("/pipeline")["gateway"]["lossless"] == 1
        web.until(lambda: not web.broadcast._groups and not web.broadcast.tape.wanted.is_set(), "the tape to rest")
        assert web.http.get("/healthz").status_code == 200
    assert hub.verify().ok
    note("acts", counts)
    assert len(counts) == len(set(ACTS))


def test_nothing_that_a_client_says_breaks_the_stream(hub: DataHub, record_property: Any) -> None:
    fuzz(hub, SECONDS, record_property)


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_nothing_that_a_client_says_for_five_minutes_breaks_the_stream(hub: DataHub, record_property: Any) -> None:
    fuzz(hub, LONG_SECONDS, record_property)
