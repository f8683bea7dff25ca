"""Tokens: made once, kept from others, found without telling anything by time."""

import hashlib
import hmac
import json
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from tapehub.errors import ConfigError
from tapehub.gateway.access import OWNER, Scope, Tokens
from tapehub.gateway.access import tokens as tokens_module

DAY_NS = 86_400 * 10**9


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path


def test_first_start_makes_one_token_of_256_bits_that_no_one_else_can_read(place: Path) -> None:
    previous = os.umask(0)
    try:
        tokens = Tokens.open(place)
    finally:
        os.umask(previous)
    secret = tokens.owner.reveal()
    assert secret.startswith("tapehub_")
    assert len(secret.removeprefix("tapehub_")) == 43  # 256 bits, six to a letter
    assert stat.S_IMODE(tokens.owner_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(tokens.folder.stat().st_mode) == 0o700
    assert Tokens.open(place).owner.reveal() == secret
    assert sorted(path.name for path in tokens.folder.iterdir()) == ["owner.token"]


def test_two_hubs_never_share_a_token(tmp_path: Path) -> None:
    made = set()
    for number in range(8):
        (tmp_path / str(number)).mkdir()
        made.add(Tokens.open(tmp_path / str(number)).owner.reveal())
    assert len(made) == 8


def test_first_starts_at_the_same_time_agree_on_one_token(place: Path) -> None:
    found: list[str] = []
    gate = threading.Barrier(8)

    def start() -> None:
        gate.wait()
        found.append(Tokens.open(place).owner.reveal())

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_named_tokens_are_stored_as_hashes_alone(place: Path) -> None:
    tokens = Tokens.open(place)
    made = tokens.new("grafana", Scope.READ).reveal()
    text = (tokens.folder / "tokens.json").read_text()
    assert made not in text
    assert made.removeprefix("tapehub_") not in text
    assert hashlib.sha256(made.encode()).hexdigest() in text
    assert stat.S_IMODE((tokens.folder / "tokens.json").stat().st_mode) == 0o600
    found = tokens.find(made)
    assert found is not None
    assert (found.name, found.scope) == ("grafana", Scope.READ)


def test_no_form_of_the_objects_shows_a_secret(place: Path) -> None:
    tokens = Tokens.open(place)
    made = tokens.new("agent", Scope.PUBLISH)
    shown = f"{tokens!r} {tokens.rows()!r} {made!r} {made} {made!s} {tokens.owner!r} {vars(tokens)!r}"
    for secret in (made.reveal(), tokens.owner.reveal()):
        assert secret not in shown
        assert secret[10:] not in shown
    with pytest.raises(TypeError, match="not pickled"):
        made.__reduce__()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o777, 0o601])
@pytest.mark.parametrize("name", ["owner.token", "tokens.json"])
def test_a_file_others_can_reach_is_refused(place: Path, name: str, mode: int) -> None:
    tokens = Tokens.open(place)
    tokens.new("agent", Scope.READ)
    (tokens.folder / name).chmod(mode)
    with pytest.raises(ConfigError, match=rf"{name} has mode {mode:04o}, expected 0600"):
        Tokens.open(place)


def test_a_folder_others_can_reach_is_refused(place: Path) -> None:
    Tokens.open(place).folder.chmod(0o750)
    with pytest.raises(ConfigError, match="has mode 0750, expected 0700"):
        Tokens.open(place)


