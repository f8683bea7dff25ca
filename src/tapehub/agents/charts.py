"""A report as one HTML page: charts as inline SVG, no script, nothing fetched."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Final

from tapehub.agents.report import iso

if TYPE_CHECKING:
    from tapehub.agents.report import Report, Trade

__all__ = ["page"]

_WIDE: Final = 960
_HIGH: Final = 260
_LEFT: Final = 70
_TRADES_SHOWN: Final = 500
_POINTS_MAX: Final = 2_000
_STYLE: Final = """
:root{color-scheme:light dark;--ink:#1b1f24;--dim:#5b6570;--line:#d5dae0;--up:#0a7d33;--down:#b3261e;
--mark:#1a56b0;--paper:#fff}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ed;--dim:#9aa4af;--line:#3a424b;--up:#4cc277;--down:#ff8a80;
--mark:#7fb0ff;--paper:#14181c}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:1000px;
margin:2rem auto;padding:0 1rem}
h1{font-size:1.4rem}
h2{font-size:1.1rem;margin-top:2rem}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:right;padding:.2rem .5rem;border-bottom:1px solid var(--line)}
th:first-child,td:first-child,.text{text-align:left}
dl{display:grid;
grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:.6rem 1.2rem}
dt{color:var(--dim);font-size:.85rem}
dd{margin:0;font-size:1.15rem;font-variant-numeric:tabular-nums}
svg{width:100%;height:auto}
svg text{fill:var(--dim);font-size:12px}
.up{color:var(--up)}
.down{color:var(--down)}
.wide{overflow-x:auto}
"""


def page(report: Report) -> str:
    """Write a report as HTML."""
    title = f"{report.agent}: {report.run}"
    curve = _thinned([(at, equity) for at, _, equity in report.equity])
    done = [one for one in report.trades if one.closed_ns]
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{iso(report.begin_ns)} to {iso(report.end_ns)}, {report.ticks:,} ticks, in {escape(report.currency)}</p>",
        _numbers(report),
        "<h2>Equity</h2>",
        _line(curve, "Equity over time", "var(--mark)"),
        "<h2>Drawdown</h2>",
        _line(_falls(curve), "Fall of equity from its highest before", "var(--down)"),
        "<h2>Profit of each trade</h2>",
        _bars([float(one.profit) for one in done], "Profit of each trade, in order"),
        _refusals(report),
        _trades(report.trades, report.currency),
    ]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>\n<body>'
        + "\n".join(parts)
        + "</body></html>\n"
    )


def _numbers(report: Report) -> str:
    profit = report.balance_end - report.balance_begin
    rows = [
        ("profit", f'<span class="{_sign(float(profit))}">{profit:+,}</span>'),
        ("balance at the end", f"{report.balance_end:,}"),
        ("trades", f"{len(report.trades)}" + (f", {report.open} open" if report.open else "")),
        ("hit rate", "–" if report.hit_rate is None else f"{report.hit_rate:.1%}"),
        ("profit factor", "–" if report.profit_factor is None else f"{report.profit_factor:.2f}"),
        ("expectancy", f"{report.expectancy:+.2f}"),
        ("average won / lost", f"{report.average_won:.2f} / {report.average_lost:.2f}"),
        ("drawdown", f"{report.drawdown:,.2f} ({report.drawdown_pct:.2f} %)"),
        ("exposure", f"{report.exposure:.1%} of the time"),
        ("held on average", f"{report.held_s_mean / 60:.1f} min"),
        *((f"cost: {name}", f"{value}") for name, value in report.costs.items()),
        ("orders accepted / refused", f"{report.orders} / {sum(report.refused.values())}"),
    ]
    return "<dl>" + "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in rows) + "</dl>"


def _refusals(report: Report) -> str:
    if not report.refused:
        return ""
    rows = "".join(f"<tr><td>{escape(code)}</td><td>{count}</td></tr>" for code, count in report.refused.items())
    return f"<h2>Orders refused</h2><table><tr><th>reason</th><th>orders</th></tr>{rows}</table>"


def _trades(trades: Sequence[Trade], currency: str) -> str:
    if not trades:
        return "<h2>Trades</h2><p>None.</p>"
    shown = trades[-_TRADES_SHOWN:]
    rows = "".join(
        f'<tr><td>{iso(one.opened_ns)[:19]}</td><td class="text">{escape(one.symbol)}</td>'
        f'<td class="text">{one.side}</td>'
        f"<td>{one.units:,.0f}</td><td>{one.price:.10g}</td><td>{f'{one.price_out:.10g}' if one.closed_ns else ''}</td>"
        f'<td>{one.pips:+.1f}</td><td class="{_sign(float(one.profit))}">{one.profit:+}</td>'
        f'<td class="text">{escape(one.why or "open")}</td><td class="text">{escape(one.reason[:80])}</td></tr>'
        for one in shown
    )
    less = f"<p>The last {len(shown)} of {len(trades)}; the JSON has them all.</p>" if len(shown) < len(trades) else ""
    names = ("opened", "", "", "units", "in", "out", "pips", escape(currency), "closed by", "reason")
    head = "".join(f"<th>{name}</th>" for name in names)
    return f'<h2>Trades</h2>{less}<div class="wide"><table><tr>{head}</tr>{rows}</table></div>'


# ---------------------------------------------------------------- drawing


def _line(points: Sequence[tuple[int, float]], label: str, colour: str) -> str:
    if len(points) < 2:
        return "<p>Nothing to draw.</p>"
    first, last = points[0][0], points[-1][0]
    low, high = min(value for _, value in points), max(value for _, value in points)
    if high == low:
        low, high = low - 1, high + 1
    x = [_LEFT + (_WIDE - _LEFT - 10) * (at - first) / max(last - first, 1) for at, _ in points]
    y = [10 + (_HIGH - 40) * (high - value) / (high - low) for _, value in points]
    # Steps: between two changes of the account nothing was booked.
    path = f"M{x[0]:.1f} {y[0]:.1f}" + "".join(f"H{a:.1f}V{b:.1f}" for a, b in zip(x[1:], y[1:], strict=True))
    drawn = f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
    return _svg(label, _grid(low, high) + _times(first, last) + drawn)


def _bars(values: Sequence[float], label: str) -> str:
    if not values:
        return "<p>No trade was closed.</p>"
    low, high = min(0.0, *values), max(0.0, *values)
    if high == low:
        high = low + 1
    scale = (_HIGH - 40) / (high - low)
    zero = 10 + high * scale
    wide = (_WIDE - _LEFT - 10) / len(values)
    bars = "".join(
        f'<rect x="{_LEFT + i * wide:.2f}" y="{zero - max(value, 0) * scale:.1f}" width="{max(wide * 0.8, 0.5):.2f}" '
        f'height="{abs(value) * scale:.1f}" fill="var(--{_sign(value) or "up"})"/>'
        for i, value in enumerate(values)
    )
    return _svg(label, _grid(low, high) + bars)


def _svg(label: str, inner: str) -> str:
    return f'<svg viewBox="0 0 {_WIDE} {_HIGH}" role="img" aria-label="{escape(label)}">{inner}</svg>'


def _grid(low: float, high: float) -> str:
    lines = []
    for step in range(5):
        value = low + (high - low) * step / 4
        y = 10 + (_HIGH - 40) * (high - value) / (high - low)
        lines.append(
            f'<line x1="{_LEFT}" x2="{_WIDE - 10}" y1="{y:.1f}" y2="{y:.1f}" stroke="var(--line)"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:,.2f}</text>'
        )
    return "".join(lines)


def _times(first: int, last: int) -> str:
    marks = []
    for step in range(5):
        at = first + (last - first) * step // 4
        x = _LEFT + (_WIDE - _LEFT - 10) * step / 4
        anchor = ("start", "middle", "middle", "middle", "end")[step]
        marks.append(
            f'<text x="{x:.1f}" y="{_HIGH - 8}" text-anchor="{anchor}">{iso(at)[:16].replace("T", " ")}</text>'
        )
    return "".join(marks)


def _falls(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    top, out = float("-inf"), []
    for at, value in points:
        top = max(top, value)
        out.append((at, value - top))
    return out


def _thinned(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Keep first, lowest, highest and last of each stretch, so that no extreme is lost."""
    if len(points) <= _POINTS_MAX:
        return points
    step = -(-len(points) * 4 // _POINTS_MAX)
    kept = []
    for begin in range(0, len(points), step):
        part = points[begin : begin + step]
        values = [value for _, value in part]
        chosen = {0, len(part) - 1, values.index(min(values)), values.index(max(values))}
        kept += [part[i] for i in sorted(chosen)]
    return kept


def _sign(value: float) -> str:
    return "up" if value > 0 else "down" if value < 0 else ""
