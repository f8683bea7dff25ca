"""The demonstration's fault: when it begins, what it asks of the venue, and what it says of the hub."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import numpy as np
import pytest

from tapehub import DataHub
from tapehub.app.mishap import BACK_WITHIN_S, BEGINS_AT_S, LEAST_S, MUTE_FOR_S, Mishap, begins_at_s
from tapehub.hub import marks
from tapehub.model.states import State

T0 = 1_780_401_600_000_000_000  # a Tuesday, 12:00 UTC


@pytest.mark.parametrize(
    ("seconds", "stale_after_s", "expected"),
    [
        (None, 30.0, BEGINS_AT_S),
        (1000.0, 30.0, BEGINS_AT_S),
        (20.0, 5.0, 20.0 - 5.0 - MUTE_FOR_S - BACK_WITHIN_S),
        (LEAST_S + 5.0, 5.0, 2.0),
        (LEAST_S + 4.9, 5.0, None),
        (5.0, 5.0, None),
    ],
)
def test_it_begins_early_enough_to_be_seen_whole(
    seconds: float | None, stale_after_s: float, expected: float | None
) -> None:
    assert begins_at_s(seconds, stale_after_s) == expected


@pytest.fixture
def control() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Stand in for the simulator's control port; give its address and what was posted."""
    posted: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.02,))
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}", posted
        server.shutdown()
        serving.join()


def test_it_is_played_noticed_lifted_and_over(hub: DataHub, control: tuple[str, list[dict[str, Any]]]) -> None:
    url, posted = control
    hub.set_clock("virtual", anchor_ns=T0, rate=1e-6)
    row = np.array([(T0 - 5_000_000_000, 1.15, 1.15006)], dtype=[("ts_event", "i8"), ("bid", "f8"), ("ask", "f8")])
    hub.publish(row, symbol="EUR_USD", source="sim", verified=True)
    said: list[str] = []
    venue = {"control": url, "symbols": ["GBP_USD", "EUR_USD"], "stale_after_s": {"EUR_USD": 5.0}}
    mishap = Mishap(hub, venue, None, said.append)
    mishap.step(BEGINS_AT_S - 1)
    assert not posted
    assert not said
    mishap.step(BEGINS_AT_S)
    mishap.step(BEGINS_AT_S + 1)
    assert posted == [{"kind": "mute", "item": "EUR_USD"}]
    marks.state(hub, "EUR_USD", "sim", State.STALE, "silent for 5 s while others flow", T0)
    marks.gap(hub, "EUR_USD", "sim", T0 - 5_000_000_000, None, "silent for 5 s", at_ns=T0)
    mishap.step(30.0)
    assert "EUR_USD is STALE" in said[-1]
    mishap.step(30.0 + MUTE_FOR_S)
    assert posted[1:] == [{"kind": "unmute", "item": "EUR_USD"}]
    mishap.step(40.0)
    assert not mishap.over
    marks.gap(hub, "EUR_USD", "sim", T0 - 5_000_000_000, T0 + 3_100_000_000, "silent for 5 s")
    marks.state(hub, "EUR_USD", "sim", State.LIVE, "ticks", T0)
    mishap.step(41.0)
    assert mishap.over
    assert "a gap of 8.1 s from 11:59:55 to 12:00:03 UTC (silent for 5 s)" in said[-1]


def test_one_instrument_alone_is_left_in_peace(hub: DataHub) -> None:
    said: list[str] = []
    assert Mishap(hub, {"control": "", "symbols": ["EUR_USD"], "stale_after_s": {}}, None, said.append).over
    assert not said


def test_a_demonstration_that_is_too_short_says_so(hub: DataHub) -> None:
    said: list[str] = []
    venue = {"control": "", "symbols": ["EUR_USD", "GBP_USD"], "stale_after_s": {"EUR_USD": 16.0}}
    assert Mishap(hub, venue, 20.0, said.append).over
    assert "26 s" in said[0]
