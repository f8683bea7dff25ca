"""A run of the log, read once and written once as JSON, whoever wants it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tapehub.gateway.encoding import text_of

__all__ = ["Frame"]


class Frame:
    """Hold the records of lines [first, next), in the order of the log. One event loop.

    Attributes:
        items: `Tick`, `Candle`, `OrderFlowMetrics` and `Record`.
        lost: records that were dropped before the first of them could be read.
        bodies: what selections made of it: text, and how many records that is.
    """

    __slots__ = ("_texts", "bodies", "first", "items", "lost", "next")

    def __init__(self, first: int, following: int, items: Sequence[Any], lost: int = 0) -> None:
        self.first = first
        self.next = following
        self.items = items
        self.lost = lost
        self.bodies: dict[Any, tuple[str, int]] = {}
        self._texts: list[str | None] = [None] * len(items)

    def text(self, index: int) -> str:
        """Give a record as JSON."""
        text = self._texts[index]
        if text is None:
            text = self._texts[index] = text_of(self.items[index])
        return text
