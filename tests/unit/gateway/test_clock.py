"""One clock, whoever tells of it: the API of Python, HTTP, the stream's first message, the command line."""

from typing import Any

import pytest
from typer.testing import CliRunner

import tapehub
from tapehub import DataHub
from tapehub.app.cli import app
from tapehub.hub.clock import clock_of
from tests.models.gateway import served
from tests.models.market import EUR, NINE, quotes

MODES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "wall": ({}, {"rate": 1.0, "simulated": False, "label": ""}, "wall clock"),
    "event": ({}, {"rate": 0.0, "simulated": True, "label": "EVENT TIME"}, "event clock"),
    "virtual": (
        {"anchor_ns": NINE, "rate": 2.5},
        {"rate": 2.5, "simulated": True, "label": "SIMULATED"},
        "virtual clock at 2.5× (SIMULATED)",
    ),
}


@pytest.mark.parametrize("mode", MODES)
def test_all_say_the_same_of_a_clock(hub: DataHub, mode: str) -> None:
    options, expected, words = MODES[mode]
    hub.set_clock(mode, **options)
    hub.publish(quotes([1]), symbol=EUR)
    expected = {"mode": mode, **expected}

    def shown(told: dict[str, Any]) -> dict[str, Any]:
        return {name: told[name] for name in expected}

    assert clock_of(hub).to_dict() == shown(hub.get_status()["clock"]) == expected
    with served(hub) as web:
        assert shown(web.get("/clock")) == shown(web.get("/status")["clock"]) == expected
        with web.stream() as client:
            assert client.hello["clock"] == expected
        with tapehub.connect(web.gateway.url, token=web.token) as remote:
            assert shown(remote.get_status()["clock"]) == expected
    found = CliRunner().invoke(app, ["clock", "--hub", str(hub.path)])
    assert found.stdout.startswith(words), found.output
    assert found.stdout.strip().endswith("UTC")
