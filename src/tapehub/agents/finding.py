"""Find agents: by entry point, by the path of a file, by the name of a module."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from tapehub.agents import library
from tapehub.agents.agent import Agent
from tapehub.errors import ConfigError

__all__ = ["GROUP", "installed", "load", "make"]

GROUP = "tapehub.agents"


def installed() -> dict[str, EntryPoint]:
    """List the agents that come with tapehub, one a file of `library`, and those of other packages, by name."""
    own = [
        EntryPoint(one.name, f"{library.__name__}.{one.name}", GROUP) for one in pkgutil.iter_modules(library.__path__)
    ]
    return {one.name: one for one in sorted([*own, *entry_points(group=GROUP)], key=lambda one: one.name)}


def load(spec: str) -> type[Agent]:
    """Find the class that a text means.

    ``momentum`` is an agent of the library, or an entry point of the group ``tapehub.agents``;
    ``my_agent.py:Momentum`` a class of a file, and ``my_agent.py`` the one agent of it; ``package.module:Momentum`` a
    class of a module that can be imported.

    Raises:
        ConfigError: there is none.
    """
    named = installed().get(spec)
    if named is not None:
        found = named.load()
        return _agent(getattr(found, _own(found)[0]) if isinstance(found, ModuleType) else found, spec)
    place, _, name = spec.rpartition(":") if ":" in spec else (spec, "", "")
    if place.endswith(".py"):
        module = _from_file(Path(place))
    elif "." in place or name:
        try:
            module = importlib.import_module(place)
        except ImportError as error:
            raise ConfigError(f"agent {spec!r}: {error}; expected an importable module before the colon") from error
    else:
        known = ", ".join(installed()) or "none"
        raise ConfigError(f"agent {spec!r}: expected a file such as my_agent.py:Momentum, or one of {known}")
    if name:
        found = getattr(module, name, None)
        if found is None:
            raise ConfigError(f"agent {spec!r}: {place} has no {name}; it has {', '.join(_own(module)) or 'no agent'}")
        return _agent(found, spec)
    own = _own(module)
    if len(own) != 1:
        raise ConfigError(
            f"agent {spec!r}: expected one agent in the file, found {', '.join(own) or 'none'}: add :NAME"
        )
    return _agent(getattr(module, own[0]), spec)


def make(spec: str, values: dict[str, object]) -> Agent:
    """Make an agent with its parameters."""
    return load(spec)(**values)


def _from_file(path: Path) -> ModuleType:
    path = path.expanduser().resolve()
    if not path.is_file():
        raise ConfigError(f"agent file {path}: no such file; check the path")
    name = f"tapehub_agent_{path.stem}"
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__file__", None) == str(path):
        return known
    found = importlib.util.spec_from_file_location(name, path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    sys.path.insert(0, str(path.parent))  # what stands beside it can be imported
    try:
        found.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise ConfigError(f"agent file {path}: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(str(path.parent))
    return module


def _own(module: ModuleType) -> list[str]:
    return [
        name
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, Agent) and value.__module__ == module.__name__
    ]


def _agent(found: object, spec: str) -> type[Agent]:
    if not (isinstance(found, type) and issubclass(found, Agent)):
        raise ConfigError(f"agent {spec!r} is {found!r}, expected a subclass of tapehub.agents.Agent")
    return found
