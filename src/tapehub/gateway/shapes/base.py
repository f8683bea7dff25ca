"""What all shapes have in common."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Asked", "InstantIn", "InstantText", "Shape", "example"]

_INSTANT = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$"

InstantText = Annotated[
    str, Field(pattern=_INSTANT, description="ISO 8601, UTC, ns.", examples=["2026-06-02T12:00:00.123456789Z"])
]
InstantIn = Annotated[
    int | str,
    Field(
        union_mode="left_to_right", description="ISO 8601 (UTC without an offset), or an integer of ns since 1970 UTC.",
        examples=["2026-06-02T12:00:00.123456789Z"],
    ),
]  # fmt: skip


class Shape(BaseModel):
    """Be part of an answer: later versions may add fields, so clients must not mind more."""

    model_config = ConfigDict(extra="allow", frozen=True)


class Asked(BaseModel):
    """Be part of a request: what is not known is a mistake of the caller's. Nothing is converted from another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def example(**fields: Any) -> ConfigDict:
    """Give a model its example."""
    return ConfigDict(json_schema_extra={"examples": [fields]})
