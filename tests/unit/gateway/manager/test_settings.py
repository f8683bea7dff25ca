"""Where the endpoint opens, and where it does not."""

import os
from pathlib import Path

import pytest

from tapehub.app.config import Config, read_config
from tapehub.app.manager import settings_of
from tapehub.errors import ConfigError
from tapehub.gateway.manager import ManagerSettings

KEY = "0123456789abcdefé"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in [name for name in os.environ if name.startswith(("DATA_HUB_", "TAPEHUB_MANAGER"))]:
        monkeypatch.delenv(name)
    path = tmp_path / "tapehub.toml"
    path.touch()
    monkeypatch.setenv("TAPEHUB_CONFIG", str(path))
    return path


def test_without_a_key_there_is_no_endpoint() -> None:
    assert settings_of(Config()) is None
    assert ManagerSettings.found({"DATA_HUB_AUTHKEY": ""}) is None


def test_the_environment_comes_first_and_the_key_is_utf_8() -> None:
    found = ManagerSettings.found(
        {"DATA_HUB_AUTHKEY": KEY, "DATA_HUB_HOST": "::1", "DATA_HUB_PORT": "50001"}, key="other", host="h", port=5
    )
    assert found is not None
    assert (found.key, found.host, found.port) == (KEY.encode(), "::1", 50_001)
    assert KEY not in repr(found)


def test_the_configuration_sets_what_the_environment_does_not(environment: Path) -> None:
    environment.write_text(
        f'[manager]\nauthkey = "{KEY}"\nport = 50007\nmodule = "models"\nnames = ["DataHub", "get_hub"]\n'
    )
    environment.chmod(0o600)
    found = settings_of(read_config())
    assert found is not None
    assert (found.key, found.host, found.port) == (KEY.encode(), "127.0.0.1", 50_007)
    assert (found.module, found.names) == ("models", ("DataHub", "get_hub"))
    assert KEY not in repr(read_config())


def test_a_key_in_a_file_that_others_read_is_refused(environment: Path) -> None:
    environment.write_text(f'[manager]\nauthkey = "{KEY}"\n')
    environment.chmod(0o644)
    with pytest.raises(ConfigError, match="others can read the file: chmod 600") as caught:
        settings_of(read_config())
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.com", ""])
def test_other_machines_are_let_in_only_when_asked_for(host: str) -> None:
    with pytest.raises(ConfigError, match="allow_remote = true"):
        ManagerSettings(key=b"k" * 16, host=host)
    assert ManagerSettings(key=b"k" * 16, host=host, allow_remote=True).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_this_machine_is_let_in(host: str) -> None:
    assert not ManagerSettings(key=b"k" * 16, host=host).is_weak


def test_settings_that_cannot_be_are_refused() -> None:
    assert ManagerSettings(key=b"short").is_weak
    with pytest.raises(ConfigError, match="key of the BaseManager endpoint is empty"):
        ManagerSettings(key=b"")
    for port in ("x", "0", "70000", "-1"):
        with pytest.raises(ConfigError, match="DATA_HUB_PORT"):
            ManagerSettings.found({"DATA_HUB_AUTHKEY": KEY, "DATA_HUB_PORT": port})
