"""Where the log of a process goes: one line for each event on stderr, and JSON into files that are rotated.

An event has one shape wherever it comes from, a library that knows nothing of structlog included: ``timestamp`` (UTC,
ISO 8601), ``level``, ``logger``, ``component``, ``event``, then its own fields, and ``exception`` where there was one.
What is, or is named like, a secret is replaced before it is written anywhere.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from tapehub.errors import MissingExtra
from tapehub.hub.paths import make_folder, make_own
from tapehub.hub.secret import redact, redact_event

try:
    import structlog
    from structlog.typing import EventDict, Processor, WrappedLogger
except ImportError as error:
    raise MissingExtra("structlog", "cli", "the log of a process") from error

__all__ = ["BYTES_MAX", "FILES_KEPT", "FOLDER", "LEVELS", "get_logger", "log_to", "log_to_file"]

FOLDER = "logs"
"""In the hub's directory: a file for each component, NAME.jsonl, and its older ones, NAME.jsonl.1 and on."""
BYTES_MAX = 10 << 20
FILES_KEPT = 5
LEVELS = ("debug", "info", "warning", "error")


def log_to(
    json_path: Path | None = None,
    *,
    stderr: bool = True,
    bytes_max: int = BYTES_MAX,
    files_kept: int = FILES_KEPT,
    level: str = "info",
) -> None:
    """Send what structlog and logging say to stderr, and as JSON lines into a file.

    Args:
        json_path: named after the component; for whoever may read its folder. None for stderr alone.
        stderr: also there, a line for each event.
        bytes_max, files_kept: when the file is rotated, and how many older ones are left.
        level: the least that tapehub's own loggers let through, of `LEVELS`; others' say warnings.
    """
    component = "" if json_path is None else json_path.stem
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _Named(component),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handlers: list[logging.Handler] = []
    if stderr:
        handlers.append(_handler(logging.StreamHandler(sys.stderr), _lines(), shared))
    if json_path is not None:
        json_path.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        make_folder(json_path.parent)
        file = _OwnFile(json_path, maxBytes=bytes_max, backupCount=files_kept, encoding="utf-8")
        as_json: list[Processor] = [
            structlog.processors.format_exc_info,
            _redacted,
            structlog.processors.JSONRenderer(default=str),
        ]
        handlers.append(_handler(file, as_json, shared))
    root = logging.getLogger()
    for handler in root.handlers[:]:
        root.removeHandler(handler)
        handler.close()
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("tapehub").setLevel(level.upper())
    # Whoever reads stderr may be gone: what then cannot be said must not end the collection.
    logging.raiseExceptions = False


def log_to_file(told: Mapping[str, Any] | str | None, **options: Any) -> None:
    """Log as a command told one of its processes: the arguments of `log_to`, as JSON takes them, or a path alone."""
    if isinstance(told, str):
        told = {"path": told}
    rest = dict(told or {})
    path = rest.pop("path", "")
    log_to(Path(path) if path else None, **rest, **options)


def get_logger(name: str) -> Any:
    """Give a logger of structlog: ``log.info("event", field=value)``."""
    return structlog.get_logger(name)


class _OwnFile(RotatingFileHandler):
    """Write a file that those alone can read who may read the hub, whatever the umask."""

    def _open(self) -> TextIOWrapper:
        make_own(Path(self.baseFilename))
        return super()._open()


class _Named:
    """Say of which component an event is, unless the event says so itself."""

    def __init__(self, component: str) -> None:
        self._component = component

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        if self._component:
            event.setdefault("component", self._component)
        return event


def _short(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Leave out what a person at the terminal knows, or does not ask for."""
    event["timestamp"] = str(event["timestamp"])[:19].replace("T", " ")
    event.pop("component", None)
    if str(event.get("logger", "")).startswith("tapehub"):
        del event["logger"]
    return event


def _redacted(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    return redact_event(logger, method, dict(event))


def _redact_line(logger: WrappedLogger, method: str, line: Any) -> str:
    """Replace what a traceback shows of a secret, which has become text only now."""
    return redact(str(line))


def _lines() -> list[Processor]:
    renderer = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), pad_event_to=0, pad_level=False, sort_keys=False,
        exception_formatter=structlog.dev.plain_traceback,
    )  # fmt: skip
    return [_short, _redacted, renderer, _redact_line]


def _handler(handler: logging.Handler, last: list[Processor], shared: list[Processor]) -> logging.Handler:
    processors = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=processors, foreign_pre_chain=shared))
    return handler