@pytest.mark.parametrize("name", ["owner.token", "tokens.json"])
def test_a_link_in_the_place_of_a_file_is_refused(
    place: Path, tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    tokens = Tokens.open(place)
    tokens.new("agent", Scope.READ)
    elsewhere = tmp_path_factory.mktemp("theirs") / "file"
    (tokens.folder / name).rename(elsewhere)
    (tokens.folder / name).symlink_to(elsewhere)
    with pytest.raises(ConfigError, match="symbolic link"):
        Tokens.open(place)


def test_a_link_in_the_place_of_the_folder_is_refused(place: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    theirs = tmp_path_factory.mktemp("theirs")
    theirs.chmod(0o700)
    (place / "access").symlink_to(theirs)
    with pytest.raises(ConfigError, match="symbolic link"):
        Tokens.open(place)
    assert list(theirs.iterdir()) == []


def test_a_file_with_a_second_name_is_refused(place: Path) -> None:
    tokens = Tokens.open(place)
    os.link(tokens.owner_file, place / "second")
    with pytest.raises(ConfigError, match="several names"):
        Tokens.open(place)


def test_a_pipe_in_the_place_of_a_file_is_refused_and_does_not_hang(place: Path) -> None:
    tokens = Tokens.open(place)
    tokens.owner_file.unlink()
    os.mkfifo(tokens.owner_file, 0o600)
    with pytest.raises(ConfigError, match="no plain file"):
        Tokens.open(place)


def test_another_users_file_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Tokens.open(place)
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    with pytest.raises(ConfigError, match=f"belongs to user .*, expected {other}"):
        Tokens.open(place)


def test_a_file_that_was_cut_short_is_refused(place: Path) -> None:
    tokens = Tokens.open(place)
    tokens.owner_file.write_bytes(tokens.owner.reveal().encode()[:20])
    with pytest.raises(ConfigError, match="holds no token"):
        Tokens.open(place)
    tokens.owner_file.unlink()
    (tokens.folder / "tokens.json").touch(0o600)
    with pytest.raises(ConfigError, match="cannot be read"):
        Tokens.open(place)


def test_every_token_is_compared_in_constant_time_whichever_it_is(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = Tokens.open(place)
    made = [tokens.new(f"agent-{number}", Scope.READ).reveal() for number in range(4)]
    compared: list[tuple[Any, Any]] = []

    def watched(one: Any, other: Any) -> bool:
        compared.append((one, other))
        return real(one, other)

    real = hmac.compare_digest
    monkeypatch.setattr(tokens_module.hmac, "compare_digest", watched)
    for presented in (tokens.owner.reveal(), made[0], made[-1], "false", ""):
        compared.clear()
        tokens.find(presented)
        assert len(compared) == 5
        assert all(type(one) is bytes and len(one) == len(other) == 32 for one, other in compared)


@pytest.mark.parametrize("presented", ["", " ", "tapehub_", "é", "\udc80", "x" * 10_000, "\0"])
def test_what_is_no_token_finds_none(place: Path, presented: str) -> None:
    assert Tokens.open(place).find(presented) is None


def test_a_token_ends_when_its_time_is_up(place: Path) -> None:
    now_ns = 1_000 * DAY_NS
    tokens = Tokens.open(place, now_ns=lambda: now_ns)
    made = tokens.new("guest", Scope.READ, days=2).reveal()
    digest = hashlib.sha256(made.encode()).digest()
    now_ns += 2 * DAY_NS - 1
    assert tokens.find(made) is not None
    assert tokens.holds(digest)
    now_ns += 1
    assert tokens.find(made) is None
    assert not tokens.holds(digest)


def test_revoked_token_is_gone_also_for_who_had_read_it_before(place: Path) -> None:
    server, command = Tokens.open(place), Tokens.open(place)
    made = command.new("agent", Scope.PUBLISH).reveal()
    assert server.find(made) is None
    assert server.refresh()
    assert server.find(made) is not None
    command.revoke("agent")
    server.refresh()
    assert server.find(made) is None


def test_revoked_owner_gets_another_token(place: Path) -> None:
    tokens = Tokens.open(place)
    before = tokens.owner.reveal()
    tokens.revoke(OWNER)
    assert tokens.find(before) is None
    found = tokens.find(tokens.owner.reveal())
    assert found is not None
    assert found.scope is Scope.ADMIN


@pytest.mark.parametrize("name", ["", "owner", "../x", "a b", "x" * 65, "a\n", "-a"])
def test_names_that_cannot_be_are_refused(place: Path, name: str) -> None:
    with pytest.raises(ConfigError):
        Tokens.open(place).new(name, Scope.READ)


def test_a_name_is_given_once(place: Path) -> None:
    tokens = Tokens.open(place)
    tokens.new("agent", Scope.READ)
    with pytest.raises(ConfigError, match="already"):
        tokens.new("agent", Scope.ADMIN)


def test_table_of_a_later_format_is_not_misread(place: Path) -> None:
    tokens = Tokens.open(place)
    path = tokens.folder / "tokens.json"
    path.touch(0o600)
    path.write_text(json.dumps({"format": 2, "tokens": []}))
    with pytest.raises(ConfigError, match="has format 2, this tapehub reads 1"):
        Tokens.open(place)


def test_scopes_include_those_before_them() -> None:
    assert Scope.ADMIN.includes(Scope.PUBLISH)
    assert Scope.PUBLISH.includes(Scope.READ)
    assert not Scope.READ.includes(Scope.PUBLISH)
    assert not Scope.PUBLISH.includes(Scope.ADMIN)
    assert Scope.parse(" Admin ") is Scope.ADMIN
    with pytest.raises(ConfigError, match="read, publish, admin"):
        Scope.parse("root")
