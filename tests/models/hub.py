"""What a hub must show, told again as lists: every question is answered by sorting and folding the whole story."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tests.models.intervals import MINUTE, SECOND, interval_of

GRACE = SECOND // 2
NEVER = -(1 << 63)
Row = tuple[int, float, float, float, float, float]  # timestamp, open, high, low, close, volume


@dataclass(frozen=True)
class Quote:
    """One accepted tick."""

    symbol: str
    ts: int
    bid: float
    ask: float

    @property
    def mid(self) -> float:
        return (self.bid + self.ask) / 2


@dataclass
class _Book:
    """One symbol since its last clear."""

    quotes: list[Quote] = field(default_factory=list)
    applied_to_minutes: list[Quote] = field(default_factory=list)
    pushed: dict[int, Row] = field(default_factory=dict)


class HubModel:
    """A hub of one source, whose intervals are closed by ticks and by `advance`."""

    def __init__(self) -> None:
        self.log: list[Quote] = []
        self.superseded_ticks = 0
        self._books: dict[str, _Book] = {}
        self._top: dict[str, int] = {}
        self._mark = NEVER

    # ------------------------------------------------------------ what happens

    def tick(self, quote: Quote) -> None:
        """Accept a tick."""
        self.log.append(quote)
        book = self._books.setdefault(quote.symbol, _Book())
        book.quotes.append(quote)
        if quote.ts // MINUTE * MINUTE in book.pushed:
            self.superseded_ticks += 1
        else:
            book.applied_to_minutes.append(quote)
        self._top[quote.symbol] = max(self._top.get(quote.symbol, NEVER), quote.ts)

    def push(self, symbol: str, row: Row) -> None:
        """Accept a caller's own 1-minute candle."""
        book = self._books.setdefault(symbol, _Book())
        start = row[0] // MINUTE * MINUTE
        book.pushed[start] = (start, *row[1:])
        book.applied_to_minutes = [one for one in book.applied_to_minutes if one.ts // MINUTE * MINUTE != start]

    def clear(self, symbol: str | None = None) -> None:
        """Start the views anew."""
        for name in list(self._books) if symbol is None else [symbol]:
            if name in self._books:
                self._books[name] = _Book()

    def advance(self, now: int) -> None:
        """Move the watermark."""
        self._mark = max(self._mark, now - GRACE)

    # ------------------------------------------------------------ what is to be seen

    def ticks(self, symbol: str) -> list[Quote]:
        """Give the ticks since the last clear, in log order."""
        return self._books[symbol].quotes if symbol in self._books else []

    def latest(self, symbol: str) -> Quote | None:
        """Give the tick with the greatest time, of equal ones the last."""
        quotes = self.ticks(symbol)
        return max(enumerate(quotes), key=lambda one: (one[1].ts, one[0]))[1] if quotes else None

    def candles(self, symbol: str, timeframe: str, *, forming: bool = False) -> list[Row]:
        """Give the candles, oldest first, final ones only unless told otherwise."""
        book = self._books.get(symbol)
        if book is None:
            return []
        if timeframe in ("1s", "5s", "15s"):
            rows = _fold(book.quotes, lambda ts: interval_of(timeframe, ts)[0])
        else:
            minutes = list(_fold(book.applied_to_minutes, lambda ts: ts // MINUTE * MINUTE))
            minutes = sorted([*minutes, *book.pushed.values()])
            rows = minutes if timeframe == "1m" else _merge(minutes, lambda ts: interval_of(timeframe, ts)[0])
        mark = max(self._mark, self._top.get(symbol, NEVER + GRACE) - GRACE)

        def final(row: Row) -> bool:
            return interval_of(timeframe, row[0])[1] <= mark or (timeframe == "1m" and row[0] in book.pushed)

        return [row for row in rows if forming or final(row)]


def _fold(quotes: Iterable[Quote], start_of: Callable[[int], int]) -> list[Row]:
    groups: dict[int, list[Quote]] = {}
    for quote in sorted(quotes, key=lambda one: one.ts):  # stable: equal times stay in log order
        groups.setdefault(start_of(quote.ts), []).append(quote)
    return [
        (start, mids[0], max(mids), min(mids), mids[-1], float(len(mids)))
        for start, mids in ((start, [one.mid for one in group]) for start, group in sorted(groups.items()))
    ]


def _merge(minutes: list[Row], start_of: Callable[[int], int]) -> list[Row]:
    groups: dict[int, list[Row]] = {}
    for row in minutes:
        groups.setdefault(start_of(row[0]), []).append(row)
    return [
        (start, rows[0][1], max(r[2] for r in rows), min(r[3] for r in rows), rows[-1][4], sum(r[5] for r in rows))
        for start, rows in sorted(groups.items())
    ]
