"""Write `tapehub.toml` with every setting, its default and what it means, from the classes that read it.

A class says what its settings mean under ``Attributes`` in its docstring, or in ``Field(description=…)``; there is no
second list of them that could go out of date. ``python -m tapehub.app.template docs/reference/configuration.md`` writes
the table of the reference anew.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
import textwrap
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

__all__ = ["Setting", "reference", "settings", "template"]

_WIDTH = 100
_TABLE = re.compile(r"(?<=<!-- settings -->\n).*(?=<!-- end of settings -->)", re.DOTALL)
_HEAD = """\
# tapehub.toml: the settings of tapehub. One that is commented out has the value that is shown; take the "# " away
# to change it. An environment variable comes before this file: TAPEHUB_IG__FORM=MINI is form in [ig].
"""


@dataclass(frozen=True, slots=True)
class Setting:
    """Describe one setting.

    Attributes:
        section: dotted; empty for one that is a section of its own.
        meaning: one paragraph.
        shown: its default as TOML; empty where there is none.
        variable: the environment variable that overrides it.
    """

    section: str
    name: str
    meaning: str
    shown: str
    variable: str
    about: str = ""


def settings(model: type[BaseModel], section: str = "", about: str = "") -> Iterator[Setting]:
    """List the settings of a class and of the sections in it, in order."""
    meanings = _meanings(model)
    for name, field in model.model_fields.items():
        meaning = field.description or meanings.get(name, "")
        inner = _model_of(field)
        path = f"{section}.{name}".lstrip(".")
        if inner is not None:
            yield from settings(inner, path, _first_line(inner))
        else:
            variable = "TAPEHUB_" + "__".join(path.split(".")).upper()
            yield Setting(section, name, meaning, _toml(field.get_default(call_default_factory=True)), variable, about)


def template(model: type[BaseModel], chosen: Mapping[tuple[str, str], Any] | None = None) -> str:
    """Write the file.

    Args:
        chosen: what is set in it, by section and name; all else is commented out.
    """
    chosen = chosen or {}
    parts = [_HEAD]
    before = ""
    # What belongs to no section of TOML must stand in front of the first.
    for setting in sorted(settings(model), key=lambda one: bool(one.section)):
        if setting.section != before:
            about = f"# {setting.about}\n" if setting.about else ""
            parts.append(f"\n[{setting.section}]\n{about}")
            before = setting.section
        wrapped = textwrap.wrap(f"{setting.name}: {setting.meaning}", _WIDTH)
        parts.append("".join(f"# {line}\n" for line in wrapped))
        key = (setting.section, setting.name)
        if key in chosen:
            parts.append(f"{setting.name} = {_toml(chosen[key])}\n")
        else:
            parts.append(f"# {setting.name} = {setting.shown}\n" if setting.shown else f"# {setting.name} is not set\n")
    return "".join(parts)


def reference(model: type[BaseModel]) -> str:
    """Write the table of the reference."""
    rows = ["| setting | default | environment | meaning |", "|---|---|---|---|"]
    for one in settings(model):
        name = f"`[{one.section}]` `{one.name}`" if one.section else f"`[{one.name}]`"
        shown = f"`{one.shown}`" if one.shown else "not set"
        meaning = one.meaning.replace("|", "\\|")
        rows.append(f"| {name} | {shown} | `{one.variable}` | {meaning} |")
    return "\n".join(rows) + "\n"


def _meanings(model: type[BaseModel]) -> dict[str, str]:
    """Read what the docstring says of each attribute."""
    text = inspect.getdoc(model) or ""
    _, found, listed = text.partition("Attributes:\n")
    if not found:
        return {}
    block = textwrap.dedent(re.split(r"\n\n(?=\S)", listed, maxsplit=1)[0])
    out: dict[str, str] = {}
    for entry in re.split(r"\n(?=\S)", block.strip("\n")):
        names, _, meaning = entry.partition(":")
        for name in names.split(","):
            out[name.strip()] = " ".join(meaning.split()).replace("``", "").replace("`", "")
    return out


def _first_line(model: type[BaseModel]) -> str:
    """Give what a section is for: the words after the colon of its docstring's first line."""
    first = (inspect.getdoc(model) or "").partition("\n\n")[0]
    about = " ".join(first.split()).partition(": ")[2].replace("`", "")
    return about[:1].upper() + about[1:]


def _model_of(field: FieldInfo) -> type[BaseModel] | None:
    """Give the class of a section; None for a setting, a table with names of the user's own among them."""
    if typing.get_origin(field.annotation) in (dict, list, tuple):
        return None
    for one in (field.annotation, *typing.get_args(field.annotation)):
        if inspect.isclass(one) and issubclass(one, BaseModel):
            return one
    return None


def _toml(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        return '""'  # a default is no secret, and none is ever written here
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list | tuple | set | frozenset):
        return f"[{', '.join(_toml(one) for one in value)}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{json.dumps(key)} = {_toml(one)}' for key, one in value.items())}}}"
    if isinstance(value, int | float):
        return repr(value)
    return json.dumps(str(getattr(value, "value", value)), ensure_ascii=False)


def _main() -> None:
    """Write the table in a document anew."""
    from tapehub.app.config import Config

    path = Path(sys.argv[1])
    path.write_text(_TABLE.sub(lambda _: reference(Config), path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    _main()
