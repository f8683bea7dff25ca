"""What a gateway answers when it does not do what was asked, as the exceptions a local hub raises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tapehub.errors import (
    ConfigError,
    HubError,
    HubNotRunning,
    HubStalled,
    InvalidRecord,
    StaleDataError,
    TapehubError,
    UnknownTimeframe,
)

__all__ = ["error_of", "is_passing"]

_CLASSES: Final[Mapping[str, type[TapehubError]]] = {
    "invalid-record": InvalidRecord,
    "unknown-timeframe": UnknownTimeframe,
    "invalid-request": ConfigError,
    "not-found": ConfigError,
    "method-not-allowed": ConfigError,
    "not-acceptable": ConfigError,
    "unsupported-media-type": ConfigError,
    "too-large": ConfigError,
    "misdirected": ConfigError,
    "unauthorised": ConfigError,
    "forbidden": ConfigError,
    "stale-data": StaleDataError,
    "hub-stalled": HubStalled,
    "hub-gone": HubNotRunning,
}
_BY_STATUS: Final[Mapping[int, type[TapehubError]]] = {401: ConfigError, 403: ConfigError, 404: ConfigError}
_PASSING: Final = frozenset({"hub-gone", "busy", "too-many-requests", "upstream"})


def kind_of(problem: Any) -> str:
    """Give a problem's type without what all of them begin with."""
    return str(problem.get("type", "")).removeprefix("urn:tapehub:") if isinstance(problem, dict) else ""


def is_passing(problem: Any, status: int) -> bool:
    """Tell whether the same request may be answered a moment later."""
    return kind_of(problem) in _PASSING or status in (429, 502, 503, 504)


def error_of(problem: Any, status: int, where: str) -> TapehubError:
    """Make the exception of a problem, with its own words.

    Args:
        problem: problem details, or whatever came instead.
        where: the gateway's address, for what it did not say itself.
    """
    kind = kind_of(problem)
    made: TapehubError
    if kind and isinstance(problem.get("detail"), str):
        made = _CLASSES.get(kind, HubError)(problem["detail"])
        published = problem.get("published")
        made.published = published if isinstance(published, int) else 0
        if kind in ("unauthorised", "forbidden", "misdirected"):
            made = ConfigError(f"{where}: {problem['detail']}")
        return made
    return _BY_STATUS.get(status, HubError)(
        f"{where} answered {status}, and not as a gateway of tapehub does: is something else there, or a proxy between?"
    )
