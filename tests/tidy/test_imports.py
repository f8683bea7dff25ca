"""Imports run one way, down to what is more basic, and `import tapehub` stays light."""

import ast
import graphlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tidy.sources import PACKAGE, modules, shown

# Rows from basic to high; folders in one row do not import each other.
LAYERS = [
    {"errors", "stopping", "_native"},
    {"model"},
    {"hub"},
    {"quality"},
    {"feeds"},
    {"collector"},
    {"agents", "gateway"},
    {"app", "ig", "compat"},
]
RANK = {folder: rank for rank, folders in enumerate(LAYERS) for folder in folders}


def imports_of(name: str, path: Path, *, for_types: bool = True) -> Iterator[tuple[int, str]]:
    """Yield (line, module) of each import of tapehub in a file, also inside functions.

    Args:
        name: of the module in the file.
        path: of the file.
        for_types: also those under `if TYPE_CHECKING`, which no run performs.
    """
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    known = modules().keys() | {"tapehub._native"}
    for node in walk(ast.parse(path.read_text(), filename=str(path)), for_types):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name.split(".")[0] == "tapehub")
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, node.module] if node.module else above)
            if base.split(".")[0] == "tapehub":
                for alias in node.names:
                    full = f"{base}.{alias.name}"
                    yield node.lineno, full if full in known else base


def walk(node: ast.AST, for_types: bool) -> Iterator[ast.AST]:
    """Yield a tree's nodes, without what only a type checker runs unless asked."""
    yield node
    skipped: list[ast.stmt] = []
    if isinstance(node, ast.If) and not for_types and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        skipped = node.body
    for child in ast.iter_child_nodes(node):
        if child not in skipped:
            yield from walk(child, for_types)


def folder_of(module: str) -> str:
    """Name the folder (or top-level module) of the package that a module belongs to; empty for the package itself."""
    return module.split(".")[1] if "." in module else ""


def test_every_folder_has_its_place_in_the_import_order() -> None:
    unplaced = {folder_of(name) for name in modules()} - set(RANK) - {"", "__main__"}
    assert not unplaced, f"give these a place in LAYERS: {sorted(unplaced)}"


def test_the_import_order_names_what_is_there_alone() -> None:
    gone = set(RANK) - {folder_of(name) for name in modules()} - {"_native"}
    assert not gone, f"take these out of LAYERS, they are no folder and no module: {sorted(gone)}"


def test_imports_run_down_to_what_is_more_basic() -> None:
    wrong = []
    for name, path in modules().items():
        own = folder_of(name)
        if own in ("", "__main__"):  # the package re-exports the public API
            continue
        for line, target in imports_of(name, path):
            other = folder_of(target)
            if other == own:
                continue
            if not other or RANK.get(other, len(LAYERS)) >= RANK[own]:
                wrong.append(f"{shown(path)}:{line} imports {target}")
    assert not wrong, "\n".join(wrong)


def test_the_package_itself_re_exports_nothing_above_the_hub() -> None:
    high = [
        f"line {line}: {target}"
        for line, target in imports_of("tapehub", PACKAGE / "__init__.py")
        if RANK.get(folder_of(target), 0) > RANK["hub"]
    ]
    assert not high, high


def test_modules_do_not_import_in_circles() -> None:
    known = modules()
    graph = {
        name: {target for _, target in imports_of(name, path, for_types=False) if target in known and target != name}
        for name, path in known.items()
        if name != "tapehub"
    }
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail("import cycle: " + " -> ".join(error.args[1]))


def test_importing_tapehub_loads_numpy_and_the_native_module_alone() -> None:
    code = "import sys, json; import tapehub; print(json.dumps(list(sys.modules)))"
    bare = set(json.loads(run(code.replace("import tapehub;", ""))))
    loaded = set(json.loads(run(code)))
    added = {name.split(".")[0] for name in loaded - bare}
    added = {name for name in added if not name.startswith("_sysconfigdata")}  # standard, but named by machine
    allowed = set(sys.stdlib_module_names) | {"tapehub", "numpy"}
    assert not added - allowed, f"import tapehub also loads {sorted(added - allowed)}"
    folders = {name.split(".")[1] for name in loaded if name.startswith("tapehub.")}
    high = {folder for folder in folders if RANK.get(folder, 0) > RANK["hub"]}
    assert not high, f"import tapehub also loads tapehub.{sorted(high)}"


def run(code: str) -> str:
    """Run code in a fresh interpreter."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    ).stdout
