"""What a message tells people to run is a command that there is."""

import ast
import re

from tapehub.app.cli import COMMANDS
from tests.tidy.sources import ROOT, modules, shown

RUN = re.compile(r'["`]tapehub ([a-z]+)\b')


def test_every_command_that_a_text_names_is_one() -> None:
    named = [
        (f"{shown(path)}:{node.lineno}", word)
        for path in modules().values()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for word in RUN.findall(node.value)
    ]
    for path in sorted((ROOT / "native").rglob("*.[hc]pp")):
        text = path.read_text().replace('\\"', "`")
        named += [
            (f"{shown(path)}:{number}", word)
            for number, line in enumerate(text.splitlines(), 1)
            for word in re.findall(r"`tapehub ([a-z]+)", line)
        ]
    assert len(named) > 50
    wrong = [f"{where}: tapehub {word}" for where, word in named if word not in COMMANDS]
    assert not wrong, "\n".join(wrong)
