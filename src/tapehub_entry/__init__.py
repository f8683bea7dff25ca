"""Where the `tapehub` command and its processes begin: Ctrl-C ends them without a traceback while they still load.

It stands beside the package, not in it: Python imports a package before any module of it, and `tapehub` loads numpy,
which takes long enough for a Ctrl-C to fall into. What this module imports is loaded in any interpreter.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from types import FrameType
from typing import NoReturn

__all__ = ["main", "run"]

_INTERRUPTED = 130  # `tapehub.app.console.Exit.INTERRUPTED`, which cannot be imported from here


def run(module: str) -> NoReturn:
    """Import a module and end with what its `main` gives; with 130 where Ctrl-C came in between."""
    # Not an exception: an import that is interrupted may turn it into another one. Nothing has begun that had to end.
    interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # else whoever started us ignores it
    if interruptible:
        signal.signal(signal.SIGINT, _end)
    found = import_module(module)
    try:
        if interruptible:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        code = found.main()
    except KeyboardInterrupt:
        code = _INTERRUPTED
    finally:
        if interruptible:  # the interpreter's own end has tracebacks too
            signal.signal(signal.SIGINT, _end)
    sys.exit(code)


def main() -> None:
    """Run the command line."""
    run("tapehub.app.cli")


def _end(number: int, frame: FrameType | None) -> NoReturn:
    os._exit(_INTERRUPTED)
