"""What is wrong with a setting, in the words of whoever wrote it: where it stands, what it is, what is expected there.

A setting comes from the environment where its variable is set, else from the file: only that place can be corrected.
What may be a password is never repeated.
"""

from __future__ import annotations

import difflib
import json
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, SecretStr

if TYPE_CHECKING:
    from pydantic import ValidationError

__all__ = ["near", "of_environment", "of_setting", "place_of", "sections_in_doubt"]

PREFIX, DELIMITER = "TAPEHUB_", "__"

_KINDS: Mapping[str, str] = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "a table",
    "float_parsing": "a number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "mapping_type": "a table",
    "model_type": "a table",
    "string_type": "text in quotes",
}
"""What pydantic says of a value that has the wrong type, and how TOML calls the right one."""


def place_of(path: Path, names: Sequence[Any]) -> str:
    """Say where a setting stands: the variable that gives it, else the file with section and name."""
    words = [str(name) for name in names]
    if (variable := _variable(words)) is not None:
        return variable
    *sections, name = words
    if not sections:
        return f"{path}: [{name}]"
    return f"{path}: [{'.'.join(sections)}] {name}"


def of_setting(error: ValidationError, model: type[BaseModel], path: Path) -> str:
    """Describe the first setting that cannot be: place, value where it is no secret, expectation, remedy."""
    first = error.errors(include_url=False)[0]
    names, kind = first["loc"], first["type"]
    named = [name for name in names if not isinstance(name, int)]  # [up] symbols, not its third
    variable = _variable([str(name) for name in named])
    where = place_of(path, named)
    remedy = "correct it in the environment" if variable else "correct it there"
    if kind == "extra_forbidden":
        *sections, name = (str(one) for one in named)
        known = _fields_of(model, sections)
        meant = near(name, known)
        hint = f"did you mean {meant}" if meant else remedy
        return f"{where}: no such setting, expected one of {', '.join(known)}; {hint}"
    value = (
        "" if _is_secret(model, named) or not isinstance(first["input"], str | int | float) else repr(first["input"])
    )
    return f"{where}{f' is {value}' if value else ''}: expected {_expected(first, named, model)}; {remedy}"


def of_environment(model: type[BaseModel]) -> str:
    """Describe the first variable that is no JSON where JSON is expected; empty when each is."""
    for variable, names in _variables(model):
        annotation = _annotation(model, names)
        if annotation is None or not _takes_json(annotation):
            continue
        text = os.environ[variable]
        try:
            json.loads(text)
        except ValueError:
            said = "cannot be read" if _is_secret(model, names) else f"is {text!r}"
            return f"{variable} {said}: expected {_as_json(annotation, names)}; correct it in the environment"
    return ""


def near(name: str, known: Iterable[str]) -> str:
    """Give what a name was meant to be; empty where nothing comes near."""
    return next(iter(difflib.get_close_matches(name, list(known), 1, 0.7)), "")


def sections_in_doubt(path: Path, model: type[BaseModel]) -> list[str]:
    """Describe the sections that are not read and are called nearly like one that is.

    Others pass in silence: the file may be shared with programs that have sections of their own.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    known = model.model_fields
    return [
        f"{path}: [{name}] is not read: did you mean [{meant}]?"
        for name in found
        if name not in known and (meant := near(name, known))
    ]


def _expected(first: Any, names: Sequence[Any], model: type[BaseModel]) -> str:
    kind, bounds = first["type"], first.get("ctx", {})
    if kind in ("tuple_type", "list_type", "set_type"):
        return _as_toml_list(_variable([str(name) for name in names]), names, _annotation(model, names))
    if kind in _KINDS:
        return _KINDS[kind]
    if kind == "literal_error":
        return f"one of {str(bounds['expected']).replace(' or ', ', ')}"
    for limit, words in (("gt", "above"), ("ge", "of at least"), ("lt", "below"), ("le", "of at most")):
        if kind in ("greater_than", "greater_than_equal", "less_than", "less_than_equal") and limit in bounds:
            return f"a number {words} {bounds[limit]:g}"
    if kind == "missing":
        return "it to be there"
    text = str(first["msg"])
    return text.removeprefix("Input should be ").removeprefix("Value error, ")


def _as_toml_list(variable: str | None, names: Sequence[Any], annotation: Any) -> str:
    return f"a list, as {_as_json(annotation, names)}" if variable else f"a list, as {names[-1]} = {_example(names)}"


def _as_json(annotation: Any, names: Sequence[Any]) -> str:
    if annotation is tuple or getattr(annotation, "__origin__", None) is tuple or "tuple" in str(annotation):
        return f"a JSON list, as '{_example(names)}'"
    return 'JSON, as \'{"name": "value"}\''


def _example(names: Sequence[Any]) -> str:
    return {"symbols": '["EUR_USD", "USD_JPY"]', "urls": '["tgram://TOKEN/CHAT"]'}.get(str(names[-1]), '["one", "two"]')


def _variable(names: Sequence[str]) -> str | None:
    """Name the variable of the environment that gives a setting, or a table that it stands in."""
    upper = {name.upper(): name for name in os.environ}
    for count in range(len(names), 0, -1):
        if found := upper.get(PREFIX + DELIMITER.join(names[:count]).upper()):
            return found
    return None


def _variables(model: type[BaseModel]) -> Iterator[tuple[str, list[str]]]:
    """Give the variables that name a setting of a section, and the names of that setting."""
    for variable in sorted(os.environ):
        if variable.upper().startswith(PREFIX):
            names = variable[len(PREFIX) :].lower().split(DELIMITER)
            if names[0] in model.model_fields:
                yield variable, names


def _annotation(model: type[BaseModel], names: Sequence[Any]) -> Any | None:
    """Give the type of a setting; None where there is none of that name."""
    inside: Any = model
    for name in names:
        if not (isinstance(inside, type) and issubclass(inside, BaseModel) and name in inside.model_fields):
            return None
        inside = inside.model_fields[str(name)].annotation
    return inside


def _fields_of(model: type[BaseModel], sections: Sequence[str]) -> list[str]:
    """List the settings of a section; of [agents.run.NAME] too, whose name is anyone's."""
    inside: Any = model
    for name in sections:
        fields = getattr(inside, "model_fields", {})
        if name in fields:
            inside = fields[name].annotation
        else:
            inside = next((one for one in get_args(inside) if hasattr(one, "model_fields")), inside)
    if not hasattr(inside, "model_fields"):
        inside = next((one for one in get_args(inside) if hasattr(one, "model_fields")), model)
    return list(inside.model_fields)


def _takes_json(annotation: Any) -> bool:
    plain = {str, int, float, bool, SecretStr, Path, type(None)}
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation not in plain
    return "tuple" in str(annotation) or "dict" in str(annotation)


def _is_secret(model: type[BaseModel], names: Sequence[Any]) -> bool:
    """Tell whether a value is not to be repeated: a secret, or what nobody knows the meaning of."""
    annotation = _annotation(model, names)
    return annotation is None or "SecretStr" in str(annotation)
