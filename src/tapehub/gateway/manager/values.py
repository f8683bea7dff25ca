"""What a pickle may consist of: plain values, records of the market, and stand-ins for names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from tapehub.errors import TapehubError

__all__ = ["ATTRIBUTES_MAX", "KINDS", "BadPickle", "Inert", "Kind", "Known", "Record", "Symbols", "key_of"]

KINDS: Final = ("Tick", "Candle", "OrderFlowMetrics")
ATTRIBUTES_MAX: Final = 256
"""Of one record."""
_KEY_MAX = 1 << 61  # from there on, integers can be chosen that all fall on one another in a dictionary


class BadPickle(TapehubError):
    """Report bytes that are no pickle, or one that no honest client sends."""


@dataclass(slots=True)
class Inert:
    """Stand for what was refused, and for whatever the pickle did with it."""

    name: str


@dataclass(frozen=True, slots=True)
class Known:
    """Stand for a function or class that is known: `make` takes the arguments and gives a value."""

    name: str
    make: Callable[[tuple[Any, ...]], Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """Stand for a caller's own class of the name Tick, Candle or OrderFlowMetrics."""

    name: str
    module: str


@dataclass(slots=True)
class Record:
    """Hold what a pickle says of one object of such a class.

    Attributes:
        args: what its class was to be called with.
        state: its attributes; None when it was given none.
        values: attributes without names, as a frozen dataclass with slots sends them.
    """

    kind: Kind
    args: tuple[Any, ...] = ()
    state: dict[str, Any] | None = None
    values: list[Any] | None = None

    def take(self, state: Any) -> int:
        """Take the attributes: a dictionary, a pair of one and one of slots, or a list in the order of the fields.

        Returns:
            how many attributes had to be copied for it.
        """
        if type(state) is list:
            self.values = state
            return 0
        copied = 0
        for part in state if type(state) is tuple and len(state) == 2 else (state,):
            if part is None:
                continue
            if type(part) is not dict:
                raise BadPickle(f"the state of a {self.kind.name} is a {type(part).__name__}, expected its attributes")
            if self.state:
                copied += len(self.state) + len(part)
            if len(self.state or ()) + len(part) > ATTRIBUTES_MAX:
                raise BadPickle(f"a {self.kind.name} has more than {ATTRIBUTES_MAX} attributes")
            self.state = {**self.state, **part} if self.state else part
        return copied


class Symbols(Protocol):
    """Say what a name in a pickle stands for; `Inert` when for nothing that is accepted."""

    def __call__(self, module: str, name: str) -> Known | Kind | Inert:
        """Say it."""


def key_of(value: Any) -> Any:
    """Let only that be a key whose hash is quickly found, and cannot be chosen to fall on others."""
    kind = type(value)
    if kind is str or kind is bytes or value is None or kind is bool or (kind is int and -_KEY_MAX < value < _KEY_MAX):
        return value
    raise BadPickle(f"a {kind.__name__} is a key, expected a text")
