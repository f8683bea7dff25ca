"""The systemd unit, checked by systemd itself where it is there; what its manager is told; and no systemd at all."""

import configparser
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tapehub.app.cli import app
from tapehub.app.console import Exit
from tapehub.app.notifying import Notifier
from tapehub.app.unit import render, unit_name

ODD = Path('/srv-data/it\'s 100% "mine" $HOME/hub')


def parsed(text: str) -> configparser.RawConfigParser:
    reader = configparser.RawConfigParser(strict=False, delimiters=("=",), comment_prefixes=("#",))
    reader.optionxform = str  # type: ignore[assignment, method-assign]
    reader.read_string(text)
    return reader


def test_the_unit_runs_up_and_restarts_it_unless_that_is_of_no_use(tmp_path: Path) -> None:
    unit = parsed(
        render(tmp_path / "hub", tmp_path, tmp_path / "environment", {"TAPEHUB_HOME": "/x"}, "/usr/bin/python3")
    )
    service = unit["Service"]
    command = f"/usr/bin/python3 -m tapehub.app.cli up --no-attach --hub {tmp_path / 'hub'}"
    assert service["ExecStart"] == command
    assert service["Type"] == "notify"
    assert service["Restart"] == "on-failure"
    assert service["RestartPreventExitStatus"].split() == [str(int(Exit.USAGE)), str(int(Exit.REFUSED))]
    assert service["WorkingDirectory"] == str(tmp_path)
    assert service["EnvironmentFile"] == f"-{tmp_path / 'environment'}"
    assert unit["Install"]["WantedBy"] == "default.target"


def test_odd_names_are_quoted_as_systemd_reads_them() -> None:
    text = render(ODD, Path("/a b%"), Path("/c"), {"A": "x y"}, "/usr/bin/python3")
    assert '"/srv-data/it\'s 100%% \\"mine\\" $$HOME/hub"' in text
    assert "WorkingDirectory=/a b%%" in text
    assert 'Environment="A=x y"' in text
    assert unit_name(Path("/x/default")) == "tapehub.service"
    assert unit_name(Path("/x/my hub")) == "tapehub-my-hub.service"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine")
@pytest.mark.parametrize("hub", [Path("/tmp/hub"), ODD], ids=["plain", "odd"])
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path, hub: Path) -> None:
    path = tmp_path / "tapehub.service"
    path.write_text(render(hub, tmp_path, tmp_path / "environment", {"TAPEHUB_HOME": "/x y"}))
    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", path], capture_output=True, text=True, timeout=50,
        env=os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)},
    )  # fmt: skip
    told = [line for line in (done.stderr + done.stdout).splitlines() if "tapehub" in line]
    assert done.returncode == 0, done.stderr
    assert told == []


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "tapehub.toml").touch()
    monkeypatch.setenv("TAPEHUB_CONFIG", str(tmp_path / "tapehub.toml"))
    monkeypatch.setenv("TAPEHUB_ALERTS__URLS", '["json://geheim@127.0.0.1"]')
    return tmp_path


def test_it_is_installed_shown_and_removed_without_a_secret_in_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A systemctl that answers as one without a session does, so that the machine's own is left alone.
    tool = home / "bin" / "systemctl"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho 'Failed to connect to bus: No medium found' >&2\nexit 1\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent))
    run = CliRunner()
    done = run.invoke(app, ["service", "install"])
    assert done.exit_code == Exit.OK, done.output
    path = home / "config" / "systemd" / "user" / "tapehub.service"
    assert "geheim" not in path.read_text()
    assert f"Environment=TAPEHUB_CONFIG={home / 'tapehub.toml'}" in path.read_text()
    for command in ("systemctl --user daemon-reload", "systemctl --user enable --now tapehub.service", "enable-linger"):
        assert command in done.output
    assert run.invoke(app, ["service", "install"]).exit_code == Exit.OK  # the same again
    path.write_text(path.read_text() + "# mine\n")
    refused = run.invoke(app, ["service", "install"])
    assert refused.exit_code == Exit.USAGE
    shown = run.invoke(app, ["service", "status"])
    assert shown.exit_code == Exit.NOT_RUNNING
    assert "differs" in shown.output
    assert "does not run on this hub" in shown.output
    assert run.invoke(app, ["service", "install", "--force"]).exit_code == Exit.OK
    assert run.invoke(app, ["service", "uninstall"]).exit_code == Exit.OK
    assert not path.exists()
    assert run.invoke(app, ["service", "uninstall"]).exit_code == Exit.NOT_RUNNING


def test_without_systemd_it_says_so_and_installs_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(home))
    run = CliRunner()
    done = run.invoke(app, ["service", "install"])
    assert done.exit_code == Exit.FAILED
    assert "there is no systemd on this machine" in done.stderr
    assert not (home / "config").exists()
    assert run.invoke(app, ["service", "install", "--print"]).output.count("ExecStart=") == 1
    assert "there is no systemd on this machine" in run.invoke(app, ["service", "status"]).output


@pytest.mark.parametrize(
    "answer",
    ["echo offline", "echo 'System has not been booted with systemd as init system' >&2"],
    ids=["offline", "bus"],
)
def test_where_systemd_does_not_run_it_says_so_and_installs_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    tool = home / "bin" / "systemctl"
    tool.parent.mkdir()
    tool.write_text(f"#!/bin/sh\n{answer}\nexit 1\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent))
    done = CliRunner().invoke(app, ["service", "install"])
    assert done.exit_code == Exit.FAILED
    assert "systemd does not run on this machine: nothing was installed" in done.stderr
    assert not (home / "config").exists()


def test_systemd_is_told_once_that_it_is_up_and_again_and_again_that_it_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        monkeypatch.setenv("WATCHDOG_USEC", "2")
        told = Notifier()
        assert "NOTIFY_SOCKET" not in os.environ  # the processes it starts are not the service
        assert "WATCHDOG_USEC" not in os.environ
        told.ready("server running")
        told.ready("server running")
        told.alive()
        told.stopping()
        said = [manager.recv(4096).decode() for _ in range(3)]
    assert said == ["READY=1\nSTATUS=server running", "WATCHDOG=1", "STOPPING=1\nSTATUS=stopping"]
    told.alive()  # nobody listens any more: nothing happens


def test_where_nobody_listens_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.setattr("tapehub.app.notifying.socket.socket", lambda *of: pytest.fail("it opened a socket"))
    told = Notifier()
    told.ready("x")
    told.alive()
