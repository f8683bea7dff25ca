"""Every extra brings what the package imports, and a missing library names an extra that there is."""

import ast
import functools
import importlib.metadata
import re
import tomllib

import pytest

from tests.tidy.sources import ROOT, modules, shown

EXTRAS: dict[str, list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
FOR_PEOPLE = {"all", "test", "dev", "bench", "examples"}  # they bring what the package itself does not import
BY_OTHERS = {("server", "websockets")}  # uvicorn speaks WebSocket through it


@functools.cache
def imported() -> set[str]:
    """Collect the top-level modules that any file of the package imports, also inside functions and by name."""
    found = set()
    for path in modules().values():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.split(".")[0])
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module") and node.args:
                found |= {str(word.value).split(".")[0] for word in node.args if isinstance(word, ast.Constant)}
    return found


@pytest.mark.parametrize("extra", sorted(set(EXTRAS) - FOR_PEOPLE))
def test_the_package_imports_what_is_brought_by(extra: str) -> None:
    offered: dict[str, set[str]] = {}
    for module, distributions in importlib.metadata.packages_distributions().items():
        for one in distributions:
            offered.setdefault(re.sub("[-_.]+", "-", one).lower(), set()).add(module)
    used = imported()
    for requirement in EXTRAS[extra]:
        name = re.sub("[-_.]+", "-", re.split(r"[\[<>=;~! ]", requirement)[0]).lower()
        if name != "tapehub" and (extra, name) not in BY_OTHERS:
            assert offered[name] & used, f"nothing of tapehub imports {name}: take it out of the extra {extra}"


def test_a_missing_library_names_an_extra_that_there_is() -> None:
    wrong = []
    for path in modules().values():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "MissingExtra":
                extra = node.args[1]
                if isinstance(extra, ast.Constant) and extra.value not in EXTRAS:
                    wrong.append(f"{shown(path)}:{node.lineno} names {extra.value}")
    assert not wrong, "\n".join(wrong)
