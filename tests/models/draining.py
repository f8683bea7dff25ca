"""Publish real ticks in chunks, and keep every final candle before its ring goes round."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from tapehub import CANDLE, DataHub

CHUNK_MAX = 1500  # ticks, so never more seconds than a ring of 2,048 keeps
PRICES = ["timestamp", "open", "high", "low", "close"]

Rows = npt.NDArray[np.void]


class Drain:
    """Collect the final candles of one symbol; of one that was revised, the last version."""

    def __init__(self, hub: DataHub, symbol: str, timeframes: Iterable[str]) -> None:
        self._hub = hub
        self._symbol = symbol
        self._parts: dict[str, list[Rows]] = {name: [np.empty(0, CANDLE)] for name in timeframes}
        self._seen: dict[str, set[int]] = {name: set() for name in self._parts}
        self._head = 0

    def take(self) -> None:
        """Read what has become final, or was revised, since the last call."""
        head = self._hub.head
        for name, parts in self._parts.items():
            rows = self._hub.candles(self._symbol, name, limit=1 << 20).numpy()
            seen = self._seen[name]  # not only the newest: a minute may become final after a later, pushed one
            fresh = np.fromiter((one not in seen for one in rows["timestamp"].tolist()), bool, len(rows))
            news = rows[fresh | (rows["seq"] >= self._head)]
            if len(news):
                parts.append(news)
                seen.update(news["timestamp"].tolist())
        self._head = head

    def candles(self, timeframe: str) -> Rows:
        """Give all that was seen, oldest first."""
        rows = np.concatenate(self._parts[timeframe])
        _, first_from_the_end = np.unique(rows["timestamp"][::-1], return_index=True)
        return rows[len(rows) - 1 - first_from_the_end]


def chunks(count: int, seed: int, largest: int = CHUNK_MAX) -> Iterable[tuple[int, int]]:
    """Cut `count` rows into runs of random lengths."""
    random = np.random.default_rng(seed)
    at = 0
    while at < count:
        end = min(count, at + int(random.integers(1, largest + 1)))
        yield at, end
        at = end


def prices(rows: Rows) -> list[tuple[float, ...]]:
    """Give (timestamp, open, high, low, close) of each row, for comparison."""
    return list(zip(*(rows[name].tolist() for name in PRICES), strict=True))
