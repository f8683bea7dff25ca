"""Hand the terminal back as it was taken: its modes, and a cursor that can be seen."""

from __future__ import annotations

import os
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["borrowed_terminal"]

_SHOW_CURSOR = "\x1b[?25h"


@contextmanager
def borrowed_terminal() -> Iterator[None]:
    """Restore the terminal at the end, whatever was done to it; nothing where there is none."""
    try:
        descriptor = sys.stdin.fileno()
        before = termios.tcgetattr(descriptor)
    except (termios.error, OSError, ValueError):
        yield
        return
    try:
        yield
    finally:
        with suppress(termios.error, OSError):
            # Not from the background, where it would stop this process; and at once, as output may be held by Ctrl-S.
            if os.tcgetpgrp(descriptor) == os.getpgrp() and termios.tcgetattr(descriptor) != before:
                termios.tcsetattr(descriptor, termios.TCSANOW, before)
        if sys.stdout.isatty():
            with suppress(OSError, ValueError):
                sys.stdout.write(_SHOW_CURSOR)
                sys.stdout.flush()
