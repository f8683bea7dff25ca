"""Quotes that come and come: what a venue plays in tests about silence, so that none but the script's is there."""

import random
from collections.abc import Iterator

import numpy as np

from tapehub.feeds.feed import Guarantees, Quotes, RecordedFeed
from tapehub.feeds.quotes import QUOTE

PRICES = {"EUR_USD": (1.094, 1e-5, 6), "GBP_USD": (1.285, 1e-5, 9), "USD_JPY": (147.0, 1e-3, 7)}
GAP_S, GAP_S_MAX = 1.0, 6.0


class Lively(RecordedFeed):
    """Play each symbol with exponential gaps of a second on average and six at the most, in spans of event time.

    The synthetic feed's gaps have a long tail, as some markets' do: about one in four thousand of them is longer than
    four times their own p99, and is silence by the design's rule. Here is none.

    Args:
        spans: (start, end) in ns UTC when the market trades.
    """

    def __init__(self, spans: list[tuple[int, int]], seed: int) -> None:
        self.name = "lively"
        self.symbols = tuple(PRICES)
        self.guarantees = Guarantees(ordered=True, merged=True, repeatable=True)
        self._spans = spans
        self._seed = seed

    def batches(self) -> Iterator[Quotes]:
        chance = random.Random(self._seed)
        points = {symbol: round(price / step) for symbol, (price, step, _) in PRICES.items()}
        for start, end in self._spans:
            rows = []
            for index, (symbol, (_, step, spread)) in enumerate(PRICES.items()):
                at = start
                while True:
                    at += 1_000_000 + round(min(chance.expovariate(1 / GAP_S), GAP_S_MAX) * 1000) * 1_000_000
                    if at >= end:
                        break
                    points[symbol] += chance.choice((-2, -1, -1, 1, 1, 2))
                    wide = spread + chance.choice((0, 0, 0, 1, 2))
                    digits = 5 if step < 1e-4 else 3
                    bid, ask = round(points[symbol] * step, digits), round((points[symbol] + wide) * step, digits)
                    rows.append((at, 0, bid, ask, 0.0, 0.0, index))
            records = np.array(sorted(rows), dtype=QUOTE)
            yield Quotes(records, self.symbols, (self.name,) * len(self.symbols))
