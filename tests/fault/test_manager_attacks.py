"""What clients can do to the BaseManager endpoint: nothing, with or without the key."""

import gc
import json
import os
import pickle
import random
import resource
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tapehub import Candle, DataHub
from tapehub.gateway.manager import ManagerEndpoint
from tapehub.gateway.manager.handshake import KeyRefused
from tests.models.endpoint import KEY, Wire, serving
from tests.models.pickles import FUNCTIONS, Fuzzer, costly, deep, evils, raw
from tests.models.waiting import until
from tests.servers.stock.process import StockClient

SECONDS = 15.0
LEAST = 300  # on a machine with no time, too
NOON = datetime(2025, 6, 2, 12, tzinfo=UTC)


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """Name a file that nothing may write."""
    path = tmp_path / "canary"
    yield path
    assert not path.exists(), "what a client sent was executed"


@pytest.fixture
def endpoint(hub: DataHub) -> Iterator[ManagerEndpoint]:
    with serving(hub, limits={"refusals": 1_000_000, "patience_s": 2.0, "handshake_s": 1.0}) as endpoint:
        yield endpoint


def still_serves(endpoint: ManagerEndpoint) -> None:
    with Wire(endpoint.address) as wire:
        assert wire.ask(("tapehub", "get_status", (), {}))[0] == "#RETURN"


def test_nothing_that_was_built_to_run_runs(endpoint: ManagerEndpoint, canary: Path) -> None:
    for number, evil in enumerate(evils(canary)):
        for request in (
            ("tapehub", "update_tick", (evil,), {}),
            ("tapehub", "get_latest_candles", ("EUR_USD",), {"limit": evil}),
            ("tapehub", evil, (), {}),
            (evil, "get_status", (), {}),
            evil,
        ):
            for protocol in (2, 4, 5):
                with Wire(endpoint.address) as wire:
                    answer = wire.ask(pickle.dumps(request, protocol))
                    assert answer is None or answer[0] in ("#ERROR", "#TRACEBACK"), (number, answer)
    for data in raw(canary):
        with Wire(endpoint.address) as wire:
            answer = wire.ask(data)
            assert answer is None or answer[0] in ("#ERROR", "#TRACEBACK"), (data[:60], answer)
    still_serves(endpoint)


@pytest.mark.parametrize("name", deep(1))
def test_no_depth_ends_the_process(endpoint: ManagerEndpoint, name: str) -> None:
    with Wire(endpoint.address) as wire:
        assert wire.ask(deep(150_000)[name]) is None
    still_serves(endpoint)


@pytest.mark.parametrize("name", costly(1))
def test_a_few_bytes_do_not_keep_the_endpoint_busy(endpoint: ManagerEndpoint, name: str) -> None:
    """What these ask for would take minutes; they are hung up on within the time that a wire waits for an answer."""
    with Wire(endpoint.address) as wire:
        assert wire.ask(costly(200_000)[name]) is None
    still_serves(endpoint)


def test_candles_by_the_million_are_refused_before_one_is_made(endpoint: ManagerEndpoint) -> None:
    one = b"cm\nCandle\n)\x81\x94"
    data = b"\x80\x04(\x8c\x07tapehub\x8c\x12warm_start_candles(\x8c\x01A](" + one + b"h\x00" * 200_000 + b"et}t."
    with Wire(endpoint.address) as wire:
        kind, error = wire.ask(data)
        assert (kind, type(error)) == ("#ERROR", TypeError)
        assert "200,001 candles at once, expected at most 100,000" in str(error)


def test_a_long_request_waits_for_others_no_longer_than_it_may(hub: DataHub) -> None:
    limits = {"patience_s": 0.2, "large_at_once": 2}
    with serving(hub, limits=limits) as endpoint, endpoint._service._large, Wire(endpoint.address) as wire:
        assert wire.ask(("tapehub", "get_latest_tick", ("x" * 100_000,), {})) is None
        still_serves(endpoint)


