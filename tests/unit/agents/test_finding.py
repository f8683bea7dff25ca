"""Agents are found by file, by module, by entry point; parameters are checked."""

from pathlib import Path

import pytest

from tapehub.agents import Agent
from tapehub.agents.finding import load, make
from tapehub.errors import ConfigError

FILE = """
from tapehub.agents import Agent

class Momentum(Agent):
    symbols = ("EUR_USD",)

    class Parameters(Agent.Parameters):
        fast: int = 8
        slow: int = 34
"""


def test_class_of_a_file_is_found_with_and_without_its_name(tmp_path: Path) -> None:
    path = tmp_path / "my_agent.py"
    path.write_text(FILE)
    assert load(f"{path}:Momentum") is load(str(path))
    made = make(f"{path}:Momentum", {"fast": 5, "symbols": "EURUSD, GBP/USD", "timeframes": ["M5"]})
    assert (made.parameters.fast, made.parameters.slow) == (5, 34)
    assert (made.symbols, made.timeframes) == (("EURUSD", "GBP/USD"), ("5m",))
    assert made.plain() == {
        "fast": 5,
        "slow": 34,
        "symbols": ["EURUSD", "GBP/USD"],
        "timeframes": ["5m"],
        "warmup": 200,
    }


@pytest.mark.parametrize(
    ("text", "spec", "said"),
    [
        ("", ":Momentum", "has no Momentum; it has no agent"),
        (FILE, ":Carry", "has no Carry; it has Momentum"),
        ("", "", "expected one agent in the file, found none"),
        (FILE + FILE.replace("Momentum", "Carry"), "", "found Momentum, Carry"),
        ("import no_such_thing", "", "No module named"),
        ("Momentum = 3", ":Momentum", "expected a subclass"),
    ],
)
def test_what_cannot_be_found_says_what_is_there(tmp_path: Path, text: str, spec: str, said: str) -> None:
    path = tmp_path / f"agent_{abs(hash((text, spec)))}.py"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        load(f"{path}{spec}")


def test_unknown_names_are_errors() -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load("nowhere.py:Agent")
    with pytest.raises(ConfigError, match=r"my_agent\.py:Momentum"):
        load("nothing_of_that_name")
    assert load("tapehub.agents.agent:Agent") is Agent


def test_parameters_are_checked_and_named(tmp_path: Path) -> None:
    path = tmp_path / "checked.py"
    path.write_text(FILE)
    with pytest.raises(
        ConfigError,
        match=r"fats: no such parameter, did you mean fast\?; its parameters are symbols, timeframes, warmup, fast",
    ):
        make(str(path), {"fats": 1})
    with pytest.raises(ConfigError, match="fast is 'x', expected a valid integer"):
        make(str(path), {"fast": "x"})
