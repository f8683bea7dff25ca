"""The `tapehub` command: what it is made of, and how its errors look.

Exit codes: `console.Exit`, documented in docs/reference/commands.md.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any

from tapehub.errors import MissingExtra, TapehubError

try:
    import typer
    import typer.main
    from rich.markup import escape
    from typer.core import TyperGroup
except ImportError as error:
    raise MissingExtra(error.name or "typer", "cli", "the tapehub command") from error

from tapehub.app.console import Exit, complain, exit_of

__all__ = ["COMMANDS", "app", "main"]


# Name of a command -> module of this folder and what it offers: a function, or a group of commands. A module is
# imported when its command is asked for: all together take longer to import than most of them to run.
COMMANDS = {
    "init": "init:init",
    "up": "up:up",
    "down": "down:down",
    "restart": "down:restart",
    "logs": "logview:logs",
    "serve": "serve:serve",
    "gateway": "gateway:gateway",
    "mcp": "mcp:mcp",
    "collect": "collect:collect",
    "replay": "replay:replay",
    "watch": "watch:watch",
    "status": "status:status",
    "doctor": "doctor:doctor",
    "verify": "verify:verify",
    "clock": "serve:clock",
    "backfill": "backfill:backfill",
    "sim": "sim:sim",
    "agent": "agent:group",
    "backtest": "backtest:backtest",
    "halt": "halt:halt",
    "resume": "halt:resume",
    "ig": "ig:group",
    "token": "access:token_group",
    "tls": "access:tls_group",
    "bench": "bench:bench",
    "alerts": "alerts:group",
    "service": "service:group",
}
_PASSES_ON = {"bench"}  # commands that hand what they do not know to someone else


class _Group(TyperGroup):
    """Load a command when it is asked for; turn errors into one line and an exit code, wherever one was raised."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return _load(cmd_name) if cmd_name in COMMANDS else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in COMMANDS:  # the error names what comes near
            self.commands.update({name: _load(name) for name in COMMANDS})
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        # Accepted after the command as well: it is added to a line that just failed.
        debug = "--debug" in args
        rest: list[str] = super().parse_args(ctx, [word for word in args if word != "--debug"])
        ctx.obj = {"debug": debug}
        return rest

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (TapehubError, OSError) as error:
            if isinstance(error, BrokenPipeError) or (ctx.obj or {}).get("debug"):
                raise
            complain(error)
            raise typer.Exit(exit_of(error)) from None
        except KeyboardInterrupt:
            raise typer.Exit(Exit.INTERRUPTED) from None


@cache
def _load(name: str) -> Any:
    module, _, offered = COMMANDS[name].partition(":")
    found = getattr(import_module(f"tapehub.app.{module}"), offered)
    if isinstance(found, typer.Typer):
        group = typer.main.get_group(found)  # also one of a single command
        group.name = name
        return _as_written(group)
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    passes_on = name in _PASSES_ON
    alone.command(name, context_settings={"allow_extra_args": passes_on, "ignore_unknown_options": passes_on})(found)
    return _as_written(typer.main.get_command(alone))


def _as_written(command: Any) -> Any:
    """Have help say what stands in the source: rich took "[up]" for a style, and left it out.

    Here for all commands alike, as whoever writes the next help text will not think of it.
    """
    if getattr(command, "rich_markup_mode", None) == "rich":
        for one in (command, *command.params):
            for name in ("help", "short_help", "epilog"):
                if text := getattr(one, name, None):
                    setattr(one, name, escape(text))
    for inner in getattr(command, "commands", {}).values():
        _as_written(inner)
    return command


app = typer.Typer(
    name="tapehub",
    cls=_Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="One market-data hub that every process on the machine reads at memory speed.",
    epilog="Exit codes: 0 all is well, 1 a check failed, 2 usage, 3 no hub running, 4 refused, 130 interrupted.",
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"tapehub {version('tapehub')}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; also after a command.")
    ] = False,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Take the options of all commands."""


def main() -> None:
    """Run the command line."""
    try:
        app()
    except BrokenPipeError:  # "tapehub status | head" is no error
        sys.stderr.close()
        sys.exit(Exit.OK)


if __name__ == "__main__":
    main()
