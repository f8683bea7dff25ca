"""The help of every command says what its source says: nothing is taken for markup and left out."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from tapehub.app.cli import COMMANDS, _load, app


def commands(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Give a command and all below it, by the words that call them."""
    yield words, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*words, name))


EVERY = {words: command for name in COMMANDS for words, command in commands(_load(name), (name,))}


def bracketed(command: Any) -> set[str]:
    """Collect what stands in brackets in the texts of a command and its options."""
    texts = [getattr(one, name, None) or "" for one in (command, *command.params) for name in ("help", "epilog")]
    return {found for text in texts for found in re.findall(r"\[[^\]\n]+\]", text.replace("\\[", "["))}


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_help_shows_what_stands_in_brackets(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*words, "--help"], env={"TERMINAL_WIDTH": "500", "COLUMNS": "500"})
    assert result.exit_code == 0, result.output
    for text in bracketed(EVERY[words]):
        assert text in result.output, f"tapehub {' '.join(words)} --help lost {text}"
    assert "\\[" not in result.output


def test_the_sections_that_help_refers_to_are_among_them() -> None:
    assert {"[up]", "[gateway]", "[alerts]"} <= {text for command in EVERY.values() for text in bracketed(command)}
