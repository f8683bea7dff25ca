"""The hub clock, as the API describes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tapehub.model.policies import ClockMode

__all__ = ["clock_of"]

_LABELS = {ClockMode.VIRTUAL: "SIMULATED", ClockMode.EVENT: "EVENT TIME", ClockMode.WALL: ""}


def clock_of(state: Mapping[str, Any]) -> dict[str, Any]:
    """Describe the clock that a hub's state names: mode, rate, whether it shows another time than the wall, label."""
    mode = ClockMode(int(state["clock_mode"]))
    rate = {ClockMode.WALL: 1.0, ClockMode.EVENT: 0.0, ClockMode.VIRTUAL: float(state["rate"])}[mode]
    return {"mode": mode.name.lower(), "rate": rate, "simulated": mode is not ClockMode.WALL, "label": _LABELS[mode]}
