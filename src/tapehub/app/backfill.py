"""`tapehub backfill`: the minutes a hub lacks, from the venue's history, as far as its allowance reaches."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from tapehub.app.config import read_config
from tapehub.app.console import Exit, complain, count_text, err, instant_text, note, out, print_json
from tapehub.app.hubs import HubOption, NameOption, attach
from tapehub.app.sections import IgConfig
from tapehub.collector.allowance import FILE_NAME, Allowance, Ledger
from tapehub.collector.backfill import MINUTE, Minutes, Plan, plan_requests, spans_of
from tapehub.collector.filling import Filled, Filling, close_gaps, gaps_of, lacking, mark_in
from tapehub.errors import AllowanceExceeded, ConfigError, FeedError
from tapehub.feeds.instants import instant_ns
from tapehub.feeds.prices import Prices

if TYPE_CHECKING:
    from tapehub.feeds.ig.account import Account
    from tapehub.hub import DataHub

__all__ = ["backfill", "ig_prices_of"]

_SPANS_SHOWN = 3


def backfill(
    symbols: Annotated[
        list[str] | None, typer.Argument(metavar="[SYMBOL…]", help="Default: all that the venue has quoted.")
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Say what would be asked for, and ask for nothing.")] = False,
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="T", help="UTC, as 2026-06-02T07:00. Default: the oldest minute held."),
    ] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="T", help="Default: the last whole minute.")] = None,
    reserve: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="Points never to be spent; remembered. At first reserved_share."),
    ] = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="All or nothing: refuse what the allowance does not reach for.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Ask once more for what the venue did not have.")] = False,
    url: Annotated[str | None, typer.Option(metavar="URL", help="Another REST API than IG's: the simulator's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print plan and outcome as JSON.")] = False,
    hub: HubOption = None,
    name: NameOption = None,
) -> None:
    """Fill missing 1-minute candles from IG's history, the newest first, and only what is missing.

    Each candle costs a point of a weekly allowance, which a ledger in the hub's directory keeps. What is beyond it
    waits for the next term. --plan needs no credentials.
    """
    config = read_config(note)
    url = url or config.ig.base_url
    with attach(hub, name, "backfill") as opened:
        wanted = _missing(opened, "ig", symbols, start, end, again=again)
        label = _account_label(url)
        ledger = Ledger(
            opened.path / FILE_NAME.format(venue=label), time.time_ns, reserve=reserve,
            reserved_share=config.ig.reserved_share,
        )  # fmt: skip
        try:
            made = plan_requests(wanted, ledger.read(), whole=whole)
        except AllowanceExceeded as refused:
            if as_json:
                print_json(_plan_json(wanted, None, ledger.read(), label) | {"refused": str(refused)})
            else:
                _show_plan(wanted, None, ledger.read(), label)
            complain(refused)
            raise typer.Exit(Exit.REFUSED) from None
        if not plan:  # also where nothing is asked for: an earlier run may have fetched what a gap lacked
            for symbol in wanted:
                close_gaps(opened, symbol, "ig", opened.calendar(symbol), mark_in(opened))
        if plan or not made.now:
            if as_json:
                print_json(_plan_json(wanted, made, made.allowance, label))
            else:
                _show_plan(wanted, made, made.allowance, label)
            return
        _fill(opened, ledger, wanted, made, label, url, as_json=as_json)


def ig_prices_of(url: str | None) -> tuple[Prices, Callable[[], None]]:
    """Make IG's history, and what ends its session: a running collector's, which is borrowed, else one of its own.

    Raises:
        ConfigError: there is no session to borrow, and credentials are absent.
        MissingExtra: the libraries are.
    """
    from tapehub.feeds.ig.catalogue import Catalogue
    from tapehub.feeds.ig.prices import IgPrices

    config = read_config(note)
    account = _account(config.ig, url)
    account.tell_waits(lambda why, wait_s: note(why))
    book = config.book()
    epics = {book.name(symbol): epic for symbol, epic in config.ig.epics.items()}
    return IgPrices(account, Catalogue(account, epics, book, config.ig.form)), account.close


def _account(config: IgConfig, url: str | None) -> Account:
    """Borrow the session of a collector of the same account type at the same address, else log in when first asked."""
    from tapehub.feeds.ig.account import Account
    from tapehub.feeds.ig.credentials import AccountType, Credentials, find_credentials
    from tapehub.feeds.ig.lending import borrow, socket_path

    credentials: Credentials | None = None
    missing: ConfigError | None = None
    try:
        credentials = find_credentials()
    except ConfigError as error:
        missing = error
    kind = credentials.account_type if credentials is not None else AccountType.DEMO
    address = (url or kind.value).rstrip("/")
    path = socket_path(kind.name)
    try:
        lent = borrow(path)
    except FeedError:
        lent = None
    if lent is not None and lent.base_url.rstrip("/") == address:
        note("borrowed the session of the collector that runs")
        key = Credentials("", "", lent.api_key, lent.account, kind)
        return Account(key, now=time.time_ns, base_url=address, borrow=lambda failed: borrow(path, failed))
    if credentials is None:
        assert missing is not None
        raise missing
    return Account(
        credentials, now=time.time_ns, base_url=address, version=str(config.session_version),
        reserved_share=config.reserved_share,
    )  # fmt: skip


def _account_label(url: str | None) -> str:
    """Name the account whose allowance is meant: demo and live have one each, and so has a simulator."""
    if url is not None:
        return "ig-" + re.sub(r"[^A-Za-z0-9]+", "-", urlsplit(url).netloc or url).strip("-")
    try:
        from tapehub.feeds.ig.credentials import find_credentials

        return f"ig-{find_credentials().account_type.name.lower()}"
    except ConfigError:  # a plan needs neither credentials nor the libraries; who fills finds out what is missing
        return "ig-demo"


def _missing(
    hub: DataHub, source: str, symbols: Iterable[str] | None, start: str | None, end: str | None, *, again: bool
) -> dict[str, Minutes]:
    """Find the missing minutes of each symbol, by the hours of its market as the hub has them."""
    known = hub.instruments
    names = [hub._names.canonical(symbol) for symbol in symbols or ()]
    names = names or [symbol for symbol, row in known.items() if source in row["sources"]]
    if not names:
        raise ConfigError(f"nothing in this hub is from {source}: {hub.path}; name the symbols, and give --from")
    latest = hub.now() // MINUTE * MINUTE - MINUTE  # the minute before this one: the venue may still be at it
    last = min(instant_ns(end, "--to") or latest, latest)
    found: dict[str, Minutes] = {}
    for symbol in dict.fromkeys(names):
        first = instant_ns(start, "--from")
        if first is None:
            first = _oldest(hub, symbol, source)
        if first is None:
            note(f"{symbol}: the hub holds nothing of it from {source}; give --from to fill it")
        elif first < last:
            found[symbol] = lacking(hub, symbol, source, hub.calendar(symbol), first, last, again=again)
    return found


def _oldest(hub: DataHub, symbol: str, source: str) -> int | None:
    """Give the time of the oldest minute that the hub knows anything about."""
    rows = hub.history(symbol, "1m", source=source).numpy()
    known = [int(rows["timestamp"][0])] if len(rows) else []
    known += [gap.start_ns for gap in gaps_of(hub, symbol, source)]
    return min(known, default=None)


def _fill(
    hub: DataHub, ledger: Ledger, wanted: dict[str, Minutes], made: Plan, label: str, url: str | None, *, as_json: bool
) -> None:
    prices, close = ig_prices_of(url)
    filling = Filling(hub, prices, ledger, calendar_of=hub.calendar, mark=mark_in(hub))
    refused: AllowanceExceeded | None = None
    columns = (TextColumn("asking for"), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    try:
        with Progress(*columns, console=err, disable=not err.is_terminal, transient=True) as progress:
            task = progress.add_task("", total=len(made.now), completed=-1)
            filling.run(made, lambda request: progress.update(task, advance=1, description=request.symbol))
    except AllowanceExceeded as error:  # what was fetched before is in the hub: say so first
        refused = error
    finally:
        close()
    allowance = ledger.read()
    if as_json:
        told = _plan_json(wanted, made, allowance, label) | {
            "filled": {k: _filled_json(v) for k, v in filling.filled.items()}
        }
        print_json(told | ({"refused": str(refused)} if refused else {}))
    else:
        _report(filling.filled, allowance)
        if shortage := made.shortage():
            note(shortage)
    if refused is not None:
        complain(refused)
        raise typer.Exit(Exit.REFUSED)
    if any(row.failure for row in filling.filled.values()):
        raise typer.Exit(Exit.FAILED)


# ---------------------------------------------------------------- what is said


def _show_plan(wanted: dict[str, Minutes], made: Plan | None, allowance: Allowance, label: str) -> None:
    table = Table(box=None, pad_edge=False)
    for head in ("symbol", "missing", "now", "later", "spans (UTC, newest first)"):
        table.add_column(head, justify="left" if head in ("symbol",) or "span" in head else "right")
    for symbol, minutes in wanted.items():
        now, later = _points_of(made, symbol)
        table.add_row(symbol, *map(count_text, (len(minutes), now, later)), _spans_text(minutes))
    out.print(table)
    out.print(f"allowance of {label}: {allowance}")
    if made is None:
        return
    if not made.now:
        out.print("nothing is missing")
        return
    out.print(f"after it: {count_text(allowance.available - made.points_now)} to spend")
    if shortage := made.shortage():
        note(shortage)


def _spans_text(minutes: Minutes) -> str:
    spans = spans_of(minutes)[::-1]
    shown = [
        f"{instant_text(start)[:16]}" + (f" … {instant_text(end - MINUTE)[:16]}" if end - start > MINUTE else "")
        for start, end in spans[:_SPANS_SHOWN]
    ]
    more = len(spans) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _points_of(made: Plan | None, symbol: str) -> tuple[int, int]:
    if made is None:
        return 0, 0
    now, later = (sum(one.points for one in part if one.symbol == symbol) for part in (made.now, made.later))
    return now, later


def _report(filled: dict[str, Filled], allowance: Allowance) -> None:
    for symbol, row in filled.items():
        parts = [f"{count_text(row.candles)} of {count_text(row.asked)} candles"]
        parts += [
            f"{count_text(number)} {what}"
            for number, what in (
                (row.absent, "not at the venue"), (row.refused, "refused"), (row.beside, "not asked for"),
                (row.skipped, "not asked for after a failure"),
            )
            if number
        ]  # fmt: skip
        out.print(f"{symbol}: {', '.join(parts)}")
        for remark in row.remarks:
            note(f"{symbol}: refused: {remark}")
        if row.failure:
            note(f"{symbol}: failed: {row.failure}")
    out.print(f"allowance: {allowance}")


def _plan_json(wanted: dict[str, Minutes], made: Plan | None, allowance: Allowance, label: str) -> dict[str, Any]:
    before = made.allowance if made else allowance
    spent = made.points_now if made else 0
    return {
        "symbols": {
            symbol: {
                "missing": len(minutes),
                "now": _points_of(made, symbol)[0],
                "later": _points_of(made, symbol)[1],
                "spans": [{"start_ns": start, "end_ns": end} for start, end in spans_of(minutes)],
            }
            for symbol, minutes in wanted.items()
        },
        "account": label,
        "points_now": spent,
        "points_later": made.points_later if made else sum(map(len, wanted.values())),
        "allowance": {
            "before": before.available,
            "after": before.available - spent,
            "left": allowance.available,
            "total": allowance.total,
            "reserve": allowance.reserve,
            "booked": allowance.booked,
            "expires_ns": allowance.expires_ns or None,
            "as_read": allowance.as_read,
        },
    }


def _filled_json(row: Filled) -> dict[str, Any]:
    names = ("asked", "candles", "absent", "refused", "beside", "skipped", "failure", "remarks")
    return {name: getattr(row, name) for name in names}
