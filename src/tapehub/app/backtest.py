"""`tapehub backtest`: agents on recorded files or on the hub's own log; or a live run, decided again and compared."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tapehub.app.agent import SetOption, absolute
from tapehub.app.config import read_config
from tapehub.app.console import Exit, count_text, err, instant_text, note, out, print_json, span_text
from tapehub.app.hubs import HubOption, NameOption, attach
from tapehub.app.recordings import find_recordings
from tapehub.app.team import limits_and_members
from tapehub.errors import ConfigError
from tapehub.feeds.instants import instant_ns

if TYPE_CHECKING:
    from tapehub.agents.agent import Agent
    from tapehub.agents.backtest import Backtest
    from tapehub.agents.parity import Comparison
    from tapehub.agents.report import Report
    from tapehub.app.config import Config
    from tapehub.feeds.quotes import Quotes

__all__ = ["backtest"]

_DIFFERENCES_SHOWN = 20


def backtest(
    agent: Annotated[str, typer.Argument(metavar="[AGENT]", help="my_agent.py:Momentum, or an installed one.")] = "",
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="[PATH…]", help="Recorded ticks. Default: the hub's own log.")
    ] = None,
    with_: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="AGENT", help="Another agent of the same run, such as a team's; several times."),
    ] = None,
    start: Annotated[str | None, typer.Option("--from", metavar="T", help="UTC, as 2019-02-04T07:00.")] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="T", help="Time to stop before.")] = None,
    speed: Annotated[
        str, typer.Option(metavar="N|max", help="Of recorded files: times faster than it happened.")
    ] = "max",
    set_: SetOption = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the agent's chance, and of random slippage.")] = 1,
    json_to: Annotated[Path | None, typer.Option("--json-to", metavar="FILE", help="Write the report as JSON.")] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write the report as a page with charts.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    compare_live: Annotated[
        str, typer.Option("--compare-live", metavar="RUN", help="Decide a live run again, and show every difference.")
    ] = "",
    hub: HubOption = None,
    name: NameOption = None,
) -> None:
    """Run agents over the past: the same classes, gate, limits and paper broker as live. Same input, same output.

    Without paths it goes over the log of the hub, all kinds of records in their order. What comes before --from builds
    candles and indicators.
    """
    if compare_live:
        if agent or with_ or paths or start or end:
            raise ConfigError(
                "--compare-live with an agent, paths or times: expected the run alone; its record has them"
            )
        _compare(compare_live, hub, name, as_json=as_json, json_to=json_to, html=html)
        return
    if not agent:
        raise ConfigError("a backtest of no agent: expected one, as my_agent.py:Momentum, or --compare-live RUN")
    config = read_config(note)
    specs = [absolute(one) for one in (agent, *(with_ or ()))]
    limits, values = limits_and_members(specs, set_, config.agents.limits())
    made, short = _run(specs, paths, (start, end), speed, limits, values, seed, config, (hub, name))
    _write(_report(made), json_to, html, as_json=as_json)
    for text in short:
        note(text)
    if not as_json:
        note(
            f"{count_text(made.ticks)} records in {span_text(made.seconds)} ({count_text(_per_s(made))}/s), "
            f"outputs {made.digest()[:16]}"
        )


def _run(
    specs: list[str],
    paths: list[Path] | None,
    times: tuple[str | None, str | None],
    speed: str,
    limits: dict[str, Any],
    values: list[dict[str, Any]],
    seed: int,
    config: Config,
    place: tuple[Path | None, str | None],
) -> tuple[Backtest, list[str]]:
    """Run it, and say what it lacked."""
    from tapehub.agents.backtest import backtest_log, backtest_quotes
    from tapehub.agents.finding import make
    from tapehub.agents.settings import read_settings

    agents = [make(spec, told) for spec, told in zip(specs, values, strict=True)]
    settings = read_settings(limits)
    start_ns, end_ns = instant_ns(times[0], "--from"), instant_ns(times[1], "--to")
    if not paths:
        if speed != "max":
            raise ConfigError(f"--speed {speed} on the hub's log: expected max; give recorded files to pace them")
        with attach(*place, "backtest") as opened:
            made = backtest_log(opened, agents, specs=specs, settings=settings, seed=seed, start=start_ns, end=end_ns)
            return made, _short_of(made, agents)
    quotes = _quotes(paths, times[1], speed)
    made = backtest_quotes(
        agents,
        quotes,
        specs=specs,
        settings=settings,
        seed=seed,
        start=start_ns,
        book=config.book(),
        calendars=config.sessions(),
        on_progress=_progress(),
    )
    return made, _short_of(made, agents)


def _short_of(made: Backtest, agents: list[Agent]) -> list[str]:
    """Say which agents had fewer candles than they begin with: on a young hub that is why nothing was traded."""
    from tapehub.agents.series import CANDLES_KEPT

    texts = []
    for agent in agents:
        fewest: tuple[int, str, str] | None = None
        for symbol in agent.symbols:
            for frame in agent.timeframes:
                market = made.engine.markets.get(symbol) if made.engine is not None else None
                series = market.find(frame) if market is not None else None
                had = 0 if series is None else len(series.candles)
                if had < min(agent.warmup, CANDLES_KEPT) and (fewest is None or had < fewest[0]):
                    fewest = had, symbol, frame
        if fewest is not None:
            had, symbol, frame = fewest
            texts.append(
                f"{agent.label()}: {symbol} had {had} candles of {frame} by the end, expected {agent.warmup} to begin "
                'with, so it may have had nothing to go by: take recorded files, "tapehub backfill", or an older hub'
            )
    return texts


def _quotes(paths: list[Path], end: str | None, speed: str) -> Iterator[Quotes]:
    from tapehub.feeds.replay import merge
    from tapehub.feeds.replay.pacing import pace, speed_of

    found = find_recordings(paths, end=end)
    if found.skipped:
        note(found.describe_skipped())
    batches = merge(found.recordings)
    return batches if math.isinf(speed_of(speed)) else pace(batches, speed)


def _progress() -> Any:
    """Show how far it is, where there is a terminal."""
    if not err.is_terminal:
        return None

    def show(ticks: int, ts: int) -> None:
        err.print(f"{instant_text(ts)}  {count_text(ticks)} ticks", end="\r", highlight=False)

    return show


def _report(made: Backtest) -> Report:
    from tapehub.agents.report import report_of

    return report_of(made.run, made.outputs, made.first_ns, made.last_ns, ticks=made.ticks, digest=made.digest())


def _per_s(made: Backtest) -> int:
    return round(made.ticks / max(made.seconds, 1e-6))


def _write(report: Report, json_to: Path | None, html: Path | None, *, as_json: bool) -> None:
    if json_to is not None:
        json_to.write_text(json.dumps(report.plain(), indent=2) + "\n")
    if html is not None:
        from tapehub.agents.charts import page

        html.write_text(page(report))
    if as_json:
        print_json(report.plain())
        return
    profit = report.balance_end - report.balance_begin
    hit = "–" if report.hit_rate is None else f"{report.hit_rate:.0%}"
    factor = "–" if report.profit_factor is None else f"{report.profit_factor:.2f}"
    out.print(
        f"[bold]{profit:+,} {report.currency}[/] in {len(report.trades)} trades: {hit} won, profit factor {factor}, "
        f"drawdown {report.drawdown:,.2f} ({report.drawdown_pct:.2f} %), in the market {report.exposure:.0%} of it"
    )
    refused = ", ".join(f"{code} {count}" for code, count in report.refused.items())
    out.print(
        f"{report.orders} orders accepted, refused: {refused or 'none'}; costs: "
        + ", ".join(f"{name} {value}" for name, value in report.costs.items())
    )
    for path in (json_to, html):
        if path is not None:
            note(f"wrote {path}")


def _compare(
    run_id: str, hub: Path | None, name: str | None, *, as_json: bool, json_to: Path | None, html: Path | None
) -> None:
    from tapehub.agents.parity import compare
    from tapehub.agents.report import report_of
    from tapehub.agents.search import find_run

    with attach(hub, name, "backtest") as opened:
        run = find_run(opened, run_id)
        if run is None:
            raise ConfigError(f"run {run_id}: not in the log of {opened.path}; tapehub agent list shows the newest")
        made = compare(opened, run)
    if json_to is not None or html is not None:
        _write(
            report_of(run, made.outputs, made.first_ns, made.last_ns, ticks=made.records), json_to, html, as_json=False
        )
    if as_json:
        print_json(_plain(made))
    else:
        _show(made)
    if made.differences:
        raise typer.Exit(Exit.FAILED)


def _plain(made: Comparison) -> dict[str, Any]:
    return {
        "run": made.run.id, "compared": made.compared, "ended": made.ended, "undecided": made.undecided,
        "records": made.records,
        "differences": [
            {"id": one.id, "kind": one.kind, "what": one.what, "fields": one.fields} for one in made.differences
        ],
    }  # fmt: skip


def _show(made: Comparison) -> None:
    state = "ended" if made.ended else "not ended"
    found = len(made.differences)
    verdict = "[bold green]no difference[/]" if not found else f"[bold red]{found} differences[/]"
    out.print(f"{made.run.id} ({state}): {made.compared} outputs, {count_text(made.records)} records: {verdict}")
    for one in made.differences[:_DIFFERENCES_SHOWN]:
        out.print(f"  {one}", markup=False)
    if found > _DIFFERENCES_SHOWN:
        note(f"and {found - _DIFFERENCES_SHOWN} more; --json shows all")
    if made.undecided:
        note(f"the replay is {made.undecided} outputs ahead: the run has not come so far, or died before it wrote them")
