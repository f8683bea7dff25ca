"""Credentials are found where one is told they are looked for, and shown nowhere."""

import logging
import os
from pathlib import Path

import pytest

from tapehub.errors import ConfigError
from tapehub.feeds.ig.credentials import AccountType, Credentials, find_credentials, keep_out_of_logs

FULL = {"IG_USERNAME": "somebody", "IG_PASSWORD": "pa$$word-9", "IG_API_KEY": "key-77"}


def nothing(service: str, name: str) -> None:
    return None


def find(environ: dict[str, str], *dotenv: Path) -> Credentials:
    return find_credentials(environ, dotenv=dotenv, keyring=nothing)


def test_the_environment_is_enough() -> None:
    found = find(FULL | {"IG_ACC_NUMBER": "ABC12"})
    assert (found.username, found.password, found.api_key, found.account) == (
        "somebody",
        "pa$$word-9",
        "key-77",
        "ABC12",
    )


def test_names_of_trading_ig_do_as_well() -> None:
    found = find({name.replace("IG_", "IG_SERVICE_"): value for name, value in FULL.items()})
    assert found == find(FULL)


def test_a_dotenv_file_fills_what_the_environment_leaves_open_and_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("IG_PASSWORD='with $dollar and #hash'\nIG_API_KEY=other\nIG_ACC_TYPE=LIVE\n")
    before = dict(os.environ)
    found = find({"IG_USERNAME": "somebody", "IG_API_KEY": "key-77"}, file)
    assert found.password == "with $dollar and #hash"
    assert found.api_key == "key-77"
    assert found.account_type is AccountType.LIVE
    assert dict(os.environ) == before


def test_the_keyring_is_asked_last() -> None:
    asked = []

    def keyring(service: str, name: str) -> str | None:
        asked.append((service, name))
        return "from the ring" if name == "IG_PASSWORD" else None

    environ = {"IG_USERNAME": "somebody", "IG_API_KEY": "key-77"}
    found = find_credentials(environ, dotenv=[], keyring=keyring)
    assert found.password == "from the ring"
    assert ("tapehub-ig", "IG_USERNAME") not in asked


def test_a_keyring_that_fails_is_no_failure() -> None:
    def locked(service: str, name: str) -> str:
        raise RuntimeError("locked")

    assert find_credentials(FULL, dotenv=[], keyring=locked).username == "somebody"


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, AccountType.DEMO),
        ({"IG_ACC_TYPE": "live"}, AccountType.LIVE),
        ({"IG_ACC_TYPE": "Demo"}, AccountType.DEMO),
        ({"IG_DEMO": "false"}, AccountType.LIVE),
        ({"IG_DEMO": "1"}, AccountType.DEMO),
        ({"IG_SERVICE_ACC_TYPE": "LIVE", "IG_DEMO": "no"}, AccountType.LIVE),
    ],
)
def test_it_is_a_demo_account_unless_live_is_asked_for(more: dict[str, str], expected: AccountType) -> None:
    assert find(FULL | more).account_type is expected


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"IG_ACC_TYPE": "PAPER"}, r"IG_ACC_TYPE is 'PAPER', expected DEMO or LIVE"),
        ({"IG_DEMO": "perhaps"}, r"IG_DEMO is 'perhaps', expected true or false"),
        ({"IG_ACC_TYPE": "LIVE", "IG_DEMO": "true"}, r"asks for DEMO, IG_ACC_TYPE=LIVE for LIVE"),
    ],
)
def test_a_type_that_cannot_be_is_refused(more: dict[str, str], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        find(FULL | more)


def test_what_is_missing_is_named_with_the_places_and_a_way_without(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        find({"IG_USERNAME": "somebody", "IG_API_KEY": "  "}, tmp_path / ".env")
    text = str(raised.value)
    assert "IG_PASSWORD, IG_API_KEY not found" in text
    for place in ("the environment", str(tmp_path / ".env"), "keyring", "--feed sim"):
        assert place in text
    assert "somebody" not in text


def test_printing_shows_no_secret() -> None:
    found = find(FULL)
    shown = f"{found} {found!r} {[found]} {found.account_type}"
    assert not [secret for secret in found.secrets if secret in shown]


def test_libraries_log_asterisks(caplog: pytest.LogCaptureFixture) -> None:
    keep_out_of_logs(["somebody-else", "pass-1"])
    keep_out_of_logs(["pass-2"])
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("trading_ig.rest").info("user '%s' with %s and %s", "somebody-else", "pass-1", "pass-2")
        logging.getLogger("trading_ig.rest").info("GET '/session', resp 200")
    assert "user '***' with *** and ***" in caplog.text
    assert "GET '/session', resp 200" in caplog.text
    assert "pass-" not in caplog.text
