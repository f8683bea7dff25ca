"""`tapehub init`: a `tapehub.toml` to begin with, which shows every setting."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.prompt import Prompt

from tapehub.app.config import Config, config_path, write_config
from tapehub.app.console import out
from tapehub.app.feeds import names, symbols_of
from tapehub.app.template import template
from tapehub.errors import ConfigError

__all__ = ["init"]

_FEEDS = ("none", *names())


def init(
    feed: Annotated[str | None, typer.Option("--feed", metavar="FEED", help=f"One of {', '.join(_FEEDS)}.")] = None,
    symbols: Annotated[list[str] | None, typer.Option("--symbols", metavar="NAMES", help="With commas.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write tapehub.toml with every setting, its default and what it means.

    Asks which feed "tapehub up" shall collect, on a terminal and where --feed does not say. A file that is there is
    left as it is.
    """
    path = config_path()
    if path.exists() and not force:
        raise ConfigError(f"{path} is there already: expected none; edit it, or replace it with --force")
    if feed is None:
        feed, symbols = _asked(symbols) if sys.stdin.isatty() and sys.stdout.isatty() else ("none", symbols)
    if feed not in _FEEDS:
        raise ConfigError(f"feed is {feed!r}, expected one of {', '.join(_FEEDS)}")
    chosen: dict[tuple[str, str], Any] = {}
    if feed != "none":
        chosen["up", "feed"] = feed
    if found := symbols_of(symbols):
        chosen["up", "symbols"] = found
    write_config(path, template(Config, chosen))
    out.print(f"wrote [bold]{escape(str(path))}[/]: every setting, its default, and what it means")
    out.print('next: "tapehub up" runs what it says, "tapehub service install" keeps that running after a log-in')


def _asked(symbols: list[str] | None) -> tuple[str, list[str] | None]:
    feed = Prompt.ask('What shall "tapehub up" collect?', choices=list(_FEEDS), default="none", console=out)
    if feed in ("none", "replay") or symbols:
        return feed, symbols
    text = Prompt.ask(
        "Which instruments, such as EUR_USD, USD_JPY? (Enter for the usual ones)", default="", console=out
    )
    return feed, [text] if text.strip() else None
