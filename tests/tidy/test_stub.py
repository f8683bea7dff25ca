"""The stub of the native module says what that module has.

`make check` compares it with a newly generated one; here is what the generator takes from `stub.pat` on trust.
"""

import ast
import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tapehub import _native
from tests.tidy.sources import PACKAGE

STUB = ast.parse((PACKAGE / "_native.pyi").read_text())
CLASSES = {node.name: node for node in STUB.body if isinstance(node, ast.ClassDef)}
# What every class has, or needs no declaration; how it is made is compared apart.
OBJECT = {*dir(object), "__dict__", "__module__", "__weakref__"}


def declared(node: ast.ClassDef) -> set[str]:
    """Collect the names that a class of the stub declares."""
    targets = [item.target for item in node.body if isinstance(item, ast.AnnAssign)]
    functions = [item.name for item in node.body if isinstance(item, ast.FunctionDef)]
    return {target.id for target in targets if isinstance(target, ast.Name)} | set(functions)


def functions() -> Iterator[tuple[str, ast.FunctionDef, Any]]:
    """Yield each function of the stub, its name, and what it describes."""
    for node in STUB.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node, getattr(_native, node.name)
    for owner, body in CLASSES.items():
        native = getattr(_native, owner)
        for item in body.body:
            if not isinstance(item, ast.FunctionDef) or item.decorator_list:
                continue
            if item.name == "__new__":
                yield owner, item, native
            elif not item.name.startswith("__") or hasattr(vars(native)[item.name], "__nb_signature__"):
                yield f"{owner}.{item.name}", item, vars(native)[item.name]


def parameters(node: ast.FunctionDef) -> list[tuple[str, Any]]:
    """List the names and defaults of a function of the stub, without self."""
    every = [*node.args.posonlyargs, *node.args.args]
    defaults = [inspect.Parameter.empty] * (len(every) - len(node.args.defaults))
    defaults += [ast.literal_eval(value) for value in node.args.defaults]
    keyword = [inspect.Parameter.empty if value is None else ast.literal_eval(value) for value in node.args.kw_defaults]
    pairs = zip([*every, *node.args.kwonlyargs], [*defaults, *keyword], strict=True)
    return [(argument.arg, default) for argument, default in pairs if argument.arg not in ("self", "cls")]


def native_parameters(function: Any) -> list[tuple[str, Any]]:
    """List the names and defaults that a native function itself knows."""
    if not hasattr(function, "__nb_signature__"):
        known = inspect.signature(function).parameters.values()
        return [(one.name, one.default) for one in known if one.name != "self"]
    text, _, values = function.__nb_signature__[0]
    parameter = r"(\w+): (?:[^,()\[\]]|\[[^\]]*\])*?(?: = \\(\d+))?(?=[,)])"
    return [
        (name, values[int(given)] if given else inspect.Parameter.empty)
        for name, given in re.findall(parameter, text.split("->")[0])
    ]


@pytest.mark.parametrize("name", CLASSES)
def test_stub_declares_every_member_of(name: str) -> None:
    members = {
        member for member in vars(getattr(_native, name)) if member not in OBJECT and not member.startswith("__nb_")
    }
    assert declared(CLASSES[name]) - OBJECT == members


def test_stub_declares_every_name_of_the_module() -> None:
    names = {name for name in vars(_native) if not name.startswith("__")}
    assert {node.name for node in STUB.body if isinstance(node, ast.FunctionDef | ast.ClassDef)} == names


@pytest.mark.parametrize(
    ("node", "native"), [pytest.param(node, native, id=name) for name, node, native in functions()]
)
def test_stub_gives_the_parameters_of(node: ast.FunctionDef, native: Any) -> None:
    given, known = parameters(node), native_parameters(native)
    assert [default for _, default in given] == [default for _, default in known]
    for (name, _), (real, _) in zip(given, known, strict=True):
        assert name == real or re.fullmatch(r"arg\d*", real), f"{name} is {real}"
