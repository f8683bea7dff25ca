"""What `tapehub init` writes and what the documents list is made from the classes that read it."""

import re
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field, SecretStr
from typer.testing import CliRunner

from tapehub.app.cli import app
from tapehub.app.config import Config, read_config
from tapehub.app.console import Exit
from tapehub.app.feeds import Wanted
from tapehub.app.template import reference, settings, template
from tapehub.app.up import _wanted

ROOT = Path(__file__).resolve().parents[3]
ALL = [pytest.param(one, id=one.variable) for one in settings(Config)]


class Inner(BaseModel):
    """Hold the section ``[far.near]``: what is near.

    Attributes:
        count: how many,
            on two lines.
        key: a secret.
    """

    count: int = 3
    key: SecretStr = SecretStr("geheim")


class Far(BaseModel):
    """Hold a section."""

    near: Inner = Inner()
    named: dict[str, str] = Field(default_factory=dict, description="described here")
    unset: str | None = None


class Whole(BaseModel):
    """Hold all."""

    far: Far = Far()


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config" / "tapehub.toml"
    monkeypatch.setenv("TAPEHUB_CONFIG", str(path))
    return path


def uncommented(text: str) -> str:
    """Take the "# " away from every setting that has a value."""
    return re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE)


def leaves(table: dict[str, Any]) -> list[Any]:
    """List what is set anywhere in a table."""
    return [leaf for one in table.values() for leaf in (leaves(one) if isinstance(one, dict) else [one])]


def test_each_setting_says_its_meaning_default_and_variable() -> None:
    rows = {one.variable: one for one in settings(Whole)}
    assert rows["TAPEHUB_FAR__NEAR__COUNT"].meaning == "how many, on two lines."
    assert rows["TAPEHUB_FAR__NEAR__COUNT"].shown == "3"
    assert rows["TAPEHUB_FAR__NAMED"].meaning == "described here"
    assert rows["TAPEHUB_FAR__UNSET"].shown == ""
    text = template(Whole)
    assert "geheim" not in text
    assert "# What is near." in text
    assert tomllib.loads(uncommented(text)) == {"far": {"near": {"count": 3, "key": ""}, "named": {}}}


@pytest.mark.parametrize("setting", ALL)
def test_every_setting_has_a_meaning(setting: object) -> None:
    assert getattr(setting, "meaning", ""), f"{setting}: say it under Attributes in its class's docstring"


def test_every_setting_is_in_the_reference_with_its_default_and_variable() -> None:
    text = (ROOT / "docs" / "reference" / "configuration.md").read_text()
    how = "write it anew: python -m tapehub.app.template docs/reference/configuration.md"
    assert reference(Config) in text, how


def test_what_init_writes_changes_nothing_and_is_all_there_is(path: Path) -> None:
    result = CliRunner().invoke(app, ["init"])
    assert result.exit_code == Exit.OK, result.output
    assert leaves(tomllib.loads(path.read_text())) == []
    path.write_text(uncommented(path.read_text()))
    assert read_config().model_dump() == Config().model_dump()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_init_replaces_nothing_unless_told_to(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("# mine\n")
    refused = CliRunner().invoke(app, ["init"])
    assert refused.exit_code == Exit.USAGE
    assert "--force" in refused.stderr
    assert path.read_text() == "# mine\n"
    assert (
        CliRunner().invoke(app, ["init", "--force", "--feed", "ig", "--symbols", "EUR_USD,USDJPY"]).exit_code == Exit.OK
    )
    assert (read_config().up.feed, read_config().up.symbols) == ("ig", ("EUR_USD", "USDJPY"))
    wrong = CliRunner().invoke(app, ["init", "--force", "--feed", "bloomberg"])
    assert wrong.exit_code == Exit.USAGE


def test_up_takes_from_the_file_what_the_command_line_leaves_open(path: Path) -> None:
    CliRunner().invoke(app, ["init", "--feed", "sim", "--symbols", "EUR_USD"])
    found = read_config().up
    assert found.feed == "sim"

    def wanted(feed: str | None, symbols: list[str] | None = None, rate: float | None = None) -> object:
        return _wanted(found, feed, None, symbols, "", None, rate, None)

    assert wanted(None) == Wanted("sim", ("EUR_USD",))
    assert wanted("sim", ["GBPUSD"], 4.0) == Wanted("sim", ("GBPUSD",), rate=4.0)
    assert wanted("kraken") == Wanted("kraken")  # the symbols are those of the feed that the file names
    assert wanted("none") is None