def test_a_refused_class_is_named_to_the_client_and_in_the_log(
    endpoint: ManagerEndpoint, canary: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Wire(endpoint.address) as wire:
        kind, error = wire.ask(("tapehub", "update_tick", (evils(canary)[0],), {}))
        assert kind == "#ERROR"
        assert type(error) is TypeError
        assert "posix.system, which is not accepted" in str(error)
        assert wire.ask(("tapehub", "get_latest_tick", ("EUR_USD",), {})) == ("#RETURN", None)
    assert "refused, never executed: posix.system in 'update_tick'" in caplog.text
    assert endpoint.counts.refused == 1


def test_a_stock_client_that_sends_such_an_object_is_told(endpoint: ManagerEndpoint, canary: Path) -> None:
    with StockClient(endpoint.address, KEY) as client:
        client.connect()
        client.does("import os")
        client.does(f"Evil = type('Evil', (), dict(__reduce__=lambda self: (os.system, ('touch {canary}',))))")
        client.does("tick = Tick('EUR_USD', 1.0, 1.1)")
        client.does("tick.note = Evil()")
        for code in ("hub.update_tick(Evil())", "hub.update_tick(tick)", "hub.get_latest_tick(Evil())"):
            assert client.says(code).startswith("! TypeError: "), code
        assert client.does("hub.get_latest_tick('EUR_USD')") == "None"


@pytest.mark.parametrize("evil", range(4))
def test_nothing_is_unpickled_for_one_without_the_key(endpoint: ManagerEndpoint, canary: Path, evil: int) -> None:
    with socket.create_connection(endpoint.address) as connection:
        body = pickle.dumps(evils(canary)[evil])
        connection.sendall(struct.pack("!i", len(body)) + body)
        with suppress(OSError):
            while connection.recv(4096):
                pass
    assert endpoint.counts.requests == 0
    with pytest.raises(KeyRefused):
        Wire(endpoint.address, key="wrong")
    still_serves(endpoint)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_functions_of_the_server_take_nothing_but_names(endpoint: ManagerEndpoint, canary: Path, function: str) -> None:
    for args in ((), (1,), ([],), ("x" * 10_000,), (("DataHub",),), (evils(canary)[0],), ("DataHub", 1), (None, {})):
        with Wire(endpoint.address, calls=False) as wire:
            answer = wire.ask((None, function, args, {}))
            assert answer is None or answer[0] in ("#RETURN", "#TRACEBACK")
    still_serves(endpoint)


@pytest.mark.parametrize(
    "header",
    [b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff" + b"\xff" * 8, b"\x80\0\0\0", b"\x02\0\0\0"],
    ids=["2 GiB", "endless", "negative", "too long"],
)
def test_a_length_is_not_believed(endpoint: ManagerEndpoint, header: bytes) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for calls in (False, True):
        with Wire(endpoint.address, calls=calls) as wire:
            wire.socket.sendall(header + b"x" * 1000)
            wire.socket.shutdown(socket.SHUT_WR)
            answer = wire.answer()
            assert answer is None or "at most 16,777,216" in str(answer[1])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
    still_serves(endpoint)


def test_a_request_that_is_too_long_is_answered_and_the_next_one_served(endpoint: ManagerEndpoint) -> None:
    with Wire(endpoint.address) as wire:
        kind, error = wire.ask(pickle.dumps("x" * (17 << 20)))
        assert kind == "#ERROR"
        assert "expected at most 16,777,216" in str(error)
        assert wire.ask(("tapehub", "get_latest_tick", ("EUR_USD",), {})) == ("#RETURN", None)


def test_those_who_stall_harm_nobody(endpoint: ManagerEndpoint, hub: DataHub) -> None:
    with ExitStack() as stack:
        for _ in range(60):  # more than may be strangers at once: the oldest make room
            stack.enter_context(socket.create_connection(endpoint.address))
        for _ in range(10):  # in the middle of a length, or of a request, or not taking replies
            wire = stack.enter_context(Wire(endpoint.address))
            wire.socket.sendall(b"\0\0")
        for _ in range(10):
            wire = stack.enter_context(Wire(endpoint.address))
            wire.socket.sendall(b"\0\1\0\0abc")
        idle = stack.enter_context(Wire(endpoint.address))
        deaf = stack.enter_context(Wire(endpoint.address))
        minutes = (Candle("EUR_USD", NOON + timedelta(minutes=n), 1, 1, 1, 1) for n in range(1000))
        hub.warm_start_candles("EUR_USD", minutes)
        request = pickle.dumps(("tapehub", "get_latest_candles", ("EUR_USD", 1000), {}))
        deaf.socket.sendall((struct.pack("!i", len(request)) + request) * 150)
        for _ in range(20):
            still_serves(endpoint)
        until(lambda: endpoint.connections == 1, "those who stalled are hung up on")
        assert idle.ask(("tapehub", "get_latest_tick", ("EUR_USD",), {})) == ("#RETURN", None)


def test_long_requests_that_stall_hold_up_no_short_one(hub: DataHub) -> None:
    with serving(hub, limits={"large_at_once": 2, "patience_s": 1.0}) as endpoint, ExitStack() as stack:
        for _ in range(5):
            wire = stack.enter_context(Wire(endpoint.address))
            wire.socket.sendall(struct.pack("!i", 1 << 20) + b"x" * 1000)
        for _ in range(10):
            still_serves(endpoint)
        until(lambda: endpoint.connections == 0, "those who stalled are hung up on")
        with Wire(endpoint.address) as wire:  # and there is room again
            kind, error = wire.ask(("tapehub", "get_latest_tick", ("x" * 100_000,), {}))
            assert (kind, type(error)) == ("#ERROR", TypeError)


def test_connections_are_counted_and_one_too_many_is_hung_up_on(hub: DataHub) -> None:
    with serving(hub, limits={"connections": 8}) as endpoint, ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(Wire(endpoint.address))
        with pytest.raises((KeyRefused, OSError)):
            Wire(endpoint.address)
        stack.close()
        until(lambda: endpoint.connections == 0, "no connection")
        still_serves(endpoint)


def test_one_who_is_refused_again_and_again_is_hung_up_on(hub: DataHub, canary: Path) -> None:
    with serving(hub, limits={"refusals": 5}) as endpoint, Wire(endpoint.address) as wire:
        request = ("tapehub", "update_tick", (evils(canary)[0],), {})
        assert [wire.ask(request) is not None for _ in range(5)] == [True] * 5
        assert wire.ask(request) is None
        still_serves(endpoint)


def test_closing_leaves_no_thread_behind(hub: DataHub) -> None:
    before = threading.active_count()
    with serving(hub) as endpoint, ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(Wire(endpoint.address))
            stack.enter_context(socket.create_connection(endpoint.address))
        until(lambda: endpoint.connections == 10, "ten connections")
        endpoint.close()
        endpoint.close()
        until(lambda: threading.active_count() == before, "no thread")


# ---------------------------------------------------------------- fuzzing


def fuzz(endpoint: ManagerEndpoint, canary: Path, seed: int, seconds: float) -> dict[str, Any]:
    """Send requests of a seed for a while, over connections that are made anew when they are hung up on."""
    rng = random.Random(seed)
    fuzzer = Fuzzer(rng, canary)
    sent, hung_up, connections, answers = 0, 0, 0, dict[str, int]()
    wire: Wire | None = None
    began = time.monotonic()
    grown: list[int] = []
    while time.monotonic() - began < seconds or sent < LEAST:
        if wire is None:
            wire = Wire(endpoint.address, calls=rng.random() < 0.9)
            connections += 1
        body = fuzzer.request()
        with suppress(OSError):  # it may have been hung up on by now
            if rng.random() < 0.02:  # with a length that is not its own
                wire.socket.sendall(struct.pack("!i", rng.choice((0, -5, len(body) - 1, 1 << 30))) + body)
                wire.socket.shutdown(socket.SHUT_WR)
            else:
                wire.send(body)
        sent += 1
        answer = wire.answer()
        if answer is None or rng.random() < 0.01:
            hung_up += answer is None
            wire.frames.close()
            wire = None
        if answer is not None:
            answers[str(answer[0])] = answers.get(str(answer[0]), 0) + 1
        if sent % 500 == 0:
            assert not canary.exists(), f"seed {seed}, request {sent} was executed"
            gc.collect()
            grown.append(resident_kib())
    if wire is not None:
        wire.frames.close()
    still_serves(endpoint)
    assert endpoint.counts.failed == 0, "a request ended in an error that nobody had thought of; see the log"
    return {
        "seed": seed, "seconds": seconds, "requests": sent, "connections": connections, "hung_up": hung_up,
        "answers": answers, "resident_kib": [grown[len(grown) // 4], grown[-1]] if grown else [],
    }  # fmt: skip


def resident_kib() -> int:
    """Read how much memory this process, which is also the server, holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def test_no_drawn_request_is_executed_or_ends_the_service(endpoint: ManagerEndpoint, canary: Path) -> None:
    found = fuzz(endpoint, canary, seed=4, seconds=SECONDS)
    assert {"#RETURN", "#ERROR", "#TRACEBACK"} <= set(found["answers"])
    assert found["hung_up"] > 0


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_no_drawn_request_is_executed_for_five_minutes(
    endpoint: ManagerEndpoint, hub: DataHub, canary: Path, record_property: Callable[[str, object], None]
) -> None:
    found = fuzz(endpoint, canary, seed=int(os.environ.get("TAPEHUB_FUZZ_SEED", "2026")), seconds=300)
    record_property("fuzz", json.loads(json.dumps(found)))
    first, last = found["resident_kib"]
    assert last - first < 64 << 10, f"grew from {first:,} to {last:,} KiB"
    assert hub.verify().ok
