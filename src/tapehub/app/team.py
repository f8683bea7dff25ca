"""What `--set` says to several agents of one run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from tapehub.app.agent import limits_and_values, values_of
from tapehub.errors import ConfigError

__all__ = ["limits_and_members"]

_ALL_HAVE: Final = ("symbols", "timeframes", "warmup")


def limits_and_members(
    specs: Sequence[str], words: list[str] | None, configured: dict[str, Any]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Tell limits, and the parameters of each agent of a run.

    ``name=value`` is for every agent that has such a parameter, ``validator.name=value`` for that one alone.

    Raises:
        ConfigError: no agent has the parameter.
    """
    from tapehub.agents.finding import load

    classes = [load(spec) for spec in specs]
    labels = [one.label() for one in classes]
    own: list[dict[str, Any]] = [{} for _ in specs]
    rest = []
    for word in words or ():
        label, dot, _ = word.partition("=")[0].partition(".")
        if dot and label in labels:
            own[labels.index(label)] |= values_of([word.removeprefix(f"{label}.")])
        else:
            rest.append(word)
    limits, shared = limits_and_values(rest, configured)
    if len(specs) == 1:
        return limits, [{**shared, **own[0]}]
    known = [{*_ALL_HAVE, *one.Parameters.model_fields} for one in classes]
    for name in shared:
        if not any(name in one for one in known):
            raise ConfigError(f"--set {name}: none of {', '.join(labels)} has such a parameter")
    return limits, [
        {name: value for name, value in shared.items() if name in has} | told
        for has, told in zip(known, own, strict=True)
    ]
