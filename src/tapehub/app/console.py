"""What commands say and how they end: exit codes, consoles, one-line errors, numbers for people."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

from rich.console import Console

from tapehub.errors import (
    AllowanceExceeded,
    ConfigError,
    HubFormatError,
    HubHeld,
    HubNotRunning,
    HubStalled,
    TapehubError,
)

__all__ = [
    "Exit",
    "age_text",
    "bytes_text",
    "complain",
    "count_text",
    "err",
    "exit_of",
    "instant_text",
    "note",
    "out",
    "print_json",
    "span_text",
]


class Exit(IntEnum):
    """Say how a command ended; `docs/reference/commands.md` documents them."""

    OK = 0
    FAILED = 1  # a check failed, or the work could not be done
    USAGE = 2  # an option or a setting that cannot work
    NOT_RUNNING = 3  # no hub, or nobody runs it
    REFUSED = 4  # someone else has it, or this tapehub may not touch it
    INTERRUPTED = 130  # Ctrl-C before the work was done


# In a pipe a line stays a line; on a terminal it breaks between words.
out = Console(highlight=False, emoji=False, soft_wrap=not sys.stdout.isatty())
err = Console(stderr=True, highlight=False, emoji=False, soft_wrap=not sys.stderr.isatty())


def exit_of(error: BaseException) -> Exit:
    """Choose the exit code for an error."""
    if isinstance(error, HubNotRunning):
        return Exit.NOT_RUNNING
    if isinstance(error, ConfigError):
        return Exit.USAGE
    if isinstance(error, HubHeld | HubStalled | HubFormatError | AllowanceExceeded) or "network file system" in str(
        error
    ):
        return Exit.REFUSED
    return Exit.FAILED


def complain(error: BaseException) -> None:
    """Print an error as one line on stderr."""
    text = str(error) if isinstance(error, TapehubError) else _foreign(error)
    err.print(f"[bold red]tapehub:[/] {_plain(text)}")


def note(text: str) -> None:
    """Print a remark on stderr, so that what is on stdout can be piped."""
    err.print(f"[dim]{_plain(text)}[/]")


def print_json(value: Any) -> None:
    """Print JSON on stdout, as one object that other programs read."""
    print(json.dumps(value, indent=2, default=_jsonable))


def count_text(count: float) -> str:
    """Write a count with thin groups: ``1,234,567``."""
    return f"{count:,.0f}"


def span_text(seconds: float) -> str:
    """Write a duration in its two largest units: ``1.2 s``, ``3 min 20 s``, ``2 h 5 min``, ``12 d``."""
    sign, rest = ("-", -seconds) if seconds < 0 else ("", seconds)
    if rest < 0.0995:
        return f"{sign}{rest * 1000:.0f} ms"
    if rest < 59.95:
        return f"{sign}{rest:.1f} s"
    minutes, rest_s = divmod(round(rest), 60)
    if minutes < 60:
        return f"{sign}{minutes} min {rest_s} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{sign}{hours} h {minutes} min"
    return f"{sign}{hours // 24:,} d"


def age_text(seconds: float) -> str:
    """Write an age in one unit and at most six characters, for tables."""
    if seconds < 0.0995:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    for limit, size, unit in ((9.95, 1, ".1f s"), (120, 1, ".0f s"), (7200, 60, ".0f min"), (172_800, 3600, ".0f h")):
        if seconds < limit:
            form, name = unit.split()
            return f"{seconds / size:{form}} {name}"
    days = seconds / 86_400
    return f"{days:.0f} d" if days < 1000 else f"{days / 365.25:.0f} y"


def bytes_text(size: float) -> str:
    """Write a size: ``64.0 MiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def instant_text(ts_ns: int) -> str:
    """Write an instant to the second, UTC."""
    return datetime.fromtimestamp(ts_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _foreign(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename is not None else ""
        return f"{place}{error.strerror}"
    return f"{type(error).__name__}: {error}"


def _plain(text: str) -> str:
    """Keep rich from reading what stands in brackets as a style."""
    return " ".join(text.split()).replace("[", "\\[")


def _jsonable(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if hasattr(value, "item"):  # a numpy scalar
        return value.item()
    return str(value)
