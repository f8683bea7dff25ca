"""Where a remote hub is: never a token in the clear, never one in an address."""

from pathlib import Path

import pytest

import tapehub
from tapehub.errors import ConfigError
from tapehub.hub.remote.address import address_of

TOKEN = "tapehub_" + "a1" * 21 + "b"


@pytest.mark.parametrize(
    "url",
    ["http://hub.example:8765", "http://192.0.2.7", "http://0.0.0.0:8765", "http://localhost.example", "http://[::]"],
)
def test_plain_http_beyond_this_machine_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="send the token in the clear"):
        address_of(url, TOKEN)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8765", "http://localhost", "http://[::1]:8765/", "https://hub.example"]
)
def test_this_machine_and_https_are_reached(url: str) -> None:
    found = address_of(url, TOKEN)
    assert found.api == url.rstrip("/") + "/api/v1"
    assert found.stream == "ws" + url.rstrip("/").removeprefix("http") + "/api/v1/stream"
    assert (found.tls() is None) == url.startswith("http://")


@pytest.mark.parametrize(
    "url",
    [
        f"https://hub.example/?token={TOKEN}",
        f"https://owner:{TOKEN}@hub.example",
        f"https://hub.example/#{TOKEN}",
        "https://",
        "https://hub.example:port",
        "ftp://hub.example",
    ],
)
def test_address_with_more_than_host_and_port_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        address_of(url, TOKEN)
    assert TOKEN not in str(caught.value)


def test_token_is_looked_for_in_one_place_after_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, file = "https://hub.example", tmp_path / "token"
    file.touch(0o600)
    file.write_text(f"{TOKEN}\n")
    monkeypatch.delenv("TAPEHUB_TOKEN", raising=False)
    with pytest.raises(ConfigError, match=r"no token for https://hub\.example"):
        address_of(url, environment={})
    assert address_of(url, environment={"TAPEHUB_TOKEN_FILE": str(file)}).token.reveal() == TOKEN
    both = {"TAPEHUB_TOKEN": "other", "TAPEHUB_TOKEN_FILE": str(file)}
    assert address_of(url, environment=both).token.reveal() == "other"
    assert address_of(url, token_file=file, environment=both).token.reveal() == TOKEN
    assert address_of(url, "given", token_file=file, environment=both).token.reveal() == "given"


def test_own_hub_of_this_machine_needs_no_token_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tapehub.gateway.access import Tokens

    monkeypatch.setenv("TAPEHUB_HOME", str(tmp_path))
    (tmp_path / "default").mkdir()
    own = Tokens.open(tmp_path / "default").owner.reveal()
    assert address_of("http://localhost:8765", environment={}).token.reveal() == own
    with pytest.raises(ConfigError, match="no token"):
        address_of("https://hub.example", environment={})  # it is nobody else's


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_token_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(mode)
    with pytest.raises(ConfigError, match=f"mode {mode:04o}, expected 0600"):
        address_of("https://hub.example", token_file=file)


@pytest.mark.parametrize("text", ["", " ", "two words", "line\nbreak", "tokén"])
def test_what_cannot_be_a_header_is_no_token(text: str) -> None:
    with pytest.raises(ConfigError, match="holds no token") as caught:
        address_of("https://hub.example", text)
    assert "two words" not in str(caught.value)


def test_missing_authority_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ca is .*none.pem"):
        address_of("https://hub.example", TOKEN, tmp_path / "none.pem").tls()


def test_address_shows_no_token() -> None:
    assert TOKEN not in repr(address_of("https://hub.example", TOKEN))


def test_token_for_a_directory_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected them with https://"):
        tapehub.connect(str(tmp_path), token=TOKEN)
