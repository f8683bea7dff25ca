"""Where the log of a process goes: one line for each event on stderr, and JSON into files that are rotated."""

from __future__ import annotations

import logging
import sys
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

from tapehub.errors import MissingExtra

try:
    import structlog
except ImportError as error:
    raise MissingExtra("structlog", "cli", "the log of a collector") from error

__all__ = ["log_to"]

_BYTES_MAX = 10 << 20
_FILES_KEPT = 5


def log_to(json_path: Path | None = None) -> None:
    """Send what structlog and logging say to stderr, and as JSON lines into a file of this user alone.

    Args:
        json_path: rotated at 10 MiB, five older ones are kept; None for stderr alone.
    """
    stamp = structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=True)
    shared: list[structlog.typing.Processor] = [structlog.stdlib.add_log_level, stamp]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handlers: list[logging.Handler] = [_handler(logging.StreamHandler(sys.stderr), _lines(), shared)]
    if json_path is not None:
        json_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = _OwnFile(json_path, maxBytes=_BYTES_MAX, backupCount=_FILES_KEPT, encoding="utf-8")
        as_json: list[structlog.typing.Processor] = [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
        handlers.append(_handler(file, as_json, shared))
    root = logging.getLogger()
    for handler in root.handlers[:]:
        root.removeHandler(handler)
        handler.close()
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("tapehub").setLevel(logging.INFO)
    # Whoever reads stderr may be gone: what then cannot be said must not end the collection.
    logging.raiseExceptions = False


class _OwnFile(RotatingFileHandler):
    """Write a file that others cannot read: 0600, whatever the umask."""

    def _open(self) -> TextIOWrapper:
        Path(self.baseFilename).touch(0o600)
        return super()._open()


def _lines() -> list[structlog.typing.Processor]:
    return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0, pad_level=False, sort_keys=False)]


def _handler(
    handler: logging.Handler, last: list[structlog.typing.Processor], shared: list[structlog.typing.Processor]
) -> logging.Handler:
    processors = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=processors, foreign_pre_chain=shared))
    return handler
