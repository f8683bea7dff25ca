"""The state of reading one pickle: what is on its stack and in its memo, how deep it is, and what it may still spend.

How deep a tuple, list, dictionary or record is, is known from when it is made: what is inside something else takes
nothing more, which no pickler asks of it either, so that depth grows in one direction and nothing holds itself. Beyond
100 the pickle is refused there and then. A tuple 900,000 deep costs its sender a byte a level, and CPython's hash of
it overflows the C stack, which ends the process: seen, with a value that was looked up in a dictionary before its type.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any, Final

from tapehub.gateway.manager.values import ATTRIBUTES_MAX, BadPickle, Inert, Kind, Known, Record, Symbols

__all__ = ["Machine"]

_REFUSED_MAX = 16
_DEPTH_MAX = 100
# The longest call that an honest pickle makes is a datetime by its numbers: nine.
_ARGUMENTS_MAX = 16
# A text for a name, and what stands for it, is as large as this many empty lists.
_NAME_COST = 4
_NESTING: Final = frozenset((tuple, list, dict, Record))


class Machine:
    """Hold the state of one reading."""

    __slots__ = ("at", "data", "depths", "left", "marks", "memo", "refused", "stack", "symbols")

    def __init__(self, data: bytes, symbols: Symbols, objects_max: int) -> None:
        self.data = data
        self.symbols = symbols
        self.at = 0
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.depths: dict[int, int] = {}  # by id: below zero once it is inside something else
        self.left = objects_max
        self.refused: list[str] = []

    def take(self, count: int) -> bytes:
        """Take bytes that must be there."""
        at = self.at
        taken = self.data[at : at + count]
        if len(taken) != count:
            raise BadPickle(f"byte {at} of {len(self.data):,}: {count:,} bytes were announced")
        self.at = at + count
        return taken

    def unpack(self, form: struct.Struct) -> Any:
        """Take a number."""
        at = self.at
        self.at = at + form.size
        return form.unpack_from(self.data, at)[0]

    def line(self) -> str:
        """Take a text up to the end of the line."""
        end = self.data.index(b"\n", self.at, self.at + 512)
        text = self.data[self.at : end].decode()
        self.at = end + 1
        return text

    def spend(self, count: int) -> None:
        """Pay for objects before they are made."""
        self.left -= count
        if self.left < 0:
            raise BadPickle("it makes more objects than a message may")

    def hold(self, items: Iterable[Any]) -> int:
        """Put these inside something: they take nothing more. Gives how deep that something is."""
        depths = self.depths
        deepest = 0
        for item in items:
            if type(item) in _NESTING:
                place = id(item)
                depth = abs(depths.get(place, 1))
                depths[place] = -depth
                deepest = max(deepest, depth)
        if deepest >= _DEPTH_MAX:
            raise BadPickle(f"it is nested deeper than {_DEPTH_MAX}")
        return deepest + 1

    def made(self, value: Any, items: Iterable[Any] = ()) -> Any:
        """Take note of a container that was made. An id is used again, so each of them has to pass here."""
        self.depths[id(value)] = self.hold(items)
        return value

    def grow(self, target: Any, items: Iterable[Any]) -> None:
        """Take note that a container takes more."""
        depth = self.hold(items)
        known = self.depths.get(id(target), 1)
        if known < 0:
            raise BadPickle(f"a {type(target).__name__} changes that is already inside another value")
        self.depths[id(target)] = max(known, depth)

    def to_mark(self) -> list[Any]:
        """Take everything off the stack down to the latest mark."""
        items, self.stack = self.stack, self.marks.pop()
        return items

    def find(self, module: Any, name: Any) -> None:
        """Put on the stack what a name stands for."""
        if type(module) is not str or type(name) is not str or len(module) + len(name) > 256:
            raise BadPickle("a class is named by what is no name")
        self.spend(_NAME_COST)
        symbol = self.symbols(module, name)
        if isinstance(symbol, Inert):
            self.refuse(symbol)
        self.stack.append(symbol)

    def refuse(self, symbol: Inert) -> None:
        """Remember the name of what is refused."""
        if len(self.refused) < _REFUSED_MAX and symbol.name not in self.refused:
            self.refused.append(symbol.name)

    def call(self, function: Any, args: Any, named: Any = None) -> Any:
        """Do as if it were called."""
        if type(args) is not tuple:
            raise BadPickle("the arguments of a call are no tuple")
        if isinstance(function, Known):
            # A tuple from the memo is sent again with two bytes: whoever walks it without paying walks it for hours.
            if len(args) > _ARGUMENTS_MAX:
                raise BadPickle(f"{function.name} is called with {len(args):,} values, expected a few")
            self.spend(len(args) >> 2)
            for one in args:
                if isinstance(one, Inert):
                    return one
            value = function.make(args)
            self.spend(_weight(value))
            if isinstance(value, Inert):
                self.refuse(value)
            return self.made(value, args) if type(value) in _NESTING else value
        if isinstance(function, Kind):
            self.spend(1)
            return self.made(Record(function, args, self._attributes(named) if named else None), (args, named))
        if isinstance(function, Inert):
            return function
        raise BadPickle(f"it calls a {type(function).__name__}")

    def build(self, target: Any, state: Any) -> None:
        """Give it its state."""
        if isinstance(target, Inert):
            return
        take = getattr(target, "take", None)
        if take is None:
            raise BadPickle(f"a state is given to a {type(target).__name__}")
        if type(target) is Record:
            self.grow(target, (state,))
        self.spend(take(state))

    def _attributes(self, value: Any) -> dict[str, Any]:
        if type(value) is not dict or len(value) > ATTRIBUTES_MAX or not all(type(name) is str for name in value):
            raise BadPickle("attributes are no dictionary of a few names")
        self.spend(len(value))
        return value


def _weight(value: Any) -> int:
    """Say what a value costs that a call of a few bytes can make again and again."""
    if type(value) is frozenset:
        return len(value) + 3
    if type(value) is bytes:
        return len(value) >> 4
    return 1 if type(value) in _NESTING else 0
