"""tapehub.toml is read with its types checked, and written without losing what stands in it."""

import stat
from pathlib import Path

import pytest

from tapehub.app.checks import Health, about_machine
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
    write(path, "")
    monkeypatch.setenv("TAPEHUB_CONFIG", str(path))
    return path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def test_without_a_file_there_are_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TAPEHUB_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    config = read_config()
    assert (config.ig.form, config.ig.epics, config.ig.reserved_share) == ("CFD", {}, 0.25)
    assert config.instruments == {}
    assert config_path() == tmp_path / "tapehub" / "tapehub.toml"


def test_the_file_lies_in_the_users_configuration_unless_it_is_named(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert config_path() == path
    monkeypatch.delenv("TAPEHUB_CONFIG")
    monkeypatch.setenv("HOME", str(tmp_path))
    for unset in ("", "not/absolute"):  # as the specification of base directories says
        monkeypatch.setenv("XDG_CONFIG_HOME", unset)
        assert config_path() == tmp_path / ".config" / "tapehub" / "tapehub.toml"


def test_a_named_file_must_be_there(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.unlink()
    with pytest.raises(ConfigError, match=r"^TAPEHUB_CONFIG is '.*tapehub\.toml': expected a file that is there; "):
        read_config()
    monkeypatch.setenv("TAPEHUB_CONFIG", str(tmp_path))
    with pytest.raises(ConfigError, match="it is a directory: expected a file in it"):
        read_config()


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
        (
            "[ig]\nreserved_share = 1.5\n",
            r"tapehub\.toml: \[ig\] reserved_share is 1\.5: expected a number below 1; correct",
        ),
        (
            '[ig]\npassword = "geheim-1"\n',
            r"tapehub\.toml: \[ig\] password: no such setting, expected one of epics, form",
        ),
        ('[up]\nfed = "sim"\n', r"\[up\] fed: no such setting, expected one of feed, symbols, .*; did you mean feed"),
        ('[up]\nsymbols = "EUR_USD"\n', r"\[up\] symbols is 'EUR_USD': expected a list, as symbols = \[\"EUR_USD"),
        ("[up]\nsymbols = [7]\n", r"\[up\] symbols is 7: expected text in quotes"),
        ('[up]\nseed = "x"\n', r"\[up\] seed is 'x': expected a whole number"),
        ('[logs]\nlevel = "loud"\n', r"\[logs\] level is 'loud': expected one of 'debug', 'info', 'warning', 'error'"),
        ('up = "sim"\n', r"tapehub\.toml: \[up\] is 'sim': expected a table"),
        ('[alerts]\nurls = "geheim://"\n', r"\[alerts\] urls: expected a list, as urls = \["),
        ("[agents.run.a]\nagen = 1\n", r"\[agents\.run\.a\] agent: expected it to be there"),
        ("[gateway.limits]\nrows_jso = 1\n", r"\[gateway\.limits\] rows_jso: .*; did you mean rows_json"),
        ("[ig\n", "expected TOML"),
    ],
)
def test_a_setting_that_cannot_be_is_named_without_its_value(path: Path, text: str, why: str) -> None:
    write(path, text)
    with pytest.raises(ConfigError, match=why) as raised:
        read_config()
    assert "geheim" not in str(raised.value)


@pytest.mark.parametrize(
    ("variable", "value", "why"),
    [
        (
            "TAPEHUB_ALERTS__URLS",
            "json://geheim",
            r"^TAPEHUB_ALERTS__URLS cannot be read: expected a JSON list, as '\[",
        ),
        ("TAPEHUB_UP__SYMBOLS", "EUR_USD", r"^TAPEHUB_UP__SYMBOLS is 'EUR_USD': expected a JSON list, as '\["),
        ("TAPEHUB_UP__SYMBOLS", '"EUR_USD"', r"^TAPEHUB_UP__SYMBOLS is 'EUR_USD': expected a list, as a JSON list"),
        ("TAPEHUB_UP__SEED", "soon", r"^TAPEHUB_UP__SEED is 'soon': expected a whole number; correct it in the env"),
        ("TAPEHUB_UP__FED", "sim", r"^TAPEHUB_UP__FED: no such setting, expected one of feed, .*did you mean feed"),
        ("TAPEHUB_UP", "sim", r"^TAPEHUB_UP is 'sim': expected JSON"),
    ],
)
def test_a_variable_that_cannot_be_is_named_and_no_file(
    path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, why: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match=why) as raised:
        read_config()
    assert str(path) not in str(raised.value)
    assert "geheim" not in str(raised.value)


def test_a_section_that_is_nearly_one_of_ours_is_remarked_on_and_others_pass(path: Path) -> None:
    write(path, '[upp]\nfeed = "sim"\n' + WRITTEN)
    said: list[str] = []
    assert read_config(said.append).up.feed == "none"
    assert said == [f"{path}: [upp] is not read: did you mean [up]?"]


def test_a_file_that_lies_where_none_is_read_is_remarked_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAPEHUB_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    path = config_path()
    (tmp_path / "tapehub.toml").write_text("")
    said: list[str] = []
    read_config(said.append)
    (text,) = said
    assert text.startswith(f"{tmp_path / 'tapehub.toml'} is not read: expected {path}; ")
    (check,) = (one for one in about_machine(tmp_path) if one.name == "configuration")
    assert (check.health, check.remedy[:7]) == (Health.DOUBTFUL, "move it")
    path.parent.mkdir(parents=True)
    path.touch()
    read_config(said.append)
    assert len(said) == 1


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
    path.unlink()
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
    with pytest.raises(ConfigError, match=r"\[hub\] retention_days is 0"):
        read_config()
