"""The doctor's own attempts: credentials looked up, a login at the simulator, handshakes; and what its JSON holds."""

import json
import random
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tapehub import DataHub
from tapehub.app import doctor, probes
from tapehub.app.checks import Check, Health
from tapehub.app.cli import app
from tapehub.app.console import Exit
from tapehub.app.facts import gather
from tapehub.app.why import CHAIN, explain
from tapehub.collector.core import Core
from tapehub.feeds.feed import Status, StatusKind
from tapehub.feeds.sim import Settings, SimulatorThread
from tests.models.intervals import ns

NINE = ns("2024-03-05T09:00")


@pytest.fixture(autouse=True)
def nothing_configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("USERNAME", "PASSWORD", "API_KEY", "ACC_NUMBER", "ACC_TYPE"):
        for prefix in ("IG_", "IG_SERVICE_"):
            monkeypatch.delenv(prefix + name, raising=False)
    monkeypatch.delenv("IG_DEMO", raising=False)
    (tmp_path / "tapehub.toml").touch()
    monkeypatch.setenv("TAPEHUB_CONFIG", str(tmp_path / "tapehub.toml"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"USERNAME": "demo", "PASSWORD": "demo-secret", "API_KEY": "demo-key"}.items():
        monkeypatch.setenv(f"IG_{name}", value)


def test_credentials_that_are_missing_are_named(hub: DataHub) -> None:
    facts, _ = probes.try_out(gather(hub), login=False, online=False)
    assert facts.credentials is not None
    assert not facts.credentials.ok
    assert "IG_USERNAME, IG_PASSWORD, IG_API_KEY not found" in facts.credentials.found
    assert facts.login is None


@pytest.mark.usefixtures("credentials")
def test_without_being_asked_to_credentials_are_looked_up_and_not_used(hub: DataHub) -> None:
    facts, _ = probes.try_out(gather(hub), login=False, online=False)
    assert facts.credentials is not None
    assert facts.credentials.found == "IG credentials are there, for a DEMO account"
    assert facts.login is None


def test_a_feed_without_a_login_lacks_no_credentials(hub: DataHub) -> None:
    hub.set_clock("virtual", anchor_ns=NINE)
    Core(hub, "kraken", ("EUR_USD",), random=random.Random(1), now_ns=NINE).stop(NINE)
    facts, _ = probes.try_out(gather(hub), login=False, online=False)
    assert facts.credentials is None
    assert explain(facts).sentence.endswith(": start one with tapehub up.")


@pytest.mark.usefixtures("credentials")
def test_a_login_is_tried_once_and_no_secret_is_told(hub: DataHub, monkeypatch: pytest.MonkeyPatch) -> None:
    with SimulatorThread(Settings(password="demo-secret"), seed=1) as sim:
        monkeypatch.setenv("TAPEHUB_IG__BASE_URL", sim.rest_url)
        facts, _ = probes.try_out(gather(hub), login=True, online=True)
        assert facts.login is not None
        assert facts.login.ok, facts.login.found
        assert facts.online is not None
        assert facts.online.found == f"127.0.0.1:{sim.port} answers"
        assert sim.log.logins == 1
        sim.inject("refuse_login", code="error.security.client-suspended")
        facts, _ = probes.try_out(gather(hub), login=True, online=False)
        assert facts.login is not None
        assert facts.login.found.startswith(
            "The login was refused with error.security.client-suspended: log in to IG's"
        )
        assert "demo-secret" not in repr(facts)


@pytest.mark.usefixtures("credentials")
def test_no_login_is_tried_while_a_collector_runs(hub: DataHub, monkeypatch: pytest.MonkeyPatch) -> None:
    with SimulatorThread(Settings(password="demo-secret"), seed=1) as sim:
        monkeypatch.setenv("TAPEHUB_IG__BASE_URL", sim.rest_url)
        hub.set_clock("virtual", anchor_ns=NINE)
        core = Core(hub, "ig", ("EUR_USD",), random=random.Random(1), now_ns=NINE)
        core.on_event(Status(StatusKind.CONNECTED), NINE)
        facts, remarks = probes.try_out(gather(hub), login=True, online=False)
        assert (facts.login, facts.credentials, sim.log.logins) == (None, None, 0)
        assert "a second login would end its session" in remarks[0]


def test_a_port_where_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    found = probes.handshake([f"https://127.0.0.1:{port}"])
    assert not found.ok
    assert f"127.0.0.1:{port} cannot be reached" in found.found


@pytest.fixture
def self_signed(tmp_path: Path) -> Iterator[int]:
    """Serve TLS with a certificate that nobody vouches for."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-keyout", key, "-out", certificate],
        capture_output=True,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("openssl made no certificate")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            link, _ = server.accept()
            with link:
                try:
                    context.wrap_socket(link, server_side=True).close()
                except OSError:  # the other side hangs up, which is what is tested
                    return

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join(10)


def test_a_certificate_that_nobody_vouches_for(self_signed: int) -> None:
    found = probes.handshake([f"https://localhost:{self_signed}"])
    assert not found.ok
    assert found.found.startswith("The certificate of localhost was not accepted (self")
    assert "CA certificates" in found.found


@pytest.fixture
def unproved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the proof by three processes, which takes seconds and is tested by itself."""
    for name in ("prove_shared", "prove_live"):
        monkeypatch.setattr(doctor, name, lambda _, name=name: Check(name, Health.GOOD, "left out"))


@pytest.mark.usefixtures("unproved")
def test_doctor_tells_the_whole_chain_as_json(hub: DataHub) -> None:
    done = CliRunner().invoke(app, ["doctor", "EURUSD", "--json", "--hub", str(hub.path)])
    told = json.loads(done.stdout)
    assert done.exit_code == told["exit_code"] == Exit.FAILED
    assert (told["ok"], told["closed"], told["link"]) == (False, False, "collector")
    assert told["sentence"].startswith("No collector is running, and before tapehub up can start one: IG credentials: ")
    assert [one["link"] for one in told["chain"]] == list(CHAIN)
    assert {one["outcome"] for one in told["chain"]} == {"ok", "failed", "skipped"}
    assert told["chain"][0]["facts"]["path"] == str(hub.path)


@pytest.mark.usefixtures("unproved")
def test_doctor_of_a_closed_market_ends_well(hub: DataHub) -> None:
    saturday = ns("2024-03-09T12:00-05:00")
    hub.set_clock("virtual", anchor_ns=saturday)
    core = Core(hub, "ig", ("EUR_USD",), random=random.Random(1), now_ns=saturday)
    core.on_event(Status(StatusKind.CONNECTED), saturday)
    core.tell(saturday)
    done = CliRunner().invoke(app, ["doctor", "--hub", str(hub.path)])
    assert done.exit_code == Exit.OK, done.output
    assert "No data because the FX market is closed; it opens on Sunday 17:00 New York, in 28 h." in done.stdout
