"""A logger that says nothing."""

from collections.abc import Callable
from typing import Any

__all__ = ["Silent"]


class Silent:
    """Take every message of a structlog logger, and drop it."""

    def bind(self, **_: Any) -> "Silent":
        return self

    def __getattr__(self, level: str) -> Callable[..., None]:
        return lambda *_, **__: None
