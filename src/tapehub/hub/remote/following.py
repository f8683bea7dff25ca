"""One subscription to a gateway's stream, without sockets: what to ask, what has come, where to go on after a cut.

Source: docs/reference/http-api.md, The stream.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from tapehub.errors import HubError, TapehubError
from tapehub.hub.remote.problems import error_of

__all__ = ["Following", "Lost"]

_ID: Final = 1
_REWIND_LINES: Final = 100_000


@dataclass(frozen=True, slots=True)
class Lost:
    """Stand in the place of records that are gone."""

    count: int


class Following:
    """Hold what was received and not read yet.

    The ends of intervals have no number, and the gateway derives them anew from where a subscription begins: after a
    cut it begins up to 100,000 lines earlier, for instruments that are quiet, and what had come already is left out.
    """

    def __init__(
        self, where: str, symbols: list[str] | None, kinds: Iterable[str], timeframes: list[str], start: int | str
    ) -> None:
        self._where = where
        self._symbols = symbols
        self._kinds = list(kinds)
        self._timeframes = timeframes
        self._start = start
        self._intervals = "interval" in self._kinds
        self._interval_ends: dict[tuple[str, str, str], str] = {}
        self._origin = 0
        self._following = 0  # the line after everything that has come
        self._oldest = 0
        self._under: tuple[str, int] | None = None  # hub and epoch of `_following`
        self._said: tuple[str, int] | None = None  # of the present connection
        self.items: deque[Any] = deque()
        self.is_subscribed = False
        """Whether the present connection has granted it."""
        self.has_begun = False
        """Whether any has."""
        self.histories = 0
        """Goes up when another hub or epoch lies there: ids of instruments and sources are to be read anew."""

    @property
    def position(self) -> int:
        """The sequence number that is read next."""
        for item in self.items:
            if isinstance(item, dict) and "seq" in item:
                return int(item["seq"])
        return self._following

    def connected(self) -> None:
        """Begin a connection."""
        self.is_subscribed = False
        self._said = None

    def request(self) -> str:
        """Write the subscription; after the hello."""
        asked: dict[str, Any] = {
            "op": "subscribe", "id": _ID, "symbols": "*" if self._symbols is None else self._symbols,
            "kinds": self._kinds, "timeframes": self._timeframes, "policy": "lossless", "start": self._start,
        }  # fmt: skip
        if self._under is not None:
            hub_id, epoch = self._under
            begin = self._following
            if self._intervals and self._said == self._under:
                begin = min(begin, max(self._origin, self._oldest, begin - _REWIND_LINES))
            asked |= {"start": begin, "epoch": epoch, "hub_id": hub_id}
        return json.dumps(asked)

    def take(self, text: str | bytes) -> bool:
        """Take a message of the gateway; tell whether it was the hello, after which the request is due.

        Raises:
            TapehubError: the subscription was refused.
            HubError: the message cannot be read.
        """
        try:
            told = json.loads(text)
            op = told["op"]
            if op == "hello":
                self._meet(told)
                self._oldest = int(told["oldest"])
                return True
            if op == "subscribed":
                self._granted(told)
            elif op == "batch":
                self._batch(told)
            elif op == "hub" and told["state"] == "replaced":
                self._meet(told)
            elif op == "error" and told["id"] == _ID and not self.is_subscribed:
                raise error_of(told["problem"], 422, self._where)
        except TapehubError:  # of which one is a ValueError, too
            raise
        except (ValueError, KeyError, TypeError) as error:
            raise HubError(f"{self._where} sent a message that cannot be read ({error!r}): {text[:100]!r}") from None
        return False

    def _meet(self, told: dict[str, Any]) -> None:
        met = (str(told["hub_id"]), int(told["epoch"]))
        if (self._said or self._under) not in (None, met):
            self.histories += 1
        self._said = met

    def _granted(self, told: dict[str, Any]) -> None:
        position, said = int(told["position"]), (str(told["hub_id"]), int(told["epoch"]))
        lost = int(told["lost"])
        if not self.has_begun:
            self._origin = position
        if self._under is None or said != self._under or position > self._following:
            self._following = position
            if said != self._under:
                self._begin_history(position)
            self._lose(lost)
        self._under = self._said = said
        self.is_subscribed = self.has_begun = True

    def _batch(self, told: dict[str, Any]) -> None:
        following, before = int(told["next"]), self._following
        records = told["records"]
        epoch = int(told["epoch"])
        if self._said is not None and epoch != self._said[1]:
            self._said = (self._said[0], epoch)
            self.histories += 1
        if self._said is not None:
            if self._said != self._under:  # another history: its numbers are not compared with those before
                before = 0
                self._begin_history(0)
            self._under = self._said
        self._lose(int(told["lost"]))
        if self._intervals:
            records = [one for one in records if self._is_new(one, before)]
        self.items.extend(records)
        self._following = max(following, before) if before else following

    def _begin_history(self, position: int) -> None:
        self._origin = min(self._origin, position)
        self._interval_ends.clear()

    def _is_new(self, told: dict[str, Any], before: int) -> bool:
        if told["kind"] != "interval":
            return int(told["seq"]) >= before
        key = (told["symbol"], told["source"], told["timeframe"])
        if told["end"] <= self._interval_ends.get(key, ""):  # the texts sort as the times do
            return False
        self._interval_ends[key] = told["end"]
        return True

    def _lose(self, count: int) -> None:
        if count:
            self.items.append(Lost(count))
