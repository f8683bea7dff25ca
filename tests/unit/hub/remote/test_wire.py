"""Requests: what is asked again, what never is, and what is said when nobody answers."""

import json
import logging
import os
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import stamina

from tapehub.errors import (
    ConfigError,
    HubError,
    HubNotRunning,
    HubStalled,
    InvalidRecord,
    StaleDataError,
    UnknownTimeframe,
)
from tapehub.hub.remote.address import address_of
from tapehub.hub.remote.wire import Wire

TOKEN = "tapehub_" + "c3" * 21 + "d"


CLIENT = httpx.Client


class Gateway:
    """Answer requests from a list, the last one again and again."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Wire, Gateway]]:
    def make(*answers: httpx.Response | Exception) -> tuple[Wire, Gateway]:
        gateway = Gateway(*answers)
        monkeypatch.setattr(
            httpx, "Client", lambda **options: CLIENT(transport=httpx.MockTransport(gateway), **options)
        )
        return Wire(address_of("http://127.0.0.1:9", TOKEN)), gateway

    with stamina.set_testing(True, attempts=8):  # without its pauses
        yield make


def problem(kind: str, status: int, **more: Any) -> httpx.Response:
    told = {"type": f"urn:tapehub:{kind}", "status": status, "detail": f"{kind} it is", **more}
    return httpx.Response(status, content=json.dumps(told))


OK = httpx.Response(200, content=b'{"seq": 5}')


def test_read_is_asked_again_until_it_is_answered(wire: Any) -> None:
    made, gateway = wire(httpx.ConnectError("refused"), problem("busy", 503), httpx.ReadTimeout("slow"), OK)
    assert made.get("/status") == {"seq": 5}
    assert len(gateway.asked) == 4


def test_what_is_asked_again_warns_nobody_and_other_programs_retries_are_told(
    wire: Any, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    made, _ = wire(httpx.ConnectError("refused"))
    with caplog.at_level("DEBUG"), pytest.raises(HubNotRunning, match="no gateway answers"):
        made.get("/status")
    assert "retry_scheduled" not in "".join(capsys.readouterr())
    assert {(row.name, row.levelname) for row in caplog.records if "refused" in row.getMessage()} == {
        ("tapehub.remote", "DEBUG")
    }
    caplog.clear()
    with pytest.raises(OSError, match="theirs"):
        _fail_twice()
    assert "retry_scheduled" in "".join(capsys.readouterr()) + caplog.text


@stamina.retry(on=OSError, attempts=2, wait_initial=0.001, wait_max=0.001)
def _fail_twice() -> None:
    raise OSError("theirs")


def test_write_is_sent_once_and_says_that_it_may_have_been_done(wire: Any) -> None:
    made, gateway = wire(httpx.ReadTimeout("slow"), OK)
    with pytest.raises(HubNotRunning, match="may be in the log or not"):
        made.post("/ticks", {})
    assert len(gateway.asked) == 1
    made, gateway = wire(problem("hub-gone", 503), OK)
    with pytest.raises(HubNotRunning, match="hub-gone it is"):
        made.post("/ticks", {})
    assert len(gateway.asked) == 1


def test_nobody_answering_is_one_clear_error(wire: Any) -> None:
    made, gateway = wire(httpx.ConnectError("Connection refused"))
    for ask in (made.get, made.post):
        with pytest.raises(HubNotRunning, match=r'no gateway answers at http://127.0.0.1:9 .*"tapehub up"'):
            ask("/status")
    assert len(gateway.asked) == 8 + 1


@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [
        ("invalid-record", 422, InvalidRecord),
        ("unknown-timeframe", 422, UnknownTimeframe),
        ("invalid-request", 422, ConfigError),
        ("stale-data", 409, StaleDataError),
        ("unauthorised", 401, ConfigError),
        ("forbidden", 403, ConfigError),
        ("hub-stalled", 500, HubStalled),
        ("internal", 500, HubError),
        ("of-a-later-version", 418, HubError),
    ],
)
def test_problem_becomes_the_exception_of_a_local_hub(wire: Any, kind: str, status: int, error: type) -> None:
    made, gateway = wire(problem(kind, status, published=7))
    with pytest.raises(error, match=f"{kind} it is") as caught:
        made.get("/status")
    assert type(caught.value) is error
    assert len(gateway.asked) == 1
    if kind == "invalid-record":
        assert caught.value.published == 7


def test_something_else_at_that_address_is_named(wire: Any) -> None:
    made, _ = wire(httpx.Response(200, content=b"<html>"), httpx.Response(404, content=b"<html>"))
    with pytest.raises(HubError, match="not as a gateway of tapehub does"):
        made.get("/status")
    with pytest.raises(ConfigError, match="not as a gateway of tapehub does"):
        made.get("/status")


def test_no_value_is_none(wire: Any) -> None:
    made, _ = wire(problem("no-data", 404))
    assert made.get("/ticks/EUR_USD/latest") is None


def test_token_goes_into_one_header_and_nowhere_else(wire: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        made, gateway = wire(OK)
        made.get("/status", symbol="EUR_USD")
        made.post("/ticks", {"a": 1})
    for request in gateway.asked:
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        assert TOKEN not in str(request.url)
        assert TOKEN not in request.content.decode()
    assert TOKEN[8:] not in caplog.text
    assert TOKEN not in repr(vars(made))


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    made = Wire(address_of("http://127.0.0.1:9", TOKEN))
    assert made._client._mounts == {}
    made.close()


def test_forked_child_opens_connections_of_its_own(wire: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made, _ = wire(OK)
    before = made._client
    pid = os.getpid() + 1
    monkeypatch.setattr(os, "getpid", lambda: pid)
    made.get("/status")
    assert made._client is not before
