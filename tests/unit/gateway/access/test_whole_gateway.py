"""The door before the real application, on a real port: every route, every attack that needs more than one part."""

import json
import logging
import re
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect as websocket

import tapehub
from tapehub import ConfigError, DataHub, HubNotRunning
from tapehub.gateway.access import Tokens
from tapehub.gateway.access.tls import make_certificates
from tapehub.gateway.serving import Gateway
from tapehub.gateway.settings import GatewaySettings
from tests.models.market import tick
from tests.servers.secured import Secured, secured
from tests.tidy.sources import PACKAGE

ADMIN_PATHS = ("/clear", "/advance", "/clock", "/verify", "/simulator/fault", "/halt", "/resume")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    limits = {"unknown_per_second": 1000.0, "unknown_burst": 1000.0}
    with secured(tmp_path_factory.mktemp("served") / "hub", limits=limits) as made:
        yield made


def routes(served: Secured) -> list[tuple[str, str]]:
    """List every method and path of the application, each with something in its blanks."""
    told = served.gateway.web.api.openapi()["paths"]
    return sorted(
        (method.upper(), re.sub(r"{[^}]*}", "EUR_USD", path)) for path, methods in told.items() for method in methods
    )


def test_every_route_but_health_asks_who_is_there(served: Secured) -> None:
    known = routes(served)
    assert len(known) > 30
    for method, path in known:
        status, headers, _ = served.ask(method, path, token=None)
        expected = 200 if path == "/healthz" else 401
        assert status == expected, f"{method} {path}"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_every_route_that_changes_something_asks_for_its_scope(served: Secured) -> None:
    writes = [(method, path) for method, path in routes(served) if method not in ("GET", "HEAD")]
    assert len(writes) > 10
    for method, path in writes:
        status, _, body = served.ask(method, path, token="read")
        assert status == 403, f"{method} {path}"
        assert json.loads(body)["type"] == "urn:tapehub:forbidden"
        if path.endswith(ADMIN_PATHS):
            status, _, body = served.ask(method, path, token="publish", body={})
            assert (status, json.loads(body)["type"]) == (403, "urn:tapehub:forbidden"), f"{method} {path}"
            assert "admin" in json.loads(body)["detail"]
    admin = [path for _, path in writes if path.endswith(ADMIN_PATHS)]
    assert len(admin) == len(ADMIN_PATHS)


