"""`tapehub ig`: find IG's markets, see how their prices are read, and write them into the configuration."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from tapehub.app.config import Config, add_epics, config_path, read_config
from tapehub.app.console import Exit, note, out, print_json
from tapehub.app.sections import IgConfig
from tapehub.errors import ConfigError, InvalidRecord
from tapehub.model.instruments import TABLE, InstrumentBook, normalise

if TYPE_CHECKING:
    from tapehub.feeds.ig.account import Account
    from tapehub.feeds.ig.markets import Market

__all__ = ["group"]

group = typer.Typer(no_args_is_help=True, add_completion=False, help="Find IG's markets and choose among them.")
_MAJORS = ("EUR_USD", "USD_JPY", "GBP_USD", "XAU_USD", "DE40")
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@contextmanager
def _account(config: IgConfig) -> Iterator[Account]:
    from tapehub.feeds.ig import Account, find_credentials

    account = Account(
        find_credentials(),
        now=time.time_ns,
        base_url=config.base_url,
        version=str(config.session_version),
        reserved_share=config.reserved_share,
    )
    account.tell_waits(lambda why, wait_s: note(why))
    try:
        yield account
    finally:
        account.close()


@group.command()
def search(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="A name or part of one: eurusd, gold, germany 40.")],
    as_json: JsonOption = False,
) -> None:
    """Search IG's markets by name."""
    with _account(read_config(note).ig) as account:
        found = account.search(_as_ig_writes(text))
        if not found and _as_ig_writes(text) != text:
            found = account.search(text)
    if as_json:
        print_json([_row(market) for market in found])
        return
    table = Table(_whole("epic", found), "name", "type", "expiry", "state", "bid", "ask", box=None)
    for market in found:
        table.add_row(
            market.epic, market.name, market.kind, market.expiry, market.status, _shown(market.bid), _shown(market.ask)
        )
    out.print(table)
    if not found:
        note(f"IG knows no market like {text!r}")


@group.command()
def markets(
    symbols: Annotated[
        list[str] | None, typer.Argument(metavar="[SYMBOL…]", help="Instruments; those configured when none.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show which market each symbol means, and how its prices are read; ends with 1 when one cannot be had."""
    from tapehub.feeds.ig.catalogue import Catalogue

    config = read_config(note)
    book = config.book()
    epics = _configured(config, book)
    wanted = [book.name(symbol) for symbol in symbols or epics or _MAJORS]
    with _account(config.ig) as account:
        found = Catalogue(account, epics, book, config.ig.form).look_up(wanted)
        limit = account.allowances.subscriptions
    table = Table(
        "symbol",
        _whole("epic", found.markets.values()),
        "name",
        "state",
        "mid",
        "spread, pips",
        "IG's number / price",
        box=None,
    )
    rows = []
    for symbol, market in found.markets.items():
        price, pip = found.scalers[symbol].reference, book.find(symbol).pip_size
        divisor = market.mid / price if market.mid and price else None
        spread = (market.ask - market.bid) / divisor / pip if market.ask and market.bid and divisor and pip else None
        read = {"symbol": symbol, "divisor": divisor and round(divisor), "mid": price or None, "spread_pips": spread}
        rows.append(_row(market) | read)
        table.add_row(
            symbol, market.epic, market.name, market.status, _shown(price or None, ".8g"), _shown(spread, ".1f"),
            _shown(divisor, ".0f"),
        )  # fmt: skip
    if as_json:
        print_json({"markets": rows, "refused": found.refused, "subscriptions": limit})
    else:
        out.print(table)
        for why in found.refused.values():
            note(why)
        note(f"IG allows {limit} subscriptions; each symbol takes one, and two more for its state and candles")
    if found.refused:
        raise typer.Exit(Exit.FAILED)


@group.command()
def init(
    watchlist: Annotated[str, typer.Option("--watchlist", metavar="NAME", help="One of IG's watchlists.")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="Replace epics that are configured already.")] = False,
) -> None:
    """Write the markets of a watchlist into [ig.epics] of tapehub.toml; whatever else stands there stays."""
    config = read_config(note)
    book = config.book()
    with _account(config.ig) as account:
        lists = account.watchlists()
        wanted = [key for key, name in lists.items() if watchlist.casefold() in (key.casefold(), name.casefold())]
        if len(wanted) != 1:
            known = ", ".join(repr(name) for name in lists.values()) or "none"
            raise ConfigError(f"--watchlist is {watchlist!r}, expected one of IG's: {known}")
        found = account.watchlist(wanted[0])
    epics: dict[str, str] = {}
    for market in found:
        symbol = _symbol(market, _configured(config, book))
        if symbol is None or not market.streaming:
            why = (
                "IG does not stream it"
                if symbol
                else f'no symbol is known for it; add one by hand: NAME = "{market.epic}"'
            )
            note(f"left out {market.epic} ({market.name}): {why}")
        elif symbol in epics:
            note(f"left out {market.epic} ({market.name}): {symbol} is {epics[symbol]} already")
        else:
            epics[symbol] = market.epic
    kept = add_epics(epics, replace=replace)
    for symbol, epic in kept.items():
        note(f"left {symbol} = {epic} as it stood, not {epics[symbol]}; --replace replaces it")
    for symbol, epic in epics.items():
        if symbol not in kept:
            out.print(f"{symbol} = {epic}")
    note(f"{len(epics) - len(kept)} of {len(found)} markets written to {config_path()}")


def _configured(config: Config, book: InstrumentBook) -> dict[str, str]:
    return {book.name(symbol): epic for symbol, epic in config.ig.epics.items()}


def _symbol(market: Market, configured: dict[str, str]) -> str | None:
    """Name the symbol of a market: as configured, by the table, else by a name that is a pair's or an index's."""
    from tapehub.feeds.ig.epics import symbol_of

    if known := symbol_of(market.epic, configured):
        return known
    for name in (market.name, market.name.split(" ")[0] if market.name else ""):
        try:
            symbol = normalise(name)
        except InvalidRecord:
            continue
        if symbol in TABLE or ("/" in name and "_" in symbol):
            return symbol
    return None


def _as_ig_writes(text: str) -> str:
    """Write a pair as IG's names do: its search finds "EUR/USD" by that, and not always by eurusd."""
    try:
        symbol = normalise(text)
    except InvalidRecord:
        return text
    return symbol.replace("_", "/") if "_" in symbol else text


def _row(market: Market) -> dict[str, object]:
    return {
        "epic": market.epic,
        "name": market.name,
        "type": market.kind,
        "expiry": market.expiry,
        "status": market.status,
        "bid": market.bid,
        "ask": market.ask,
        "streaming": market.streaming,
    }


def _whole(title: str, markets: Iterable[Market]) -> Column:
    """Make the column of epics: to be copied from, so never shortened."""
    return Column(title, no_wrap=True, min_width=max((len(market.epic) for market in markets), default=4))


def _shown(value: float | None, form: str = "g") -> str:
    return "" if value is None else format(value, form)
