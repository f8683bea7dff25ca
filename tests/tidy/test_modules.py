"""Every module is of a readable size, says what it is and what it offers."""

import ast
from pathlib import Path

import pytest

from tests.tidy.sources import PACKAGE, modules, project_files, shown

LINES_MAX = 400


def parse(path: Path) -> ast.Module:
    """Parse a module."""
    return ast.parse(path.read_text(), filename=str(path))


def test_no_python_module_is_longer_than_400_lines() -> None:
    lines = {shown(path): len(path.read_text().splitlines()) for path in project_files() if path.suffix == ".py"}
    long = {name: count for name, count in lines.items() if count > LINES_MAX}
    assert not long, f"look for the second noun inside: {long}"


@pytest.mark.parametrize("name", modules())
def test_module_opens_with_a_docstring(name: str) -> None:
    assert ast.get_docstring(parse(modules()[name])), f"{name} has no docstring"


def public(name: str) -> bool:
    """Tell whether a module is for other folders; `_name.py` is private to its own."""
    return not any(part.startswith("_") for part in name.split("."))


@pytest.mark.parametrize("name", [name for name in modules() if public(name)])
def test_public_module_declares_what_it_exports(name: str) -> None:
    tree = parse(modules()[name])
    if not tree.body[1:]:  # a docstring alone: nothing to export
        return
    declared = None
    for node in tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            assert isinstance(node, ast.Assign | ast.AnnAssign)
            assert node.value is not None
            declared = ast.literal_eval(node.value)
    assert declared is not None, f"{name} declares no __all__"
    missing = set(declared) - top_level_names(tree)
    assert not missing or defines_getattr(tree), f"{name} exports names it does not define: {sorted(missing)}"


def top_level_names(tree: ast.Module) -> set[str]:
    """Collect what a module binds, also under `if` and `try`."""
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                names |= {(alias.asname or alias.name).split(".")[0] for alias in aliases}
            case ast.Name(id=name, ctx=ast.Store()):
                names.add(name)
    return names


def defines_getattr(tree: ast.Module) -> bool:
    """Tell whether a module makes names on demand."""
    return any(isinstance(node, ast.FunctionDef) and node.name == "__getattr__" for node in tree.body)


def test_the_package_is_marked_as_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()
