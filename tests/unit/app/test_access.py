"""`tapehub token` and `tapehub tls`: what they make, print, and never print."""

import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tapehub import DataHub
from tapehub.app.cli import app
from tapehub.app.console import Exit
from tapehub.gateway.access import Scope, Tokens

RUNNER = CliRunner()


@pytest.fixture
def place(hub: DataHub) -> Path:
    return hub.path


def run(*words: str, code: int = 0) -> tuple[str, str]:
    done = RUNNER.invoke(app, list(words))
    assert done.exit_code == code, done.output
    return done.stdout, done.stderr


def test_first_token_is_made_when_it_is_shown_and_is_alone_on_its_line(place: Path) -> None:
    out, _ = run("token", "show", "--hub", str(place))
    plain, _ = run("token", "show", "--plain", "--hub", str(place))
    assert out.splitlines()[0] == "owner: admin"
    assert out.splitlines()[-1] == plain.strip() == Tokens.open(place).owner.reveal()


def test_the_link_is_shown_where_up_serves_the_page(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {"name": "server", "phase": "running", "told": "epoch 1"},
        {"name": "gateway", "phase": "running", "told": "http://127.0.0.1:8765"},
    ]
    monkeypatch.setattr("tapehub.app.access.running_components", lambda where: rows if where == place else [])
    out, _ = run("token", "show", "--hub", str(place))
    token = Tokens.open(place).owner.reveal()
    assert out.splitlines()[-2:] == [f"http://127.0.0.1:8765/login?token={token}", token]
    assert run("token", "show", "--plain", "--hub", str(place))[0].strip() == token
    rows[1]["phase"] = "restarting"
    assert "login?token" not in run("token", "show", "--hub", str(place))[0]


def test_made_token_is_printed_once(place: Path) -> None:
    out, told = run("token", "new", "agent", "--scope", "publish", "--days", "2", "--hub", str(place))
    secret = out.strip()
    assert secret.startswith("tapehub_")
    assert secret not in told
    found = Tokens.open(place).find(secret)
    assert found is not None
    assert (found.name, found.scope) == ("agent", Scope.PUBLISH)
    listed, _ = run("token", "show", "--hub", str(place))
    assert "agent: publish, made " in listed
    assert ", ends " in listed
    assert secret not in listed


def test_revoked_token_is_gone_and_the_owner_gets_another(place: Path) -> None:
    secret = run("token", "new", "agent", "--hub", str(place))[0].strip()
    before = Tokens.open(place).owner.reveal()
    run("token", "revoke", "agent", "--hub", str(place))
    run("token", "revoke", "owner", "--hub", str(place))
    tokens = Tokens.open(place)
    assert tokens.find(secret) is None
    assert tokens.find(before) is None
    _, told = run("token", "revoke", "agent", "--hub", str(place), code=Exit.USAGE)
    assert "expected one of owner" in told


@pytest.mark.parametrize(
    "words",
    [
        ["token", "new", "x", "--scope", "root"],
        ["token", "new", "owner"],
        ["token", "new", "a b"],
        ["tls", "init", "*.x"],
    ],
)
def test_what_cannot_be_ends_with_usage(place: Path, words: list[str]) -> None:
    assert run(*words, "--hub", str(place), code=Exit.USAGE)[1].startswith("tapehub: ")


def test_without_a_hub_nothing_is_made(tmp_path: Path) -> None:
    for words in (["token", "show"], ["tls", "init"]):
        _, told = run(*words, "--hub", str(tmp_path / "none"), code=Exit.NOT_RUNNING)
        assert "no hub at" in told
    assert list(tmp_path.iterdir()) == []


def test_tls_init_makes_keys_of_this_user_and_says_how_to_trust_them(place: Path) -> None:
    out, told = run("tls", "init", "hub.example", "--hub", str(place))
    assert "certificate for hub.example, localhost, 127.0.0.1, ::1, until " in out
    assert "SHA-256: " in out
    assert "tapehub.connect(" in told
    assert "never a .key" in told
    for path in (place / "tls").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again, _ = run("tls", "init", "hub.example", "--hub", str(place))
    assert "authority" not in again  # the one that clients trust already
    _, told = run("tls", "init", "other.example", "--hub", str(place), code=Exit.USAGE)
    assert "--new-ca" in told


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7"])
def test_gateway_beyond_loopback_without_tls_ends_with_the_reason(place: Path, host: str) -> None:
    _, told = run("gateway", "--host", host, "--port", "0", "--hub", str(place), code=Exit.USAGE)
    assert f"host is {host}, which other machines reach, without TLS" in told
    assert f"tapehub tls init {'NAME' if host != '192.0.2.7' else host}" in told
