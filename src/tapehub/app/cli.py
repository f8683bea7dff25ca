"""The `tapehub` command: what it is made of, and how its errors look.

Exit codes: `console.Exit`, documented in docs/reference/commands.md.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated, Any

from tapehub.errors import MissingExtra, TapehubError

try:
    import rich  # noqa: F401
    import typer
    from typer.core import TyperGroup
except ImportError as error:
    raise MissingExtra(error.name or "typer", "cli", "the tapehub command") from error

from tapehub.app.console import Exit, complain, exit_of

__all__ = ["app", "main"]


class _Group(TyperGroup):
    """Turn errors into one line and an exit code, wherever a command raised them."""

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


def _add() -> None:
    from tapehub.app import backfill, bench, collect, doctor, ig, replay, serve, sim, status, up, verify, watch

    app.command()(up.up)
    app.command()(serve.serve)
    app.command()(collect.collect)
    app.command()(replay.replay)
    app.command()(watch.watch)
    app.command()(status.status)
    app.command()(doctor.doctor)
    app.command()(verify.verify)
    app.command()(serve.clock)
    app.command()(backfill.backfill)
    app.command()(sim.sim)
    app.add_typer(ig.group, name="ig")
    app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(bench.bench)


_add()


def main() -> None:
    """Run the command line."""
    try:
        app()
    except BrokenPipeError:  # "tapehub status | head" is no error
        sys.stderr.close()
        sys.exit(Exit.OK)


if __name__ == "__main__":
    main()
