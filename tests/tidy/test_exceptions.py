"""Exceptions that reach callers stand in one place; what is raised within a folder stays there."""

import ast
import builtins
from collections.abc import Iterator
from pathlib import Path

from tapehub import errors
from tests.tidy.sources import modules, shown

RAISED = {name for name, one in vars(builtins).items() if isinstance(one, type) and issubclass(one, BaseException)}


def exceptions(path: Path, known: set[str]) -> Iterator[str]:
    """Yield the exception classes that a file defines."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef) and {ast.unparse(base).split(".")[-1] for base in node.bases} & known:
            yield node.name


def private() -> dict[str, tuple[str, Path]]:
    """Map every exception that is defined outside `errors` to its folder and its file."""
    known, found = RAISED | set(errors.__all__), dict[str, tuple[str, Path]]()
    while True:
        before = len(found)
        for name, path in modules().items():
            if name != "tapehub.errors":
                folder = name if path.name == "__init__.py" else name.rpartition(".")[0]
                found |= dict.fromkeys(exceptions(path, known | set(found)), (folder, path))
        if len(found) == before:
            return found


def test_an_exception_outside_errors_is_private_to_its_folder() -> None:
    own = private()
    assert {"BadFrame", "BadPickle", "Busy", "KeyRefused", "Refused", "TooLong"} <= set(own)
    wrong = []
    for name, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ImportFrom):
                continue
            for alias in node.names:
                folder, home = own.get(alias.name, ("", path))
                inside = f"{name}.".startswith(f"{folder}.")
                if folder and f"{node.module}.".startswith(f"{folder}.") and not inside:
                    wrong.append(f"{shown(path)}:{node.lineno} imports {alias.name} of {shown(home)}")
    assert not wrong, "private to their folder, or else they belong into errors.py:\n" + "\n".join(wrong)


def test_every_exception_has_one_definition() -> None:
    assert not set(private()) & set(errors.__all__)
