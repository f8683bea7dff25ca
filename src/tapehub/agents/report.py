"""What a run came to: trades, equity, drawdown, hit rate, profit factor, exposure, costs. From its records alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tapehub.agents.money import booked
from tapehub.agents.records import AccountState, Fill, Order, Output, Signal, decode
from tapehub.agents.trades import Trade, TradeBook
from tapehub.model.records import Kind

if TYPE_CHECKING:
    from tapehub.agents.run import Run

__all__ = ["Report", "Trade", "report_of"]

_READ = (Kind.SIGNAL, Kind.ORDER, Kind.FILL, Kind.ACCOUNT)


@dataclass(slots=True)
class Report:
    """Sum a run up; money in the account's currency.

    Attributes:
        equity: time, balance and equity after each change of the account, and each minute while something is open.
        drawdown, drawdown_pct: the deepest fall of equity from its highest before.
        profit_factor: won by lost; None when nothing was lost.
        exposure: share of the time in which something was open.
        costs: spread, slippage, commission and swap; below zero was paid.
        refused: orders by the code of their refusal.
    """

    run: str
    agent: str
    currency: str
    begin_ns: int
    end_ns: int
    trades: list[Trade] = field(default_factory=list)
    equity: list[tuple[int, float, float]] = field(default_factory=list)
    balance_begin: Decimal = Decimal(0)
    balance_end: Decimal = Decimal(0)
    equity_end: float = 0.0
    drawdown: float = 0.0
    drawdown_pct: float = 0.0
    won: int = 0
    lost: int = 0
    hit_rate: float | None = None
    profit_factor: float | None = None
    average_won: float = 0.0
    average_lost: float = 0.0
    expectancy: float = 0.0
    exposure: float = 0.0
    held_s_mean: float = 0.0
    costs: dict[str, str] = field(default_factory=dict)
    signals: int = 0
    orders: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    open: int = 0
    ticks: int = 0
    digest: str = ""

    def plain(self) -> dict[str, Any]:
        """Give it as JSON takes it; times as ISO 8601, money as text."""
        told = asdict(self)
        told = {name.removesuffix("_ns"): iso(value) if name.endswith("_ns") else value for name, value in told.items()}
        for name in ("balance_begin", "balance_end"):
            told[name] = str(told[name])
        told["equity"] = [[iso(at), balance, equity] for at, balance, equity in self.equity]
        told["trades"] = [_dated(row) for row in told["trades"]]
        for row in told["trades"]:
            row["profit"], row["swap"] = str(row["profit"]), str(row["swap"])
        return told


def _dated(row: dict[str, Any]) -> dict[str, Any]:
    """Write a trade's times for JSON; None while it is open."""
    return {
        name.removesuffix("_ns"): value if not name.endswith("_ns") else iso(value) if value else None
        for name, value in row.items()
    }


def iso(ts: int) -> str:
    """Write an instant for people and for JSON, to the microsecond."""
    return datetime.fromtimestamp(ts // 1000 / 1e6, UTC).isoformat().replace("+00:00", "Z")


def report_of(
    run: Run, outputs: Iterable[Output], begin_ns: int, end_ns: int, *, ticks: int = 0, digest: str = ""
) -> Report:
    """Sum up what a run put out, between two times."""
    paper = run.settings.paper
    opening = run.account
    made = Report(run.id, run.agent, paper.currency, begin_ns, end_ns, ticks=ticks, digest=digest)
    made.balance_begin = made.balance_end = booked(
        Decimal(paper.balance if opening is None else opening.balance), paper.currency
    )
    inherited = () if opening is None else opening.positions
    made.open, made.equity_end = len(inherited), float(made.balance_begin)
    if opening is not None and opening.equity is not None:
        made.equity_end = opening.equity
    made.equity.append((begin_ns, float(made.balance_begin), made.equity_end))
    book = TradeBook(inherited)
    refused: Counter[str] = Counter()
    for one in outputs:
        if one.kind not in _READ:
            continue
        told = decode(one.kind, one.payload)
        if isinstance(told, Signal):
            made.signals += 1
        elif isinstance(told, Order):
            _order(made, told, book, refused)
        elif isinstance(told, Fill):
            book.fill(told, one.ts)
        elif isinstance(told, AccountState):
            made.balance_end = Decimal(told.balance)
            if told.equity is not None:  # else something is open that nobody can value
                made.equity_end = told.equity
                made.equity.append((one.ts, float(told.balance), told.equity))
            made.open = len(told.positions)
            book.carried(told.positions)
    made.trades = list(book.trades.values())
    made.refused = dict(refused.most_common())
    made.costs = {name: str(value) for name, value in book.costs.items()}
    _measure(made)
    return made


def _order(made: Report, told: Order, book: TradeBook, refused: Counter[str]) -> None:
    if told.status == "accepted":
        made.orders += 1
        book.ordered(told)
    elif told.status == "refused":
        refused[told.code] += 1


def _measure(made: Report) -> None:
    done = [one for one in made.trades if one.closed_ns]
    won = [float(one.profit) for one in done if one.profit > 0]
    lost = [float(one.profit) for one in done if one.profit < 0]
    made.won, made.lost = len(won), len(lost)
    if done:
        made.hit_rate = len(won) / len(done)
        made.expectancy = (sum(won) + sum(lost)) / len(done)
        made.held_s_mean = sum(one.closed_ns - one.opened_ns for one in done) / len(done) / 1e9
    made.profit_factor = sum(won) / -sum(lost) if lost else None
    made.average_won = sum(won) / len(won) if won else 0.0
    made.average_lost = sum(lost) / len(lost) if lost else 0.0
    top = made.equity[0][2]
    for _, _, equity in made.equity:
        top = max(top, equity)
        if top - equity > made.drawdown:
            made.drawdown, made.drawdown_pct = top - equity, (top - equity) / top * 100.0 if top else 0.0
    made.exposure = _covered(made) / max(made.end_ns - made.begin_ns, 1)


def _covered(made: Report) -> int:
    """Give how long something was open, ns: overlapping trades count once."""
    spans = sorted((one.opened_ns, one.closed_ns or made.end_ns) for one in made.trades)
    total, until = 0, 0
    for begin, end in spans:
        begin = max(begin, until, made.begin_ns)
        if end > begin:
            total += end - begin
            until = end
    return total
