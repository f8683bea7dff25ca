"""tapehub.toml is read with its types checked, and written without losing what stands in it."""

import stat
from pathlib import Path

import pytest

from tapehub.app.config import add_epics, config_path, read_config
from tapehub.errors import ConfigError

WRITTEN = """\
# mine
[mine]
to = "me"  # kept

[ig]
form = "MINI"  # small sizes

[ig.epics]
EUR_USD = "CS.D.EURUSD.MINI.IP"

[instruments.DE40]
pip_size = 0.1
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config" / "tapehub.toml"
    monkeypatch.setenv("TAPEHUB_CONFIG", str(path))
    return path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def test_without_a_file_there_are_defaults(path: Path) -> None:
    config = read_config()
    assert (config.ig.form, config.ig.epics, config.ig.reserved_share) == ("CFD", {}, 0.25)
    assert config.instruments == {}
    assert config_path() == path


def test_the_file_is_read_and_the_environment_comes_first(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, WRITTEN)
    config = read_config()
    assert config.ig.form == "MINI"
    assert config.ig.epics == {"EUR_USD": "CS.D.EURUSD.MINI.IP"}
    assert config.book().find("DAX").pip_size == 0.1
    monkeypatch.setenv("TAPEHUB_IG__FORM", "TODAY")
    monkeypatch.setenv("TAPEHUB_IG__SUBSCRIPTIONS_MAX", "7")
    assert (read_config().ig.form, read_config().ig.subscriptions_max) == ("TODAY", 7)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[ig]\nreserved_share = 1.5\n", r"tapehub\.toml: ig\.reserved_share: "),
        ('[ig]\npassword = "geheim-1"\n', r"ig\.password: Extra inputs are not permitted"),
        ("[ig\n", "expected TOML"),
    ],
)
def test_a_setting_that_cannot_be_is_named_without_its_value(path: Path, text: str, why: str) -> None:
    write(path, text)
    with pytest.raises(ConfigError, match=why) as raised:
        read_config()
    assert "geheim" not in str(raised.value)


def test_epics_are_added_and_all_else_is_kept(path: Path) -> None:
    write(path, WRITTEN)
    path.chmod(0o640)
    kept = add_epics({"EUR_USD": "CS.D.EURUSD.CFD.IP", "USD_JPY": "CS.D.USDJPY.CFD.IP"})
    assert kept == {"EUR_USD": "CS.D.EURUSD.MINI.IP"}
    text = path.read_text()
    for line in WRITTEN.splitlines():
        assert line in text
    assert read_config().ig.epics == {"EUR_USD": "CS.D.EURUSD.MINI.IP", "USD_JPY": "CS.D.USDJPY.CFD.IP"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert add_epics({"EUR_USD": "CS.D.EURUSD.CFD.IP"}, replace=True) == {}
    assert read_config().ig.epics["EUR_USD"] == "CS.D.EURUSD.CFD.IP"
    assert read_config().ig.form == "MINI"
    assert [one.name for one in path.parent.iterdir()] == ["tapehub.toml"]


def test_a_new_file_is_made(path: Path) -> None:
    assert add_epics({"EUR_USD": "CS.D.EURUSD.CFD.IP"}) == {}
    assert path.read_text() == '[ig.epics]\nEUR_USD = "CS.D.EURUSD.CFD.IP"\n'


def test_a_file_that_is_no_toml_is_left_alone(path: Path) -> None:
    write(path, "epics = [")
    with pytest.raises(ConfigError, match="expected TOML"):
        add_epics({"EUR_USD": "CS.D.EURUSD.CFD.IP"})
    assert path.read_text() == "epics = ["


def test_what_the_hub_keeps_is_checked_and_not_set_by_default(path: Path) -> None:
    assert read_config().hub.model_dump() == {"retention_bytes": None, "retention_days": None}
    write(path, "[hub]\nretention_bytes = 1073741824\nretention_days = 2.5\n")
    assert read_config().hub.model_dump() == {"retention_bytes": 1 << 30, "retention_days": 2.5}
    write(path, "[hub]\nretention_days = 0\n")
    with pytest.raises(ConfigError, match=r"hub\.retention_days"):
        read_config()