def test_openapi_says_how_to_come_in(served: Secured) -> None:
    told = json.loads(served.ask("GET", "/openapi.json", token="read")[2])
    assert told["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert told["paths"]["/api/v1/status"]["get"]["security"] == [{"token": []}]
    assert "security" not in told["paths"]["/healthz"]["get"]


def test_websocket_of_another_site_is_refused_at_the_handshake(served: Secured) -> None:
    url = f"ws://127.0.0.1:{served.gateway.port}/api/v1/stream"
    bearer = {"Authorization": f"Bearer {served.tokens['read']}"}
    for headers, status in (
        ({}, 401),
        ({"Authorization": "Bearer tapehub_false"}, 401),
        ({**bearer, "Origin": "http://evil.example"}, 403),
        ({**bearer, "Host": "evil.example"}, 400),
    ):
        with pytest.raises(InvalidStatus) as caught, websocket(url, additional_headers=headers, proxy=None):
            pass
        assert caught.value.response.status_code == status
    with websocket(url, additional_headers=bearer, proxy=None) as socket:
        assert json.loads(socket.recv(timeout=10))["op"] == "hello"
    by_protocol = ["tapehub.v1", f"tapehub.token.{served.tokens['read']}"]
    with websocket(url, subprotocols=by_protocol, proxy=None) as socket:  # type: ignore[arg-type]
        assert socket.subprotocol == "tapehub.v1"


def test_no_answer_no_metric_and_no_log_shows_a_token(served: Secured, caplog: pytest.LogCaptureFixture) -> None:
    served.hub.update_tick(tick(1))
    shown = ""
    with caplog.at_level(logging.DEBUG):
        for path in ("/metrics", "/readyz", "/api/v1/status", "/api/v1/processes", "/api/v1/readers", "/nothing"):
            for token in ("admin", "read", None):
                shown += str(served.ask("GET", path, token=token))
        for secret in served.tokens.values():
            shown += str(served.ask("GET", f"/login?token={secret[:-1]}", token=None))
            shown += str(served.ask("GET", f"/api/v1/ticks/EUR_USD?limit=x&token={secret}"))
            shown += str(served.ask("POST", "/api/v1/clock", body={"mode": secret}))
    for secret in served.tokens.values():
        assert secret not in shown
        assert secret not in caplog.text
    command = Path("/proc/self/cmdline").read_bytes().decode()
    assert not any(secret in command for secret in served.tokens.values())


def test_body_over_the_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with secured(tmp_path / "hub", limits={"body_bytes_max": 2000}) as served:
        for kind in ("application/json", "application/vnd.apache.arrow.stream"):
            status, _, body = served.ask("POST", "/api/v1/ticks", body="x" * 3000, Content_Type=kind)
            assert (status, json.loads(body)["type"]) == (413, "urn:tapehub:too-large")


# ---------------------------------------------------------------- where it listens


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7"])
def test_gateway_beyond_loopback_without_tls_does_not_start(tmp_path: Path, host: str) -> None:
    with (
        DataHub.open(tmp_path / "hub", create=True, segment_lines=1 << 12) as hub,
        pytest.raises(ConfigError, match=r"without TLS.*tapehub tls init"),
    ):
        Gateway(hub, GatewaySettings(host=host, port=0)).start()


def test_gateway_speaks_tls_to_who_trusts_its_authority_alone(tmp_path: Path) -> None:
    with DataHub.open(tmp_path / "hub", create=True, segment_lines=1 << 12) as hub:
        made = make_certificates(hub.path, ["hub.example"])
        hub.update_tick(tick(1))
        token = Tokens.open(hub.path).owner
        settings = GatewaySettings(port=0, tls_cert=made.certificate, tls_key=made.key)
        with Gateway(hub, settings) as gateway:
            assert gateway.url.startswith("https://127.0.0.1:")
            with tapehub.connect(gateway.url, token=token, ca=made.authority) as remote, remote.stream() as stream:
                assert remote.get_latest_tick("EUR_USD") == tick(1)
                hub.update_tick(tick(2))
                assert next(stream) == tick(2)
                # One thread reads and writes: OpenSSL promises nothing to two, and now and then they waited for ever.
                own = [
                    thread.name for thread in threading.enumerate() if "stream" in thread.name or "recv" in thread.name
                ]
                assert own == [f"tapehub stream of {gateway.url}"]
            with pytest.raises(HubNotRunning, match="certificate that is not believed"):
                tapehub.connect(gateway.url, token=token, timeout_s=5)
            strangers = tmp_path / "strangers"
            strangers.mkdir()
            other = make_certificates(strangers, []).authority
            with pytest.raises(HubNotRunning, match="certificate that is not believed"):
                tapehub.connect(gateway.url, token=token, ca=other, timeout_s=5)
            plain = gateway.url.replace("https", "http")
            with pytest.raises(HubNotRunning):
                tapehub.connect(plain, token=token, timeout_s=0.5)
    assert ssl.HAS_TLSv1_3


def test_wrong_token_is_told_at_once_and_without_repeating_it(served: Secured) -> None:
    false = "tapehub_" + "z" * 43
    with pytest.raises(ConfigError, match="not known here") as caught:
        tapehub.connect(served.gateway.url, token=false)
    assert false not in str(caught.value)


# ---------------------------------------------------------------- the page's files

INLINE = (
    (re.compile(r"<script(?![^>]*\bsrc=)[^>]*>\s*\S", re.I), "an inline script"),
    (re.compile(r"<style\b", re.I), "an inline style sheet"),
    (re.compile(r"<[^>]*\son\w+\s*=", re.I), "an event handler in an attribute"),
    (re.compile(r"<[^>]*\sstyle\s*=", re.I), "a style in an attribute"),
    (re.compile(r"javascript:", re.I), "a script in an address"),
    # A link that a person may follow loads nothing.
    (re.compile(r"""<(?!a\b)[^>]*\b(?:src|href)\s*=\s*["']?(?:https?:)?//""", re.I), "something from elsewhere"),
)


def test_pages_hold_nothing_that_the_policy_refuses(served: Secured) -> None:
    login = served.ask("GET", "/login", token=None)[2].decode()
    pages = {"/login": login}
    pages |= {str(path.relative_to(PACKAGE)): path.read_text() for path in (PACKAGE / "gateway").rglob("*.html")}
    found = [
        f"{name}: {what}: {hit.group()[:80]}"
        for name, text in pages.items()
        for pattern, what in INLINE
        if (hit := pattern.search(text))
    ]
    assert not found, "\n".join(found)
    assert "<form" in login
